"""The report of an audit: tables for a terminal and Markdown, figures, and one HTML page with the closest pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .audit_facts import BOUNDS, NEAR, write_audit
from .errors import OutputError
from .facts import MISSING, estimate, number, percent, words
from .figures import GREY, INK, VERMILLION, WIDTH, Drawing, blank, dot_interval, dot_rows, key_line, on_page, style
from .sheets import Sheet
from .typeset import html_page_of, md, md_list, md_sheet, rich_table

__all__ = ["audit_drawings", "audit_markdown", "audit_page", "audit_sheets", "audit_tables", "write_audit_report"]

KINDS = (("synthetic", "synthetic"), ("originals", "original"))
VIEWS = {
    "embeddings": "synthetic from original, by embeddings",
    "characters": "synthetic from original, by characters",
    "classes": "for comparison: the class from others, originals only, by embeddings",
}
REFERENCES = (
    "Lopez-Paz, D. and Oquab, M. Revisiting classifier two-sample tests. ICLR 2017",
    "Nadeau, C. and Bengio, Y. Inference for the generalization error. Machine Learning 52, 2003, 239-281",
    "Li, J. et al. A diversity-promoting objective function for neural conversation models. NAACL 2016 (distinct-n)",
    "Zhu, Y. et al. Texygen: a benchmarking platform for text generation models. SIGIR 2018 (self-BLEU)",
    "Post, M. A call for clarity in reporting BLEU scores. WMT 2018 (sacrebleu)",
    "Newcombe, R. G. Interval estimation for the difference between independent proportions. Statistics in "
    "Medicine 17, "
    "1998, 873-890",
    "Timoneda, J. C. The Synthetic Imputation Approach. Political Analysis, 2026. arXiv:2504.15160",
)


def _pairs(facts: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str, str]]:
    """Yield a class, a kind of its texts, and the word for it."""
    for entry in facts["classes"]:
        for kind, word in KINDS:
            yield entry, kind, word


def audit_sheets(facts: Mapping[str, Any]) -> list[Sheet]:
    """Return every table of an audit, the most important first."""
    made = [_counts(facts), _told_apart(facts), _nearest(facts), _overlap(facts)]
    made += [_diversity(facts), _phrases(facts), _drift(facts)]
    return [sheet for sheet in made if sheet.rows]


def _counts(facts: Mapping[str, Any]) -> Sheet:
    rows = []
    for entry in facts["classes"]:
        counts = entry["counts"]
        if counts:
            rejected = "; ".join(f"{count:,} {reason}" for reason, count in counts["rejected"].items())
            cells = [f"{counts[key]:,}" for key in ("needed", "generated", "kept", "missing")]
            share = number(100 * counts["kept"] / counts["generated"], 0) + " %" if counts["generated"] else MISSING
            rows.append((words(entry["name"]), *cells, share, rejected or MISSING))
    caption = "Answers that the model gave for each class, and what became of them."
    columns = ("class", "needed", "generated", "kept", "missing", "acceptance", "rejected by reason")
    return Sheet("counts", "How the texts came about", caption, columns, "lrrrrrl", tuple(rows))


def _told_apart(facts: Mapping[str, Any]) -> Sheet:
    rows = [
        (words(entry["name"]), title, estimate(entry["told_apart"][view], "auc"))
        for entry in facts["classes"]
        for view, title in VIEWS.items()
    ]
    caption = (
        f"Classifier two-sample test: AUC of a logistic regression over {facts['settings']['folds']} folds, "
        "95 % interval; "
        "0.5 is chance. Equal and nearly equal texts stay in one fold. An alarm is raised where the interval "
        "lies above "
        f"{number(BOUNDS['told_apart'], 2)}."
    )
    title, columns = "Can a classifier tell them apart?", ("class", "what", "AUC")
    return Sheet("told-apart", title, caption, columns, "llc", tuple(rows), heads=2)


def _nearest(facts: Mapping[str, Any]) -> Sheet:
    rows = []
    for entry, kind, word in _pairs(facts):
        found = entry["nearest"][kind]
        above = [f"{found['above'][f'{bound:.2f}']:,}" for bound in NEAR]
        beyond = percent(entry["nearest"]["beyond"]) if kind == "synthetic" else "5 %"
        rows.append(
            (
                words(entry["name"]),
                word,
                f"{entry[kind]:,}",
                number(found["median"]),
                number(found["high"]),
                *above,
                beyond,
            )
        )
    caption = (
        "Cosine of each text to its nearest original of the class (of an original: to its nearest other "
        "one): median, the "
        "value that one in ten exceeds, texts above the thresholds of the paper's audit, and the share that is closer "
        "than 95 % of the originals are to each other."
    )
    columns = ("class", "texts", "number", "median", "highest tenth", *(f"> {bound:.2f}" for bound in NEAR), "beyond")
    return Sheet("nearest", "Nearest original", caption, columns, "ll" + "r" * 6 + "c", tuple(rows), heads=2)


def _overlap(facts: Mapping[str, Any]) -> Sheet:
    rows = []
    for entry, kind, word in _pairs(facts):
        found = entry["overlap"][kind]
        cells = [number(found["mean"], 1), *(number(found[key], 0) for key in ("median", "high", "largest"))]
        rows.append((words(entry["name"]), word, *cells, f"{found['long']:,}"))
    caption = (
        "Words of the longest run that a text shares verbatim, but for case and punctuation, with one "
        "original of any class "
        "and split (of an original: another one): mean, median, the value that one in ten exceeds, the "
        "longest, and texts "
        "with a run of 8 words or more."
    )
    columns = ("class", "texts", "mean", "median", "highest tenth", "longest", "8 or more")
    return Sheet("overlap", "Verbatim overlap", caption, columns, "llrrrrr", tuple(rows), heads=2)


def _diversity(facts: Mapping[str, Any]) -> Sheet:
    rows = []
    for entry, kind, word in _pairs(facts):
        found = entry["diversity"][kind]
        cells = [number(found[key]) for key in ("distinct_1", "distinct_2", "distinct_3", "unique_ngrams")]
        rows.append((words(entry["name"]), word, *cells, number(found["self_bleu"], 1)))
    caption = (
        "Different n-grams for each n-gram (distinct-n), the share of a text's three words in a row that no other text "
        "has, and self-BLEU (0 to 100, higher: more alike), at an equal number of texts: "
        + "; ".join(f"{words(e['name'])!r} {e['diversity']['texts']:,}" for e in facts["classes"])
        + "; distinct-n at an equal number of words, too."
    )
    columns = ("class", "texts", "distinct-1", "distinct-2", "distinct-3", "unique trigrams", "self-BLEU")
    return Sheet("diversity", "Diversity", caption, columns, "llrrrrr", tuple(rows), heads=2)


def _phrases(facts: Mapping[str, Any]) -> Sheet:
    rows = [
        (words(entry["name"]), phrase["phrase"], f"{phrase['synthetic']:,}", f"{phrase['originals']:,}")
        for entry in facts["classes"]
        for phrase in entry["phrases"]
    ]
    held = "; ".join(
        f"{words(e['name'])!r} {e['with_phrases']['count']:,} of {e['synthetic']:,}" for e in facts["classes"]
    )
    caption = f"Phrases that many synthetic texts share and few originals have. Texts that hold one: {held}."
    return Sheet(
        "phrases", "Shared phrases", caption, ("class", "phrase", "synthetic", "original"), "llrr", tuple(rows)
    )


def _drift(facts: Mapping[str, Any]) -> Sheet:
    rows = []
    for entry, kind, word in _pairs(facts):
        length, drift, language = entry["length"][kind], entry["class_drift"], entry["language"]
        rows.append(
            (
                words(entry["name"]),
                word,
                number(length["mean"], 1),
                f"{number(length['low'], 0)} to {number(length['high'], 0)}",
                percent(drift and drift[kind]),
                percent(language and language[kind]),
            )
        )
    caption = (
        "Words of a text, on average and of the middle eight in ten; texts that a classifier trained on "
        "originals (without "
        "the text, and without its sources) assigns to their class; texts in another language than the originals."
    )
    columns = ("class", "texts", "words", "eight in ten", "assigned to the class", "another language")
    return Sheet("drift", "Drift of length, class and language", caption, columns, "llrrcc", tuple(rows), heads=2)


def audit_tables(facts: Mapping[str, Any], width: int | None = None) -> list[Any]:
    """Return what a terminal shows: tables, notes, alarms.

    Args:
        facts: the content of ``audit.json``.
        width: columns of the terminal; None asks the terminal.
    """
    from rich.console import Console
    from rich.text import Text

    width = width or Console().width
    shown: list[Any] = [rich_table(sheet, width) for sheet in audit_sheets(facts)]
    shown += [Text(f"Note: {note}") for note in facts["notes"]]
    shown += [
        Text(f"Alarm, {a['name']}: {words(a['sentence'])} {a['advice']}", style="yellow") for a in facts["alarms"]
    ]
    return [*shown, *([] if facts["alarms"] else [Text("No alarm was raised.")])]


def audit_markdown(facts: Mapping[str, Any]) -> str:
    """Return the audit as Markdown; it quotes no original."""
    parts = [f"# {md('Audit of ' + facts['title'])}", "## Alarms"]
    parts.append(
        md_list(f"{a['name']}: {a['sentence']} {a['advice']}" for a in facts["alarms"]) or "No alarm was raised."
    )
    for sheet in audit_sheets(facts):
        parts += md_sheet(sheet, "##")
    parts += ["## Settings and versions", md_list(f"{key}: {value}" for key, value in _settings(facts))]
    parts += [md_list(facts["notes"]), "## References", md_list(REFERENCES)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _settings(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    said = facts["settings"]
    pairs = [*said["encoder"].items(), ("seed", said["seed"]), ("folds", said["folds"])]
    pairs += [(f"alarm from: {name}", value) for name, value in said["bounds"].items()]
    pairs += [("rows (SHA-256)", facts["digest"] or MISSING), *facts["versions"].items()]
    return [(str(key), str(value)) for key, value in pairs]


def audit_drawings(facts: Mapping[str, Any]) -> list[Drawing]:
    """Return the figures of an audit.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    with style():
        drawings = [_distributions(entry, k) for k, entry in enumerate(facts["classes"], start=1)]
        return [_forest(facts["classes"]), *drawings]


