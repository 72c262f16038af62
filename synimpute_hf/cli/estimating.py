"""``synimpute estimate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import PlanError
from .base import DataArgument, app, data_name, hide_bars, label_value, option, say

__all__ = ["estimate"]


@app.command()
def estimate(
    data: DataArgument,
    coded: Annotated[str, option("Column of true codes; empty, or -1, where a text was not coded.")],
    category: Annotated[str, option("The category. Columns hold class names, or 1 for the category and 0 for others.")],
    predicted: Annotated[str | None, option("Column of predicted classes, or probabilities of the category.")] = None,
    model: Annotated[
        str | None, option("Instead of --predicted: a classifier by folder or Hub id, which reads --text.")
    ] = None,
    text: Annotated[str | None, option("Text column, for --model.")] = None,
    by: Annotated[str | None, option("Column of groups: the share in each, and the difference of two.")] = None,
    trend: Annotated[
        str | None, option("Column with a number, such as the year: how the share changes with it.")
    ] = None,
    regress_on: Annotated[
        str | None, option("Columns with numbers, X1,X2: regress the category on them (linear probability model).")
    ] = None,
    outcome: Annotated[str | None, option("Column with a number: regress it on the category.")] = None,
    controls: Annotated[str | None, option("Columns with numbers, X1,X2, beside the category, for --outcome.")] = None,
    probability: Annotated[
        str | None,
        option("Column of the probability with which each text was sampled for coding; by default all alike."),
    ] = None,
    missing_label: Annotated[str, option("Code that means 'not coded' (default -1); none: only empty cells.")] = "-1",
    split: Annotated[str | None, option("Split to describe; by default train, or the only one.")] = None,
    config: Annotated[str | None, option("Configuration of a Hub dataset that has several.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of estimates.json and estimates.md.")
    ] = None,
    as_json: Annotated[bool, option("Print JSON instead of tables.", "--json")] = False,
) -> None:
    """Estimate shares, trends and regressions of a category that a classifier coded, repaired with a coded sample."""
    from ..coding import Question, estimate_all, read_corpus_of_codes
    from ..estimate_report import estimate_tables, write_estimates
    from ..inputs import read_data

    if controls and not outcome:
        raise PlanError("--controls stand beside the category in the regression of --outcome COLUMN: say that, too.")
    hide_bars()
    splits, name = read_data(data, split, config)
    corpus = read_corpus_of_codes(
        splits[name],
        category,
        coded,
        predicted=predicted,
        model=model,
        text=text,
        probability=probability,
        missing=label_value(missing_label),
    )
    question = Question(by, trend, _names(regress_on), outcome, _names(controls))
    facts = {"source": data_name(data), "split": name} | estimate_all(corpus, splits[name], category, question)
    files = [] if output is None else write_estimates(output, facts)
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        for said in facts["warnings"]:
            typer.echo(f"WARNING: {said}", err=True)
        return
    say(*estimate_tables(facts), *(f"Written: {file}" for file in files))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
