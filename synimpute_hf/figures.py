"""The figures of a cross-validation, drawn by matplotlib without any global state of pyplot.

Colours are those of Okabe and Ito, told apart by colour-blind readers; marks and lines differ too, so that a grey print
can be read.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import MissingPackageError
from .facts import PROTOCOLS, Findings, number, words

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "VERMILLION",
    "WIDTH",
    "Drawing",
    "blank",
    "curve",
    "dot_interval",
    "dot_rows",
    "inline_svg",
    "key_line",
    "learning_curve",
    "on_page",
    "run_drawings",
    "save_drawing",
    "style",
]

INK = "#202124"  # these two become the colours of the page when a figure is put into one
PAPER = "#fffffe"
GREY = "#80868b"
VERMILLION = "#D55E00"
BLUE = "#0072B2"
GREEN = "#009E73"
ORANGE, SKY, PINK = "#E69F00", "#56B4E9", "#CC79A7"
CYCLE = (
    (GREY, "o", "-"),
    (VERMILLION, "D", "-"),
    (BLUE, "s", "--"),
    (GREEN, "^", "-."),
    (PINK, "v", ":"),
    (ORANGE, "P", "--"),
    (SKY, "X", "-."),
)
# verdict: (colour, mark, filled)
VERDICTS = {
    "better": (BLUE, ">", True),
    "equivalent": (GREEN, "s", True),
    "worse": (VERMILLION, "<", True),
    "cannot tell": (GREY, "o", False),
}
PANELS = (("f1", "F1"), ("average_precision", "average precision"))
WIDTH = 7.0  # inches: the text width of a journal page
MANY_CLASSES = 8
# For class names in other scripts, taken where they are installed.
FALLBACKS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari")


@dataclass(frozen=True)
class Drawing:
    """A figure and what stands below it.

    Attributes:
        name: the stem of its file.
        caption: plain text; also what a screen reader says.
        figure: a ``matplotlib.figure.Figure``.
    """

    name: str
    caption: str
    figure: Any


def style() -> AbstractContextManager[None]:
    """Return the settings under which everything is drawn and saved.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib import font_manager
    except ImportError as error:
        raise MissingPackageError(
            "Figures need matplotlib: pip install matplotlib. The formats md, tex and csv do without."
        ) from error
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return matplotlib.rc_context(
        {
            "font.family": ["DejaVu Sans", *(name for name in FALLBACKS if name in installed)],
            "font.size": 8,
            "axes.labelsize": 8,
            "axes.titlesize": 8,
            "axes.edgecolor": GREY,
            "axes.labelcolor": INK,
            "axes.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.facecolor": "none",
            "text.color": INK,
            "text.parse_math": False,  # a class may be called $x$
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 7.5,
            "ytick.labelsize": 7.5,
            "legend.fontsize": 7.5,
            "legend.frameon": False,
            "lines.linewidth": 1.2,
            "lines.markersize": 5,
            "svg.fonttype": "none",
            "svg.hashsalt": "synimpute_hf",  # the same facts give the same bytes
            "savefig.dpi": 300,
        }
    )


