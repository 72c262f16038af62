"""``synimpute crossval``, ``calibrate`` and ``report``."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import PlanError
from .base import DataArgument, Job, OutputOption, Setup, app, data_name, option, say, with_options

if TYPE_CHECKING:
    from ..assembly import Amounts

__all__ = ["calibrate", "crossval", "report"]


def _finish(output: Path, facts: dict[str, Any], as_json: bool) -> None:
    """Write the report and show what was found."""
    from ..facts import FACTS, write_facts
    from ..report import tables, write_report

    facts["command"] = shlex.join(["synimpute", *sys.argv[1:]])
    write_facts(output, facts)
    files = write_report([facts], output)
    if as_json:
        fields = ("summary", "comparisons", "inflation", "overfitting", "ranking", "alarms", "calibration")
        typer.echo(json.dumps({name: facts[name] for name in fields}, ensure_ascii=False, indent=2))
        return
    say(*tables(facts), *facts.get("advice", ()), f"Report: {files[0]}   Facts: {output / FACTS}")


def _listed(text: str) -> list[str]:
    """Split at commas, but not at those between an arm's own options."""
    return [part.strip() for part in re.split(r",(?![A-Za-z_]\w*=)", text) if part.strip()]


def _amounts(amounts: Amounts, as_json: bool) -> None:
    """Show how many texts a cross-validation writes, and why more than the target asks for."""
    from ..tables import amounts_table, estimate_line

    if not as_json:
        say(amounts_table(amounts), estimate_line(amounts.estimate))
        return
    counts = {name: getattr(amounts, name).tolist() for name in ("planned", "enough", "nested")}
    found = {"classes": amounts.names, **counts, "estimate": asdict(amounts.estimate)}
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2))


@app.command()
@with_options
def crossval(
    data: DataArgument,
    job: Job,
    setup: Setup,
    output: OutputOption,
    arms: Annotated[
        str | None,
        option(
            "Ways to train, with commas between: original, threshold, class_weights, oversample, eda, ssmba:MODEL, "
            "imputed, imputed+class_weights, imputed+contrast, imputed:weight=0.5, ceiling."
        ),
    ] = None,
    protocols: Annotated[str, option("seed_aware (default), nested, holdout, with commas between.")] = "seed_aware",
    inflation: Annotated[
        bool, typer.Option("--inflation/--no-inflation", help="Measure 'imputed' the paper's way, too.")
    ] = True,
    plan_only: Annotated[bool, typer.Option("--plan", help="Show how many texts would be written, and stop.")] = False,
    predictions: Annotated[
        bool, option("Write predictions.parquet, too: what each fit said of each tested text.", "--predictions")
    ] = False,
) -> None:
    """Compare ways to train by cross-validation without a leak. Run again with more arms: only what is new runs."""
    from ..arms import DEFAULT_ARMS
    from ..crossval import CrossValidation
    from ..engines import engine

    rows, settings = setup.read(data, job)
    chosen = DEFAULT_ARMS if arms is None else _listed(arms)
    validation = CrossValidation(arms=chosen, protocols=_listed(protocols), inflation=inflation, **settings)
    output.mkdir(parents=True, exist_ok=True)
    impute = job.imputer(output / "journal.sqlite")
    if plan_only or not job.as_json:
        _amounts(validation.plan(rows, impute), job.as_json)
    if plan_only:
        return
    with engine(setup.backend, setup.jobs):
        facts = validation.run(rows, impute, output, source=data_name(data), predictions=predictions)
    _finish(output, facts, job.as_json)


@app.command()
@with_options
def calibrate(
    data: DataArgument,
    job: Job,
    setup: Setup,
    output: OutputOption,
    shares: Annotated[str, option("Shares of the synthetic texts (default 0.25,0.5,0.75,1).")] = "0.25,0.5,0.75,1",
) -> None:
    """Find how many synthetic texts are too many: overfitting over the share of texts, nothing paid twice."""
    from ..calibration import calibrate as curve
    from ..engines import engine

    rows, settings = setup.read(data, job)
    try:
        parts = [float(part) for part in shares.split(",")]
    except ValueError as error:
        raise PlanError(f"--shares expects numbers with commas between, such as 0.25,0.5,1; got {shares!r}.") from error
    output.mkdir(parents=True, exist_ok=True)
    with engine(setup.backend, setup.jobs):
        facts = curve(
            rows,
            job.imputer(output / "journal.sqlite"),
            shares=parts,
            output=output,
            source=data_name(data),
            **settings,
        )
    _finish(output, facts, job.as_json)


def _methods(folders: list[Path]) -> str:
    """Return the paragraph of one cross-validation, one result, or of both, wherever they lie."""
    from ..facts import FACTS, read_facts
    from ..methods import methods_paragraph
    from ..outputs import MANIFEST, read_manifest

    compared = [folder for folder in folders if folder.is_file() or (folder / FACTS).is_file()]
    imputed = [folder for folder in folders if (folder / MANIFEST).is_file()]
    for found, file in ((compared, FACTS), (imputed, MANIFEST)):
        if len(found) > 1:
            raise PlanError(
                f"--methods writes about one run: expected one folder with {file}, got "
                f"{', '.join(map(str, found))}. Name one of them."
            )
    for folder in folders:
        if folder not in compared and folder not in imputed:
            raise PlanError(
                f"{folder} holds neither {FACTS} nor {MANIFEST}: name a folder that `synimpute crossval` or "
                "`synimpute impute` has written."
            )
    return methods_paragraph(
        read_facts(compared[0]) if compared else None, read_manifest(imputed[0]) if imputed else None
    )


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders that crossval or calibrate wrote; several: compared.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder (default: the first of them).")] = None,
    formats: Annotated[
        str, typer.Option("--formats", help="Of html, md, tex, csv, png, svg.")
    ] = "html,md,tex,csv,png,svg",
    methods: Annotated[
        bool,
        typer.Option(
            "--methods",
            help="Print a paragraph for a methods section instead; FOLDERS: of crossval, of impute, or one of each.",
        ),
    ] = False,
) -> None:
    """Write tables, figures and one self-contained page; with several runs, a learning curve besides."""
    if methods:
        typer.echo(_methods(folders), nl=False)
        return
    from ..report import read_facts, tables, write_report

    found = [read_facts(folder) for folder in folders]
    files = write_report(found, output or folders[0], _listed(formats))
    for facts in found:
        say(*tables(facts))
    say(f"Report: {files[0]}")
