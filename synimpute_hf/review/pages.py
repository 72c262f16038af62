"""What coders get: one sheet as csv and as a workbook, and a page that needs no network. None of them holds the key."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..typeset import csv_text
from .base import ANSWERS, RATINGS_FORMAT, Mix

__all__ = ["COLUMNS", "html_page", "write_pages"]

COLUMNS = ("number", "id", "class", "text", "belongs", "written_by", "quality", "comment")
WIDTHS = (9, 10, 18, 80, 12, 14, 10, 40)
HELP = (
    "One text a line. Please read it, and answer in the same line.",
    "Some texts were written by a person, about as many by a language model. Some belong to another class.",
    "belongs: does the text belong to the class that stands before it? yes, no or unsure",
    "written_by: who wrote the text? person, machine or unsure",
    "quality: how well is it written, as a text of its kind? 1 (poor) to 5 (good); may stay empty",
    "comment: what you would like to say; may stay empty",
    "Please change neither the ids nor the texts, and don't look the texts up. The order of the lines doesn't matter.",
    "Save the file under a name such as review-anna.xlsx: what stands after the dash is taken for the coder's name, "
    "and may be published with the figures.",
    "This file holds texts of other people: please don't pass it on.",
)
NO_OPENPYXL = 'review.xlsx was not written: that needs openpyxl (pip install "synimpute-hf[xlsx]").'


def write_pages(mix: Mix, folder: Path) -> tuple[list[Path], list[str]]:
    """Write a sheet in every form.

    Args:
        mix: the sheet.
        folder: made if it is not there. An earlier sheet in it is replaced.

    Returns:
        The files, the page first, and notes about what could not be written.

    Raises:
        OutputError: the folder can't be written.
    """
    notes: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [_replace(folder / "review.html", html_page(mix).encode())]
        # The mark at the beginning tells Excel that it is UTF-8.
        written.append(_replace(folder / "review.csv", b"\xef\xbb\xbf" + _csv(mix).encode()))
        (folder / "review.xlsx").unlink(missing_ok=True)
        try:
            written.append(_write_workbook(mix, folder / "review.xlsx"))
        except ImportError:
            notes.append(NO_OPENPYXL)
    except OSError as error:
        raise OutputError(
            f"The sheet could not be written to {folder}: {error.strerror or error}. Choose another place (--output)."
        ) from error
    return written, notes


def _lines(mix: Mix) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(mix.items, start=1):
        line: dict[str, Any] = {"number": number, "id": item.id, "class": item.asked, "text": item.text}
        if mix.definitions:
            line["definition"] = mix.definitions.get(item.asked, "")
        yield line


def _columns(mix: Mix) -> list[str]:
    """Return the headings; a definition stands after its class where the codebook has some."""
    return [*COLUMNS[:3], *(["definition"] if mix.definitions else []), *COLUMNS[3:]]


def _csv(mix: Mix) -> str:
    return csv_text(_columns(mix), _lines(mix))


def _write_workbook(mix: Mix, path: Path) -> Path:
    """Write the sheet as a workbook with lists to choose from; no cell is a formula.

    Raises:
        ImportError: openpyxl is not installed.
    """
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    book.properties.creator = "synimpute_hf"
    sheet, about = book.active, book.create_sheet("how to")
    sheet.title = "review"
    columns = _columns(mix)
    wrap, bold = Alignment(wrap_text=True, vertical="top"), Font(bold=True)
    for row, line in enumerate([dict.fromkeys(columns), *_lines(mix)], start=1):
        for column, name in enumerate(columns, start=1):
            _put(sheet.cell(row, column), name if row == 1 else line.get(name))
            sheet.cell(row, column).alignment = wrap
            if row == 1:
                sheet.cell(row, column).font = bold
                sheet.cell(row, column).fill = PatternFill("solid", fgColor="E4EAF0")
    widths = dict(zip(COLUMNS, WIDTHS, strict=True))
    last = len(mix.items) + 1
    for column, name in enumerate(columns, start=1):
        letter = sheet.cell(1, column).column_letter
        sheet.column_dimensions[letter].width = widths.get(name, 40)
        choices = ANSWERS.get(name) or (("1", "2", "3", "4", "5") if name == "quality" else ())
        if choices:
            choose = DataValidation(type="list", formula1=f'"{",".join(choices)}"', allow_blank=True)
            choose.error, choose.errorTitle = f"Please choose one of: {', '.join(choices)}", name
            sheet.add_data_validation(choose)
            choose.add(f"{letter}2:{letter}{last}")
    sheet.freeze_panes = "C2"
    about.column_dimensions["A"].width = 110
    for row, text in enumerate([*HELP, *(f"{name}: {text}" for name, text in mix.definitions.items())], start=1):
        _put(about.cell(row, 1), text)
        about.cell(row, 1).alignment = wrap
    unfinished = path.with_name(f".{path.name}-unfinished")
    book.save(unfinished)
    os.replace(unfinished, path)
    return path


def _put(cell: Any, value: Any) -> None:
    cell.value = value
    if isinstance(value, str):
        # A text that begins with = would else be a formula; quoted, it stays a text when the sheet is saved as csv.
        cell.data_type = "s"
        cell.quotePrefix = value[:1] in ("=", "+", "-", "@")


def html_page(mix: Mix) -> str:
    """Return the page: one file, no address in it, and by its own rule nothing can be fetched or sent from it."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment
    from markupsafe import Markup

    folder = resources.files("synimpute_hf.model_cards")
    script = folder.joinpath("review_page.js").read_text(encoding="utf-8")
    data = {
        "format": RATINGS_FORMAT,
        "sheet": mix.sheet,
        "items": [{"id": item.id, "class": item.asked, "text": item.text} for item in mix.items],
        "definitions": dict(mix.definitions),
    }
    environment = SandboxedEnvironment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = folder.joinpath("review_page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        source=mix.source,
        count=len(mix.items),
        script=Markup(script),  # our own file
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        # In a script element only "<" could end it, and no text may.
        data=Markup(json.dumps(data).replace("<", "\\u003c")),
    )


def _replace(path: Path, content: bytes) -> Path:
    unfinished = path.with_name(f".{path.name}-unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
    return path
