"""What the commands share: the app, the options of a run, exit statuses."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ..errors import PlanError

if TYPE_CHECKING:
    from ..imputer import SyntheticImputer

__all__ = [
    "BUDGET",
    "INTERRUPTED",
    "SHORT",
    "WRONG",
    "DataArgument",
    "Job",
    "OutputOption",
    "Setup",
    "app",
    "data_name",
    "hide_bars",
    "label_value",
    "option",
    "pairs",
    "say",
    "with_options",
]

SHORT = 1
WRONG = 2
BUDGET = 3
INTERRUPTED = 130

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


def option(help_text: str, *names: str) -> Any:
    """Return an option with its help, whose default stands in the signature."""
    return typer.Option(*names, help=help_text, show_default=False)


OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder of finished fits, facts and report.")]


@dataclass(frozen=True)
class Job:
    """The options that all commands share. Each field is one option."""

    split: Annotated[str | None, option("Split to impute; by default train, or the only one.")] = None
    config: Annotated[str | None, option("Configuration of a Hub dataset that has several.")] = None
    text: Annotated[str | None, option("Text column; guessed when obvious.")] = None
    label: Annotated[str | None, option("Label column; guessed when obvious.")] = None
    id: Annotated[str | None, option("Column with unique row ids; by default made from the content.", "--id")] = None
    target: Annotated[int | None, option("Rows that every class should reach (default 200).")] = None
    sampling_strategy: Annotated[
        str | None,
        option("Instead of --target: auto, minority, 'not majority', 'not minority', all, a number, or CLASS=ROWS,..."),
    ] = None
    prompt: Annotated[
        str | None, option("general (default), sentences, messages, speeches, nachrichten, or a YAML file of your own.")
    ] = None
    category_description: Annotated[
        list[str] | None, option("Codebook definition of a class, CLASS=TEXT; may be repeated.")
    ] = None
    language: Annotated[str | None, option("Language to write in; by default that of the originals.")] = None
    generator: Annotated[
        str | None,
        option(
            "openai:MODEL (openai:gpt-4o is the default when OPENAI_API_KEY is set), local (the default otherwise), "
            "transformers:MODEL, replay:JOURNAL, echo; options follow as ,key=value."
        ),
    ] = None
    base_url: Annotated[
        list[str] | None, option("Address of the model's server, mostly ending in /v1; repeated, they share the work.")
    ] = None
    temperature: Annotated[float | None, option("Sampling temperature (default 0.7, the paper's).")] = None
    concurrency: Annotated[int | None, option("Calls in flight to one server, at most (default 32).")] = None
    requests_per_minute: Annotated[float | None, option("Ceiling for one server.")] = None
    tokens_per_minute: Annotated[float | None, option("Ceiling for one server.")] = None
    batch: Annotated[bool, option("Use the server's Batch API: half the price, within a day.", "--batch")] = False
    prices: Annotated[Path | None, option("Price file of your own (form: synimpute_hf/prices.yaml).")] = None
    budget_usd: Annotated[float | None, option("Stop before it costs more than this, over all restarts.")] = None
    max_calls: Annotated[int | None, option("Stop before more requests than this, failed ones included.")] = None
    max_tokens_total: Annotated[int | None, option("Stop before more tokens than this, sent and written.")] = None
    n_examples: Annotated[int, option("Originals shown in one prompt (default 5).")] = 5
    replacement: Annotated[str, option("How originals are drawn: across (default), within, fixed.")] = "across"
    seed: Annotated[int, option("Seed of all draws (default 0).")] = 0
    max_attempts: Annotated[int, option("How often one missing text may be drawn (default 5).")] = 5
    validator: Annotated[
        list[str] | None,
        option(
            "What judges every text: length, refusal, overlap, language, duplicate (the default), similarity, label; "
            "options follow as :key=value; may be repeated; none: exact copies and refusals only."
        ),
    ] = None
    min_acceptance: Annotated[
        float, option("Share of its first 30 answers or more under which a class is given up (default 0.1).")
    ] = 0.1
    contrast: Annotated[
        bool,
        option(
            "Write texts for the other classes, too, so that machine style does not tell the category.", "--contrast"
        ),
    ] = False
    missing_label: Annotated[str, option("Label that means 'not labelled' (default -1); none: every one counts.")] = (
        "-1"
    )
    journal: Annotated[Path | None, option("Where every answer is kept.")] = None
    as_json: Annotated[bool, option("Print JSON instead of tables.", "--json")] = False

    def imputer(self, journal: Path | None = None) -> SyntheticImputer:
        """Make the imputer that these options describe."""
        from ..imputer import SyntheticImputer

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
            category_descriptions=pairs(self.category_description or [], "--category-description"),
            language=self.language,
            n_examples=self.n_examples,
            replacement=self.replacement,
            seed=self.seed,
            max_attempts=self.max_attempts,
            validators=[] if self.validator == ["none"] else self.validator or None,
            min_acceptance=self.min_acceptance,
            contrast=self.contrast,
            missing_label=label_value(self.missing_label),
            journal=self.journal or journal,
            budget_usd=self.budget_usd,
            max_calls=self.max_calls,
            max_tokens_total=self.max_tokens_total,
        )

    def fitted(self, data: str, journal: Path | None = None) -> tuple[SyntheticImputer, dict[str, Any], str]:
        """Read DATA and fit; returns the imputer, the splits and the split that is imputed."""
        from ..inputs import read_data

        hide_bars()
        splits, split = read_data(data, self.split, self.config)
        imputer = self.imputer(journal).fit(splits, split=split)
        return imputer, splits, split


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
    full_test: Annotated[
        bool,
        option(
            "Let folds test the thinned-out originals, too, so that scores with other numbers of originals compare.",
            "--full-test",
        ),
    ] = False
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
            "full_test": self.full_test,
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


def _strategy(text: str | None) -> Any:
    """Read --sampling-strategy: a word, a number, or CLASS=ROWS,…"""
    if text is None:
        return None
    if text.strip().lstrip("-").isdigit():
        return int(text)
    if "=" not in text:
        return text
    goals = pairs(text.split(","), "--sampling-strategy")
    try:
        return {name: int(rows) for name, rows in goals.items()}
    except ValueError as error:
        raise PlanError(f"--sampling-strategy expects CLASS=ROWS,… with whole numbers, got {text!r}.") from error


def pairs(items: list[str], option: str) -> dict[str, str]:
    """Read repeated CLASS=VALUE options."""
    found = {}
    for item in items:
        name, mark, value = item.partition("=")
        if not mark or not name or not value:
            raise PlanError(f"{option} expects CLASS=…, got {item!r}.")
        found[name.strip()] = value.strip()
    return found


def _whole(text: str) -> int:
    if not text.isdigit():
        raise PlanError(f"--keep expects CLASS=ROWS with a whole number, got {text!r}.")
    return int(text)


def label_value(text: str) -> str | int | None:
    """Read --missing-label: a number, a word, or none."""
    if text.lower() == "none":
        return None
    return int(text) if text.lstrip("-").isdigit() else text


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one command-line option for each field of the dataclasses that it takes, such as ``job: Job``.

    A command's own options come first, then those of its dataclasses, the last one first.
    """
    own_hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters
    groups = {name: own_hints[name] for name in reversed(parameters) if is_dataclass(own_hints[name])}
    own = [
        parameter.replace(annotation=own_hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in parameters.items()
        if name not in groups
    ]
    shared = [parameter for group in groups.values() for parameter in _options_of(group)]

    def run(**values: Any) -> None:
        """Gather the shared options into their dataclasses."""
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


def _options_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=None if field.default is MISSING else field.default,
        )
        for field in fields(group)
    ]


def hide_bars() -> None:
    """Hide the libraries' own progress bars."""
    import datasets
    from huggingface_hub import utils

    datasets.disable_progress_bars()
    utils.disable_progress_bars()  # type: ignore[attr-defined]


def data_name(data: str) -> str:
    """Return what a report calls DATA: a file's or folder's name, or the Hub id."""
    return Path(data).name if Path(data).exists() else data


def say(*things: Any) -> None:
    """Print texts and tables."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False, markup=False)
    for thing in things:
        console.print(thing)
