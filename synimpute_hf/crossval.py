"""Cross-validation without a leak: arms by folds by repeats, each fit kept, through joblib."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .arms import DEFAULT_ARMS, Arm, choose_rows, parse_arm
from .assembly import Amounts, Assembly, assemble, plan_amounts
from .classifiers import DEFAULT_CLASSIFIER, Classifier, Features, Fit, make_classifier
from .corpus import CEILING, CONTRAST, HOLDOUT, IMPUTED, ORIGINAL
from .errors import PlanError
from .facts import FORMAT, LEAKY, write_facts
from .findings import FitRecord, find
from .fitstore import Finished, FitStore
from .folds import PROTOCOLS, Fold, LeakCheck, check_no_leak, check_protocol
from .imputer import SyntheticImputer
from .metrics import score
from .predictions import write_predictions
from .sample import Sample, take_sample
from .seeding import derive_seed, digest
from .training import Task, decide, run_tasks
from .version import versions

__all__ = ["CrossValidation", "FitObserver", "plain_json"]

FITS = "fits.sqlite"
KEY_VERSION = 1  # raised when the same settings train in another way


class FitObserver(Protocol):
    """Whoever wants to watch, such as a progress bar."""

    def begin(self, fits: int, known: int) -> None:
        """Called once, with the number of different fits, and how many were made before."""

    def finished(self, fits: int) -> None:
        """Called when some more are finished and kept."""

    def end(self) -> None:
        """Called once, however it ends."""


@dataclass(frozen=True)
class _Planned:
    """A fit with where it belongs."""

    protocol: str
    arm: Arm
    fold: Fold
    task: Task
    made: int
    short: dict[int, int]
    check: LeakCheck

    @property
    def tested(self) -> np.ndarray:
        """Positions of the tested rows, originals first, shape ``(m,)``."""
        return self.task.fit.test


class CrossValidation:
    """Compares ways to train, on the same folds and seeds, with no test text behind any training text.

    Args:
        arms: ways to train, see ``arms.parse_arm``; ``original`` is what the others are compared with.
        protocols: how scores are measured: ``seed_aware``, ``nested``, ``holdout``.
        inflation: whether the arm ``imputed`` is measured the paper's way, too (``pooled``, ``real_test``), to show
            what that adds to its score.
        folds: parts of one repeat, 2 or more.
        repeats: how often the originals are split anew, 1 or more.
        seed: of splits, draws of augmenters, and training.
        classifier: such as ``linear``, ``linear:ENCODER`` or ``transformers:roberta-large,preset=paper-short``; or one
            that is made already.
        margin: the largest difference of a score that does not matter, in units of the score.
        groups: a column (document, author, debate) whose rows must stay on one side of every fold.
        holdout: share of the originals to set aside for ``holdout``, or a dataset of further originals.
        keep: how many originals of a class stay, by class; the others make the ``ceiling``.
        keep_seed: seed of the choice of those that stay; None takes ``seed``.
        full_test: whether folds test the originals that ``keep`` thins out, too: then scores with different numbers of
            originals are of the same tested texts, at the prevalence of the whole data, on the same folds.
        text: the text column; None guesses.
        label: the label column; None guesses.
        id: a column with unique row ids.
        missing_label: label value that means "not labelled".
        enough: whether to write more texts than the target asks for, so that every fold reaches it.
        jobs: processes; None takes joblib's own setting (``parallel_config``), else one a core.

    Raises:
        PlanError: a setting is not possible.
    """

    def __init__(
        self,
        *,
        arms: Sequence[str] = DEFAULT_ARMS,
        protocols: Sequence[str] = ("seed_aware",),
        inflation: bool = True,
        folds: int = 10,
        repeats: int = 10,
        seed: int = 0,
        classifier: str | Classifier = DEFAULT_CLASSIFIER,
        margin: float = 0.02,
        groups: str | None = None,
        holdout: float | Any = None,
        keep: Mapping[str, int] | None = None,
        keep_seed: int | None = None,
        full_test: bool = False,
        text: str | None = None,
        label: str | None = None,
        id: str | None = None,
        missing_label: Any = -1,
        enough: bool = True,
        jobs: int | None = None,
    ) -> None:
        self.arms = [parse_arm(arm) for arm in dict.fromkeys(arms)]
        leaky = LEAKY if inflation and any(_plain(arm) for arm in self.arms) else ()
        self.protocols = list(dict.fromkeys([*protocols, *leaky]))
        if leaky and "seed_aware" not in self.protocols:
            self.protocols.insert(0, "seed_aware")
        if holdout is not None and "holdout" not in self.protocols:
            self.protocols.append("holdout")
        for name in self.protocols:
            check_protocol(name)
        if not margin > 0:
            raise PlanError(f"margin={margin:g}: expected a difference above 0, in units of the score.")
        self.folds, self.repeats, self.seed = folds, repeats, seed
        self.classifier = classifier
        if isinstance(classifier, str):
            make_classifier(classifier)  # tells now what is wrong with it
        self.margin = margin
        self.groups, self.holdout, self.keep = groups, holdout, dict(keep or {})
        self.keep_seed, self.full_test = keep_seed, full_test
        self.columns = {"text": text, "label": label, "id": id}
        self.missing_label = missing_label
        self.enough = enough
        self.jobs = jobs

    def plan(self, dataset: Any, impute: SyntheticImputer | None = None) -> Amounts:
        """Return how many texts ``run`` would write, and what that takes. Nothing is called.

        Args:
            dataset: originals, or an imputed dataset.
            impute: says how synthetic texts are written, and to what target.
        """
        return plan_amounts(self._sample(dataset), self.arms, self.protocols, impute, **self._split())

    def run(
        self,
        dataset: Any,
        impute: SyntheticImputer | None = None,
        output: str | Path | None = None,
        observer: FitObserver | None = None,
        source: str = "",
        predictions: bool = False,
    ) -> dict[str, Any]:
        """Write what is missing, make every fit that is not yet made, and return the facts.

        Args:
            dataset: originals, or an imputed dataset with its provenance columns.
            impute: says how synthetic texts are written, and to what target (``SyntheticImputer()`` by default); not
                looked at for data that was imputed before.
            output: folder for finished fits and for ``crossval.json``; None keeps nothing.
            observer: told of progress; None shows a bar where a person watches.
            source: name of the data, for the report.
            predictions: whether ``output`` gets ``predictions.parquet``, too: what each fit said of each text.

        Returns:
            The facts of which reports and cards are made, JSON-able.

        Raises:
            LeakageError: a test text would have helped to train, or nothing shows that it did not.
            DataError: the data do not allow these folds.
            PlanError: an arm has nothing to train on.
        """
        folder = None if output is None else Path(output)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        store = FitStore(None if folder is None else folder / FITS)
        try:
            sample = self._sample(dataset)
            whole = assemble(
                sample, self.arms, self.protocols, impute, **self._split(), enough=self.enough, store=store
            )
            classifier = self.classifier
            if isinstance(classifier, str):
                classifier = make_classifier(classifier, folder)
            planned = list(self._planned(whole, classifier))
            finished = self._make(whole, classifier, planned, store, observer)
        finally:
            store.close()
        records = [_record(whole, entry, finished[entry.task.key]) for entry in planned]
        facts = self._facts(whole, classifier, records, source)
        if folder is not None:
            write_facts(folder, facts)
            if predictions:
                write_predictions(folder, records, whole.corpus)
        return facts

    def _sample(self, dataset: Any) -> Sample:
        return take_sample(
            dataset,
            **self.columns,
            groups=self.groups,
            missing_label=self.missing_label,
            holdout=self.holdout,
            keep=self.keep,
            seed=self.seed,
            keep_seed=self.keep_seed,
            full_test=self.full_test,
        )

    def _split(self) -> dict[str, int]:
        return {"folds": self.folds, "repeats": self.repeats, "seed": self.seed}

    def _planned(self, whole: Assembly, classifier: Classifier) -> Iterator[_Planned]:
        """Yield every fit, after a look at whether it leaks."""
        corpus, identity = whole.corpus, classifier.identity
        for protocol, folds in whole.folds.items():
            arms = [arm for arm in self.arms if protocol not in LEAKY or _plain(arm)]
            for fold, arm in ((fold, arm) for fold in folds for arm in arms):
                if len(fold.synthetic_test):
                    fold = replace(fold, synthetic_test=_own_synthetic(whole, fold, arm))
                chosen = choose_rows(arm, corpus, whole.links, fold, protocol, whole.quota)
                check = check_no_leak(corpus, whole.links.near, fold, chosen.rows, protocol)
                tested = np.concatenate([fold.test, fold.synthetic_test])
                seed = derive_seed("fit", self.seed, fold.repeat, fold.number)
                fit = Fit(chosen.rows, corpus.labels[chosen.rows], chosen.weights, tested, len(corpus.names), seed)
                tuned = tuple(map(int, whole.quota.focus)) if arm.threshold else ()
                groups = whole.links.group[chosen.rows] if tuned else chosen.rows[:0]
                parts = (corpus.content[fit.train].tolist(), fit.weights.tolist(), corpus.content[tested].tolist())
                key = digest("fit", KEY_VERSION, identity, corpus.names, seed, *parts, tuned, groups.tolist())
                made = len(chosen.rows) - len(fold.train)
                yield _Planned(protocol, arm, fold, Task(key, fit, tuned, groups), made, chosen.short, check)

    def _make(
        self,
        whole: Assembly,
        classifier: Classifier,
        planned: Sequence[_Planned],
        store: FitStore,
        observer: FitObserver | None,
    ) -> dict[str, Finished]:
        """Return every fit by its key: those of earlier runs, and the rest made now."""
        from .progress import FitBar, show_progress

        tasks = {entry.task.key: entry.task for entry in planned}
        finished = store.get(list(tasks))
        missing = [task for key, task in tasks.items() if key not in finished]
        if not missing:
            return finished
        observer = observer or (FitBar() if show_progress(None) else None)
        features = classifier.prepare(whole.corpus.texts)
        if observer:
            observer.begin(len(tasks), len(finished))
        try:
            for group in _in_parallel(classifier, features, missing, self.jobs):
                store.add(group)
                finished.update(group)
                if observer:
                    observer.finished(len(group))
        finally:
            if observer:
                observer.end()
        return finished

    def _facts(
        self, whole: Assembly, classifier: Classifier, records: Sequence[FitRecord], source: str
    ) -> dict[str, Any]:
        corpus, quota = whole.corpus, whole.quota
        shares = {kind: corpus.counts(kind) for kind in (ORIGINAL, IMPUTED, CONTRAST, CEILING, HOLDOUT)}
        targets = quota.originals + quota.wanted
        first = next(folds[0] for folds in whole.folds.values())
        train = np.bincount(corpus.labels[first.train], minlength=len(corpus.names))
        classes = [
            {
                "name": name,
                "focus": bool(quota.wanted[code]),
                "originals": int(shares[ORIGINAL][code]),
                **{kind: int(shares[kind][code]) for kind in (IMPUTED, CONTRAST, CEILING, HOLDOUT)},
                "target": int(targets[code]),
                "fold_target": int(train[code] + quota.in_fold(train)[code]),
            }
            for code, name in enumerate(corpus.names)
        ]
        originals = corpus.originals
        facts = {
            "format": FORMAT,
            "title": f"Cross-validation of {source or 'a dataset'}",
            "source": source,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "versions": versions(("scikit-learn", "torch", "transformers", "numpy", "joblib")),
            "settings": {
                **self._split(),
                "protocols": self.protocols,
                "arms": [arm.name for arm in self.arms],
                "margin": self.margin,
                "groups": self.groups,
                "keep": self.keep,
                "keep_seed": self.keep_seed,
                "full_test": self.full_test,
                "holdout": self.holdout if isinstance(self.holdout, (int, float)) else None,
                "classifier": classifier.identity,
            },
            "classes": classes,
            "data": {
                "originals": len(originals),
                "twins": whole.links.twins,
                "groups": len(np.unique(whole.links.group[originals])),
                "prevalence": _prevalence(whole, corpus.counts(*corpus.tested)),
                "holdout_prevalence": _prevalence(whole, shares[HOLDOUT]) if shares[HOLDOUT].any() else None,
            },
            "generation": whole.generation,
            "notes": whole.notes,
            "fits": [_fit_facts(record, corpus.names) for record in records],
            **find(records, corpus, whole.links, quota.focus.tolist(), self.margin, self.seed),
            "calibration": None,
            "incomplete": None,
        }
        return {name: plain_json(value) for name, value in facts.items()}


def _plain(arm: Arm) -> bool:
    """Say whether an arm trains on originals and synthetic texts as the paper's does."""
    return arm.made == IMPUTED and not arm.contrast and not arm.class_weights and arm.weight == 1


