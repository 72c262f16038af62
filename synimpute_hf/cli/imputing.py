"""``synimpute plan``, ``preview``, ``impute`` and ``batches``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import GeneratorError
from .base import BUDGET, INTERRUPTED, SHORT, DataArgument, Job, app, say, with_options

if TYPE_CHECKING:
    from ..imputer import SyntheticImputer
    from ..records import Outcome

__all__ = ["batches", "impute", "plan", "preview"]


@app.command()
@with_options
def plan(data: DataArgument, job: Job) -> None:
    """Show who is short, what it takes, and one rendered prompt. Nothing is called."""
    imputer, _, _ = job.fitted(data)
    if job.as_json:
        typer.echo(json.dumps(imputer.plan.to_dict(), ensure_ascii=False, indent=2))
    else:
        say(imputer.plan)


@app.command()
@with_options
def preview(
    data: DataArgument, job: Job, n: Annotated[int, typer.Option("--n", min=1, help="How many texts.")] = 8
) -> None:
    """Write a few texts and show them beside their originals, before the rest is paid."""
    from ..audit import preview_figures
    from ..tables import preview_table

    imputer, _, _ = job.fitted(data)
    shown = imputer.preview(n)
    names = [prompt.draw.name for prompt, _, _ in shown]
    originals = {name: imputer.texts_of(name) for name in dict.fromkeys(names)}
    figures, told = preview_figures([text for _, text, _ in shown], names, originals)
    if job.as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "class": prompt.draw.name,
                        "text": text,
                        "rejected": reason,
                        "source_ids": prompt.draw.source_ids,
                        "originals": prompt.draw.texts,
                        **found,
                    }
                    for (prompt, text, reason), found in zip(shown, figures, strict=True)
                ],
                ensure_ascii=False,
                indent=2,
            )
        )
        return
    if not shown:
        say("Nothing to do: every class has reached its target.")
        return
    say(
        preview_table(shown, figures),
        *(
            f"A classifier tells new texts of {name!r} from originals at AUC {test.auc:.2f} ({test.low:.2f} to "
            f"{test.high:.2f}; chance is 0.50)."
            for name, test in told.items()
        ),
        f"Generator: {imputer.plan.generator} ({imputer.plan.generator_reason}). These answers "
        f"are kept in {imputer.journal_path}; 'synimpute impute' takes them over and does not pay for them again.",
    )


@app.command()
@with_options
def impute(
    data: DataArgument, job: Job, output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the result.")]
) -> None:
    """Write the missing texts and a dataset with them. Run again after an interruption, and it goes on."""
    from ..inputs import source_metadata
    from ..outputs import JOURNAL, check_folder, write_result

    check_folder(output)
    imputer, splits, split = job.fitted(data, output / JOURNAL)
    if not job.as_json:
        _announce(imputer)
    ended: BaseException | None = None
    try:
        imputer.generate()
    except (KeyboardInterrupt, GeneratorError) as error:
        ended = error
    outcome = imputer.outcome
    if outcome is None or (ended and not outcome.rows):
        raise ended or KeyboardInterrupt
    source = Path(data).name if Path(data).exists() else data
    facts = write_result(output, splits, split, imputer, outcome, source, source_metadata(data))
    if job.as_json:
        typer.echo(json.dumps({"output": str(output), **facts["outcome"]}, ensure_ascii=False, indent=2))
    else:
        _report(imputer, outcome, output)
    if isinstance(ended, GeneratorError):
        raise ended
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)
    if outcome.stopped:
        raise typer.Exit(BUDGET)
    if outcome.missing:
        raise typer.Exit(SHORT)


@app.command()
def batches(
    journal: Annotated[Path, typer.Argument(help="A result's folder, or a journal.", exists=True)],
    cancel: Annotated[bool, typer.Option("--cancel", help="End them; what was answered so far stays paid.")] = False,
    api_key_env: Annotated[str, typer.Option("--api-key-env", help="Variable with the key.")] = "OPENAI_API_KEY",
) -> None:
    """List the batches (--batch) that a server still works on, or cancel them."""
    from ..batch_client import under_way
    from ..outputs import JOURNAL

    found = under_way(journal / JOURNAL if journal.is_dir() else journal, cancel, api_key_env)
    for batch, status in found:
        say(f"{batch.batch_id or batch.filename}  {len(batch.keys):,} requests  {status}  {batch.base_url}")
    if not found:
        say("No batch is under way.")
    elif cancel:
        say("Run the same 'synimpute impute' command again to fetch what was answered and go on with the rest.")


def _announce(imputer: SyntheticImputer) -> None:
    """Show the plan without its example prompt."""
    from dataclasses import replace

    say(replace(imputer.plan, example=None))


def _shown(outcome: Outcome) -> list[tuple[str, str, str]]:
    """Return rejected texts of classes that end short, as examples."""
    short = {entry.name for entry in outcome.classes if entry.missing}
    return [example for example in outcome.examples if example[0] in short]


def _report(imputer: SyntheticImputer, outcome: Outcome, output: Path) -> None:
    from ..imputer import shortfall
    from ..tables import outcome_table, paid_line

    if outcome.classes:
        say(
            outcome_table(outcome),
            f"{outcome.asked:,} texts were asked for now; {outcome.from_journal:,} answers were "
            "in the journal already.",
            f"Over all runs: {paid_line(outcome)}",
            *(f"Note: {note}" for note in outcome.notes),
            *(f"Class {entry.name!r} was given up: {entry.gave_up}." for entry in outcome.classes if entry.gave_up),
            *(f"Rejected, {name!r}, as {reason}: {text}" for name, reason, text in _shown(outcome)),
        )
    if outcome.interrupted:
        say("Interrupted. Every answer so far is in the journal: run the same command again to go on.")
    elif outcome.stopped:
        say(
            shortfall(outcome),
            f"Stopped: {outcome.stopped}. The result is partial. Run the same command again to go on (after a budget, "
            "with a higher one); nothing is asked twice.",
        )
    elif outcome.failed:
        say(shortfall(outcome), "Run the same command again: it asks only for what failed.")
    elif outcome.missing:
        say(
            shortfall(outcome),
            "Go on with a higher --max-attempts, another --prompt or a better --generator; nothing is asked twice.",
        )
    say(f"Dataset: {output}   (load_dataset({str(output)!r}))", f"Journal: {imputer.journal_path}")
