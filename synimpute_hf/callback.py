"""``SyntheticImputationCallback``: imputation in an ordinary ``transformers.Trainer`` script.

``attach`` puts the imputed training set in place, refuses a leak into the evaluation sets, and holds back a share of
the synthetic rows. Each evaluation then says how much better the classifier looks on synthetic texts than it is, and a
cross-validation after training compares what was trained with other ways to train.
"""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, concatenate_datasets

from .cards import model_card
from .columns import is_blank, plain_label
from .errors import (
    ColumnError,
    DataError,
    GeneratorError,
    LeakageError,
    MissingPackageError,
    NotFittedError,
    PlanError,
    SynimputeWarning,
    nearest,
)
from .facts import ADVISED, MODEL_FORMAT
from .imputer import SyntheticImputer
from .mapping import PROVENANCE
from .pretrained import base_facts
from .seeding import digest
from .trainer_crossval import Job, check_crossval, cross_validate, plan_crossval
from .trainer_sets import (
    AUGMENTED,
    ORIGINAL,
    Sets,
    check_made,
    check_shown,
    check_twins,
    class_names,
    formatted,
    held_back_rows,
    joined,
    label_column,
    like_columns_of,
    marked,
    order_digest,
    together,
)
from .version import versions

try:
    from transformers import Trainer, TrainerCallback
except ImportError as missing:
    raise MissingPackageError(
        'The callback needs transformers and torch: pip install "synimpute-hf[local]"'
    ) from missing

__all__ = ["SyntheticImputationCallback"]

MANIFEST = "synimpute.json"
OTHER_ROWS = (
    "It was fitted on other rows than those that train: before the test set was split off? Give the callback an "
    "imputer that is not fitted, or fit it on train_dataset."
)
LIBRARIES = ("accelerate", "datasets", "torch", "transformers")


