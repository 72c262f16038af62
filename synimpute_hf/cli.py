"""The command line: ``synimpute plan``, ``preview`` and ``impute``. Thin: everything is done elsewhere."""

from __future__ import annotations

import inspect
import json
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from .errors import FewOriginalsWarning, GeneratorError, PlanError, SynimputeError, SynimputeWarning

if TYPE_CHECKING:
    from .imputer import SyntheticImputer
    from .records import Outcome

__all__ = ["app", "main"]

SHORT, WRONG, BUDGET, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Fill up the rare classes of a text-classification dataset with synthetic texts, each written "
    "by a language model from five originals, each knowing its sources.",
)

DataArgument = Annotated[
    str,
    typer.Argument(
        help="csv, jsonl, parquet or xlsx file, folder, save_to_disk folder, or Hugging Face Hub id.",
        show_default=False,
    ),
]


def _option(help_text: str, *names: str) -> Any:
    return typer.Option(*names, help=help_text, show_default=False)


@dataclass(frozen=True)
class Job:
    """The options that all commands share. Each field is one option."""

    split: Annotated[str | None, _option("Split to impute; by default train, or the only one.")] = None
    config: Annotated[str | None, _option("Configuration of a Hub dataset that has several.")] = None
    text: Annotated[str | None, _option("Text column; guessed when obvious.")] = None
    label: Annotated[str | None, _option("Label column; guessed when obvious.")] = None
    id: Annotated[str | None, _option("Column with unique row ids; by default made from the content.", "--id")] = None
    target: Annotated[int | None, _option("Rows that every class should reach (default 200).")] = None
    sampling_strategy: Annotated[
        str | None,
        _option(
            "Instead of --target: auto, minority, 'not majority', 'not minority', all, a number, or CLASS=ROWS,..."
        ),
    ] = None
    prompt: Annotated[
        str | None, _option("general (default), sentences, messages, speeches, or a YAML file of your own.")
    ] = None
    category_description: Annotated[
        list[str] | None, _option("Codebook definition of a class, CLASS=TEXT; may be repeated.")
    ] = None
    language: Annotated[str | None, _option("Language to write in; by default that of the originals.")] = None
    generator: Annotated[
        str | None,
        _option(
            "openai:MODEL (openai:gpt-4o is the default when OPENAI_API_KEY is set), local (the default otherwise), "
            "transformers:MODEL, replay:JOURNAL, echo; options follow as ,key=value."
        ),
    ] = None
    base_url: Annotated[
        list[str] | None, _option("Address of the model's server, mostly ending in /v1; repeated, they share the work.")
    ] = None
    temperature: Annotated[float | None, _option("Sampling temperature (default 0.7, the paper's).")] = None
    concurrency: Annotated[int | None, _option("Calls in flight to one server, at most (default 32).")] = None
    requests_per_minute: Annotated[float | None, _option("Ceiling for one server.")] = None
    tokens_per_minute: Annotated[float | None, _option("Ceiling for one server.")] = None
    batch: Annotated[bool, _option("Use the server's Batch API: half the price, within a day.", "--batch")] = False
    prices: Annotated[Path | None, _option("Price file of your own (form: synimpute_hf/prices.yaml).")] = None
    budget_usd: Annotated[float | None, _option("Stop before it costs more than this, over all restarts.")] = None
    max_calls: Annotated[int | None, _option("Stop before more requests than this, failed ones included.")] = None
    max_tokens_total: Annotated[int | None, _option("Stop before more tokens than this, sent and written.")] = None
    n_examples: Annotated[int, _option("Originals shown in one prompt (default 5).")] = 5
    replacement: Annotated[str, _option("How originals are drawn: across (default), within, fixed.")] = "across"
    seed: Annotated[int, _option("Seed of all draws (default 0).")] = 0
    max_attempts: Annotated[int, _option("How often one missing text may be drawn (default 5).")] = 5
    missing_label: Annotated[str, _option("Label that means 'not labelled' (default -1); none: every one counts.")] = (
        "-1"
    )
    journal: Annotated[Path | None, _option("Where every answer is kept.")] = None
    as_json: Annotated[bool, _option("Print JSON instead of tables.", "--json")] = False

    def imputer(self, journal: Path | None = None) -> SyntheticImputer:
        """Make the imputer that these options describe."""
        from .imputer import SyntheticImputer

        options = {
            "base_url": self.base_url or None,
            "temperature": self.temperature,
            "concurrency": self.concurrency,
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "batch": self.batch or None,
            "prices": None if self.prices is None else str(self.prices),
        }
        return SyntheticImputer(
            text=self.text,
            label=self.label,
            id=self.id,
            target=self.target,
            sampling_strategy=_strategy(self.sampling_strategy),
            generator=self.generator,
            generator_options={key: value for key, value in options.items() if value is not None},
            prompt=self.prompt,
            category_descriptions=_pairs(self.category_description or [], "--category-description"),
            language=self.language,
            n_examples=self.n_examples,
            replacement=self.replacement,
            seed=self.seed,
            max_attempts=self.max_attempts,
            missing_label=_label(self.missing_label),
            journal=self.journal or journal,
            budget_usd=self.budget_usd,
            max_calls=self.max_calls,
            max_tokens_total=self.max_tokens_total,
        )

    def fitted(self, data: str, journal: Path | None = None) -> tuple[SyntheticImputer, dict[str, Any], str]:
        """Read DATA and fit; returns the imputer, the splits and the split that is imputed."""
        import datasets

        from .inputs import read_data

        datasets.disable_progress_bars()
        splits, split = read_data(data, self.split, self.config)
        imputer = self.imputer(journal).fit(splits, split=split)
        return imputer, splits, split