def _own_synthetic(whole: Assembly, fold: Fold, arm: Arm) -> np.ndarray:
    """Return the tested synthetic rows of ``pooled``: those of the plan, without contrast and extra ones."""
    corpus, rows = whole.corpus, fold.synthetic_test
    of_plan = corpus.draws[rows] < np.rint(arm.share * whole.quota.wanted)[corpus.labels[rows]]
    own: np.ndarray = rows[(corpus.kinds[rows] == IMPUTED) & of_plan]
    return own


def _record(whole: Assembly, entry: _Planned, done: Finished) -> FitRecord:
    labels = whole.corpus.labels[entry.tested]
    probabilities = done.probabilities.astype(np.float64)
    predictions = decide(probabilities, done.thresholds)
    own = slice(len(entry.fold.test))
    return FitRecord(
        protocol=entry.protocol,
        arm=entry.arm,
        fold=entry.fold,
        key=entry.task.key,
        seconds=done.seconds,
        train={"originals": len(entry.fold.train), "made": entry.made},
        short=entry.short,
        check=entry.check,
        thresholds=done.thresholds,
        tested=entry.tested,
        predictions=predictions,
        probabilities=probabilities,
        scores=score(labels, predictions, probabilities),
        scores_originals=score(labels[own], predictions[own], probabilities[own])
        if PROTOCOLS[entry.protocol].leaky and len(entry.fold.synthetic_test)
        else None,
    )


