"""The result of an experiment as a folder: JSON, figures, one HTML page, Markdown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import OutputError
from .facts import load_facts
from .figures import Drawing, on_page, save_drawing
from .sheets import Sheet
from .typeset import html_page_of, md, md_code, md_list, md_sheet, rich_table

__all__ = [
    "EXPERIMENT",
    "EXPERIMENT_FORMAT",
    "experiment_markdown",
    "experiment_page",
    "experiment_tables",
    "read_experiment",
    "write_experiment",
]

EXPERIMENT = "experiment.json"
EXPERIMENT_FORMAT = 1
METHOD = (
    "Timoneda, J. C. The Synthetic Imputation Approach. Political Analysis, 2026. arXiv:2504.15160",
    "Nadeau, C. and Bengio, Y. Inference for the generalization error. Machine Learning 52, 2003, 239-281",
    "Bouckaert, R. R. and Frank, E. Evaluating the replicability of significance tests for comparing learning "
    "algorithms. PAKDD 2004",
)


def read_experiment(path: Path) -> dict[str, Any]:
    """Read the facts of an experiment.

    Args:
        path: its folder, or the file itself.

    Raises:
        DataError: there are none, or they are of another make.
    """
    return load_facts(
        path / EXPERIMENT if path.is_dir() else path,
        EXPERIMENT_FORMAT,
        "experiment",
        what="an experiment",
        again="Run the same `synimpute experiment` command again with this version: nothing is paid twice.",
        absent=f"No experiment at {path}",
        expected="Name a folder that `synimpute experiment NAME DATA --output FOLDER` has written.",
    )


def write_experiment(
    folder: Path, facts: Mapping[str, Any], sheets: Sequence[Sheet], drawings: Sequence[Drawing]
) -> Path:
    """Write ``experiment.json``, ``experiment.md``, ``experiment.html`` and ``figures/``.

    Args:
        folder: made if it is not there.
        facts: of the experiment.
        sheets: its tables.
        drawings: its figures.

    Returns:
        The page.

    Raises:
        OutputError: the folder can't be written.
    """
    texts = {
        EXPERIMENT: json.dumps(facts, indent=1, ensure_ascii=False) + "\n",
        "experiment.md": experiment_markdown(facts, sheets, [(d, f"figures/{d.name}.png") for d in drawings]),
        "experiment.html": experiment_page(facts, sheets, drawings),
    }
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for drawing in drawings:
            for kind in ("png", "svg"):
                save_drawing(drawing, folder / "figures" / f"{drawing.name}.{kind}")
        for name, text in texts.items():
            unfinished = folder / f".{name}-unfinished"
            unfinished.write_text(text, encoding="utf-8")
            os.replace(unfinished, folder / name)
    except OSError as error:
        raise OutputError(
            f"The result could not be written to {folder}: {error.strerror or error}. Every fit and answer is safe: "
            "make room, and run the same command again."
        ) from error
    return folder / "experiment.html"


def experiment_tables(facts: Mapping[str, Any], sheets: Sequence[Sheet], width: int | None = None) -> list[Any]:
    """Return what a terminal shows.

    Args:
        facts: of the experiment.
        sheets: its tables.
        width: columns of the terminal; None asks it.
    """
    from rich.console import Console
    from rich.text import Text

    shown: list[Any] = [rich_table(sheet, width or Console().width) for sheet in sheets]
    shown += [Text(f"Note: {text}", style="yellow") for text in facts["warnings"]]
    return [*shown, Text(" ".join(facts["answer"]))]


def experiment_markdown(
    facts: Mapping[str, Any], sheets: Sequence[Sheet], figures: Sequence[tuple[Drawing, str]], level: str = "#"
) -> str:
    """Return the result as Markdown; it quotes no text of the data.

    Args:
        facts: of the experiment.
        sheets: its tables.
        figures: each figure with the address of its file.
        level: marks of the first heading.
    """
    parts = [f"{level} {md(facts['title'])}", md(facts["question"]), md(" ".join(facts["answer"]))]
    parts += [f"**{md(text)}**" for text in facts["warnings"]]
    for sheet in sheets:
        parts += md_sheet(sheet, f"{level}#")
    parts += [f"![{md(drawing.caption)}]({address})\n\n{md(drawing.caption)}" for drawing, address in figures]
    parts += [f"{level}# Settings and versions", md_list(f"{key}: {value}" for key, value in _settings(facts))]
    if facts.get("command"):
        parts += ["To run it again:", md_code(facts["command"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def experiment_page(facts: Mapping[str, Any], sheets: Sequence[Sheet], drawings: Sequence[Drawing]) -> str:
    """Return the result as one HTML page that needs nothing else.

    Args:
        facts: of the experiment.
        sheets: its tables.
        drawings: its figures.
    """
    return html_page_of(
        "experiment_report.html.jinja",
        title=facts["title"],
        question=facts["question"],
        created=facts["created"],
        answer=facts["answer"],
        warnings=facts["warnings"],
        sheets=sheets,
        figures=[on_page(drawing, "experiment") for drawing in drawings],
        settings=list(_settings(facts)),
        command=facts.get("command", ""),
        references=METHOD,
    )


def _settings(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "data", str(facts["source"])
    yield (
        "category",
        f"{facts['category']} ({facts['counts'][facts['category']]:,} of {sum(facts['counts'].values()):,})",
    )
    for key, value in facts["settings"].items():
        yield key, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    made = facts["generation"]
    yield "generator", ", ".join(made["generators"]) or "none"
    yield "synthetic texts used", f"{made['texts_used']:,}"
    yield "cost", "unknown" if made["cost_usd"] is None else f"${made['cost_usd']:.2f}"
    yield "time of the last run", f"{facts['seconds']:.0f} s"
    yield from ((str(name), str(value)) for name, value in facts["versions"].items())