class SyntheticImputationCallback(TrainerCallback):  # type: ignore[misc]
    """Trains on an imputed training set, and watches the gap between synthetic texts and originals.

    The trainer's sets must be ``datasets.Dataset`` objects that still have their text column; Trainer itself drops it
    before the model sees it. The evaluation sets ``original`` and ``augmented`` (the same rows, and the synthetic rows
    that were held back) take the place of ``trainer.eval_dataset``; sets of a dict stay beside them. What is measured
    on originals keeps its plain name, too: ``metric_for_best_model="f1_macro"`` and ``"original_f1_macro"`` are one.

    ``eval_overfitting`` is the paper's overfitting: F1 of the imputed classes (their mean) on ``augmented`` minus that
    on ``original``, a share between -1 and 1. The imputed classes are more frequent in ``augmented``, which by itself
    raises their F1 a little; the more so, the larger ``holdback``.

    With ``crossval``, the end of training is followed by a cross-validation of the training rows, in a process of its
    own. Each of its fits begins where the trainer's model began (``model.config._name_or_path``) and takes the
    trainer's learning rate, weight decay, bf16, batch size, epochs or steps, warmup, seed and longest input; what it
    cannot repeat, such as another optimiser or a loss of your own, is told when the callback is attached. It costs no
    trained model: where it fails, a warning says why. Finished fits are kept in ``OUTPUT_DIR/_crossval``, so that a
    second training of the same rows makes only what is new; results are in ``OUTPUT_DIR/crossval``.

    Under torchrun (on CPUs with ``TrainingArguments(use_cpu=True)``) the main process generates, and the others find
    every answer in the journal, which all must reach; where that takes longer than
    ``TrainingArguments(ddp_timeout=1800)`` seconds, generate beforehand (``impute.generate()``) or raise it. The
    cross-validation is the main process's, too; for it the others wait as long as it takes.

    Args:
        impute: fitted on exactly the trainer's training set, or not fitted.
        preprocess: a function for ``map(batched=True)`` that makes the model's inputs, as you use it yourself; None
            tokenises the text with ``trainer.processing_class`` and ``truncation=True``.
        text: the text column of the trainer's sets; None is the imputer's, named or guessed.
        label: the label column of the trainer's sets; None is the imputer's, ``label`` and ``labels`` being one.
        max_overfitting: stop training when ``eval_overfitting`` is above this share, such as 0.05; None never stops.
        holdback: share of each class's synthetic rows that does not train, between 0 and 1; at least one row. They are
            chosen by row id and the imputer's seed, so that more rows later leave most of them as they are.
        crossval: settings of a ``CrossValidation`` to run when training ends, such as ``{"folds": 5, "repeats": 2,
            "arms": ["original", "class_weights", "imputed"], "groups": "author"}``; True takes its defaults (10 x 10
            folds of seven arms: about a thousand fits). A ``"classifier"`` in it takes the place of the trainer's
            model and arguments. The rows are the trainer's originals and all synthetic rows, held-back ones included.
            Nothing is written for it: with k folds and five sources a text, a fold trains on about ((k - 1) / k)^5 of
            the synthetic rows, and ``facts["crossval"]["trained"]`` says how many it lacked. Where that is too few,
            take more folds, or ``CrossValidation`` itself, which writes enough.

    Attributes:
        facts: JSON-able: plan, outcome, counts, held-back rows, leak check, overfitting, cross-validation, versions.
            It is written to ``synimpute.json`` in the trainer's output folder, without any original's text.
        stopped: why training was stopped, or empty.

    Raises:
        PlanError: a share is out of range.
    """

    def __init__(
        self,
        impute: SyntheticImputer,
        *,
        preprocess: Callable[[Any], Any] | None = None,
        text: str | None = None,
        label: str | None = None,
        max_overfitting: float | None = None,
        holdback: float = 0.1,
        crossval: Mapping[str, Any] | bool | None = None,
    ) -> None:
        if not 0 <= holdback < 1:
            raise PlanError(f"holdback={holdback}: expected a share, at least 0 and below 1, such as 0.1.")
        if max_overfitting is not None and not 0 <= max_overfitting <= 1:
            raise PlanError(f"max_overfitting={max_overfitting}: expected a share, such as 0.05 for 5 points of F1.")
        if max_overfitting is not None and not holdback:
            raise PlanError("max_overfitting needs held-back synthetic rows to measure: expected holdback above 0.")
        self.impute = impute
        self.preprocess = preprocess
        self.text = text
        self.label = label
        self.max_overfitting = max_overfitting
        self.holdback = holdback
        self.crossval = crossval
        self.facts: dict[str, Any] = {}
        self.stopped = ""
        self._trainer: Trainer | None = None
        self._job: Job | None = None
        self._f1: list[float] | None = None
        self._before: tuple[int, list[float]] | None = None
        self._advised = False

    # -- before training ----------------------------------------------------------------------------------------

    def attach(self, trainer: Trainer) -> SyntheticImputationCallback:
        """Put the imputed training set and the evaluation sets in place, and add the callback to the trainer.

        Nothing of the trainer is changed unless all of it succeeds.

        Args:
            trainer: before its ``train()``.

        Returns:
            The callback itself.

        Raises:
            LeakageError: an evaluated text, or its like, would help to train; or nothing shows that it would not.
            ColumnError: a column is missing, such as the text.
            DataError: a set is no ``datasets.Dataset``, or processes came to hold different rows.
            PlanError: settings that cannot work together, or a cross-validation that cannot be.
            GenerationError: requests failed; what was answered is in the journal.
        """
        if self._trainer is trainer:
            return self
        given = _named(trainer.eval_dataset)
        self._check(trainer, given)
        begin = check_crossval(trainer, self.crossval) if self.crossval else None
        train = trainer.train_dataset
        text, label, renames = self._fit(train)
        check_shown(given, text)
        check_twins(given, text, train.with_format(None)[text], "training original")
        with trainer.args.main_process_first(local=False, desc="imputation"):
            sets = self._prepare(trainer, given, text, label, renames)
        leaks = check_made(sets)
        rows = joined([sets.originals, sets.trained])
        code = order_digest(rows, sets.text, sets.label)
        if self.crossval:
            self._job = plan_crossval(trainer, sets, self.crossval, begin, self.impute.missing_label)
        _check_processes(trainer.args, code, len(rows))
        self.facts = self._first_facts(trainer, sets, leaks, code)
        self._put(trainer, sets, rows)
        return self

    def _check(self, trainer: Trainer, given: Mapping[str, Any]) -> None:
        """Refuse what cannot work, before anything is paid."""
        for name, part in {"train_dataset": trainer.train_dataset, **given}.items():
            if not isinstance(part, Dataset):
                raise DataError(
                    f"The trainer's {name} is a {type(part).__name__}; expected a datasets.Dataset with its texts."
                )
        if AUGMENTED in given:
            raise PlanError(f"eval_dataset has a set {AUGMENTED!r}, which is ours: give yours another name.")
        if trainer.args.batch_eval_metrics:
            raise PlanError("batch_eval_metrics=True gives no scores over a whole set: leave it out.")
        measured = given and trainer.args.eval_strategy != "no" and not trainer.args.prediction_loss_only
        if self.max_overfitting is not None and not measured:
            raise PlanError(
                "max_overfitting needs evaluations while training: give the trainer an eval_dataset of originals and "
                "TrainingArguments(eval_strategy='epoch'), without prediction_loss_only."
            )
        if trainer.args.world_size < int(os.environ.get("WORLD_SIZE", 1)):
            warnings.warn(
                f"{os.environ['WORLD_SIZE']} processes were started, and the trainer knows of "
                f"{trainer.args.world_size}: each trains a model of its own. On CPUs, say "
                "TrainingArguments(use_cpu=True).",
                SynimputeWarning,
                stacklevel=3,
            )
        if not given:
            warnings.warn(
                "The trainer has no eval_dataset: overfitting is not measured. Give it originals that do not train.",
                SynimputeWarning,
                stacklevel=3,
            )

    def _fit(self, train: Dataset) -> tuple[str, str, dict[str, str]]:
        """Settle the columns, and fit the imputer where it was not.

        Returns:
            The text and the label column, and how the imputer calls columns that have another name in the trainer.
        """
        impute = self.impute
        if "is_synthetic" in train.column_names:
            raise ColumnError(
                "train_dataset was imputed before: it has a column 'is_synthetic'. Give the trainer the originals; the "
                "callback imputes them."
            )
        fitted = _is_fitted(impute)
        wanted = (impute.columns.text, impute.columns.label) if fitted else (impute.text, impute.label)
        own = (self.text or wanted[0], _other_spelling(self.label or wanted[1], train.column_names))
        _check_text(train, own[0])
        renames = {mine: theirs for mine, theirs in zip(own, wanted, strict=True) if mine and theirs and mine != theirs}
        if not fitted:
            given = zip(("text", "label"), own, wanted, strict=True)
            impute.set_params(**{role: mine for role, mine, theirs in given if theirs is None})
            impute.fit(_view(train, renames))
        back = {theirs: mine for mine, theirs in renames.items()}
        text, label = (back.get(name, name) for name in (impute.columns.text, impute.columns.label))
        if fitted:
            _check_counts(impute, train, text, label)
        return text, label, renames

    def _prepare(
        self, trainer: Trainer, given: Mapping[str, Dataset], text: str, label: str, renames: Mapping[str, str]
    ) -> Sets:
        """Impute and preprocess: the same rows in the same order in every process."""
        plain = trainer.train_dataset.with_format(None)
        originals, synthetic = self._impute_rows(_view(plain, renames))
        back = {theirs: mine for mine, theirs in renames.items()}
        synthetic = synthetic.rename_columns(back) if back else synthetic
        preprocess = self.preprocess or _tokeniser(trainer.processing_class, text)
        inputs = _inputs(trainer)
        first = plain.select(range(1)).map(preprocess, batched=True)
        columns = [name for name in first.column_names if name not in plain.column_names or name in inputs]
        made = synthetic.map(preprocess, batched=True) if len(synthetic) else synthetic
        whole = concatenate_datasets([plain, originals.select_columns(list(PROVENANCE))], axis=1)
        done = _preprocessed(whole, preprocess, columns)
        lacking = inputs & set(done.column_names) - set(made.column_names)
        if len(made) and lacking:
            raise ColumnError(
                f"train_dataset has the model's inputs {sorted(lacking)}, which new rows would lack. Give the function "
                "that makes them: SyntheticImputationCallback(impute, preprocess=…)."
            )
        target = label_column(done, label)
        held = held_back_rows(made, target, self.holdback if given else 0.0, self.impute.seed)
        rest = np.setdiff1d(np.arange(len(made)), held)
        return Sets(
            text=text,
            label=target,
            originals=formatted(done, trainer.train_dataset),
            trained=like_columns_of(made.select(rest), done),
            held_back=like_columns_of(made.select(held), done),
            evaluated={
                name: formatted(_preprocessed(part.with_format(None), preprocess, columns), part)
                for name, part in given.items()
            },
            names=class_names(done, target, getattr(trainer.model, "config", None)),
        )

    def _impute_rows(self, rows: Dataset) -> tuple[Dataset, Dataset]:
        """Return the originals with their provenance, in order, and the synthetic rows."""
        columns = self.impute.columns
        used = [name for name in (columns.text, columns.label, columns.id) if name in rows.column_names]
        written = len(self.impute.generate().rows)
        imputed = rows.select_columns(used).map(self.impute, batched=True)
        flags = np.array(imputed["is_synthetic"], dtype=bool)
        originals, synthetic = imputed.select(np.flatnonzero(~flags)), imputed.select(np.flatnonzero(flags))
        known = set(originals["row_id"])
        strange = sum(not known.issuperset(sources) for sources in synthetic["source_ids"])
        if strange or len(synthetic) < written:
            raise LeakageError(
                f"Of {written} synthetic rows, {strange} have a source that is not in train_dataset, and "
                f"{written - len(synthetic)} stand after an original that is not there. {OTHER_ROWS}"
            )
        if not written:
            warnings.warn(
                "There is no synthetic row: no class was short of its target, or no text was accepted (callback.facts "
                "says which).",
                SynimputeWarning,
                stacklevel=4,
            )
        return originals, synthetic

    def _put(self, trainer: Trainer, sets: Sets, train: Dataset) -> None:
        """Change the trainer: sets, scores, card, callbacks."""
        self._trainer, self._sets = trainer, sets
        self._given = trainer.eval_dataset
        trainer.train_dataset = train
        if sets.evaluated:
            base = together(sets)
            ours = {ORIGINAL: base}
            if len(sets.held_back):
                ours[AUGMENTED] = marked(base, sets.held_back)
            theirs = dict(sets.evaluated) if isinstance(self._given, Mapping) else {}
            trainer.eval_dataset = {**theirs, **ours}
        self._theirs = trainer.compute_metrics
        trainer.compute_metrics = self._compute_metrics
        trainer.create_model_card = self._create_model_card
        callbacks = trainer.callback_handler.callbacks
        if self not in callbacks:
            trainer.add_callback(self)
        # The first in the row, so that early stopping finds the plain names that on_evaluate adds.
        callbacks.remove(self)
        callbacks.insert(0, self)

    # -- while training -----------------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Refuse to train without the imputed set, which an event of Trainer cannot put in place any more."""
        if self._trainer is None:
            raise NotFittedError(
                "SyntheticImputationCallback was not attached. Call callback.attach(trainer) before trainer.train(); "
                "Trainer(callbacks=[…]) alone cannot change the training set."
            )

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> Any:
        """Give scores on originals their plain names; after ``augmented``, log the gap, and stop where it is wide."""
        if self._trainer is None:
            return control
        f1, self._f1 = self._f1, None
        # Metrics carry their set's name in their keys only.
        prefix = next((key.removesuffix("_runtime") for key in metrics or {} if key.endswith("_runtime")), "")
        known = sorted(_named(self._trainer.eval_dataset), key=len, reverse=True)
        name = next((name for name in known if prefix.endswith(f"_{name}")), None)
        if name not in (ORIGINAL, AUGMENTED):
            return control
        base = prefix.removesuffix(f"_{name}")
        if name == ORIGINAL:
            self._before = (state.global_step, f1) if f1 is not None else None
            if f1 is not None:
                self.facts["scores"].append(self._scores(state, f1))
            if not isinstance(self._given, Mapping):
                metrics.update(_renamed(metrics, f"{prefix}_", f"{base}_"))
            return control
        if f1 is None or self._before is None or self._before[0] != state.global_step:
            return control
        entry = self._gap(state, self._before[1], f1)
        if entry is None:
            return control
        self.facts["overfitting"].append(entry)
        logs = {f"{base}_overfitting": entry["overfitting"]}
        if len(entry["classes"]) > 1:
            logs.update({f"{base}_overfitting_{row['name']}": row["overfitting"] for row in entry["classes"]})
        metrics.update(logs)
        self._trainer.log(logs)
        self._judge(entry, state, control)
        return control

    def _scores(self, state: Any, f1: Sequence[float]) -> dict[str, Any]:
        """Return F1 on the evaluated originals, by class where it has one, and their mean."""
        known = [(name, value) for name, value in zip(self._sets.names, f1, strict=True) if np.isfinite(value)]
        return {
            "step": state.global_step,
            "epoch": state.epoch,
            "macro": float(np.mean([value for _, value in known])),
            "classes": [{"name": name, "f1": value} for name, value in known],
        }

    def _gap(self, state: Any, before: Sequence[float], after: Sequence[float]) -> dict[str, Any] | None:
        """Return F1 on ``augmented`` minus F1 on ``original``, for each imputed class that both could measure."""
        classes = [
            {
                "name": self._sets.names[k],
                "original": before[k],
                "augmented": after[k],
                "overfitting": after[k] - before[k],
            }
            for k in self._sets.measured
            if np.isfinite(after[k] - before[k])
        ]
        if not classes:
            return None
        mean = float(np.mean([row["overfitting"] for row in classes]))
        return {"step": state.global_step, "epoch": state.epoch, "overfitting": mean, "classes": classes}

    def _judge(self, entry: Mapping[str, Any], state: Any, control: Any) -> None:
        gap = entry["overfitting"]
        said = f"eval_overfitting is {100 * gap:.1f} points at step {entry['step']}"
        if self.max_overfitting is not None and gap > self.max_overfitting and self._trainer.is_in_train:  # type: ignore[union-attr]
            control.should_training_stop = True
            self.stopped = f"{said}, above max_overfitting={self.max_overfitting}"
            self.facts["stopped"] = self.stopped
            if state.is_world_process_zero:
                warnings.warn(f"Training was stopped: {self.stopped}.", SynimputeWarning, stacklevel=2)
        elif gap > ADVISED and not self._advised and state.is_world_process_zero:
            self._advised = True
            warnings.warn(
                f"{said}: the classifier looks better on synthetic texts than it is. Above {100 * ADVISED:.0f} points "
                "the paper advises fewer synthetic rows (synimpute calibrate) or another prompt.",
                SynimputeWarning,
                stacklevel=2,
            )

    def _compute_metrics(self, prediction: Any) -> dict[str, float]:
        """Score an evaluated set: the user's own scores where there are some, else ours; keep F1 for the gap."""
        from .metrics import score

        labels, classes, probabilities = _read(prediction, len(self._sets.names))
        scores = score(labels, classes, probabilities)
        self._f1 = np.atleast_1d(scores["f1"]).tolist()
        if self._theirs is not None:
            theirs: dict[str, float] = self._theirs(prediction)
            return theirs
        named = {}
        for metric in ("f1", "average_precision"):
            for name, value in zip(self._sets.names, np.atleast_1d(scores[metric]), strict=True):
                named[f"{metric}_{name}"] = float(value)
            named[f"{metric}_macro"] = float(np.mean(scores[f"{metric}_macro"]))
        return {name: value for name, value in named.items() if np.isfinite(value)}

    # -- after training -----------------------------------------------------------------------------------------

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Cross-validate where that was asked for, and write the facts into the output folder; the main process."""
        if state.is_world_process_zero:
            self._write(args)
        if self._job is None:
            return
        found = cross_validate(self._job, args, state.is_world_process_zero)
        unlike = list(self._job.unlike)
        if state.global_step < state.max_steps:
            unlike.append(f"it ended at step {state.global_step} of {state.max_steps}, and the fits run to their end")
        self.facts["crossval"] = {**found, "unlike": unlike, "of_this_training": self._job.of_this_training}
        if state.is_world_process_zero:
            self._write(args)
            if "error" in found:
                warnings.warn(f"The cross-validation failed: {found['error']}", SynimputeWarning, stacklevel=2)

    def _write(self, args: Any) -> None:
        folder = Path(args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        trainer = self._trainer
        assert trainer is not None
        self.facts["best_step"] = trainer.state.best_global_step if args.load_best_model_at_end else None
        text = json.dumps(self.facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")

    def _first_facts(self, trainer: Trainer, sets: Sets, leaks: Mapping[str, int], code: str) -> dict[str, Any]:
        """Return what is known before training."""
        base = _base(trainer)
        impute, outcome = self.impute, self.impute.generate()
        parts = {"originals": sets.originals, "synthetic": sets.trained, "held_back": sets.held_back}
        labels = {name: part.with_format(None)[sets.label] for name, part in parts.items()}
        prompt = impute.prompt_fields()
        return {
            "format": MODEL_FORMAT,
            "kind": "model",
            "title": Path(trainer.args.output_dir).resolve().name,
            "base_model": base,
            "labels": list(sets.names),
            "metadata": {"license": base["license"]} if base and "license" in base else {},
            "data": {"title": "the training set of a Trainer script", "split": None},
            "training": {"hyperparameters": {}},
            # The example prompt shows originals word for word: they have no business in a model's repository.
            "plan": replace(impute.plan, example=None).to_dict(),
            "outcome": outcome.to_dict(),
            "generator": impute.generator_identity(),
            "prompt": prompt,
            "prompt_sha256": digest(prompt),
            "counts": [
                {"name": name, **{part: sum(int(value) == k for value in labels[part]) for part in parts}}
                for k, name in enumerate(sets.names)
            ],
            "rows": {name: len(part) for name, part in parts.items()},
            "train_digest": code,
            "holdback": self.holdback,
            "held_back": list(sets.held_back.with_format(None)["row_id"]),
            "leak_check": dict(leaks),
            "max_overfitting": self.max_overfitting,
            "overfitting": [],
            "scores": [],
            "best_step": None,
            "crossval": self._job and {"unlike": self._job.unlike, "of_this_training": self._job.of_this_training},
            "stopped": "",
            "versions": versions(LIBRARIES),
        }

    def _create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write one card: what Trainer's own would say, from the scores on originals, and all that is ours.

        Args:
            *args: those of ``Trainer.create_model_card``.
            **kwargs: those of ``Trainer.create_model_card``.
        """
        from transformers.modelcard import TrainingSummary

        trainer = self._trainer
        assert trainer is not None
        options = inspect.signature(Trainer.create_model_card).bind(trainer, *args, **kwargs).arguments
        options.pop("self")
        if not trainer.is_world_process_zero():
            return
        with self._as_given(trainer):
            summary = TrainingSummary.from_trainer(trainer, **options)
        self._describe(summary, options)
        self._write(trainer.args)
        path = Path(trainer.args.output_dir) / "README.md"
        card = path.read_text(encoding="utf-8") if path.is_file() else ""
        path.write_text(model_card(self.facts, card), encoding="utf-8")

    def _describe(self, summary: Any, options: Mapping[str, Any]) -> None:
        """Take over what Trainer tells about a training."""
        told = self.facts["metadata"]
        for name in ("license", "language"):
            if getattr(summary, name):
                told[name] = {"value": getattr(summary, name), "asked": name in options}
        dataset = options.get("dataset_tags")  # what Trainer guesses from a builder's name is no id on the Hub
        if dataset:
            told["dataset_id"] = dataset if isinstance(dataset, str) else dataset[0]
        told["tags"] = [summary.tags] if isinstance(summary.tags, str) else list(summary.tags or ())
        if options.get("finetuned_from"):
            name = options["finetuned_from"]
            self.facts["base_model"] = {**(self.facts["base_model"] or {}), "name": name, "hub_id": name}
        self.facts["title"] = summary.model_name
        self.facts["training"] = {
            "hyperparameters": summary.hyperparameters or {},
            "results": summary.eval_results or {},
            "log": summary.eval_lines or [],
        }

    @contextmanager
    def _as_given(self, trainer: Trainer) -> Iterator[None]:
        """Let the trainer see its evaluation set and the scores on it under the names that they had before."""
        history, sets = trainer.state.log_history, trainer.eval_dataset
        if not isinstance(self._given, Mapping):
            entries = [entry for entry in history if not any(key.startswith(f"eval_{AUGMENTED}_") for key in entry)]
            trainer.state.log_history = [
                {key.replace(f"eval_{ORIGINAL}_", "eval_", 1): value for key, value in entry.items()}
                for entry in entries
            ]
            trainer.eval_dataset = self._given
        try:
            yield
        finally:
            trainer.state.log_history, trainer.eval_dataset = history, sets