def blank(rows: int, columns: int, height: float, width: float = WIDTH, **share: Any) -> tuple[Any, Any]:
    """Return a figure and its axes (rows, columns)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **share)


def save_drawing(drawing: Drawing, path: Path) -> None:
    """Write a figure as PNG or SVG, after the file's suffix, on white.

    Raises:
        OSError: the file can't be written.
    """
    with style():
        metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
        drawing.figure.savefig(path, facecolor="white", metadata=metadata)


def inline_svg(drawing: Drawing) -> str:
    """Return a figure as an ``<svg>`` element that takes the text colour of the page around it."""
    file = io.StringIO()
    with style():
        drawing.figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    # A screen is read from further away than paper; the view box keeps the height in step.
    size = r'width="([\d.]+)pt" height="[\d.]+pt"'
    text = re.sub(size, lambda found: f'width="{1.25 * float(found[1]):g}pt"', text, count=1)
    # Names within one page must differ between its figures; only clip paths and markers are ever referred to.
    place = re.sub(r"\W", "-", drawing.name)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{place}-\1"', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{place}-", text)
    return text.replace(INK, "currentColor").replace(PAPER, "var(--paper, white)").strip()


def on_page(drawing: Drawing, place: str) -> dict[str, str]:
    """Return what a page's template shows of a figure.

    Args:
        drawing: the figure.
        place: a name for the part of the page, so that names within the page differ.
    """
    inner = Drawing(f"{place}-figure-{drawing.name}", drawing.caption, drawing.figure)
    return {"name": inner.name, "caption": drawing.caption, "svg": inline_svg(inner)}


def _finite(*values: float | None) -> bool:
    return all(value is not None and math.isfinite(value) for value in values)


def _arm_style(arms: Sequence[str], arm: str) -> tuple[str, str, str]:
    """Return colour, mark and line of an arm: original grey, imputed vermillion, the others in their order."""
    if arm == "original":
        return CYCLE[0]
    if arm == "imputed":
        return CYCLE[1]
    others = [name for name in arms if name not in ("original", "imputed")]
    return CYCLE[2 + others.index(arm) % (len(CYCLE) - 2)]


def dot_interval(axes: Any, y: float, entry: Mapping[str, Any], key: str, **style: Any) -> None:
    """Draw an estimate with its interval, lying."""
    low, high = entry.get("low"), entry.get("high")
    if _finite(low, high):
        axes.plot([low, high], [y, y], color=style["color"], linewidth=1.6, solid_capstyle="butt", zorder=3)
    face = style["color"] if style.get("filled", True) else PAPER
    axes.plot(
        entry[key], y, marker=style["marker"], color=style["color"], markerfacecolor=face, linestyle="none", zorder=4
    )


def dot_rows(axes: Any, names: Sequence[str]) -> None:
    """Label the rows of a dot plot from the top down."""
    axes.set_yticks(range(len(names)), [words(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.5)
    axes.locator_params(axis="x", nbins=6)


def _dots(found: Findings, draw: Callable[[Any, int, str, str, str], None], arms: Sequence[str], label: str) -> Any:
    """Return a figure with a row of panels (F1, AP) a class, and a line of dots an arm.

    Args:
        found: the facts.
        draw: called with axes, row, arm, metric and class.
        arms: from the top down.
        label: goes with the metric's name on the x axis; ``{}`` is the metric.
    """
    height = max(1.3, 0.55 + 0.235 * len(arms))
    figure, grid = blank(len(found.focus), 2, height * len(found.focus), sharey="row", sharex="col")
    for row, name in enumerate(found.focus):
        for column, (metric, title) in enumerate(PANELS):
            axes = grid[row][column]
            dot_rows(axes, arms)
            for place, arm in enumerate(arms):
                draw(axes, place, arm, metric, name)
            if len(found.focus) > 1 and not column:
                axes.set_title(words(name), loc="left", fontweight="bold")
            if row == len(found.focus) - 1:
                axes.set_xlabel(label.format(title))
    return figure


def _scores(found: Findings) -> Iterator[Drawing]:
    protocol = found.shown or ""
    arms = found.arms_of(protocol)

    def draw(axes: Any, place: int, arm: str, metric: str, name: str) -> None:
        entry = found.score(protocol, arm, metric, name)
        if entry is None or not _finite(entry["estimate"]):
            return
        if arm == "original":
            axes.axvline(entry["estimate"], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        ours = arm.startswith("imputed")
        color = VERMILLION if ours else INK
        dot_interval(axes, place, entry, "estimate", color=color, marker="D" if ours else "o", filled=arm != "ceiling")

    if arms:
        caption = (
            f"F1 and average precision of {_list(found.focus)} by arm, under {protocol}: mean and 95 % interval "
            f"({found.size(protocol)}). Dashed: originals alone. Diamonds: arms with synthetic imputation."
        )
        yield Drawing("scores", caption, _dots(found, draw, arms, "{}"))


def _differences(found: Findings) -> Iterator[Drawing]:
    protocol = found.shown or ""
    compared = {entry["arm"] for entry in found.comparisons(protocol)}
    arms = [arm for arm in found.arms if arm in compared]
    if not arms:
        return
    seen: set[str] = set()

    def draw(axes: Any, place: int, arm: str, metric: str, name: str) -> None:
        if not place:
            axes.axvspan(-found.margin, found.margin, color=GREY, alpha=0.2, linewidth=0, zorder=0)
            axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
        entry = found.comparison(protocol, arm, metric, name)
        if entry is None or not _finite(entry["difference"]):
            return
        color, marker, filled = VERDICTS.get(entry["verdict"], VERDICTS["cannot tell"])
        seen.add(entry["verdict"])
        dot_interval(axes, place, entry, "difference", color=color, marker=marker, filled=filled)

    figure = _dots(found, draw, arms, "difference in {}")
    handles = [_handle(verdict) for verdict in VERDICTS if verdict in seen]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), handletextpad=0.2, columnspacing=1.2)
    caption = (
        f"Paired differences to original under {protocol}, with 95 % intervals "
        f"({'bootstrap of the tested texts' if protocol == 'holdout' else 'corrected resampled t-test'}). Shaded: "
        f"the equivalence margin of ±{number(found.margin)}."
    )
    yield Drawing("differences", caption, figure)


def _handle(verdict: str) -> Any:
    from matplotlib.lines import Line2D

    color, marker, filled = VERDICTS[verdict]
    return Line2D(
        [], [], color=color, marker=marker, markerfacecolor=color if filled else PAPER, linewidth=1.6, label=verdict
    )


def _list(names: Sequence[str]) -> str:
    names = [words(name) for name in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _grid(count: int, size: float, most: int = 4, **share: Any) -> tuple[Any, list[Any]]:
    """Return a figure of up to ``most`` square panels a row, and its used axes."""
    columns = min(most, count)
    rows = math.ceil(count / columns)
    figure, grid = blank(rows, columns, rows * size, min(WIDTH, columns * size * 1.05), **share)
    flat = [axes for line in grid for axes in line]
    figure.get_layout_engine().set(hspace=0.06)
    for axes in flat[count:]:
        axes.set_visible(False)
    for axes in flat[max(0, count - columns) : count]:  # nothing stands below these
        axes.tick_params(labelbottom=True)
    return figure, flat[:count]


def _reliability(found: Findings) -> Iterator[Drawing]:
    """Yield, for each class, a panel an arm: how often the class is there against how probable it was called."""
    entries = {
        (e["arm"], e["class"]): e["bins"] for e in found.facts.get("reliability") or () if found.shown == e["protocol"]
    }
    for index, name in enumerate(found.focus):
        arms = [arm for arm in found.arms if any(b["n"] for b in entries.get((arm, name), ()))]
        if not arms:
            continue
        figure, panels = _grid(len(arms), 1.85, sharex=True, sharey=True)
        largest = max(b["n"] for arm in arms for b in entries[arm, name])
        for axes, arm in zip(panels, arms, strict=True):
            bins = [b for b in entries[arm, name] if b["n"] and _finite(b["confidence"], b["observed"])]
            x, y = [b["confidence"] for b in bins], [b["observed"] for b in bins]
            color = VERMILLION if arm.startswith("imputed") else BLUE
            axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
            axes.plot(x, y, color=color, linewidth=0.9, zorder=2)
            sizes = [6 + 90 * b["n"] / largest for b in bins]
            axes.scatter(x, y, s=sizes, color=color, edgecolors=PAPER, linewidths=0.5, zorder=3)
            axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
            axes.set_title(_cut(words(arm), 22))
        figure.supxlabel("mean probability given", fontsize=8, color=INK)
        figure.supylabel("share observed", fontsize=8, color=INK)
        caption = (
            f"Reliability for {words(name)} under {found.shown}, over all folds: on the dashed line, texts called the "
            "class with probability p belong to it in a share p of cases. Areas grow with the number of texts."
        )
        yield Drawing("reliability" + (f"-{index + 1}" if len(found.focus) > 1 else ""), caption, figure)


def _confusion(found: Findings) -> Iterator[Drawing]:
    from matplotlib.colors import LinearSegmentedColormap

    entries = {e["arm"]: e["matrix"] for e in found.facts.get("confusion") or () if e["protocol"] == found.shown}
    arms = [arm for arm in found.arms if arm in entries]
    if not arms:
        return
    names = [words(entry["name"]) for entry in found.facts["classes"]]
    places = range(len(names))
    shades = LinearSegmentedColormap.from_list("shares", ["#f4f6f8", "#8fbbe0", "#08519c"])
    small = len(names) <= 2
    figure, panels = _grid(len(arms), 1.9 if small else 2.3, 4 if small else 3, sharex=True, sharey=True)
    for axes, arm in zip(panels, arms, strict=True):
        shares = [[cell / (sum(row) or 1) for cell in row] for row in entries[arm]]
        axes.pcolormesh(places, places, shares, cmap=shades, vmin=0, vmax=1, edgecolors=PAPER, linewidth=0.6)
        axes.set(aspect="equal", ylim=(len(names) - 0.5, -0.5))
        axes.set_title(_cut(words(arm), 22))
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if len(names) > MANY_CLASSES:
            continue
        for i, row in enumerate(entries[arm]):
            for j, cell in enumerate(row):
                text = f"{shares[i][j]:.0%}" + (f"\n{cell:,}" if len(names) <= 3 else "")
                color = "#ffffff" if shares[i][j] > 0.6 else "#111111"  # on the cell, whatever the page's colours
                axes.text(j, i, text, ha="center", va="center", color=color, fontsize=7 if len(names) <= 4 else 5.5)
    panels[0].set_xticks(places, [_cut(name) for name in names])
    panels[0].set_yticks(places, [_cut(name) for name in names])
    if len(names) > 2 or max(map(len, names)) > 8:
        for label in (label for axes in panels for label in axes.get_xticklabels()):
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    figure.supxlabel("predicted", fontsize=8, color=INK)
    figure.supylabel("true", fontsize=8, color=INK)
    caption = (
        f"Confusion under {found.shown}, originals only, summed over all folds: shares of each true class (a row adds "
        "up to 100 %)" + (" with numbers of predictions." if len(names) <= 3 else ".")
    )
    yield Drawing("confusion", caption, figure)


def _cut(name: str, length: int = 18) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def _inflation(found: Findings) -> Iterator[Drawing]:
    """Yield what each protocol says of the same texts, with the parts of the inflation between the rows."""
    arm = found.imputed
    order = [name for name in ("pooled", "real_test", *PROTOCOLS) if name in found.protocols]
    protocols = [name for name in dict.fromkeys(order) if arm and arm in found.arms_of(name)]
    if arm is None or len(protocols) < 2 or "pooled" not in protocols:
        return
    height = 0.6 + 0.36 * len(protocols)
    figure, grid = blank(1, len(found.focus), height, WIDTH if len(found.focus) > 1 else 5.0, sharey=True)
    for axes, name in zip(grid[0], found.focus, strict=True):
        dot_rows(axes, protocols)
        for place, protocol in enumerate(protocols):
            entry = found.score(protocol, arm, "f1", name)
            if entry is None or not _finite(entry["estimate"]):
                continue
            leaks = protocol in ("pooled", "real_test")
            dot_interval(
                axes,
                place,
                entry,
                "estimate",
                color=GREY if leaks else VERMILLION,
                marker="o" if leaks else "D",
                filled=not leaks,
            )
        for part, above in (("synthetic texts in the test folds", "pooled"), ("shared sources", "real_test")):
            entry = found.inflation(name, part)
            if entry and above in protocols[:-1]:
                text = f"{part}: {number(entry['estimate'], sign=True)}"
                at = (1.0, protocols.index(above) + 0.5)
                axes.annotate(
                    text, at, xycoords=axes.get_yaxis_transform(), ha="right", va="center", fontsize=6.5, style="italic"
                )
        axes.set_xlabel(f"F1 of {words(name)}")
    caption = (
        f"The same texts and classifier ({words(arm)}), measured by each protocol: mean and 95 % interval. Circles: "
        "protocols that leak. The differences between neighbours are the parts of the inflation."
    )
    yield Drawing("inflation", caption, figure)


def _calibration(found: Findings) -> Iterator[Drawing]:
    entries = found.facts.get("calibration") or ()
    names = [name for name in found.focus if any(e["class"] == name for e in entries)]
    if not names:
        return
    figure, grid = blank(2, len(names), 3.6, WIDTH if len(names) > 1 else 4.2, sharex=True, sharey="row")
    for column, name in enumerate(names):
        rows = sorted((e for e in entries if e["class"] == name), key=lambda e: float(e["share"]))
        x = [100 * e["share"] for e in rows]
        upper, lower = grid[0][column], grid[1][column]
        upper.plot(x, [e["augmented"] for e in rows], color=GREY, marker="o", markerfacecolor=PAPER, linestyle="--")
        curve(upper, x, rows, ("true", "true_low", "true_high"), VERMILLION, "D", "-")
        upper.set_ylabel("" if column else "F1")
        curve(lower, x, rows, ("overfitting", "low", "high"), INK, "s", "-")
        lower.axhline(0, color=INK, linewidth=0.6)
        lower.axhline(0.04, color=VERMILLION, linewidth=0.8, linestyle=(0, (4, 3)))
        lower.set_ylabel("" if column else "overfitting")
        lower.set_xlabel("share of the synthetic texts used, %")
        upper.set_title(words(name) if len(names) > 1 else "", loc="left", fontweight="bold")
        lower.set_xticks(x)
        for axes in (upper, lower):
            axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.5)
    figure.legend(
        handles=[key_line("true texts", VERMILLION, "D", "-"), key_line("augmented data", GREY, "o", "--", False)],
        loc="outside upper right",
        ncols=2,
    )
    caption = (
        "Calibration: F1 on true texts and on the augmented data's own folds, and their difference (overfitting), by "
        "the share of the synthetic texts used; 95 % intervals. Dashed below: 0.04, from where the paper advises fewer."
    )
    yield Drawing("calibration", caption, figure)


def key_line(label: str, color: str, marker: str, line: Any, filled: bool = True) -> Any:
    """Return an entry of a legend."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=color, marker=marker, linestyle=line, label=label, markerfacecolor=color if filled else PAPER
    )


