"""What an experiment is: a list of cross-validations and of texts to write, and what follows from them.

An experiment trains and generates nothing by itself: every fit goes through ``CrossValidation``, every text through
``SyntheticImputer`` and its journal. Interrupted, it goes on where it stopped.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator

from ..classifiers import Classifier, make_classifier
from ..corpus import read_corpus
from ..crossval import CrossValidation
from ..errors import PlanError, nearest
from ..facts import words
from ..figures import Drawing
from ..imputer import SyntheticImputer
from ..registry import Settings, read_settings
from ..sheets import Sheet
from ..stats import corrected_interval, correlated_bayes, equivalence, holm, same_rows, verdict

__all__ = [
    "METRICS",
    "Bench",
    "Decimals",
    "Experiment",
    "Numbers",
    "Run",
    "Settings",
    "Trial",
    "Words",
    "Writing",
    "Written",
    "compare",
    "compare_all",
    "mean_score",
    "rejected_sheet",
]


METRICS = {"f1": "F1", "average_precision": "average precision"}
"""Scores that experiments report, and their names."""


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in re.split(r"[,;]", value) if part.strip()) if isinstance(value, str) else value


def _lines(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value


Numbers = Annotated[tuple[int, ...], BeforeValidator(_split)]
"""An option that lists whole numbers: ``25,50,75``."""
Decimals = Annotated[tuple[float, ...], BeforeValidator(_split)]
"""An option that lists numbers: ``0.3,0.7,1``."""
Words = Annotated[tuple[str, ...], BeforeValidator(_lines)]
"""An option that lists specs, which may hold commas, with semicolons between: ``local;openai:gpt-4o``."""


@dataclass(frozen=True)
class Trial:
    """One cross-validation of an experiment.

    Attributes:
        name: of its folder, of letters, digits, ``-`` and ``_``.
        arms: see ``parse_arm``.
        keep: originals of the category that stay; None keeps all.
        keep_seed: which of them stay, where there are several samples.
        target: rows that the category should reach; None takes the bench's.
        impute: settings of ``SyntheticImputer`` that differ in this trial.
        settings: further settings of ``CrossValidation``.
        predictions: whether its folder gets ``predictions.parquet``, see ``predictions.write_predictions``.
    """

    name: str
    arms: tuple[str, ...]
    keep: int | None = None
    keep_seed: int | None = None
    target: int | None = None
    impute: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    predictions: bool = False


@dataclass(frozen=True)
class Writing:
    """Texts to write for the category, which nothing is trained on.

    Attributes:
        name: what they are called.
        number: how many.
        impute: settings of ``SyntheticImputer`` that differ.
    """

    name: str
    number: int
    impute: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A finished cross-validation.

    Attributes:
        trial: what was asked for.
        folder: where it is.
        facts: the content of its ``crossval.json``.
        category: the rare class.
    """

    trial: Trial
    folder: Path
    facts: Mapping[str, Any]
    category: str

    def scores(self, arm: str, metric: str = "f1", protocol: str = "seed_aware") -> dict[tuple[int, int], float]:
        """Return the category's score of each fold, by repeat and fold; those without a score are left out."""
        place = [entry["name"] for entry in self.facts["classes"]].index(self.category)
        cell = [fit for fit in self.facts["fits"] if (fit["protocol"], fit["arm"]) == (protocol, arm)]
        values = {(fit["repeat"], fit["fold"]): fit["scores"][metric][place] for fit in cell}
        return {key: float(value) for key, value in values.items() if value is not None and np.isfinite(value)}

    def keys(self, arm: str, protocol: str = "seed_aware") -> set[str]:
        """Return the keys of an arm's fits: equal ones train on the same rows and test the same."""
        return {fit["key"] for fit in self.facts["fits"] if (fit["protocol"], fit["arm"]) == (protocol, arm)}

    def summary(self, arm: str, metric: str = "f1", protocol: str = "seed_aware") -> dict[str, Any]:
        """Return the category's mean score and its interval."""
        wanted = (protocol, arm, metric, self.category)
        for entry in self.facts["summary"]:
            if (entry["protocol"], entry["arm"], entry["metric"], entry["class"]) == wanted:
                return {name: entry[name] for name in ("estimate", "low", "high")}
        raise KeyError(wanted)

    def made(self, arm: str, protocol: str = "seed_aware") -> float:
        """Return how many made rows trained a fold, on average."""
        cell = [fit for fit in self.facts["fits"] if (fit["protocol"], fit["arm"]) == (protocol, arm)]
        return float(np.mean([fit["train"]["made"] for fit in cell]))

    @property
    def test_share(self) -> float:
        """Tested originals for each one that trains."""
        return float(self.facts["test_share"]["seed_aware"])


