"""``synimpute train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .base import app, hide_bars, option, say

__all__ = ["train"]


@app.command()
def train(
    data: Annotated[
        str, typer.Argument(help="Folder that impute wrote, or a dataset with its columns, such as a Hub id.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the classifier.")],
    classifier: Annotated[
        str,
        option(
            "transformers:MODEL,preset=paper-short (the default) or paper-long; transformers alone, the default, takes "
            "the encoder that comes with a pip package."
        ),
    ] = "transformers",
    crossval: Annotated[Path | None, option("Folder of a cross-validation of these data, for the card.")] = None,
    dataset_id: Annotated[str | None, option("Hub id of the data, for the card.")] = None,
    seed: Annotated[int, option("Seed of head, order and dropout (default 0).")] = 0,
    split: Annotated[str | None, option("Split that trains; by default the one that was imputed.")] = None,
    config: Annotated[str | None, option("Configuration of a Hub dataset that has several.")] = None,
    text: Annotated[str | None, option("Text column; by default the recorded one.")] = None,
    label: Annotated[str | None, option("Label column; by default the recorded one.")] = None,
    as_json: Annotated[bool, option("Print the facts as JSON.", "--json")] = False,
) -> None:
    """Fine-tune one classifier on all rows of an imputed dataset, and write its model card."""
    from ..finetune import fine_tune

    hide_bars()
    facts = fine_tune(
        data,
        output,
        classifier=classifier,
        crossval=crossval,
        dataset_id=dataset_id,
        seed=seed,
        split=split,
        config=config,
        text=text,
        label=label,
    )
    if as_json:
        typer.echo(json.dumps({"output": str(output), **facts}, ensure_ascii=False, indent=2))
        return
    rows = facts["rows"]
    say(
        f"Trained {facts['base_model']['name']} on {rows['originals']:,} originals and {rows['synthetic']:,} synthetic "
        f"texts, {len(facts['labels'])} classes, {facts['training']['hyperparameters']['steps']:,} steps.",
        f"Classifier: {output}   (pipeline('text-classification', model={str(output)!r}))",
        f"Model card: {output / 'README.md'}",
    )