def _forest(classes: Sequence[Mapping[str, Any]]) -> Drawing:
    titles = {"embeddings": "embeddings", "characters": "characters", "classes": "against other classes"}
    names = [f"{words(e['name'])}: {title}" for e in classes for title in titles.values()]
    figure, grid = blank(1, 1, 0.7 + 0.26 * len(names), 5.6)
    axes = grid[0][0]
    dot_rows(axes, names)
    axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.axvline(BOUNDS["told_apart"], color=VERMILLION, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    for place, (entry, view) in enumerate((e, v) for e in classes for v in titles):
        found = entry["told_apart"][view]
        if found["auc"] is not None:
            compared = view == "classes"
            colour, marker = (INK, "o") if compared else (VERMILLION, "D")
            dot_interval(axes, place, found, "auc", color=colour, marker=marker, filled=not compared)
    axes.set(xlabel="AUC", xlim=(min(0.4, axes.get_xlim()[0]), 1.02))
    caption = (
        "How well a classifier tells synthetic texts from originals, in two views (diamonds), and for "
        "comparison originals "
        "of the class from those of others (circles): AUC and 95 % interval. Dashed: chance; dotted: where "
        "an alarm begins."
    )
    return Drawing("told-apart", caption, figure)


def _distributions(entry: Mapping[str, Any], index: int) -> Drawing:
    """Return length, verbatim overlap and nearest original of a class as distributions of shares of texts."""
    import numpy as np

    figure, grid = blank(1, 3, 2.3, WIDTH)
    panels = (
        ("words", "words", 1),
        ("run", "longest verbatim run, words", 1),
        ("nearest", "cosine to the nearest original", 0),
    )
    for axes, (key, label, whole) in zip(grid[0], panels, strict=True):
        values = {kind: np.array(entry["rows"][kind][key], dtype=float) for kind, _ in KINDS}
        both = np.concatenate(list(values.values()))
        last = max(float(np.quantile(both, 0.99)), 1.0) if whole else 1.0
        step = max(1.0, np.ceil(last / 24)) if whole else 0.05
        edges = np.arange(0 if whole else np.floor(20 * both.min()) / 20, last + 2 * step, step) - whole / 2
        for kind, colour, line in (("originals", GREY, "-"), ("synthetic", VERMILLION, "-")):
            shares = np.histogram(values[kind].clip(max=edges[-2]), edges)[0] / len(values[kind])
            axes.stairs(100 * shares, edges, color=colour, linestyle=line, linewidth=1.3, fill=False)
            if kind == "originals":
                axes.stairs(100 * shares, edges, color=colour, alpha=0.25, fill=True)
        axes.set(xlabel=label, ylabel="texts, %" if key == "words" else "")
        axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.5)
    handles = [key_line("synthetic", VERMILLION, "", "-"), key_line("original", GREY, "", "-")]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    caption = (
        f"Synthetic texts and originals of {words(entry['name'])}: words of a text, words of its longest run "
        "that stands "
        "verbatim in an original (of an original: another one), and cosine to the nearest original (of an "
        "original: another "
        "one). The last step holds what is longer."
    )
    return Drawing(f"distributions-{index}", caption, figure)


