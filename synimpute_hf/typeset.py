"""Sets tables and plain text for a terminal, Markdown, LaTeX and csv, so that no text can break out of its place."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from .facts import words
from .sheets import Sheet

__all__ = [
    "csv_text",
    "html_page_of",
    "md",
    "md_cell",
    "md_code",
    "md_list",
    "md_sheet",
    "rich_table",
    "templates",
    "tex",
    "tex_sheet",
]

WIDE = 128  # characters at which an estimate and its interval fit on one line
CROWDED = 9  # columns from where LaTeX needs smaller type
MEDIUM = 96  # below, the macro F1 is left out
MARKS = {"better": "▲", "equivalent": "■", "worse": "▼", "cannot tell": "○"}


def rich_table(sheet: Sheet, width: int) -> Any:
    """Return a table for a terminal; where it is narrow, intervals stand below, and then the macro F1 is left out.

    Args:
        sheet: the table.
        width: columns of the terminal.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(sheet.title, style="bold"),
        title_justify="left",
        caption=Text(" ".join((sheet.caption, *sheet.notes))),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0) if width < WIDE else (0, 1),
    )
    kept = [i for i, name in enumerate(sheet.columns) if width >= MEDIUM or name != "macro F1"]
    for i in kept:
        cells = [row[i] if width < WIDE else row[i].replace("\n", " ") for row in sheet.rows]
        number = sheet.align[i] != "l"
        # Numbers are never broken; a heading may be.
        narrowest = max((len(line) for cell in cells for line in cell.split("\n")), default=1) if number else None
        table.add_column(
            Text(sheet.columns[i]), justify="right" if number else "left", overflow="fold", min_width=narrowest
        )
    for row in sheet.rows:
        table.add_row(*(Text(row[i] if width < WIDE else row[i].replace("\n", " ")) for i in kept))
    return table


def md_cell(value: Any) -> str:
    """Return plain text as one cell of a Markdown table."""
    return re.sub(r"\s+", " ", str(value)).replace("\\", "\\\\").replace("|", "\\|")


def md(value: str) -> str:
    """Return plain text as Markdown that shows just that, in a table or out of it."""
    text = words(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*|~$])", r"\\\1", text)
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\_", text)  # one within a word is no emphasis
    text = re.sub(r"\](?=[(\[:])", r"\]", text)
    # At its beginning, what would start a list or a heading.
    return re.sub(r"^(\d*)([.)]|[-+#=]+)(?=\s|$)", r"\1\\\2", text)


def md_sheet(sheet: Sheet, level: str) -> Iterator[str]:
    """Yield heading, table and caption as Markdown blocks.

    Args:
        sheet: the table.
        level: the heading's marks, such as ``##``.
    """
    yield f"{level} {md(sheet.title)}"
    lines = ["| " + " | ".join(md(name) for name in sheet.columns) + " |"]
    lines.append("|" + "|".join({"l": "---", "c": ":---:", "r": "---:"}[letter] for letter in sheet.align) + "|")
    lines += ["| " + " | ".join(md(cell) for cell in row) + " |" for row in sheet.rows]
    yield "\n".join(lines)
    yield " ".join(md(text) for text in (sheet.caption, *sheet.notes))


def md_list(items: Iterable[str]) -> str:
    """Return a Markdown list of plain texts."""
    return "\n".join(f"- {md(item)}" for item in items)


def md_code(text: str, language: str = "sh") -> str:
    """Return a text as a Markdown code block that nothing in it can close."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


LATEX = {
    **{letter: "\\" + letter for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "\u2212": "$-$",  # minus
    "\u00b1": r"$\pm$",
    "\u00d7": r"$\times$",
    "\u2013": "--",
    "\u2026": r"\ldots{}",
    "\u03bb": r"$\lambda$",
}


def tex(value: str) -> str:
    """Return plain text as LaTeX that sets just that; safe as the first thing after a line's end."""
    text = "".join(LATEX.get(letter, letter) for letter in words(value))
    return f"{{{text[0]}}}{text[1:]}" if text[:1] in ("[", "*") else text


def _tex_rows(sheet: Sheet) -> Iterator[str]:
    """Yield the lines of a table's body: intervals stand below their estimates, in smaller type."""
    for row in sheet.rows:
        parts = [cell.partition("\n") for cell in row]
        yield " & ".join(tex(first) for first, _, _ in parts) + r" \\"
        if any(below for _, _, below in parts):
            lower = [rf"{{\scriptsize {tex(below)}}}" if below else "" for _, _, below in parts]
            yield " & ".join(lower).rstrip() + r" \\ \addlinespace"


def tex_sheet(sheet: Sheet, label: str, run: str = "") -> str:
    """Return a table environment with booktabs.

    Args:
        sheet: the table.
        label: for ``\\ref``, without ``tab:``.
        run: the run's name, first in the caption.
    """
    caption = tex(". ".join(part for part in (run, sheet.title, sheet.caption) if part))
    heads = " & ".join(tex(name) for name in sheet.columns)
    size, gap = (r"\scriptsize", 3) if len(sheet.columns) >= CROWDED else (r"\footnotesize", 4)
    lines = [
        r"\begin{table}[htbp]",
        rf"\centering{size}",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{label}}}",
        r"\vspace{4pt}",
    ]
    lines += [rf"\setlength{{\tabcolsep}}{{{gap}pt}}", rf"\begin{{tabular}}{{@{{}}{sheet.align}@{{}}}}", r"\toprule"]
    lines += [rf"{heads} \\", r"\midrule", *_tex_rows(sheet), r"\bottomrule", r"\end{tabular}"]
    if sheet.notes:
        lines.append(rf"\par\smallskip {' '.join(tex(note) for note in sheet.notes)}")
    return "\n".join([*lines, r"\end{table}"])


def _cell(value: Any) -> str:
    """Return a csv cell that no spreadsheet takes for a formula; numbers stay numbers, what is missing is empty."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, (int, float)):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠") else text  # noqa: RUF001


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as csv with a heading; what a row lacks is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return file.getvalue()


def templates(autoescape: bool, **filters: Any) -> Any:
    """Return a sandboxed Jinja environment for ``model_cards/``, in which a missing value is an error.

    Args:
        autoescape: whether values are escaped as HTML.
        **filters: further ones, by name.
    """
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    folder = resources.files("synimpute_hf.model_cards")
    environment = SandboxedEnvironment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment


def html_page_of(template: str, **values: Any) -> str:
    """Return a page that needs nothing else: no script, no address, figures inlined.

    Args:
        template: a file name in ``model_cards/``.
        **values: what it needs; a missing one is an error.
    """
    from markupsafe import Markup

    # Our own drawing: matplotlib has escaped every text in it.
    environment = templates(autoescape=True, drawn=Markup, split_cell=lambda cell: cell.partition("\n"))
    page: str = environment.get_template(template).render(values, marks=MARKS)
    return page
