"""``SyntheticImputer``: the object that ``map`` calls."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from .budget import Budget
from .columns import Collector, Columns, Originals, read_originals
from .drawing import DrawSettings, draw, plan_digest
from .errors import (
    ColumnError,
    DataError,
    FewOriginalsWarning,
    GenerationError,
    GeneratorError,
    HubError,
    NotFittedError,
    PlanError,
    ShortfallWarning,
    first_line,
    nearest,
)
from .generation import Generation, Observer, make_panel, render_first
from .generators import Generator, choose, make_generator
from .journal import Journal
from .mapping import PROVENANCE, Anchors, impute_batch, impute_row, is_dataset, is_row
from .planning import FEW, SamplingStrategy, enough_rows, plan_classes
from .prices import home
from .prompts import PromptTemplate, Renderer, estimate_tokens, load_prompt
from .records import ClassPlan, Estimate, Label, Outcome, Plan, Prompt
from .registry import parse_spec
from .seeding import digest
from .validators import Panel, choose_validators

__all__ = ["SyntheticImputer", "default_journal"]

STATE_VERSION = 1
SHARED = (
    *("text", "label", "id", "target", "sampling_strategy", "language", "n_examples", "replacement", "seed"),
    *("max_attempts", "missing_label", "min_acceptance", "contrast"),
)
"""Arguments that say what is made, not where or at what price."""
SAMPLE_PROMPTS = 40


def default_journal() -> Path:
    """Return the journal used when none is named: one for the user, in ``$SYNIMPUTE_HOME`` or the data folder."""
    return home() / "journal.sqlite"


class SyntheticImputer:
    """Fills up underrepresented classes with texts that a language model writes from five originals each.

    Fitted, it is a function for ``map``, and a value that can be pickled: settings, originals and a journal path.

    Args:
        text: the text column; None guesses an obvious one.
        label: the label column; None guesses an obvious one.
        id: a column with unique row ids; None makes ids from the content.
        target: rows that every class should reach; 200, the paper's, when neither this nor the next is given.
        sampling_strategy: instead of ``target``, as in imbalanced-learn: ``"auto"``, ``"minority"``,
            ``"not majority"``, ``"not minority"``, ``"all"``, an integer, a dict of rows by class, or a function.
        generator: such as ``"local"``, ``"transformers:Qwen/Qwen3-1.7B"``, ``"replay:out/journal.sqlite"``.
        generator_options: further options of the generator, such as ``{"temperature": 1.0}``.
        prompt: name of a prompt that ships, path of a YAML file, or the fields of one; None is ``"general"``.
        category_descriptions: codebook definitions, by class name or label.
        language: language to write in; None is that of the originals.
        n_examples: originals shown in one prompt.
        replacement: ``"across"``, ``"within"`` or ``"fixed"``, see ``DrawSettings``.
        seed: seed of all draws.
        max_attempts: how often one missing text may be drawn.
        validators: what judges every text, such as ``["length", "overlap", "similarity:highest=0.9"]``; None takes the
            default ones, an empty list none but the built-in checks (refusals, cut-off answers, exact copies).
        min_acceptance: share of its answers, in [0, 1), under which a class is given up after its first 30 answers.
        contrast: whether the other classes get synthetic texts, too, in the same share: else a classifier may learn
            "written by a machine" for the category.
        missing_label: label value that means "not labelled"; None when every value is a class.
        journal: path of the journal; None is ``default_journal()``. Answers to the same prompts that stand in the
            default journal are taken over from there.
        progress: whether to show a progress bar; None shows it on a terminal.
        budget_usd: dollars that generation may cost, over all restarts; it stops before that is passed.
        max_calls: likewise, requests, those that failed included.
        max_tokens_total: likewise, tokens sent and written.

    Attributes:
        outcome: the account of the last run, or None before the first.
        source_indices_: after ``fit_resample``: for each synthetic text, the positions of its sources.

    Examples:
        >>> from datasets import Dataset
        >>> rows = {"text": [f"text number {i}" for i in range(30)], "label": ["rare"] * 10 + ["common"] * 20}
        >>> impute = SyntheticImputer(target=20, generator="echo").fit(Dataset.from_dict(rows))
        >>> impute.plan.to_write
        10
    """

    def __init__(
        self,
        *,
        text: str | None = None,
        label: str | None = None,
        id: str | None = None,
        target: int | None = None,
        sampling_strategy: SamplingStrategy | None = None,
        generator: str | None = None,
        generator_options: Mapping[str, Any] | None = None,
        prompt: str | Path | Mapping[str, Any] | None = None,
        category_descriptions: Mapping[Any, str] | None = None,
        language: str | None = None,
        n_examples: int = 5,
        replacement: str = "across",
        seed: int = 0,
        max_attempts: int = 5,
        validators: Sequence[str] | None = None,
        min_acceptance: float = 0.1,
        contrast: bool = False,
        missing_label: Label | None = -1,
        journal: str | Path | None = None,
        progress: bool | None = None,
        budget_usd: float | None = None,
        max_calls: int | None = None,
        max_tokens_total: int | None = None,
    ) -> None:
        self.text = text
        self.label = label
        self.id = id
        self.target = target
        self.sampling_strategy = sampling_strategy
        self.generator = generator
        self.generator_options = generator_options
        self.prompt = prompt
        self.category_descriptions = category_descriptions
        self.language = language
        self.n_examples = n_examples
        self.replacement = replacement
        self.seed = seed
        self.max_attempts = max_attempts
        self.validators = validators
        self.min_acceptance = min_acceptance
        self.contrast = contrast
        self.missing_label = missing_label
        self.journal = journal
        self.progress = progress
        self.budget_usd = budget_usd
        self.max_calls = max_calls
        self.max_tokens_total = max_tokens_total

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], **changes: Any) -> SyntheticImputer:
        """Return an imputer with the settings of a result, not fitted.

        Args:
            facts: the content of a result's ``synimpute.json``.
            **changes: arguments that should be others.

        Raises:
            GeneratorError: the result's model was a folder of another machine, and none is named.
        """
        settings = {**facts["parameters"], **changes}
        if settings["generator"] is None:
            raise GeneratorError(
                f"The result was written by {facts['generator']['name']!r}, a model in a folder of another machine. "
                "Name a generator: generator='local'."
            )
        return cls(**settings)

    @classmethod
    def from_hub(
        cls,
        repo_id: str,
        *,
        config: str = "default",
        revision: str | None = None,
        token: str | None = None,
        replay: bool = False,
        **changes: Any,
    ) -> SyntheticImputer:
        """Return an imputer with the settings of a dataset on the Hub that was imputed with this package, not fitted.

        Args:
            repo_id: ``user/name``.
            config: of its configurations.
            revision: branch, tag or commit.
            token: None takes the one that is set.
            replay: whether its texts come from the journal that was published with it, instead of a model.
            **changes: arguments that should be others, such as ``generator="local"``.

        Raises:
            HubError: there is no such dataset, or it has no facts (or no journal) of ours.

        Examples:
            >>> impute = SyntheticImputer.from_hub("user/name", replay=True).fit(originals)  # doctest: +SKIP
        """
        place = "" if config == "default" else f"{config}/"
        facts = json.loads(_from_hub(repo_id, f"{place}synimpute.json", revision, token).read_text(encoding="utf-8"))
        if replay:
            journal = _from_hub(repo_id, f"{place}journal.sqlite", revision, token)
            changes = {"generator": f"replay:{journal}", "generator_options": None, **changes}
        return cls.from_facts(facts, **changes)

    # -- fitting ------------------------------------------------------------------------------------------------

    def fit(self, dataset: Any, split: str = "train") -> SyntheticImputer:
        """Count classes and read the originals. Nothing is called and nothing is written.

        Args:
            dataset: a Dataset, an IterableDataset, or a DatasetDict of them.
            split: of a DatasetDict, the split to impute. No text of another split becomes a source or an anchor.

        Returns:
            The fitted imputer itself.

        Raises:
            DataError: the data are not what they should be (``ColumnError`` for a column).
            PlanError: the settings cannot be planned (``TooFewOriginalsError`` names a class).
            PromptError: the prompt file is wrong.
            GeneratorError: there is no such generator, or it takes no such option.
        """
        others: dict[str, Any] = {}
        if isinstance(dataset, Mapping):
            if split not in dataset:
                raise DataError(
                    f"There is no split {split!r}. The splits are: {', '.join(map(repr, dataset))}."
                    f"{nearest(split, dataset)}"
                )
            others = {name: part for name, part in dataset.items() if name != split}
            dataset = dataset[split]
        if not is_dataset(dataset):
            raise DataError(
                f"fit expects a datasets.Dataset, IterableDataset or DatasetDict, got "
                f"{type(dataset).__name__}. For lists, use fit_resample(texts, labels)."
            )
        if "is_synthetic" in (dataset.column_names or ()):
            raise ColumnError(
                "The dataset was imputed before: it has a column 'is_synthetic'. Impute the originals: "
                "ds.filter(lambda row: not row['is_synthetic']).remove_columns("
                f"{[name for name in PROVENANCE if name in dataset.column_names]!r})"
            )
        originals = read_originals(
            dataset,
            text=self.text,
            label=self.label,
            id=self.id,
            others=others,
            missing_label=self.missing_label,
            enough=self._enough(),
            shingles=self._shingled(),
        )
        return self._take(originals)

    def _enough(self) -> int | None:
        """Return from how many rows on a class's texts are not kept, or None where all are needed."""
        if self.contrast or any(validator.learns for validator in choose_validators(self.validators)[0]):
            return None
        return enough_rows(self.target, self.sampling_strategy)

    def _shingled(self) -> bool:
        """Say whether a validator reads the shingles of all texts."""
        return any(validator.needs_shingles for validator in choose_validators(self.validators)[0])

    def _take(self, originals: Originals) -> SyntheticImputer:
        """Plan for these originals, and check every setting that can be checked without a model."""
        if self.max_attempts < 1:
            raise PlanError(f"max_attempts={self.max_attempts}: expected 1 or more.")
        if not 0 <= self.min_acceptance < 1:
            raise PlanError(f"min_acceptance={self.min_acceptance}: expected a share, at least 0 and below 1.")
        settings = DrawSettings(self.n_examples, self.replacement, self.seed)
        classes = plan_classes(originals.counts, self.target, self.sampling_strategy, self.n_examples, self.contrast)
        descriptions = self._descriptions(classes)
        few = [entry for entry in classes if entry.to_write and entry.usable < FEW]
        if few:
            named = ", ".join(f"{entry.name!r} ({entry.usable})" for entry in few)
            warnings.warn(
                f"Fewer than {FEW} originals in {named}: expect inflated scores. The paper advises {FEW} or more, and "
                "better 75 or more; code more texts by hand if you can.",
                FewOriginalsWarning,
                stacklevel=3,
            )
        template = load_prompt(self.prompt)
        self._fitted = _Fitted(
            originals, classes, settings, template, descriptions, Path(self.journal or default_journal()).absolute()
        )
        self.outcome: Outcome | None = None
        self._forget()
        self._generator()
        return self

    def _forget(self) -> None:
        for name in ("plan", "_anchors"):
            self.__dict__.pop(name, None)

    def _descriptions(self, classes: Sequence[ClassPlan]) -> dict[str, str]:
        names = {str(key): entry.name for entry in classes for key in (entry.label, entry.name)}
        found = {}
        for key, text in (self.category_descriptions or {}).items():
            if str(key) not in names:
                raise PlanError(
                    f"category_descriptions names the class {key!r}, which is not in the data. The classes "
                    f"are: {', '.join(sorted(entry.name for entry in classes))}.{nearest(str(key), names)}"
                )
            found[names[str(key)]] = text
        return found

    @property
    def _state(self) -> _Fitted:
        fitted: _Fitted | None = self.__dict__.get("_fitted")
        if fitted is None:
            raise NotFittedError(
                "This imputer has not seen any data yet. Call impute.fit(dataset) first: it counts the "
                "classes and makes the plan."
            )
        return fitted

    def _generator(self) -> Generator:
        spec, _ = choose(self.generator)
        return make_generator(spec, **dict(self.generator_options or {}))

    def _renderer(self, generator: Generator) -> Renderer:
        state = self._state
        return Renderer(
            state.template,
            generator.form,
            digest(generator.identity),
            generator.context_tokens,
            state.descriptions,
            self.language,
        )

    @property
    def columns(self) -> Columns:
        """The columns in use, named or guessed."""
        return self._state.originals.columns

    @property
    def journal_path(self) -> Path:
        """Where answers are kept."""
        return self._state.journal

    @cached_property
    def plan(self) -> Plan:
        """Who is short, how many calls, tokens, dollars, minutes, and one rendered prompt. Nothing is called."""
        state = self._state
        _, reason = choose(self.generator)
        generator = self._generator()
        validators, notes = choose_validators(self.validators)
        to_write = sum(entry.to_write for entry in state.classes)
        sample: list[Prompt] = []
        if to_write:
            sample = render_first(
                state.classes, state.originals, state.settings, self._renderer(generator), min(to_write, SAMPLE_PROMPTS)
            )
        return Plan(
            classes=state.classes,
            digest=state.digest,
            settings=self.settings(),
            generator=generator.name,
            generator_reason=reason,
            estimate=self._estimate(generator, to_write, sample),
            guesses=state.originals.guesses,
            notes=(*state.originals.notes, *notes),
            example=sample[0] if sample else None,
            checks=tuple(f"{entry.key}: {entry.costs}" for entry in validators),
        )

    def settings(self) -> dict[str, Any]:
        """Return every setting that shapes the result, JSON-able and without secrets."""
        state = self._state
        columns = state.originals.columns
        return {
            "text": columns.text,
            "label": columns.label,
            "id": columns.id,
            "targets": {entry.name: entry.target for entry in state.classes if not entry.contrast},
            "contrast": self.contrast,
            "prompt": state.template.name,
            "category_descriptions": state.descriptions,
            "language": self.language,
            "n_examples": self.n_examples,
            "replacement": self.replacement,
            "seed": self.seed,
            "max_attempts": self.max_attempts,
            "min_acceptance": self.min_acceptance,
            "validators": [
                {**validator.identity, "options": dict(validator.settings.__dict__)}
                for validator in choose_validators(self.validators)[0]
            ],
            "missing_label": self.missing_label,
        }

    def parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments by which another machine can impute the same way, JSON-able.

        Paths of this machine are left out: a model's folder, the journal, a price file.
        """
        found = {name: value for name, value in self.get_params().items() if name in SHARED}
        strategy, classes = self.sampling_strategy, self._state.classes
        if callable(strategy):
            found["sampling_strategy"] = {entry.name: entry.target for entry in classes if entry.to_write}
        elif isinstance(strategy, Mapping):
            named = [entry for entry in classes if entry.name in strategy or entry.label in strategy]
            found["sampling_strategy"] = {entry.name: entry.target for entry in named}
        spec, _ = choose(self.generator)
        found["generator"] = None if Path(parse_spec(spec)[1]).exists() and parse_spec(spec)[1] else spec
        options = dict(self.generator_options or {})
        found["generator_options"] = {key: value for key, value in options.items() if key != "prices"}
        found["validators"] = None if self.validators is None else list(self.validators)
        return {**found, "prompt": self.prompt_fields(), "category_descriptions": self._state.descriptions}

    def first_sources(self, name: str, count: int) -> list[tuple[str, ...]]:
        """Return the row ids that the first attempts of a class's first texts would show; nothing is called.

        Args:
            name: the class.
            count: how many texts.
        """
        state = self._state
        return [draw(state.originals.pools[name], number, 0, state.settings).source_ids for number in range(count)]

    def texts_of(self, name: str) -> list[str]:
        """Return the originals of a class that may be shown to the model."""
        return [str(text) for text in self._state.originals.pools[name].texts.to_pylist()]

    def generator_identity(self) -> dict[str, Any]:
        """Return the generator's name and every parameter that could change an answer; no secret."""
        return self._generator().identity

    def prompt_fields(self) -> dict[str, Any]:
        """Return the prompt file's fields."""
        return self._state.template.model_dump(mode="json")

    def _estimate(self, generator: Generator, to_write: int, sample: Sequence[Prompt]) -> Estimate:
        if not sample:
            return Estimate(0, 0, 0, 0.0, "", 0.0)
        sent = sum(estimate_tokens(prompt.as_text()) for prompt in sample) / len(sample)
        texts = [text for prompt in sample for text in prompt.draw.texts]
        written = sum(estimate_tokens(text) for text in texts) / len(texts)
        prompt_tokens, answer_tokens = round(sent * to_write), round(written * to_write)
        seconds, source = self._speed(generator)
        price = generator.price
        return Estimate(
            calls=to_write,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
            seconds=None if seconds is None else seconds * to_write,
            seconds_from=source,
            cost_usd=None if price is None else price.of(prompt_tokens, 0, answer_tokens, generator.batch),
            price_from="" if price is None else price.source,
            batch=generator.batch,
        )

    def _speed(self, generator: Generator) -> tuple[float | None, str]:
        """Return seconds a text, from the journals where there is one."""
        for path in (self._state.journal, default_journal()):
            if not path.is_file():
                continue
            with Journal(path, create=False) as journal:
                seconds, count = journal.speed(generator.identity)
            if count:
                return seconds, f"at the speed of {count} earlier answers"
        if generator.texts_per_minute:
            return 60 / generator.texts_per_minute, "at this generator's usual speed on 2 cores"
        return None, ""

    # -- generating ---------------------------------------------------------------------------------------------

    def generate(self, observer: Observer | None = None) -> Outcome:
        """Write what the plan lacks; answers that the journal holds are not asked for again.

        ``map`` calls this by itself. Called again, it returns the same outcome at once, unless requests had failed:
        those are then asked again.

        Args:
            observer: told of progress; None shows a bar where a person watches.

        Raises:
            GeneratorError: the model cannot be loaded or run; ``outcome`` holds what there is so far.
            JournalError: the journal cannot be read or written.
            KeyboardInterrupt: passed on, with ``outcome`` holding what there is so far.
        """
        done = self.outcome
        if done is not None and not (done.failed or done.interrupted or done.stopped):
            return done
        self._forget()
        with self._generation(observer) as generation:
            try:
                self.outcome = generation.run()
            except KeyboardInterrupt:
                self.outcome = generation.outcome(interrupted=True)
                raise
            except GeneratorError as error:
                self.outcome = generation.outcome(stopped=str(error))
                raise
        return self.outcome

    def preview(self, count: int) -> list[tuple[Prompt, str, str]]:
        """Write the first texts of the plan, to be looked at before the rest is paid. ``map`` takes them over.

        Args:
            count: how many texts.

        Returns:
            For each: its prompt, the new text, and why it would be rejected (or an empty string).
        """
        with self._generation(None) as generation:
            return generation.preview(count)

    @contextmanager
    def _generation(self, observer: Observer | None) -> Iterator[Generation]:
        """Open the journals for one run."""
        state = self._state
        generator = self._generator()
        lending = default_journal()
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(state.journal))
            lender = None
            if lending.is_file() and lending.absolute() != state.journal:
                # What preview wrote there, or another run, is not paid again.
                lender = stack.enter_context(Journal(lending, create=False))
            yield Generation(
                state.classes,
                state.originals,
                state.settings,
                self._renderer(generator),
                generator,
                journal,
                self.max_attempts,
                observer or self._bar(),
                lender,
                Budget(self.budget_usd, self.max_calls, self.max_tokens_total),
                self._panel,
                self.min_acceptance,
            )

    def _panel(self) -> Panel | None:
        """Make what judges answers."""
        state = self._state
        chosen = choose_validators(self.validators)[0]
        return make_panel(chosen, state.originals, state.descriptions, self.language)

    def _bar(self) -> Observer | None:
        from .progress import ProgressBar, show_progress

        return ProgressBar() if show_progress(self.progress) else None

    @cached_property
    def _anchors(self) -> Anchors:
        """The accepted rows by anchor; the first use in a process generates or looks up the whole plan."""
        outcome = self.generate()
        if outcome.failed:
            raise GenerationError(
                f"{outcome.failed} requests failed: {_failures(outcome)}. The {len(outcome.rows)} texts that were "
                f"accepted are safe in {self._state.journal}; the same call asks only for the rest."
            )
        if outcome.stopped:
            warnings.warn(
                f"{shortfall(outcome)} Stopped: {outcome.stopped}. Go on with a higher limit.",
                ShortfallWarning,
                stacklevel=2,
            )
        elif outcome.missing:
            warnings.warn(
                f"{shortfall(outcome)} Go on with a higher max_attempts, another prompt or a better "
                "generator; nothing is asked twice.",
                ShortfallWarning,
                stacklevel=2,
            )
        return self.anchors_of(outcome)

    def anchors_of(self, outcome: Outcome) -> Anchors:
        """Return the rows of an outcome (also of a partial one) by anchor."""
        judged = any(validator.learns for validator in choose_validators(self.validators)[0])
        return Anchors.of(self._state.originals, outcome.rows, judged)

    # -- applying -----------------------------------------------------------------------------------------------

    def __call__(self, data: Any) -> Any:
        """Impute a batch or a row for ``map``, or a whole dataset.

        Args:
            data: what ``map`` passes (batched: columns of any format; unbatched: a row), a pandas or Arrow batch
                as Ray Data passes it, or a Dataset, IterableDataset or DatasetDict, which is mapped as a whole.

        Raises:
            NotFittedError: before ``fit``.
            GenerationError: requests failed; call again to ask for those only.
        """
        columns = self.columns
        if is_dataset(data):
            return data.map(self, batched=True)
        return impute_row(data, self._anchors) if is_row(data, columns) else impute_batch(data, self._anchors)

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Fit on texts and labels and return them with the synthetic ones appended.

        For scikit-learn and imbalanced-learn pipelines, where only training folds are resampled.

        Args:
            X: texts, shape ``(n,)`` or ``(n, 1)``: a list, array, Series or one-column DataFrame.
            y: labels, shape ``(n,)``.

        Returns:
            Texts and labels, shape ``(n + n_synthetic,)``, of the same kinds as ``X`` and ``y``.
        """
        texts, labels = _flat(X), _flat(y)
        if len(texts) != len(labels):
            raise DataError(f"fit_resample got {len(texts)} texts and {len(labels)} labels; expected as many of each.")
        collector = Collector(Columns("text", "label"), self.missing_label, self._enough(), self._shingled())
        collector.add(texts, labels)
        self._take(collector.finish())
        anchors = self._anchors  # generates, and tells of a shortfall
        rows = self.outcome.rows if self.outcome else ()
        positions: dict[str, int] = {}
        for position, (text, label) in enumerate(zip(texts, labels, strict=True)):
            positions.setdefault(anchors.look_up(text, label, None)[0], position)
        self.source_indices_ = [[positions[source] for source in row.source_ids] for row in rows]
        return _appended(X, [row.text for row in rows]), _appended(y, [row.label for row in rows])

    # -- being a value ------------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments, as scikit-learn's ``clone`` wants them."""
        return {
            name: getattr(self, name) for name in inspect.signature(type(self).__init__).parameters if name != "self"
        }

    def set_params(self, **params: Any) -> SyntheticImputer:
        """Set constructor arguments; fit again for them to count."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise PlanError(f"SyntheticImputer has no parameter {name!r}.{nearest(name, known)}")
            setattr(self, name, value)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return settings and originals: nothing that a run changes, so that ``map`` finds its cache again."""
        state = self.get_params()
        fitted = self.__dict__.get("_fitted")
        if fitted is not None:
            if callable(self.sampling_strategy):
                state["sampling_strategy"] = {entry.name: entry.target for entry in fitted.classes}
            state["_fitted"] = fitted
        return {"version": STATE_VERSION, **state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickled imputer; its first call looks its rows up in the journal."""
        self.__dict__.update({key: value for key, value in state.items() if key != "version"})
        self.outcome = None

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        shown = [f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name]]
        return f"SyntheticImputer({', '.join(shown)})"


class _Fitted:
    """What ``fit`` found: a value without behaviour, kept apart from the settings."""

    def __init__(
        self,
        originals: Originals,
        classes: tuple[ClassPlan, ...],
        settings: DrawSettings,
        template: PromptTemplate,
        descriptions: dict[str, str],
        journal: Path,
    ) -> None:
        self.originals = originals
        self.classes = classes
        self.settings = settings
        self.template = template
        self.descriptions = descriptions
        self.journal = journal
        self.digest = plan_digest(originals.pools, classes, settings)


def _from_hub(repo_id: str, name: str, revision: str | None, token: str | None) -> Path:
    """Download one file of a dataset on the Hub."""
    import httpx2
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo_id, name, repo_type="dataset", revision=revision, token=token))
    except (OSError, ValueError, LookupError, httpx2.HTTPError) as error:
        raise HubError(
            f"{repo_id} has no {name} that can be read here: {first_line(error)} Expected a dataset that was pushed "
            "with `synimpute push` (with --journal answers, or full, where its texts are to be replayed)."
        ) from error


def shortfall(outcome: Outcome) -> str:
    """Say which classes end short, by how much, and why."""
    parts = []
    for entry in outcome.classes:
        if entry.missing:
            reasons = [f"{count} {reason}" for reason, count in entry.rejected.items()]
            reasons += [f"{count} failed ({error})" for error, count in entry.failed.items()]
            parts.append(
                f"class {entry.name!r} is {entry.missing} short of {entry.needed} texts: "
                f"{'; '.join(reasons) or 'not asked for yet'}"
            )
    return "; ".join(parts).capitalize() + "." if parts else ""


def _failures(outcome: Outcome) -> str:
    errors: dict[str, int] = {}
    for entry in outcome.classes:
        for error, count in entry.failed.items():
            errors[error] = errors.get(error, 0) + count
    return "; ".join(f"{count} times {error}" for error, count in errors.items())


def _flat(values: Any) -> list[Any]:
    """Return shape ``(n,)`` or ``(n, 1)`` of any kind as a list."""
    if hasattr(values, "iloc") and getattr(values, "ndim", 1) == 2:
        values = values.to_numpy()
    if getattr(values, "ndim", 1) == 2:
        if values.shape[1] != 1:
            raise DataError(f"fit_resample expects one text a row, shape (n,) or (n, 1); got {values.shape}.")
        values = values[:, 0]
    plain = values.tolist() if hasattr(values, "tolist") else list(values)
    return [cell[0] if isinstance(cell, (list, tuple)) and len(cell) == 1 else cell for cell in plain]


def _appended(values: Any, new: Sequence[Any]) -> Any:
    """Return ``values`` and ``new`` in one, of the kind of ``values``."""
    if hasattr(values, "iloc"):
        import pandas as pd

        names = list(values.columns) if values.ndim == 2 else None
        extra: Any = pd.DataFrame({names[0]: list(new)}) if names else pd.Series(list(new), name=values.name)
        return pd.concat([values, extra.astype(values.dtypes if names else values.dtype)], ignore_index=True)
    if hasattr(values, "ndim"):
        import numpy as np

        extra = np.array(list(new), dtype=object if values.dtype.kind in "OUS" else values.dtype)
        extra = extra.reshape(-1, 1) if values.ndim == 2 else extra
        kind: Callable[[Any], Any] = (lambda a: a.astype(str)) if values.dtype.kind == "U" else (lambda a: a)
        return kind(np.concatenate([values.astype(object) if extra.dtype == object else values, extra]))
    return [*values, *new]