def curve(
    axes: Any,
    x: Sequence[float],
    rows: Sequence[Mapping[str, Any]],
    keys: tuple[str, str, str],
    color: str,
    marker: str,
    line: str,
    shift: float = 0.0,
) -> None:
    """Draw means joined by a line, with their intervals."""
    middle, low, high = keys
    at = [value + shift for value in x]
    axes.plot(at, [row[middle] for row in rows], color=color, marker=marker, linestyle=line, zorder=3)
    for place, row in zip(at, rows, strict=True):
        if _finite(row.get(low), row.get(high)):
            axes.plot([place, place], [row[low], row[high]], color=color, linewidth=1, alpha=0.8, zorder=2)


def run_drawings(facts: Mapping[str, Any]) -> list[Drawing]:
    """Return every figure that the facts of one cross-validation can fill.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    found = Findings(facts)
    makers = (_scores, _differences, _inflation, _calibration, _reliability, _confusion)
    with style():
        return [drawing for make in makers for drawing in make(found)]


def learning_curve(facts_list: Sequence[Mapping[str, Any]]) -> list[Drawing]:
    """Return, for each class that stands with several numbers of originals, its scores by that number.

    Args:
        facts_list: cross-validations of one data set with different numbers of originals kept.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    runs = [found for found in map(Findings, facts_list) if found.main]
    names = list(dict.fromkeys(name for found in runs for name in found.focus))
    drawings = []
    with style():
        for index, name in enumerate(names):
            here = [found for found in runs if name in found.focus]
            if len({found.originals(name) for found in here}) > 1:
                drawings.append(_learning(here, name, f"learning-curve{f'-{index + 1}' if len(names) > 1 else ''}"))
    return drawings


