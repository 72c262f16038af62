"""A blind review: people judge originals and synthetic texts without knowing which is which, and figures come of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import OutputError, PlanError
from ..facts import REVIEW, REVIEW_FORMAT
from ..outputs import read_manifest, write_card
from ..version import versions
from .base import KEY, Coder, Item, Mix, Rating, read_key, write_key
from .measures import measure
from .mix import draw_mix
from .pages import html_page, write_pages
from .ratings import read_coders
from .tables import review_sheets

__all__ = [
    "KEY",
    "Coder",
    "Item",
    "Mix",
    "Rating",
    "Written",
    "draw_mix",
    "html_page",
    "measure",
    "read_coders",
    "review_sheets",
    "review_with",
    "write_review",
]

FOLDER = "review"


@dataclass(frozen=True)
class Written:
    """A sheet as it was written.

    Attributes:
        mix: its texts.
        files: for the coders, the page first.
        key: which says what is synthetic; not for the coders.
        notes: what could not be as asked for.
    """

    mix: Mix
    files: tuple[Path, ...]
    key: Path
    notes: tuple[str, ...]


def write_review(folder: str | Path, n: int = 40, seed: int = 0, output: str | Path | None = None) -> Written:
    """Write a blind mix of a result's originals and synthetic texts: ``review.html``, ``review.csv``, ``review.xlsx``.

    How the texts are chosen: see ``review/mix.py``. The files hold texts of the originals; ``synimpute push`` never
    takes them along. The key stays in the result's folder, so that the sheet's folder can be handed out as it is.

    Args:
        folder: the result, as ``synimpute impute`` wrote it.
        n: texts of the sheet, 4 or more.
        seed: of the draw: the same rows, number and seed give the same sheet.
        output: folder of the sheet; ``review`` in the result's folder by default.

    Raises:
        DataError: there is no result, or nothing to review in it.
        PlanError: ``n`` is too small, or ``output`` is the result's own folder.
        OutputError: a folder can't be written.
    """
    folder = Path(folder)
    target = folder / FOLDER if output is None else Path(output)
    if target.resolve() == folder.resolve():
        raise PlanError(
            f"--output is the result's own folder {folder}, which holds the key and the texts' sources: name another "
            "one, that can be handed to the coders."
        )
    mix = draw_mix(folder, read_manifest(folder), n, seed)
    try:
        key = write_key(folder, mix)
    except OSError as error:
        raise OutputError(
            f"The key could not be written to {folder}: {error.strerror or error}. Make room, or free the folder, and "
            "run the same command again."
        ) from error
    files, notes = write_pages(mix, target)
    return Written(mix, tuple(files), key, (*mix.notes, *notes))


def review_with(folder: str | Path, files: Sequence[str | Path]) -> dict[str, Any]:
    """Read the ratings of one or more coders, write their figures to ``review.json``, and the card anew with them.

    The figures and the coders' names, where they gave some, are all that is kept: no text, no rating of a single text,
    no comment.

    Args:
        folder: the result whose sheet was rated.
        files: one a coder, see ``ratings.read_coders``.

    Returns:
        The facts, as they stand in ``review.json``.

    Raises:
        DataError: ratings are of other rows, or cannot be read.
        MissingPackageError: scipy, scikit-learn or openpyxl is needed and not installed.
        OutputError: the folder can't be written.
    """
    folder = Path(folder)
    if not files:
        raise PlanError("--read expects one file of ratings or more, such as ratings-anna.json.")
    result = read_manifest(folder)
    rows = result["splits"][result["split"]]["digest"]
    items, former, sheets = read_key(folder, rows)
    coders = _named(read_coders([Path(file) for file in files], items, former))
    rated = {key for coder in coders for key in coder.ratings}
    facts = {
        "format": REVIEW_FORMAT,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "rows": rows,
        "split": result["split"],
        "settings": {
            "sheets": sheets,
            "level": 0.95,
            "unsure": "half a right answer to who wrote a text; no yes to whether it belongs to its class",
        },
        "coders": [{"name": coder.name, "rated": len(coder.ratings)} for coder in coders],
        "shown": len(items),
        "rated": len(rated),
        **measure(items, coders),
        "versions": versions(("scikit-learn", "scipy")),
    }
    _write(folder, facts)
    return facts


def _named(coders: Sequence[Coder]) -> list[Coder]:
    """Give coders who named themselves nothing a number."""
    return [coder if coder.name else replace(coder, name=f"coder {i}") for i, coder in enumerate(coders, start=1)]


def _write(folder: Path, facts: Mapping[str, Any]) -> None:
    try:
        text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        (folder / REVIEW).write_text(text, encoding="utf-8")
        write_card(folder)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"The review could not be written to {folder}: {error.strerror or error}. The ratings are untouched: make "
            "room, and run the same command again."
        ) from error