def _base(trainer: Trainer) -> dict[str, Any] | None:
    """Return what is known about the weights that training begins from; None where they were drawn."""
    path = str(getattr(getattr(trainer.model, "config", None), "_name_or_path", "") or "")
    if not path:
        return None
    try:
        return base_facts(path)
    except GeneratorError:  # a folder that is gone by now
        return {"name": Path(path).name, "hub_id": None}


def _named(evaluated: Any) -> dict[str, Any]:
    """Return evaluation sets by name; a single one is the originals."""
    if evaluated is None:
        return {}
    return dict(evaluated) if isinstance(evaluated, Mapping) else {ORIGINAL: evaluated}


def _is_fitted(impute: SyntheticImputer) -> bool:
    try:
        return bool(impute.columns)
    except NotFittedError:
        return False


def _other_spelling(label: str | None, columns: Sequence[str]) -> str | None:
    """Trainer takes ``label`` and ``labels`` for the same column, and so do we."""
    if label in columns or label not in ("label", "labels"):
        return label
    other = "labels" if label == "label" else "label"
    return other if other in columns else label


def _tokeniser(processing_class: Any, text: str) -> Callable[[Any], Any]:
    if processing_class is None:
        raise PlanError(
            "Nothing says how new texts become the model's inputs. Give Trainer(processing_class=tokenizer), or give "
            "the callback preprocess=, the function that you pass to map(batched=True)."
        )
    return partial(_tokenise, processing_class, text)


