"""Estimates of a category as tables, sentences and files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import OutputError
from .estimation import CATEGORY, CONSTANT, METHODS
from .facts import MISSING, number, words
from .sheets import Sheet
from .typeset import WIDE, md, md_list, md_sheet, rich_table

__all__ = ["estimate_sentences", "estimate_sheets", "estimate_tables", "estimates_markdown", "write_estimates"]

TITLES = {
    "naive": "classifier alone",
    "adjusted_count": "adjusted count",
    "ppi": "PPI++",
    "dsl": "DSL",
    "coded_sample": "coded texts alone",
}
TRUSTED = ("ppi", "dsl", "coded_sample")
METHOD_LINES = (
    "classifier alone: predictions taken for the truth; its interval knows nothing of their errors",
    "adjusted count: predictions corrected by the true and false positive rates among the coded texts, taken to be the "
    "same everywhere (Rogan and Gladen 1978; Forman 2005)",
    "PPI++: prediction-powered inference (Angelopoulos et al. 2023), power-tuned; by ppi-python, for a predicted "
    "regressor by our own moments",
    "DSL: design-based supervised learning (Egami, Hinck, Stewart and Wei 2023)",
    "coded texts alone: what the coded sample says without a classifier",
)


def estimate_sheets(facts: Mapping[str, Any], wide: bool = True) -> list[Sheet]:
    """Return one table for each part of the estimates.

    Args:
        facts: from ``coding.estimate_all``.
        wide: whether each method is a column, else each is a row.
    """
    return [_sheet(facts, part, wide) for part in facts["parts"]]


def _titles(facts: Mapping[str, Any], part: Mapping[str, Any]) -> tuple[str, str]:
    """Return title and caption of a part."""
    category, name = words(facts["category"]), words(part["name"])
    said = {
        "prevalence": (f"Share of {category}", "Per cent of the texts."),
        "groups": (f"Share of {category} by {name}", "Per cent of the texts of each group."),
        "difference": (f"Difference in the share of {category}", "In percentage points."),
        "trend": (f"Trend of {category}", f"Change of the share, in percentage points, for each unit of {name}."),
        "outcome": (f"{category} as outcome", "Linear probability model: coefficients of least squares."),
        "regressor": (f"{name} regressed on {category}", "Coefficients of least squares."),
    }
    return said[part["key"]]


def _sheet(facts: Mapping[str, Any], part: Mapping[str, Any], wide: bool) -> Sheet:
    title, caption = _titles(facts, part)
    rows: list[tuple[str, ...]] = []
    notes = list(part["notes"])
    for row in part["rows"]:
        what = (words(row["what"]), f"{row['texts']:,}", f"{row['coded']:,}")
        cells = [_cell(row, method, part) for method in METHODS]
        if wide:
            rows.append((*what, *cells))
        else:
            lines = zip(METHODS, cells, strict=True)
            rows += [
                (*(what if method == METHODS[0] else ("", "", "")), TITLES[method], cell) for method, cell in lines
            ]
        said = [f"{TITLES[method]}: {entry['note']}" for method, entry in row["estimates"].items() if entry["note"]]
        notes += [note for note in said if note not in notes]
    methods = [TITLES[method] for method in METHODS] if wide else ["method", "estimate"]
    align = "lrr" + ("c" * len(METHODS) if wide else "lc")
    caption += " Estimate and 95 % interval."
    return Sheet(part["key"], title, caption, ("", "texts", "coded", *methods), align, tuple(rows), tuple(notes))


def _percent(part: Mapping[str, Any]) -> bool:
    return part["key"] in ("prevalence", "groups", "difference", "trend")


def _numbers(row: Mapping[str, Any], method: str, part: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return an estimate and its interval, or None; all of a row with two digits of a trusted standard error."""
    entry = row["estimates"].get(method)
    if entry is None or entry["estimate"] is None:
        return None
    scale = 100 if _percent(part) else 1
    errors = [row["estimates"][name]["se"] for name in (*TRUSTED, "naive") if row["estimates"].get(name)]
    se = scale * next((error for error in errors if error), 0.0)
    digits = min(max(1 - math.floor(math.log10(se)), 1), 6) if se > 0 else 1
    middle, low, high = (number(scale * entry[key], digits) for key in ("estimate", "low", "high"))
    return middle, low, high


def _cell(row: Mapping[str, Any], method: str, part: Mapping[str, Any]) -> str:
    found = _numbers(row, method, part)
    return MISSING if found is None else f"{found[0]}\n[{found[1]}, {found[2]}]"


