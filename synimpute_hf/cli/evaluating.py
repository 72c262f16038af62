"""``synimpute crossval``, ``calibrate`` and ``report``."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import PlanError
from .base import DataArgument, Job, app, hide_bars, label_value, option, pairs, say, with_options

if TYPE_CHECKING:
    from ..assembly import Amounts

__all__ = ["calibrate", "crossval", "report"]

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder of finished fits, facts and report.")]


@dataclass(frozen=True)
class Setup:
    """The options that crossval and calibrate share. Each field is one option."""

    folds: Annotated[int, option("Parts of one repeat (default 10).")] = 10
    repeats: Annotated[int, option("How often the originals are split anew (default 10).")] = 10
    classifier: Annotated[
        str,
        option(
            "linear (default: logistic regression on embeddings), linear:ENCODER, "
            "transformers:MODEL,preset=paper-short; without a model the encoder that comes with a pip package."
        ),
    ] = "linear"
    groups: Annotated[
        str | None, option("Column (document, author, debate) whose rows stay on one side of a fold.")
    ] = None
    keep: Annotated[
        list[str] | None,
        option("Thin a class to so many originals, CLASS=ROWS; the rest make the ceiling. May be repeated."),
    ] = None
    holdout: Annotated[
        str | None,
        option("Test set for the protocol holdout: a share to set aside (0.2), a split of DATA, or a file."),
    ] = None
    margin: Annotated[float, option("Largest difference of a score that does not matter (default 0.02).")] = 0.02
    extra: Annotated[
        bool,
        typer.Option("--extra/--no-extra", help="Write more texts than the target asks for, enough for every fold."),
    ] = True
    jobs: Annotated[int | None, option("Fits at a time; by default one a core, or all that a cluster has.")] = None
    backend: Annotated[str, option("Where fits run: loky (processes, the default), ray or dask.")] = "loky"

    def read(self, data: str, job: Job) -> tuple[Any, dict[str, Any]]:
        """Read DATA; returns its rows, and the settings of a CrossValidation."""
        from ..inputs import read_data

        hide_bars()
        splits, split = read_data(data, job.split, job.config)
        settings = {
            "folds": self.folds,
            "repeats": self.repeats,
            "seed": job.seed,
            "classifier": self.classifier,
            "groups": self.groups,
            "keep": {name: _whole(rows) for name, rows in pairs(self.keep or [], "--keep").items()},
            "holdout": self._holdout(splits),
            "margin": self.margin,
            "enough": self.extra,
            "jobs": self.jobs,
            "missing_label": label_value(job.missing_label),
            **{name: getattr(job, name) for name in ("text", "label", "id")},
        }
        return splits[split], settings

    def _holdout(self, splits: dict[str, Any]) -> Any:
        from ..inputs import read_data

        if self.holdout is None or re.fullmatch(r"\d*\.?\d+", self.holdout):
            return None if self.holdout is None else float(self.holdout)
        if self.holdout in splits:
            return splits[self.holdout]
        others, split = read_data(self.holdout)
        return others[split]


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


def _whole(text: str) -> int:
    if not text.isdigit():
        raise PlanError(f"--keep expects CLASS=ROWS with a whole number, got {text!r}.")
    return int(text)


def _listed(text: str) -> list[str]:
    """Split at commas, but not at those between an arm's own options."""
    return [part.strip() for part in re.split(r",(?![A-Za-z_]\w*=)", text) if part.strip()]


def _name(data: str) -> str:
    return Path(data).name if Path(data).exists() else data


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
        facts = validation.run(rows, impute, output, source=_name(data))
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
            rows, job.imputer(output / "journal.sqlite"), shares=parts, output=output, source=_name(data), **settings
        )
    _finish(output, facts, job.as_json)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders that crossval or calibrate wrote; several: compared.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder (default: the first of them).")] = None,
    formats: Annotated[
        str, typer.Option("--formats", help="Of html, md, tex, csv, png, svg.")
    ] = "html,md,tex,csv,png,svg",
) -> None:
    """Write tables, figures and one self-contained page; with several runs, a learning curve besides."""
    from ..report import read_facts, tables, write_report

    found = [read_facts(folder) for folder in folders]
    files = write_report(found, output or folders[0], _listed(formats))
    for facts in found:
        say(*tables(facts))
    say(f"Report: {files[0]}")