def _fit_facts(record: FitRecord, names: Sequence[str]) -> dict[str, Any]:
    facts = {
        "protocol": record.protocol,
        "arm": record.arm.name,
        "repeat": record.fold.repeat,
        "fold": record.fold.number,
        "key": record.key,
        "seconds": record.seconds,
        "train": record.train,
        "short": {names[code]: count for code, count in record.short.items()},
        "check": asdict(record.check),
        "threshold": {names[code]: value for code, value in record.thresholds.items()} or None,
        "scores": record.scores,
    }
    return facts if record.scores_originals is None else {**facts, "scores_originals": record.scores_originals}


def _prevalence(whole: Assembly, counts: np.ndarray) -> dict[str, float]:
    return {name: float(counts[code] / counts.sum()) for code, name in enumerate(whole.corpus.names)}


def plain_json(value: Any) -> Any:
    """Return a value as JSON has it: nan and infinity are null."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _in_parallel(
    classifier: Classifier, features: Features, tasks: Sequence[Task], jobs: int | None
) -> Iterable[list[tuple[str, Finished]]]:
    """Make fits through joblib and the engine that is active (processes, Ray, Dask); yields groups as they get done."""
    import joblib
    from joblib.parallel import get_active_backend

    backend, active = get_active_backend()
    if jobs is None:
        jobs = active if active not in (None, 1) else joblib.cpu_count()
    size = classifier.fits_a_task
    groups = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    if getattr(backend, "supports_return_generator", False):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        yield from parallel(joblib.delayed(run_tasks)(classifier, features, group) for group in groups)
        return
    # This engine hands results back at the end of a call only: several calls lose less to a kill.
    window = 4 * max(1, joblib.effective_n_jobs(jobs))
    for start in range(0, len(groups), window):
        parallel = joblib.Parallel(n_jobs=jobs, batch_size=1)
        yield from parallel(joblib.delayed(run_tasks)(classifier, features, g) for g in groups[start : start + window])