def audit_page(facts: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Return the audit as one HTML page that needs nothing else. It quotes the originals of the closest pairs.

    Args:
        facts: the content of ``audit.json``.
        texts: the texts of those pairs by row id; without them the page shows ids alone.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    pairs = [
        {
            "name": words(entry["name"]),
            "rows": [
                {**row, "new": texts.get(row["row_id"], ""), "old": texts.get(row["original"], "")}
                for row in entry["closest"]
            ],
        }
        for entry in facts["classes"]
    ]
    return html_page_of(
        "audit_report.html.jinja",
        title=f"Audit of {words(facts['title'])}",
        alarms=[{**alarm, "sentence": words(alarm["sentence"])} for alarm in facts["alarms"]],
        notes=facts["notes"],
        sheets=audit_sheets(facts),
        figures=[on_page(drawing, "audit") for drawing in audit_drawings(facts)],
        pairs=pairs,
        settings=_settings(facts),
        references=REFERENCES,
        cosine=lambda value: number(value, 2),
    )


def write_audit_report(folder: Path, facts: Mapping[str, Any], texts: Mapping[str, str]) -> Path:
    """Write ``audit.json``, ``audit.md`` and ``audit.html``.

    Args:
        folder: made if it is not there.
        facts: see ``audit_page``.
        texts: see ``audit_page``.

    Returns:
        The page.

    Raises:
        OutputError: the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_audit(folder, facts)
        (folder / "audit.md").write_text(audit_markdown(facts), encoding="utf-8")
        page = folder / "audit.html"
        page.write_text(audit_page(facts, texts), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"The audit could not be written to {folder}: {error.strerror or error}. Choose another place "
            "with --output."
        ) from error
    return page
