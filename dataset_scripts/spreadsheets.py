"""Spreadsheets as people make them (csv, tsv, xlsx) as tables of strings, with what was noticed on the way."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

from synimpute_hf.errors import DataError, MissingPackageError, nearest

__all__ = ["Sheet", "each_row", "read_sheets", "sheet_files", "typed"]

ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm")
DELIMITERS = ",;\t|"
HEADER_ROWS = 10
EXCEL_LIMIT = 32_767
"""Characters that a cell of Excel can hold; it cuts off the rest."""
BROKEN = re.compile(r"#(NAME\?|VALUE!|REF!|DIV/0!|NUM!|NULL!|SPILL!|CALC!|#+)")
MOJIBAKE = re.compile(r"[ÃÂ][\x80-\xbf]|â€")

Cell = str | None


@dataclass
class Sheet:
    """One table.

    Attributes:
        source: the file's name, and the sheet's where the file has several.
        columns: headings, each once.
        rows: for each row its cells by heading; blank ones are None.
        numbers: for each row its number in the file as a spreadsheet program counts (a csv file's: lines).
        notes: what was noticed.
        dates: columns with cells that are dates in the file, and how many.
    """

    source: str
    columns: list[str] = field(default_factory=list)
    rows: list[dict[str, Cell]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dates: Counter[str] = field(default_factory=Counter)


def sheet_files(place: str | Path | None) -> list[Path]:
    """Return the spreadsheets of a folder, sorted by name, or the one file that is named.

    Raises:
        DataError: there is none.
    """
    if place is None:
        raise DataError("Which files? Expected a folder of spreadsheets or one file: data_dir='…' (--data-dir).")
    path = Path(place)
    if not path.exists():
        raise DataError(f"There is no file or folder {str(place)!r}. Check the path (--data-dir).")
    entries = [path] if path.is_file() else sorted(path.iterdir())
    found = [entry for entry in entries if entry.is_file() and not entry.name.startswith((".", "~$"))]
    files = [entry for entry in found if entry.suffix.lower() in ENDINGS]
    if not files:
        seen = ", ".join(entry.name for entry in found[:10]) or "no files"
        raise DataError(
            f"No spreadsheet in {str(place)!r}: expected {', '.join(ENDINGS)}, found {seen}. Save others (.xls, .ods) "
            "as csv or xlsx first."
        )
    return files


def read_sheets(path: Path, only: Sequence[str] = ()) -> list[Sheet]:
    """Read every visible sheet of a file; a csv or tsv file is one sheet.

    Args:
        path: a file with one of ``ENDINGS``.
        only: names of the sheets to read; empty for all.

    Raises:
        DataError: the file is damaged or not what its name says.
        MissingPackageError: it is an xlsx file and openpyxl is not there.
    """
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        return _read_workbook(path, only)
    return [_read_text(path)]


def typed(values: Sequence[Cell]) -> list[Any]:
    """Return a column as integers or decimals if every filled cell is one; codes such as ``014`` stay strings.

    A column of ``1.0`` holds integers: pandas writes them like this where a cell is blank.
    """
    filled = [value for value in values if value is not None]
    if filled and all(re.fullmatch(r"-?(0|[1-9]\d{0,14})(\.0)?", value) for value in filled):
        return [None if value is None else int(float(value)) for value in values]
    if filled and all(re.fullmatch(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?", value) for value in filled):
        return [None if value is None else float(value) for value in values]
    return list(values)


def _read_text(path: Path) -> Sheet:
    sheet = Sheet(path.name)
    text = _decode(path, sheet.notes)
    first, _, rest = text.partition("\n")
    if match := re.fullmatch(r"\"?sep=(.)\"?\r?", first, re.IGNORECASE):  # Excel's own first line
        delimiter, text, skipped = match[1], rest, 1
    else:
        delimiter, skipped = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text), 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    grid, numbers = [], []
    start = 1 + skipped
    try:
        for cells in reader:
            grid.append([cell if cell.strip() else None for cell in cells])
            numbers.append(start)
            start = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise DataError(
            f"{path.name}, from line {start}: {error}. Expected cells between {delimiter!r}, and quotation marks "
            "around a cell that holds one of those or a line break. Save the sheet anew as 'CSV UTF-8', or as xlsx."
        ) from error
    _fill(sheet, grid, numbers, set())
    return sheet


def _decode(path: Path, notes: list[str]) -> str:
    """Return a file's text; what is no UTF-8 is read as Excel on Windows writes it, and that is said."""
    data = path.read_bytes()
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DataError(f"{path.name} is an Excel file with a wrong ending. Rename it to .xlsx (or save .xls as xlsx).")
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data[:1000]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    if encoding.startswith("utf-16"):
        notes.append(f"{path.name} is UTF-16 ('Unicode text') and was read as such.")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path.name} is neither UTF-8 nor UTF-16 nor Windows-1252 (byte {error.start}). "
                "Save it as 'CSV UTF-8'."
            ) from error
        notes.append(
            f"{path.name} is not UTF-8 and was read as Windows-1252: check letters with accents. To be sure, save it "
            "as 'CSV UTF-8'."
        )
    if MOJIBAKE.search(text):
        notes.append(
            f"{path.name} holds letters such as {MOJIBAKE.search(text)[0]!r}, "  # type: ignore[index]
            "which come about when UTF-8 was opened as Windows-1252 and saved. Go back to the file before that."
        )
    return text


