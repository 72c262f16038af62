"""Codebooks: which code means which class, and how a class is defined."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synimpute_hf.errors import ColumnError, DataError, nearest

from .spreadsheets import Sheet, read_sheets

__all__ = ["Codebook", "Entry", "entries_of", "plain_code", "read_codebook"]

CODE = ("code", "value", "number", "id")
NAME = ("name", "label", "class", "category", "title")
DESCRIPTION = ("description", "definition", "meaning", "explanation", "text")


def plain_code(cell: str) -> str:
    """Return a code as people write it: without blanks around it, and ``1`` for the ``1.0`` of a column with gaps."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", " ".join(cell.split()))


@dataclass(frozen=True)
class Entry:
    """One class of a codebook."""

    code: str
    name: str
    description: str = ""


@dataclass(frozen=True)
class Codebook:
    """A codebook's entries, in its own order. Several codes may have one name: they become one class."""

    entries: tuple[Entry, ...]

    @property
    def names(self) -> list[str]:
        """The classes, each once."""
        return list(dict.fromkeys(entry.name for entry in self.entries))

    @property
    def descriptions(self) -> dict[str, str]:
        """What the codebook says about each class that it describes."""
        found = {name: [e.description for e in self.entries if e.name == name and e.description] for name in self.names}
        return {name: " ".join(texts) for name, texts in found.items() if texts}

    def name_of(self, code: str) -> str | None:
        """Return the class of a code or of a class's name, upper or lower case; None where there is none."""
        by_key = {entry.name.casefold(): entry.name for entry in self.entries}
        by_key |= {entry.code.casefold(): entry.name for entry in self.entries}
        return by_key.get(code.casefold())

    def yaml(self) -> str:
        """Return the codebook as YAML that ``read_codebook`` reads."""
        rows = [{"code": entry.code, "name": entry.name, "description": entry.description} for entry in self.entries]
        return yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, width=1000)


def entries_of(sheet: Sheet) -> tuple[Entry, ...]:
    """Return the entries of a table with a code column and a name or description; nothing where it is no codebook."""
    lowered = {column.casefold(): column for column in sheet.columns}
    code, name, description = (
        next((lowered[word] for word in words if word in lowered), None) for words in (CODE, NAME, DESCRIPTION)
    )
    if (code or name) is None or (code is None and description is None) or (name or description) is None:
        return ()
    rows = [[row.get(column or "") for column in (code or name, name or code, description)] for row in sheet.rows]
    return _entries(sheet.source, rows)


def _entries(source: str, rows: Sequence[Sequence[Any]]) -> tuple[Entry, ...]:
    found = []
    for code, name, description in rows:
        if code is None:
            continue
        plain = plain_code(str(code))
        label = plain if name is None else plain_code(str(name))
        found.append(Entry(plain, label, " ".join(str(description or "").split())))
    codes = [entry.code.casefold() for entry in found]
    if twice := sorted({entry.code for entry in found if codes.count(entry.code.casefold()) > 1}):
        raise DataError(f"The codebook {source} has the code {twice[0]!r} twice. Expected one row a code.")
    return tuple(found)


def read_codebook(path: Path) -> Codebook:
    """Read a codebook from a csv, xlsx or YAML file.

    A table has columns ``code``, ``name`` and ``description`` (or a usual word for those); in a workbook the first such
    sheet counts. YAML holds a list of such rows, or ``code: name``, or ``code: {name: …, description: …}``.

    Raises:
        DataError: it is no codebook.
        ColumnError: a table has no such columns.
    """
    if not path.is_file():
        raise DataError(f"There is no codebook {str(path)!r}. Expected a csv, xlsx or yaml file (--codebook).")
    if path.suffix.lower() in (".yaml", ".yml"):
        return Codebook(_from_yaml(path))
    sheets = read_sheets(path)
    for sheet in sheets:
        if entries := entries_of(sheet):
            return Codebook(entries)
    columns = [column for sheet in sheets for column in sheet.columns]
    raise ColumnError(
        f"{path.name} is no codebook: expected columns 'code', 'name' and 'description', or two of them, found "
        f"{', '.join(map(repr, columns)) or 'nothing'}.{nearest(CODE[0], columns)}"
    )


def _from_yaml(path: Path) -> tuple[Entry, ...]:
    expected = "a list of {code, name, description}, or a mapping of codes to names or to {name, description}"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"The codebook {path.name} is no YAML: {error}. Expected {expected}.") from error
    if isinstance(raw, dict):
        raw = [{"code": code, **(entry if isinstance(entry, dict) else {"name": entry})} for code, entry in raw.items()]
    if not isinstance(raw, list) or not raw or not all(isinstance(row, dict) and "code" in row for row in raw):
        raise DataError(f"The codebook {path.name} holds something else than expected: {expected}.")
    return _entries(path.name, [[row["code"], row.get("name"), row.get("description")] for row in raw])