def _tokenise(processing_class: Any, text: str, batch: Any) -> Any:
    return processing_class(list(batch[text]), truncation=True)


def _inputs(trainer: Trainer) -> set[str]:
    """Return the columns that the model or the length sampler reads."""
    taken = set(inspect.signature(trainer.model.forward).parameters) | {trainer.args.length_column_name}
    return taken - {"labels"}


def _check_text(train: Dataset, text: str | None) -> None:
    strings = [name for name, kind in train.features.items() if str(getattr(kind, "dtype", "")).endswith("string")]
    if not strings or (text is not None and text not in train.column_names):
        raise ColumnError(
            f"train_dataset has no text column{f' {text!r}' if text else ''}; its columns are: "
            f"{', '.join(map(repr, train.column_names))}.{nearest(text or '', train.column_names)} Keep the text "
            "column when you tokenise (Trainer drops it itself), or give the trainer the raw dataset and the callback "
            "preprocess=, your tokenising function."
        )


def _check_counts(impute: SyntheticImputer, train: Dataset, text: str, label: str) -> None:
    """Refuse, before anything is paid, an imputer that counted other rows than those that train."""
    plain = train.with_format(None)
    rows = zip(plain[label], plain[text], strict=True)
    counts = Counter(plain_label(value) for value, written in rows if not is_blank(written))
    for entry in impute.plan.classes:
        if counts[entry.label] != entry.originals:
            raise LeakageError(
                f"The imputer counted {entry.originals} originals of class {entry.name!r}, and train_dataset has "
                f"{counts[entry.label]}. {OTHER_ROWS}"
            )


