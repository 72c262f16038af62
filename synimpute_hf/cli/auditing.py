"""``synimpute audit``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .base import app, hide_bars, option, say

__all__ = ["audit"]


@app.command()
def audit(
    result: Annotated[Path, typer.Argument(help="Folder that impute wrote.", exists=True, file_okay=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of audit.json, .html and .md (default: the result's, for its card)."
        ),
    ] = None,
    encoder: Annotated[
        str, option("Encoder by Hub id or path; by default the one that comes with a pip package.")
    ] = "",
    seed: Annotated[int, option("Seed of folds, samples and intervals (default 0).")] = 0,
    as_json: Annotated[bool, option("Print JSON instead of tables.", "--json")] = False,
) -> None:
    """Look at the synthetic texts beside the originals: told apart, copies, phrases, drift; alarms say what to do."""
    from ..audit import audit as look
    from ..audit import closest_texts
    from ..audit_report import audit_tables, write_audit_report
    from ..outputs import write_card

    hide_bars()
    facts = look(result, encoder=encoder, seed=seed)
    page = write_audit_report(output or result, facts, closest_texts(result, facts))
    if output is None:
        write_card(result)
    if as_json:
        typer.echo(
            json.dumps({key: facts[key] for key in ("classes", "alarms", "notes")}, ensure_ascii=False, indent=2)
        )
        return
    say(*audit_tables(facts), f"Page: {page}   Facts: {page.with_suffix('.json')}")
