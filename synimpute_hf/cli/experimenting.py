"""``synimpute experiment``."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Annotated, Any

import typer

from ..errors import PlanError
from ..registry import plugin_names
from .base import DataArgument, Job, OutputOption, Setup, app, data_name, hide_bars, option, say, with_options

__all__ = ["experiment"]

NAMES = ", ".join(plugin_names("experiments"))


@app.command()
@with_options
def experiment(
    name: Annotated[str, typer.Argument(help=f"{NAMES}.", show_default=False)],
    data: DataArgument,
    job: Job,
    setup: Setup,
    output: OutputOption,
    category: Annotated[str | None, option("The rare class; by default the smallest.")] = None,
    setting: Annotated[
        list[str] | None,
        option("Option of the experiment, KEY=VALUE, such as originals=50,75; may be repeated.", "--set"),
    ] = None,
    full: Annotated[
        bool, option("The full setting, for a GPU box or a cluster; --set goes before it.", "--full")
    ] = False,
    plan_only: Annotated[bool, typer.Option("--plan", help="Show what it would write and cost, and stop.")] = False,
) -> None:
    """Answer one of the method's questions on your data: a folder with tables, figures and a page."""
    from ..engines import engine
    from ..experiment_report import experiment_tables, write_experiment
    from ..experiments import Bench, make_experiment, run
    from ..figures import style

    chosen = make_experiment(name, _options(setting or []), full)
    rows, settings = setup.read(data, job)
    del settings["full_test"]  # an experiment says that itself
    output.mkdir(parents=True, exist_ok=True)
    bench = Bench.make(
        rows,
        job.imputer(output / "journal.sqlite"),
        output,
        category=category,
        source=data_name(data),
        tell=lambda line: None if job.as_json else say(line),
        **settings,
    )
    if plan_only:
        prepared = chosen.prepare(bench)
        _plan([prepared.estimate(entry) for entry in chosen.jobs(prepared)], job.as_json)
        return
    hide_bars()
    with engine(setup.backend, setup.jobs):
        facts = run(chosen, bench)
    facts["command"] = shlex.join(["synimpute", *sys.argv[1:]])
    with style():
        sheets, drawings = chosen.sheets(facts["result"]), chosen.drawings(facts["result"])
        page = write_experiment(output, facts, sheets, drawings)
    if job.as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    say(*experiment_tables(facts, sheets), f"Page: {page}   Facts: {output / 'experiment.json'}")


def _options(items: list[str]) -> dict[str, str]:
    """Read repeated --set KEY=VALUE; a list may be empty."""
    given = {}
    for item in items:
        key, mark, value = item.partition("=")
        if not mark or not key.strip():
            raise PlanError(f"--set expects KEY=VALUE, such as originals=50,75; got {item!r}.")
        given[key.strip()] = value.strip()
    return given


def _plan(estimates: list[dict[str, Any]], as_json: bool) -> None:
    """Show what the runs would take; what two runs share is counted twice here, and paid once."""
    from ..tables import estimates_table

    if as_json:
        typer.echo(json.dumps(estimates, ensure_ascii=False, indent=2))
        return
    say(estimates_table(estimates))