@dataclass(frozen=True)
class Written:
    """Texts that were written.

    Attributes:
        writing: what was asked for.
        rows: a Dataset, the originals and the synthetic rows with their provenance.
        account: needed, generated, kept, rejected by reason.
        texts: the synthetic texts.
    """

    writing: Writing
    rows: Any
    account: Mapping[str, Any]
    texts: tuple[str, ...]


@dataclass
class Bench:
    """What an experiment works with.

    Attributes:
        dataset: originals.
        source: name of the data.
        output: folder of the result.
        imputer: how texts are written, not fitted.
        settings: of ``CrossValidation``: folds, repeats, seed, margin, jobs and so on.
        category: the rare class.
        counts: usable originals by class.
        target: rows that the category should reach with synthetic texts.
        tell: called with a line on what is done now.
    """

    dataset: Any
    source: str
    output: Path
    imputer: SyntheticImputer
    settings: dict[str, Any]
    category: str
    counts: dict[str, int]
    target: int
    tell: Callable[[str], None] = lambda line: None
    _classifier: Classifier | None = None

    @classmethod
    def make(
        cls,
        dataset: Any,
        imputer: SyntheticImputer,
        output: Path,
        *,
        category: str | None = None,
        source: str = "",
        tell: Callable[[str], None] = lambda line: None,
        **settings: Any,
    ) -> Bench:
        """Read the data, and choose the category and its target.

        Args:
            dataset: originals.
            imputer: not fitted; its target, or sampling_strategy of the category, is the experiments' target; without
                either it is the number of originals of the category, as in the paper.
            output: folder of the result.
            category: the rare class; None takes the smallest.
            source: name of the data.
            tell: see ``Bench``.
            **settings: of ``CrossValidation``.

        Raises:
            PlanError: there is no such class.
        """
        columns = {name: settings.get(name) for name in ("text", "label", "id")}
        corpus = read_corpus(dataset, **columns, missing_label=settings.get("missing_label", -1))
        if len(corpus.originals) < len(corpus):
            raise PlanError(
                "An experiment starts from originals, and this dataset has synthetic rows: give its source."
            )
        counts = dict(zip(corpus.names, corpus.counts("original").tolist(), strict=True))
        chosen = category or min(counts, key=lambda name: counts[name])
        if chosen not in counts:
            raise PlanError(
                f"There is no class {chosen!r}. The classes are: {', '.join(map(repr, counts))}."
                f"{nearest(chosen, list(counts))}"
            )
        target = _target(imputer, chosen) or counts[chosen]
        return cls(dataset, source, output, imputer, settings, chosen, counts, target, tell)

    @property
    def originals(self) -> int:
        """How many originals of the category there are."""
        return self.counts[self.category]

    def possible(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """Return those numbers of originals that are fewer than there are.

        Raises:
            PlanError: none is.
        """
        fitting = tuple(sorted({number for number in numbers if number < self.originals}))
        if not fitting:
            raise PlanError(
                f"Class {self.category!r} has {self.originals} originals: expected some number below that to keep, "
                f"got {', '.join(map(str, numbers))}. Say --set originals=…, or another --category."
            )
        return fitting

    def writer(self, changes: Mapping[str, Any], rows: int) -> SyntheticImputer:
        """Return an imputer for the category, with some settings changed."""
        options = {**(self.imputer.generator_options or {}), **changes.get("generator_options", {})}
        params = {**self.imputer.get_params(), **changes, "generator_options": options}
        return SyntheticImputer(**{**params, "target": None, "sampling_strategy": {self.category: rows}})

    def validation(self, trial: Trial) -> CrossValidation:
        """Return the cross-validation of a trial."""
        if self._classifier is None:  # one for all trials: each text is embedded once
            spec = self.settings["classifier"]
            self._classifier = make_classifier(spec, self.output) if isinstance(spec, str) else spec
        settings = {"inflation": False, "full_test": True, **self.settings, **trial.settings}
        kept = {} if trial.keep is None else {self.category: trial.keep}
        settings["keep"] = {**(settings.get("keep") or {}), **kept}
        return CrossValidation(
            arms=trial.arms, keep_seed=trial.keep_seed, **{**settings, "classifier": self._classifier}
        )

    def run(self, trial: Trial) -> Run:
        """Make what is missing of a trial, and return it."""
        folder = self.output / "runs" / trial.name
        self.tell(f"{trial.name}: {', '.join(trial.arms)}")
        facts = self.validation(trial).run(
            self.dataset,
            self.writer(trial.impute, trial.target or self.target),
            folder,
            source=self.source,
            predictions=trial.predictions,
        )
        return Run(trial, folder, facts, self.category)

    def write(self, writing: Writing) -> Written:
        """Write texts for the category."""
        self.tell(f"{writing.name}: {writing.number} texts")
        imputer = self.writer(writing.impute, self.originals + writing.number).fit(self.dataset)
        outcome = imputer.generate()
        entry = next(e for e in outcome.classes if e.name == self.category)
        account = {
            "generator": imputer.plan.generator,
            "needed": entry.needed,
            "generated": entry.generated,
            "kept": entry.kept,
            "rejected": dict(entry.rejected),
            "cost_usd": outcome.cost_usd,
        }
        rows = self.dataset.map(imputer, batched=True, load_from_cache_file=False)
        return Written(writing, rows, account, tuple(row.text for row in outcome.rows))

    def estimate(self, job: Trial | Writing) -> dict[str, Any]:
        """Return what a trial or a writing takes; nothing is called."""
        if isinstance(job, Writing):
            plan = self.writer(job.impute, self.originals + job.number).fit(self.dataset).plan
            return {"name": job.name, "texts": plan.to_write, **asdict(plan.estimate)}
        amounts = self.validation(job).plan(self.dataset, self.writer(job.impute, job.target or self.target))
        writes = any(arm.startswith("imputed") for arm in job.arms)
        texts = int(amounts.enough.sum() + amounts.nested.sum()) if writes else 0
        estimate = asdict(amounts.estimate) if writes else {"calls": 0, "cost_usd": 0.0, "seconds": 0.0}
        return {"name": job.name, "texts": texts, **estimate}


def _target(imputer: SyntheticImputer, category: str) -> int | None:
    """Return the target that the user gave for the category, or None."""
    given: Any = imputer.target if imputer.target is not None else imputer.sampling_strategy
    if isinstance(given, Mapping):
        given = next((rows for name, rows in given.items() if str(name) == category), None)
    if given is not None and not isinstance(given, int):
        raise PlanError(
            f"An experiment fills up one class, {category!r}: give --target ROWS or --sampling-strategy "
            f"{category}=ROWS, not {given!r}."
        )
    return given


class Experiment(ABC):
    """A question, the runs that answer it, and the answer. Its options are the fields of ``settings_class``.

    Class attributes:
        key: the plugin's file name.
        question: in one sentence.
        settings_class: dataclass of its options; the defaults finish on a laptop.
        full: options of the full setting, for a GPU box or a cluster.
    """

    key: ClassVar[str]
    question: ClassVar[str]
    settings_class: ClassVar[type[Settings]] = Settings
    full: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def from_options(cls, argument: str, options: Mapping[str, Any], full: bool = False) -> Experiment:
        """Make an experiment from its options.

        Raises:
            PlanError: an option is unknown or of a wrong type.
        """
        if argument:
            raise PlanError(f"The experiment {cls.key!r} takes options only (--set KEY=VALUE), got {argument!r}.")
        given = {**(cls.full if full else {}), **options}
        return cls(read_settings(f"experiment {cls.key!r}", cls.settings_class, given, PlanError))

    def prepare(self, bench: Bench) -> Bench:
        """Return the bench that the experiment works with, such as one with fewer classes."""
        return replace(bench)

    @abstractmethod
    def jobs(self, bench: Bench) -> list[Trial | Writing]:
        """Return what is to be run or written, so that it can be estimated before it is paid."""

    @abstractmethod
    def analyse(self, bench: Bench, done: Sequence[Run | Written]) -> dict[str, Any]:
        """Return the numbers of the answer, JSON-able.

        Args:
            bench: see ``prepare``.
            done: what ``jobs`` asked for, in that order.
        """

    @classmethod
    @abstractmethod
    def answer(cls, result: Mapping[str, Any]) -> list[str]:
        """Return a paragraph in plain words, a list of sentences."""

    @classmethod
    def warnings(cls, result: Mapping[str, Any]) -> list[str]:
        """Return what keeps the answer from being final."""
        return list(result.get("warnings", ()))

    @classmethod
    @abstractmethod
    def sheets(cls, result: Mapping[str, Any]) -> list[Sheet]:
        """Return the tables."""

    @classmethod
    @abstractmethod
    def drawings(cls, result: Mapping[str, Any]) -> list[Drawing]:
        """Return the figures; called under ``figures.style()``."""


def rejected_sheet(what: str, accounts: Iterable[tuple[str, Mapping[str, Any]]]) -> Sheet:
    """Return the table of the answers that were rejected, by reason; without rows where none was.

    Args:
        what: the names are of, such as ``prompt``.
        accounts: a name with ``generated`` and ``rejected`` by reason.
    """
    rows = [
        (words(name), reason, f"{count:,}", f"{100 * count / max(1, account['generated']):.1f} %")
        for name, account in accounts
        for reason, count in sorted(account["rejected"].items(), key=lambda item: -item[1])
    ]
    columns = (what, "reason", "texts", "of all answers")
    return Sheet(
        "rejected", "Rejected", "Answers that were rejected, by reason.", columns, "llrr", tuple(rows), heads=2
    )


def mean_score(runs: Sequence[Run], arm: str, metric: str = "f1") -> dict[str, Any]:
    """Return the mean of an arm's scores over all folds of some runs on the same folds, with its interval.

    Args:
        runs: of one number of originals, with other samples of them.
        arm: its name.
        metric: ``f1`` or ``average_precision``.
    """
    values = [value for run in runs for value in run.scores(arm, metric).values()]
    interval = corrected_interval(values, float(np.mean([run.test_share for run in runs])))
    return {"estimate": interval.estimate, "low": max(interval.low, 0.0), "high": min(interval.high, 1.0)}


Contrast = tuple[Sequence[tuple[Run, Run]], str, str]
"""Runs on the same folds, of which the first holds the first arm and the second the second; the two arms."""


def compare(
    pairs: Sequence[tuple[Run, Run]], arm: str, against: str, margin: float, metric: str = "f1"
) -> dict[str, Any]:
    """Compare two arms, fold by fold; see ``compare_all``. The p-value is of this comparison alone.

    Args:
        pairs: runs on the same folds, of which the first holds ``arm`` and the second ``against``.
        arm: its name.
        against: the arm to compare with.
        margin: the largest difference that does not matter, in units of the score.
        metric: ``f1`` or ``average_precision``.
    """
    return compare_all([(pairs, arm, against)], margin, metric)[0]


def compare_all(contrasts: Sequence[Contrast], margin: float, metric: str = "f1") -> list[dict[str, Any]]:
    """Compare arms, fold by fold: corrected resampled t-test, two one-sided tests, Bayesian correlated t-test.

    Args:
        contrasts: what is compared; p-values are adjusted for their number (Holm), and verdicts follow these.
        margin: the largest difference that does not matter, in units of the score.
        metric: ``f1`` or ``average_precision``.

    Returns:
        For each ``difference`` with ``low`` and ``high``, ``p``, ``p_holm``, ``p_equivalence``, ``prob_worse``,
        ``prob_equivalent``, ``prob_better``, ``verdict``, ``sentence``.
    """
    measured = []
    for pairs, arm, against in contrasts:
        values: list[float] = []
        same = 0
        for one, other in pairs:
            a, b = one.scores(arm, metric), other.scores(against, metric)
            same += len(one.keys(arm) & other.keys(against))
            values += [a[place] - b[place] for place in sorted(a.keys() & b.keys())]
        share = float(np.mean([run.test_share for pair in pairs for run in pair]))
        measured.append((values, share, corrected_interval(values, share), same_rows(same, len(values))))
    found = []
    adjusted = holm([interval.p for _, _, interval, _ in measured])
    for (_, arm, against), (values, share, interval, alike), p in zip(contrasts, measured, adjusted, strict=True):
        equal, posterior = equivalence(values, share, margin), correlated_bayes(values, share / (1 + share), margin)
        said = alike or verdict(interval, equal, float(p), share)
        found.append(
            {
                "arm": arm,
                "against": against,
                "metric": metric,
                "difference": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "p": interval.p,
                "p_holm": float(p),
                "p_equivalence": equal.p,
                **{f"prob_{name}": value for name, value in asdict(posterior).items()},
                "verdict": said.word,
                "sentence": said.sentence,
            }
        )
    return found
