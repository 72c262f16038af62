"""What a review is made of: items of a sheet, the key that says which are synthetic, and ratings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError

__all__ = ["ANSWERS", "KEY", "KEY_FORMAT", "RATINGS_FORMAT", "Coder", "Item", "Mix", "Rating", "read_key", "write_key"]

KEY = "review_key.json"
KEY_FORMAT = 1
RATINGS_FORMAT = "synimpute-review-ratings"
ANSWERS = {"belongs": ("yes", "no", "unsure"), "written_by": ("person", "machine", "unsure")}
"""What may be answered to the two questions that are asked of every text."""


@dataclass(frozen=True)
class Item:
    """One text of a sheet, with what its coder must not know.

    Attributes:
        id: says nothing about the text.
        asked: the class that it is asked about.
        own: the class that it has; another one for a distractor.
        synthetic: whether a language model wrote it.
        row_id: of its row.
        text: as it is shown; empty in a key.
    """

    id: str
    asked: str
    own: str
    synthetic: bool
    row_id: str
    text: str = ""


@dataclass(frozen=True)
class Mix:
    """A sheet before it is written.

    Attributes:
        sheet: its id.
        rows: digest of the rows that it was drawn from.
        source: what the rows are called.
        n: texts that were asked for.
        seed: of the draw.
        items: in the order in which they are shown.
        definitions: codebook definitions by class.
        notes: where the draw could not be what was asked for.
    """

    sheet: str
    rows: str
    source: str
    n: int
    seed: int
    items: tuple[Item, ...]
    definitions: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rating:
    """What one coder said about one text; None where nothing was said.

    Attributes:
        id: of the item.
        belongs: ``yes``, ``no`` or ``unsure``.
        written_by: ``person``, ``machine`` or ``unsure``.
        quality: 1 (poor) to 5 (good).
    """

    id: str
    belongs: str | None = None
    written_by: str | None = None
    quality: int | None = None


@dataclass(frozen=True)
class Coder:
    """The ratings of one coder.

    Attributes:
        name: empty where none was given.
        ratings: by item id.
        file: where they were read.
    """

    name: str
    ratings: Mapping[str, Rating]
    file: str


def write_key(folder: Path, mix: Mix) -> Path:
    """Add a sheet to the key of a result; the keys of its earlier sheets stay."""
    path = folder / KEY
    sheets = _sheets(path) if path.is_file() else []
    items = [{name: value for name, value in asdict(item).items() if name != "text"} for item in mix.items]
    entry = {"sheet": mix.sheet, "rows": mix.rows, "n": mix.n, "seed": mix.seed, "items": items}
    sheets = [sheet for sheet in sheets if sheet["sheet"] != mix.sheet] + [entry]
    path.write_text(json.dumps({"format": KEY_FORMAT, "sheets": sheets}, indent=1) + "\n", encoding="utf-8")
    return path


def read_key(folder: Path, rows: str) -> tuple[dict[str, Item], dict[str, Item], list[dict[str, Any]]]:
    """Read the key of a result's sheets.

    Args:
        folder: the result.
        rows: digest of the rows that it has now.

    Returns:
        Items by id of the sheets of these rows, of sheets of other rows, and the former sheets' settings.

    Raises:
        DataError: there is no key, or it is of another make.
    """
    path = folder / KEY
    if not path.is_file():
        raise DataError(
            f"There is no {path}, which says which texts of a sheet are synthetic. Write a sheet with `synimpute "
            f"review {folder}`; if the ratings are of an earlier one, put its {KEY} back."
        )
    sheets = _sheets(path)
    own = [sheet for sheet in sheets if sheet["rows"] == rows]
    settings = [{name: sheet[name] for name in ("sheet", "n", "seed")} for sheet in own]
    return _items(own), _items([sheet for sheet in sheets if sheet["rows"] != rows]), settings


def _sheets(path: Path) -> list[dict[str, Any]]:
    try:
        key = json.loads(path.read_text(encoding="utf-8"))
        if key["format"] != KEY_FORMAT:
            raise ValueError(f"its format is {key['format']!r}")
        return list(key["sheets"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not the key of a review in format {KEY_FORMAT} ({error}). Put the right one back, or move it "
            "away and write a new sheet."
        ) from error


def _items(sheets: Sequence[Mapping[str, Any]]) -> dict[str, Item]:
    return {entry["id"]: Item(**entry) for sheet in sheets for entry in sheet["items"]}