def _view(train: Dataset, renames: Mapping[str, str]) -> Dataset:
    """Return the training set with the column names that the imputer knows."""
    plain = train.with_format(None)
    return plain.rename_columns(dict(renames)) if renames else plain


def _preprocessed(part: Dataset, preprocess: Callable[[Any], Any], columns: Sequence[str]) -> Dataset:
    """Preprocess a set that was not, which shows in a column that it lacks."""
    done = all(column in part.column_names for column in columns)
    return part if done else part.map(preprocess, batched=True)


def _check_processes(args: Any, code: str, count: int) -> None:
    """Refuse to go on when two processes hold different rows: their gradients would be of different data."""
    if args.world_size < 2:
        return
    from accelerate.utils import gather_object  # type: ignore[import-untyped]

    found = gather_object([(code, count)])
    if len(set(found)) > 1:
        raise DataError(
            f"The processes hold different training rows ({', '.join(str(n) for _, n in found)}). Each must load the "
            "same train_dataset and reach the same journal: SyntheticImputer(journal=PATH) on a disk that all see."
        )


def _renamed(metrics: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new + key.removeprefix(old): value for key, value in metrics.items() if key.startswith(old)}


def _read(prediction: Any, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels ``(m,)``, predicted classes ``(m,)`` and probabilities ``(m, classes)`` of an EvalPrediction."""
    raw, labels = prediction.predictions, prediction.label_ids
    logits = np.asarray(raw[0] if isinstance(raw, tuple) else raw)
    labels = np.asarray(labels[0] if isinstance(labels, tuple) else labels)
    if logits.ndim == 1:  # the user's preprocess_logits_for_metrics kept the classes only
        logits = np.where(np.arange(classes) == logits[:, None], 0.0, -np.inf)
    logits = logits.astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    known = labels >= 0
    return labels[known], logits.argmax(axis=1)[known], probabilities[known]