def estimate_sentences(facts: Mapping[str, Any]) -> list[str]:
    """Say what was found, in plain words.

    Args:
        facts: from ``coding.estimate_all``.
    """
    return [said for part in facts["parts"] if part["key"] != "groups" for said in _sentences(facts, part)]


def _sentences(facts: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[str]:
    category, name, key = words(facts["category"]), words(part["name"]), part["key"]
    unit = {"prevalence": " %", "difference": " points", "trend": " points"}.get(key, "")
    for row in part["rows"]:
        if row["term"] == CONSTANT and key != "prevalence":
            continue
        if key == "regressor" and row["term"] != CATEGORY:
            continue
        what = {
            "prevalence": f"Share of {category}",
            "difference": f"Difference in the share of {category}, {words(row['what'])}",
            "trend": f"Change of the share of {category} for each unit of {name}",
            "outcome": f"Coefficient of {words(row['what'])} in the regression of {category}",
            "regressor": f"Difference in {name} that goes with {category}",
        }[key]
        alone = _numbers(row, "naive", part)
        best = next((m for m in TRUSTED if row["estimates"].get(m, {}).get("estimate") is not None), None)
        if alone is None or best is None:
            yield f"{what}: the {facts['coded']:,} coded texts are too few to say."
            continue
        entry = row["estimates"][best]
        middle, low, high = _numbers(row, best, part) or ("", "", "")
        said = f"{what}: the classifier alone says {alone[0]}{unit}; corrected with {row['coded']:,} coded texts: "
        said += f"{middle}{unit} [{low}, {high}] ({TITLES[best]})."
        if not entry["low"] <= row["estimates"]["naive"]["estimate"] <= entry["high"]:
            said += " What the classifier alone says lies outside that interval."
        yield said


def _rates(facts: Mapping[str, Any]) -> str:
    """Say how the classifier errs."""
    weighted = ", weighted by sampling probability" if facts["weighted"] else ""
    caught = "nothing can be said of them" if facts["tpr"] is None else f"it finds {number(100 * facts['tpr'], 0)} %"
    wrong = "nothing can be said of them" if facts["fpr"] is None else f"it takes {number(100 * facts['fpr'], 1)} %"
    return (
        f"{facts['texts']:,} texts, {facts['coded']:,} of them coded. Of {facts['positives']:,} coded texts of the "
        f"category {caught}; of {facts['negatives']:,} others {wrong}"
        + ("" if facts["fpr"] is None else " for it")
        + f"{weighted}."
    )


def estimate_tables(facts: Mapping[str, Any], width: int | None = None) -> list[Any]:
    """Return what a terminal shows.

    Args:
        facts: from ``coding.estimate_all``.
        width: columns of the terminal; None asks it.
    """
    from rich.console import Console
    from rich.text import Text

    width = width or Console().width
    shown: list[Any] = [Text(f"WARNING: {said}", style="bold red") for said in facts["warnings"]]
    shown += [rich_table(sheet, max(width, WIDE)) for sheet in estimate_sheets(facts, wide=width > WIDE)]
    shown += [Text(said, style="bold") for said in estimate_sentences(facts)]
    return [*shown, Text(_rates(facts)), Text(facts["condition"], style="yellow")]


def estimates_markdown(facts: Mapping[str, Any]) -> str:
    """Return the estimates as Markdown.

    Args:
        facts: from ``coding.estimate_all``.
    """
    parts = [f"# Estimates of {md(facts['category'])}"]
    parts += [f"**Warning: {md(said)}**" for said in facts["warnings"]]
    parts += [md_list(estimate_sentences(facts)), md(_rates(facts)), md(facts["condition"])]
    for sheet in estimate_sheets(facts):
        parts += md_sheet(sheet, "##")
    parts += ["## Methods", md_list(METHOD_LINES)]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_estimates(folder: Path, facts: Mapping[str, Any]) -> Sequence[Path]:
    """Write ``estimates.json`` and ``estimates.md``.

    Args:
        folder: made if it is not there.
        facts: from ``coding.estimate_all``.

    Returns:
        The files.

    Raises:
        OutputError: the folder can't be written.
    """
    files = (folder / "estimates.json", folder / "estimates.md")
    texts = (json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n", estimates_markdown(facts))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in zip(files, texts, strict=True):
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"The estimates could not be written to {folder}: {error.strerror or error}. Choose another place with "
            "--output."
        ) from error
    return files
