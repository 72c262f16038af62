"""Reads ratings as a page saves them, and as people and their spreadsheet programs leave them."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError, MissingPackageError
from .base import ANSWERS, RATINGS_FORMAT, Coder, Item, Rating

__all__ = ["read_coders"]

UNSURE = ("unsure", "u", "?", "unclear", "unsicher", "unklar", "don't know", "weiß nicht", "weiss nicht")
WORDS = {
    "belongs": {
        "yes": ("yes", "y", "ja", "j", "oui", "true", "wahr", "1", "x"),
        "no": ("no", "n", "nein", "non", "false", "falsch", "0"),
        "unsure": UNSURE,
    },
    "written_by": {
        "person": ("person", "p", "human", "h", "mensch"),
        "machine": ("machine", "m", "model", "ai", "ki", "maschine", "modell"),
        "unsure": UNSURE,
    },
}
"""Answers, and what people write for them."""
NAMED = re.compile(r"(?:ratings|review)[-_ ]+(.+?)(?: ?\(\d+\))?", re.IGNORECASE)
SHOWN = 3


def read_coders(files: Sequence[Path], items: Mapping[str, Item], former: Mapping[str, Item]) -> list[Coder]:
    """Read the ratings of one or more coders, a file each.

    Args:
        files: ``.json`` as the page saves it, ``.csv`` (comma, semicolon or tab; UTF-8, UTF-16 or Windows-1252) or
            ``.xlsx``. Line order, capitals, blank cells, further columns and numbers for words don't matter.
        items: that may be rated, by id.
        former: of sheets of other rows.

    Returns:
        One entry a file. A coder's name is what the page was told, or what follows ``review-`` or ``ratings-`` in the
        file's name, or empty.

    Raises:
        DataError: a file cannot be read, an answer is none of those expected, an id is unknown, or two files are of one
            coder.
        MissingPackageError: openpyxl is not installed, and there is an ``.xlsx``.
    """
    coders: list[Coder] = []
    for file in files:
        name, rows = _read(file)
        ratings: dict[str, Rating] = {}
        wrong: list[str] = []
        for row in rows:
            rating, problems = _rating(row)
            wrong += problems
            if rating.id in ratings:
                wrong.append(f"{rating.id} stands in it twice")
            ratings[rating.id] = rating
        if wrong:
            more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            raise DataError(f"{file}: {'; '.join(wrong[:SHOWN])}{more}. Correct that, and read it again.")
        _check_ids(file, ratings, items, former)
        given = {key: rating for key, rating in ratings.items() if rating.belongs or rating.written_by}
        if not given:
            raise DataError(f"{file} holds no answer: its columns belongs and written_by are empty.")
        twin = next((coder for coder in coders if name and coder.name.casefold() == name.casefold()), None)
        if twin is not None:
            raise DataError(f"{twin.file} and {file} are both of {name!r}: name one of them, or rename the other.")
        coders.append(Coder(name, given, str(file)))
    return coders


def _check_ids(file: Path, ids: Iterable[str], items: Mapping[str, Item], former: Mapping[str, Item]) -> None:
    unknown = [key for key in ids if key not in items]
    if any(key in former for key in unknown):
        raise DataError(
            f"{file} is of a sheet of other rows: the result has been written anew since, and these ratings say "
            "nothing about its texts now. Write a new sheet with `synimpute review`."
        )
    if unknown:
        raise DataError(
            f"{file} rates {len(unknown)} texts that no sheet of this result has ({', '.join(unknown[:SHOWN])}). Is it "
            "of another result, or was an id changed?"
        )


def _read(file: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return a coder's name and the rows of a file."""
    named = NAMED.fullmatch(file.stem)
    name = named[1].strip() if named else ""
    try:
        if file.suffix.lower() == ".json":
            found = json.loads(file.read_text(encoding="utf-8-sig"))
            if not isinstance(found, dict) or found.get("format") != RATINGS_FORMAT:
                raise DataError(f"{file} is not what the review page saves: expected format {RATINGS_FORMAT!r}.")
            return str(found.get("coder") or "").strip(), [dict(row) for row in found["ratings"]]
        rows = _workbook(file) if file.suffix.lower() in (".xlsx", ".xlsm") else _csv(file)
    except (OSError, ValueError, KeyError, TypeError, csv.Error, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{file} cannot be read as ratings ({error}). Expected what the review page saved (.json), or the sheet as "
            "filled in (.csv or .xlsx)."
        ) from error
    return name, rows


def _csv(file: Path) -> list[dict[str, Any]]:
    text = _decode(file.read_bytes())
    first = text.split("\n", 1)[0]
    if re.fullmatch(r"sep=.\s*", first):
        text = text.split("\n", 1)[1]
        first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    return list(_table(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), file))


def _decode(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # what Excel writes as "CSV"


def _workbook(file: Path) -> list[dict[str, Any]]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingPackageError(
            f'Reading {file} needs openpyxl: pip install "synimpute-hf[xlsx]". Or save it as csv.'
        ) from error
    book = load_workbook(file, read_only=True, data_only=True)
    try:
        return list(_table(book.worksheets[0].iter_rows(values_only=True), file))
    finally:
        book.close()


def _table(lines: Any, file: Path) -> Iterator[dict[str, Any]]:
    """Yield rows by heading; lines without an id are left out."""
    lines = iter(lines)
    heads = [_word(cell).replace(" ", "_") for cell in next(lines, ())]
    if "id" not in heads or not set(ANSWERS) & set(heads):
        raise DataError(
            f"{file} has the columns {', '.join(filter(None, heads)) or '(none)'}: expected id, and belongs or "
            "written_by, as in the sheet that was handed out."
        )
    for cells in lines:
        row = {head: cell for head, cell in zip(heads, cells, strict=False) if head}
        if _word(row.get("id")):
            yield row


def _word(cell: Any) -> str:
    """Return a cell in small letters; 1.0 is 1, and a truth value is a word."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return " ".join(str(cell).strip().strip("'\"").casefold().split())


def _rating(row: Mapping[str, Any]) -> tuple[Rating, list[str]]:
    """Return what a row says, and what in it cannot be understood."""
    id, wrong = _word(row.get("id")), []
    found: dict[str, str | None] = {}
    for question, answers in WORDS.items():
        said = _word(row.get(question))
        found[question] = next((answer for answer, words in answers.items() if said in words), None)
        if said and found[question] is None:
            wrong.append(
                f"{id} has {question} {said!r}, and {', '.join(ANSWERS[question])} or an empty cell was expected"
            )
    said = _word(row.get("quality")).replace(",", ".").removesuffix(".0")
    if said and said not in ("1", "2", "3", "4", "5"):
        wrong.append(f"{id} has quality {said!r}, and a whole number from 1 to 5 or an empty cell was expected")
    quality = int(said) if said and not wrong else None
    return Rating(id, found["belongs"], found["written_by"], quality), wrong