def _strategy(text: str | None) -> Any:
    """Read --sampling-strategy: a word, a number, or CLASS=ROWS,…"""
    if text is None:
        return None
    if text.strip().lstrip("-").isdigit():
        return int(text)
    if "=" not in text:
        return text
    pairs = _pairs(text.split(","), "--sampling-strategy")
    try:
        return {name: int(rows) for name, rows in pairs.items()}
    except ValueError as error:
        raise PlanError(f"--sampling-strategy expects CLASS=ROWS,… with whole numbers, got {text!r}.") from error


def _pairs(items: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for item in items:
        name, mark, value = item.partition("=")
        if not mark or not name or not value:
            raise PlanError(f"{option} expects CLASS=…, got {item!r}.")
        pairs[name.strip()] = value.strip()
    return pairs


def _label(text: str) -> str | int | None:
    if text.lower() == "none":
        return None
    return int(text) if text.lstrip("-").isdigit() else text


def _with_job(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes ``job`` one command-line option for each field of Job."""
    hints = get_type_hints(Job, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=None if field.default is MISSING else field.default,
        )
        for field in fields(Job)
    ]
    own_hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=own_hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "job"
    ]

    def run(**values: Any) -> None:
        """Gather the shared options into one Job."""
        job = Job(**{field.name: values.pop(field.name) for field in fields(Job)})
        command(job=job, **values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


def _say(*things: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False, markup=False)
    for thing in things:
        console.print(thing)


@app.command()
@_with_job
def plan(data: DataArgument, job: Job) -> None:
    """Show who is short, what it takes, and one rendered prompt. Nothing is called."""
    imputer, _, _ = job.fitted(data)
    if job.as_json:
        typer.echo(json.dumps(imputer.plan.to_dict(), ensure_ascii=False, indent=2))
    else:
        _say(imputer.plan)


@app.command()
@_with_job
def preview(
    data: DataArgument, job: Job, n: Annotated[int, typer.Option("--n", min=1, help="How many texts.")] = 8
) -> None:
    """Write a few texts and show them beside their originals, before the rest is paid."""
    from .tables import preview_table

    imputer, _, _ = job.fitted(data)
    shown = imputer.preview(n)
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
                    }
                    for prompt, text, reason in shown
                ],
                ensure_ascii=False,
                indent=2,
            )
        )
        return
    if not shown:
        _say("Nothing to do: every class has reached its target.")
        return
    _say(
        preview_table(shown),
        f"Generator: {imputer.plan.generator} ({imputer.plan.generator_reason}). These answers "
        f"are kept in {imputer.journal_path}; 'synimpute impute' takes them over and does not pay for them again.",
    )


@app.command()
@_with_job
def impute(
    data: DataArgument, job: Job, output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the result.")]
) -> None:
    """Write the missing texts and a dataset with them. Run again after an interruption, and it goes on."""
    from .outputs import JOURNAL, check_folder, write_result

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
    facts = write_result(output, splits, split, imputer, outcome, Path(data).name if Path(data).exists() else data)
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
    from .batch_client import under_way
    from .outputs import JOURNAL

    found = under_way(journal / JOURNAL if journal.is_dir() else journal, cancel, api_key_env)
    for batch, status in found:
        _say(f"{batch.batch_id or batch.filename}  {len(batch.keys):,} requests  {status}  {batch.base_url}")
    if not found:
        _say("No batch is under way.")
    elif cancel:
        _say("Run the same 'synimpute impute' command again to fetch what was answered and go on with the rest.")


def _announce(imputer: SyntheticImputer) -> None:
    """Show the plan without its example prompt."""
    from dataclasses import replace

    _say(replace(imputer.plan, example=None))


def _report(imputer: SyntheticImputer, outcome: Outcome, output: Path) -> None:
    from .imputer import shortfall
    from .tables import outcome_table, paid_line

    if outcome.classes:
        _say(
            outcome_table(outcome),
            f"{outcome.asked:,} texts were asked for now; {outcome.from_journal:,} answers were "
            "in the journal already.",
            f"Over all runs: {paid_line(outcome)}",
            *(f"Note: {note}" for note in outcome.notes),
        )
    if outcome.interrupted:
        _say("Interrupted. Every answer so far is in the journal: run the same command again to go on.")
    elif outcome.stopped:
        _say(
            shortfall(outcome),
            f"Stopped: {outcome.stopped}. The result is partial. Run the same command again to go on (after a budget, "
            "with a higher one); nothing is asked twice.",
        )
    elif outcome.failed:
        _say(shortfall(outcome), "Run the same command again: it asks only for what failed.")
    elif outcome.missing:
        _say(
            shortfall(outcome),
            "Go on with a higher --max-attempts, another --prompt or a better --generator; nothing is asked twice.",
        )
    _say(f"Dataset: {output}   (load_dataset({str(output)!r}))", f"Journal: {imputer.journal_path}")


def _show_warning(message: Warning | str, category: type[Warning], *rest: Any) -> None:
    if issubclass(category, SynimputeWarning):
        typer.echo(f"Note: {message}", err=True)


def main() -> None:
    """Run the command line; the package's own errors become a message and exit status 2."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    warnings.simplefilter("always", SynimputeWarning)
    log = logging.getLogger(__package__)  # what a batch at a server is doing
    log.addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)
    warnings.simplefilter("ignore", FewOriginalsWarning)  # the plan's table says it
    try:
        app()
    except SynimputeError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(WRONG)
    except KeyboardInterrupt:
        typer.echo("Interrupted. Every answer so far is in the journal: run the same command again to go on.", err=True)
        sys.exit(INTERRUPTED)