def _delimiter(text: str) -> str:
    """Return the delimiter that cuts the first rows into the most equal numbers of cells."""

    def score(delimiter: str) -> tuple[float, int]:
        """Say how many rows have the commonest number of cells, of those with several, and that number."""
        reader = csv.reader(io.StringIO(text[:100_000], newline=""), delimiter=delimiter)
        widths = Counter(len(cells) for _, cells in zip(range(50), reader, strict=False) if cells)
        width, rows = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        return (rows / widths.total() if width > 1 else 0.0), width

    return max(DELIMITERS, key=score)


def _read_workbook(path: Path, only: Sequence[str]) -> list[Sheet]:
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise MissingPackageError('Reading .xlsx files needs openpyxl: pip install "synimpute-hf[xlsx]"') from error
    from zipfile import BadZipFile

    try:
        shown = openpyxl.load_workbook(path, data_only=True)
        written = openpyxl.load_workbook(path)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        raise DataError(
            f"{path.name} is no readable xlsx file ({error}). Open it in a spreadsheet program and save it anew as "
            "xlsx."
        ) from error
    names = [sheet.title for sheet in shown.worksheets]
    for name in only:
        if name not in names:
            raise DataError(f"{path.name} has no sheet {name!r}. Its sheets: {', '.join(names)}.{nearest(name, names)}")
    visible = [sheet for sheet in shown.worksheets if (sheet.title in only if only else sheet.sheet_state == "visible")]
    several = len(names) > 1
    sheets = [_read_worksheet(path, sheet, written[sheet.title], several) for sheet in visible]
    hidden = [] if only else [sheet.title for sheet in shown.worksheets if sheet.sheet_state != "visible"]
    if hidden and sheets:
        sheets[0].notes.append(f"{path.name}: hidden sheets were left out ({', '.join(hidden)}); --sheets reads them.")
    return sheets


def _read_worksheet(path: Path, shown: Any, written: Any, several: bool) -> Sheet:
    sheet = Sheet(f"{path.name}:{shown.title}" if several else path.name)
    grid = [list(cells) for cells in shown.iter_rows(values_only=True)]
    dates = [
        (row, place) for row, cells in enumerate(grid) for place, cell in enumerate(cells) if isinstance(cell, date)
    ]
    formulas = [cell for cells in written.iter_rows() for cell in cells if cell.data_type == "f"]
    unknown = [cell.coordinate for cell in formulas if shown[cell.coordinate].value is None]
    if known := len(formulas) - len(unknown):
        sheet.notes.append(f"{sheet.source}: {known} cells hold formulas; their results were taken.")
    if unknown:
        sheet.notes.append(
            f"{sheet.source}: the formulas in {_some(unknown)} have no result yet and count as blank: open the file in "
            "a spreadsheet program and save it."
        )
    merged = list(shown.merged_cells.ranges)
    for part in merged:
        for row, column in part.cells:
            grid[row - 1][column - 1] = grid[part.min_row - 1][part.min_col - 1]
    wide = {row - 1 for part in merged if part.min_col < part.max_col for row in range(part.min_row, part.max_row + 1)}
    hidden = [row for row, size in shown.row_dimensions.items() if size.hidden and row <= len(grid)]
    if hidden:
        sheet.notes.append(f"{sheet.source}: {len(hidden)} hidden rows (a filter?) were read like the others.")
    names = _fill(sheet, [[_plain(cell) for cell in cells] for cells in grid], list(range(1, len(grid) + 1)), wide)
    body = sheet.numbers[0] - 1 if sheet.numbers else 0
    tall = [str(part) for part in merged if part.max_row > body]
    if tall:
        sheet.notes.append(f"{sheet.source}: what merged cells hold ({_some(tall)}) counts for each of their cells.")
    sheet.dates = Counter(name for row, place in dates if row >= body and (name := names[place]))
    return sheet