def _learning(runs: Sequence[Findings], name: str, stem: str) -> Drawing:
    runs = sorted(runs, key=lambda found: found.originals(name) or 0)
    arms = list(dict.fromkeys(arm for found in runs for arm in found.arms))
    counts = sorted({found.originals(name) or 0 for found in runs})
    step = 0.012 * (counts[-1] - counts[0])
    figure, grid = blank(1, 2, 2.9)
    for axes, (metric, title) in zip(grid[0], PANELS, strict=True):
        for place, arm in enumerate(arms):
            points = [(found, found.score(found.main or "", arm, metric, name)) for found in runs]
            kept = [(f.originals(name) or 0, e) for f, e in points if e and _finite(e["estimate"])]
            color, marker, line = _arm_style(arms, arm)
            shift = step * (place - (len(arms) - 1) / 2)  # so that intervals don't hide each other
            keys = ("estimate", "low", "high")
            curve(axes, [x for x, _ in kept], [e for _, e in kept], keys, color, marker, line, shift)
        axes.set(xlabel=f"originals of {words(name)}", ylabel=title, xticks=counts)
        axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.5)
    handles = [key_line(words(arm), *_arm_style(arms, arm)) for arm in arms]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(arms)), handlelength=3.2)
    protocols = _list(list(dict.fromkeys(found.main or "" for found in runs)))
    caption = f"Scores of {words(name)} by the number of originals, under {protocols}: mean and 95 % interval."
    return Drawing(stem, caption, figure)
