"""``synimpute review``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import PlanError
from .base import app, option, say

__all__ = ["review"]


@app.command()
def review(
    result: Annotated[Path, typer.Argument(help="Folder that impute wrote.", exists=True, file_okay=False)],
    files: Annotated[
        list[Path] | None, typer.Argument(help="With --read: ratings, one file a coder (.json, .csv, .xlsx).")
    ] = None,
    n: Annotated[int, option("Texts of the sheet (default 40).", "--n")] = 40,
    seed: Annotated[int, option("Seed of the draw (default 0).")] = 0,
    output: Annotated[
        Path | None, option("Folder of the sheet, for the coders (default RESULT/review).", "--output", "-o")
    ] = None,
    read: Annotated[bool, typer.Option("--read", help="Read ratings, and put their figures into the card.")] = False,
    as_json: Annotated[bool, option("Print JSON instead of tables.", "--json")] = False,
) -> None:
    """Write a blind mix of originals and synthetic texts for people to judge; --read FILE...: what they found."""
    if read:
        _read(result, files or [], as_json)
        return
    if files:
        raise PlanError(f"Ratings are read with --read: synimpute review {result} --read {files[0]}")
    from ..review import write_review

    written = write_review(result, n, seed, output)
    kinds = [item.synthetic for item in written.mix.items if item.own == item.asked]
    others = len(written.mix.items) - len(kinds)
    if as_json:
        found = {"sheet": written.mix.sheet, "files": [str(file) for file in written.files], "key": str(written.key)}
        typer.echo(json.dumps({**found, "notes": written.notes}, ensure_ascii=False, indent=2))
        return
    say(
        f"{len(written.mix.items)} texts: {kinds.count(False)} originals and {kinds.count(True)} synthetic ones of the "
        f"imputed classes, and {others} of other classes.",
        *(f"Note: {note}" for note in written.notes),
        f"For the coders: {', '.join(str(file) for file in written.files)}",
        f"Not for the coders: {written.key}, which says what is synthetic.",
        "The sheet holds texts of the originals: give it to nobody who may not read them. It is never pushed.",
        f"Then: synimpute review {result} --read ratings-anna.json ratings-ben.json",
    )


def _read(result: Path, files: list[Path], as_json: bool) -> None:
    from rich.console import Console

    from ..review import review_sheets, review_with
    from ..typeset import rich_table

    facts = review_with(result, files)
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    width = Console().width
    say(
        f"{facts['rated']} of {facts['shown']} texts rated by {', '.join(row['name'] for row in facts['coders'])}.",
        *(rich_table(sheet, width) for sheet in review_sheets(facts)),
        f"Facts: {result / 'review.json'}   Card: {result / 'README.md'}",
    )