def _plain(value: Any) -> Cell:
    """Return a cell as the string that a person reads."""
    if isinstance(value, str):
        from openpyxl.utils.escape import unescape

        value = unescape(value)
        return value if value.strip() else None
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (date, time)):
        return value.isoformat().removesuffix("T00:00:00")
    return str(value)


def _some(items: Sequence[str]) -> str:
    return ", ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")


def _fill(sheet: Sheet, grid: list[list[Cell]], numbers: list[int], wide: set[int]) -> list[str | None]:
    """Find the headings and take the rows that hold anything; return each column's name, None without content."""
    filled = [sum(cell is not None for cell in cells) for cells in grid]
    top = [row for row, count in enumerate(filled) if count][:HEADER_ROWS]
    if not top:
        return [None] * max(map(len, grid), default=0)
    widest = max(filled[row] for row in top)
    # A title, or group headings over merged cells, stand above the row that names the columns.
    head = next((row for row in top if row not in wide and filled[row] * 2 > widest), top[0])
    if head > top[0]:
        sheet.notes.append(f"{sheet.source}: row {numbers[head]} names the columns; what stands above it was left out.")
    names = _headings(sheet, grid[head], grid[head + 1 :], numbers[head + 1 :])
    broken: dict[str, list[str]] = {}
    for cells, number in zip(grid[head + 1 :], numbers[head + 1 :], strict=True):
        row = dict.fromkeys(sheet.columns, None)
        for name, cell in zip(names, cells, strict=False):
            if name is not None:
                row[name] = cell
                if cell is not None and BROKEN.fullmatch(cell.strip()):
                    broken.setdefault(name, []).append(str(number))
                    row[name] = None
        if any(cell is not None for cell in row.values()):
            sheet.rows.append(row)
            sheet.numbers.append(number)
    for name, places in broken.items():
        sheet.notes.append(
            f"{sheet.source}: column {name!r} holds error values such as #NAME? (row {_some(places)}). They count as "
            "blank. Excel makes them of texts that begin with =, +, - or @: put the texts back in cells of the "
            "format 'Text'."
        )
    return names


def _headings(sheet: Sheet, head: list[Cell], body: list[list[Cell]], numbers: list[int]) -> list[str | None]:
    """Return the name of each column, None for those without heading and content.

    Raises:
        DataError: a row has more cells than there are headings.
    """
    used = {place for cells in body for place, cell in enumerate(cells) if cell is not None}
    names: list[str | None] = []
    for place in range(max(len(head), max(used, default=0) + 1)):
        if place >= len(head):
            row = next(number for number, cells in zip(numbers, body, strict=True) if any(cells[len(head) :]))
            raise DataError(
                f"{sheet.source}, row {row}, has more cells than the {len(head)} headings. Is there a delimiter in a "
                "text that has no quotation marks around it? Save the sheet anew as 'CSV UTF-8', or as xlsx."
            )
        cell = head[place]
        name = " ".join(cell.split()) if cell is not None else None
        if name is None and place in used:
            name = f"column {place + 1}"
            sheet.notes.append(f"{sheet.source}: a column has no heading and is called {name!r}.")
        while name is not None and name in names:
            sheet.notes.append(
                f"{sheet.source}: two columns are called {name!r}; the later one became {name + '_2'!r}."
            )
            name += "_2"
        names.append(name)
    sheet.columns = [name for name in names if name is not None]
    return names


def each_row(sheets: Sequence[Sheet]) -> Iterator[tuple[str, int, dict[str, Cell]]]:
    """Yield every row with the table and the row number that it came from."""
    for sheet in sheets:
        for number, row in zip(sheet.numbers, sheet.rows, strict=True):
            yield sheet.source, number, row
