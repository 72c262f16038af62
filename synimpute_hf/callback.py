"""``SyntheticImputationCallback``: imputation in an ordinary ``transformers.Trainer`` script.

``attach`` puts the imputed training set in place, refuses a leak into the evaluation sets, and holds back a share of
the synthetic rows. Each evaluation then says how much better the classifier looks on synthetic texts than it is, and a
cross-validation after training compares what was trained with other ways to train.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Features, concatenate_datasets, load_from_disk

from .columns import is_blank, plain_label
from .errors import (
    ColumnError,
    DataError,
    GeneratorError,
    LeakageError,
    MissingPackageError,
    NotFittedError,
    PlanError,
    SynimputeError,
    SynimputeWarning,
    nearest,
)
from .facts import ADVISED, FACTS
from .folds import near_twins
from .imputer import SyntheticImputer
from .mapping import PROVENANCE
from .pretrained import load_model, resolve_model
from .registry import load_plugin
from .seeding import canonical_json, derive_seed, digest
from .typeset import md_cell
from .version import versions

try:
    from transformers import Trainer, TrainerCallback
except ImportError as missing:
    raise MissingPackageError(
        'The callback needs transformers and torch: pip install "synimpute-hf[local]"'
    ) from missing

__all__ = ["SyntheticImputationCallback"]

ORIGINAL = "original"
AUGMENTED = "augmented"
MANIFEST = "synimpute.json"
FORMAT = 1
SHOWN = 20
OTHER_ROWS = (
    "It was fitted on other rows than those that train: before the test set was split off? Give the callback an "
    "imputer that is not fitted, or fit it on train_dataset."
)
LIBRARIES = ("accelerate", "datasets", "torch", "transformers")
LOG = logging.getLogger(__name__)
CROSSVAL = "crossval"
FITS = "_crossval"
"""Where finished fits are kept. They hold what augmenters make of originals; the underscore keeps them out of
``push_to_hub``, which uploads the rest of the output folder."""
OURS = ("text", "label", "id", "keep", "holdout")
"""Settings of a cross-validation that the trainer's imputed rows leave no choice of."""
KEPT = (
    *("settings", "classes", "data", "notes", "test_share", "summary", "comparisons", "inflation", "overfitting"),
    *("ranking", "alarms", "leak_check", "versions"),
)
ALIKE = {
    "optim": ("adamw_torch", "adamw_torch_fused"),
    "lr_scheduler_type": ("linear",),
    "label_smoothing_factor": (0,),
    "adam_beta1": (0.9,),
    "adam_beta2": (0.999,),
    "adam_epsilon": (1e-6,),
    "max_grad_norm": (1.0,),
    "neftune_noise_alpha": (None,),
    "fp16": (False,),
    "load_best_model_at_end": (False,),
}
"""How the fits of a cross-validation train where nothing can be set, by the name of the trainer's argument."""
BEAT = 20.0
CHILD = "import sys; from synimpute_hf.callback import _run_job; _run_job(sys.argv[1])"
LAUNCHED = re.compile(r"(ACCELERATE|FSDP|MASTER|ROLE|TORCHELASTIC)_|((GROUP|LOCAL)_)?(RANK|WORLD_SIZE)$")
"""Environment variables by which torchrun and accelerate make a process one of several."""


@dataclass(frozen=True)
class _Sets:
    """What a trainer will train and evaluate on.

    Attributes:
        text: the text column.
        label: the label column.
        originals: the training originals, with provenance.
        trained: the synthetic rows that train.
        held_back: the synthetic rows that are only evaluated.
        evaluated: the user's evaluation sets by name.
        names: the classes, by their number.
    """

    text: str
    label: str
    originals: Dataset
    trained: Dataset
    held_back: Dataset
    evaluated: Mapping[str, Dataset]
    names: Sequence[str]

    @property
    def measured(self) -> list[int]:
        """Numbers of the classes that have held-back rows."""
        return sorted({int(k) for k in self.held_back.with_format(None)[self.label]})


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
        self._job: _Job | None = None
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
        begin = _check_crossval(trainer, self.crossval) if self.crossval else None
        train = trainer.train_dataset
        text, label, renames = self._fit(train)
        _check_shown(given, text)
        _check_twins(given, text, train.with_format(None)[text], "training original")
        with trainer.args.main_process_first(local=False, desc="imputation"):
            sets = self._prepare(trainer, given, text, label, renames)
        leaks = _check_made(sets)
        rows = _joined([sets.originals, sets.trained])
        code = _digest(rows, sets.text, sets.label)
        if self.crossval:
            self._job = _plan_crossval(trainer, sets, self.crossval, begin, self.impute.missing_label)
        _check_processes(trainer.args, code, len(rows))
        self.facts = self._first_facts(sets, leaks, code)
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
    ) -> _Sets:
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
        target = _label_column(done, label)
        held = _held_back(made, target, self.holdback if given else 0.0, self.impute.seed)
        rest = np.setdiff1d(np.arange(len(made)), held)
        return _Sets(
            text=text,
            label=target,
            originals=_formatted(done, trainer.train_dataset),
            trained=_like(made.select(rest), done),
            held_back=_like(made.select(held), done),
            evaluated={
                name: _formatted(_preprocessed(part.with_format(None), preprocess, columns), part)
                for name, part in given.items()
            },
            names=_class_names(done, target, getattr(trainer.model, "config", None)),
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

    def _put(self, trainer: Trainer, sets: _Sets, train: Dataset) -> None:
        """Change the trainer: sets, scores, card, callbacks."""
        self._trainer, self._sets = trainer, sets
        self._given = trainer.eval_dataset
        trainer.train_dataset = train
        if sets.evaluated:
            base = _together(sets)
            ours = {ORIGINAL: base}
            if len(sets.held_back):
                ours[AUGMENTED] = _marked(base, sets.held_back)
            theirs = dict(sets.evaluated) if isinstance(self._given, Mapping) else {}
            trainer.eval_dataset = {**theirs, **ours}
        self._theirs = trainer.compute_metrics
        trainer.compute_metrics = self._compute_metrics
        self._make_card = trainer.create_model_card
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
        found = _cross_validate(self._job, args, state.is_world_process_zero)
        unlike = list(self._job.unlike)
        if state.global_step < state.max_steps:
            unlike.append(f"it ended at step {state.global_step} of {state.max_steps}, and the fits run to their end")
        self.facts["crossval"] = {**found, "unlike": unlike}
        if state.is_world_process_zero:
            self._write(args)
            if "error" in found:
                warnings.warn(f"The cross-validation failed: {found['error']}", SynimputeWarning, stacklevel=2)

    def _write(self, args: Any) -> None:
        folder = Path(args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")

    def _first_facts(self, sets: _Sets, leaks: Mapping[str, int], code: str) -> dict[str, Any]:
        """Return what is known before training."""
        impute, outcome = self.impute, self.impute.generate()
        parts = {"originals": sets.originals, "synthetic": sets.trained, "held_back": sets.held_back}
        labels = {name: part.with_format(None)[sets.label] for name, part in parts.items()}
        prompt = impute.prompt_fields()
        return {
            "format": FORMAT,
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
            "crossval": None if self._job is None else {"unlike": self._job.unlike},
            "stopped": "",
            "versions": versions(LIBRARIES),
        }

    def _create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write the trainer's card, from the scores on originals, with a section about the training data."""
        trainer = self._trainer
        assert trainer is not None
        with self._as_given(trainer):
            self._make_card(*args, **kwargs)
        if not trainer.is_world_process_zero():
            return
        self._write(trainer.args)
        path = Path(trainer.args.output_dir) / "README.md"
        card = path.read_text(encoding="utf-8")
        section = _card_section(self.facts, self._reported(trainer)) + _crossval_section(self.facts["crossval"] or {})
        head, mark, tail = card.partition("\n## Training procedure\n")
        path.write_text(f"{head.rstrip()}\n\n{section}{mark}{tail}", encoding="utf-8")

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

    def _reported(self, trainer: Trainer) -> Mapping[str, Any] | None:
        """Return the gap of the weights that the trainer holds now: the best step's where those were loaded."""
        entries: list[dict[str, Any]] = self.facts["overfitting"]
        best = trainer.state.best_global_step if trainer.args.load_best_model_at_end else None
        chosen = [entry for entry in entries if entry["step"] == best] or entries
        return chosen[-1] if chosen else None


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


def _label_column(rows: Dataset, label: str) -> str:
    """Return the column that Trainer takes the label from."""
    target = "labels" if "labels" in rows.column_names else label
    if target not in ("label", "labels"):
        raise ColumnError(
            f"Trainer reads the label from a column 'label' or 'labels', and train_dataset has it in {target!r} only: "
            f"rename it, train_dataset.rename_column({target!r}, 'label')."
        )
    if "int" not in getattr(rows.features[target], "dtype", ""):
        raise ColumnError(
            f"Column {target!r} of train_dataset holds {rows.features[target]}, but a classifier needs class numbers: "
            f"train_dataset.class_encode_column({target!r}), and the same for eval_dataset."
        )
    return target


def _class_names(rows: Dataset, label: str, config: Any) -> list[str]:
    """Return the classes' names by number: the column's own, else the model's, else the numbers."""
    own = getattr(rows.features[label], "names", None)
    names = list(own) if own else []
    for k in range(len(names), getattr(config, "num_labels", 0)):
        given = str((config.id2label or {}).get(k, k))
        names.append(str(k) if given == f"LABEL_{k}" else given)
    return names


def _held_back(rows: Dataset, label: str, share: float, seed: int) -> np.ndarray:
    """Choose a share of each class's rows by their ids and a seed, shape ``(m,)``."""
    if not share or not len(rows):
        return np.array([], dtype=np.int64)
    classes: dict[int, list[tuple[int, int]]] = {}
    for position, (code, row_id) in enumerate(zip(rows[label], rows["row_id"], strict=True)):
        classes.setdefault(int(code), []).append((derive_seed("holdback", seed, row_id), position))
    chosen = [
        position
        for entries in classes.values()
        for _, position in sorted(entries)[: max(1, round(share * len(entries))) if len(entries) > 1 else 0]
    ]
    return np.array(sorted(chosen), dtype=np.int64)


def _like(rows: Dataset, other: Dataset) -> Dataset:
    """Return rows with those of their columns that another set has, in its types; it fills the rest with None."""
    shared = [name for name in other.column_names if name in rows.column_names]
    return rows.select_columns(shared).cast(Features({name: other.features[name] for name in shared}))


def _joined(parts: Sequence[Dataset]) -> Dataset:
    """Return the rows of all parts in the format of the first."""
    filled = [part.with_format(None) for part in parts if len(part)] or [parts[0].with_format(None)]
    return _formatted(concatenate_datasets(filled), parts[0])


def _marked(base: Dataset, held_back: Dataset) -> Dataset:
    """Return evaluated originals and held-back rows, told apart by the column ``is_synthetic``."""
    rows = _joined([base, _like(held_back, base)])
    if "is_synthetic" in base.column_names:
        return rows
    return rows.add_column("is_synthetic", [False] * len(base) + [True] * len(held_back))


def _formatted(rows: Dataset, like: Dataset) -> Dataset:
    """Return rows in the format of another set, with the columns that this one lacked."""
    kind = like.format
    if kind["type"] is None and set(kind["columns"]) == set(like.column_names):
        return rows.with_format(None)
    shown = None
    if set(kind["columns"]) != set(like.column_names):
        shown = [*kind["columns"], *(name for name in rows.column_names if name not in like.column_names)]
    return rows.with_format(
        kind["type"], columns=shown, output_all_columns=kind["output_all_columns"], **kind["format_kwargs"]
    )


def _together(sets: _Sets) -> Dataset:
    """Return the evaluated originals: the set of that name, or all sets one after the other."""
    parts = sets.evaluated
    if ORIGINAL in parts:
        return parts[ORIGINAL]
    first, *rest = parts.values()
    shared = [name for name in first.column_names if all(name in part.column_names for part in rest)]
    base = first.select_columns(shared)
    return _joined([base, *(_like(part.with_format(None), base) for part in rest)])


def _check_shown(given: Mapping[str, Dataset], text: str) -> None:
    """Refuse an evaluation set that was imputed, or that shows no texts."""
    for name, part in given.items():
        flags = part.with_format(None)["is_synthetic"] if "is_synthetic" in part.column_names else ()
        made = [k for k, flag in enumerate(flags) if flag]
        if made:
            raise LeakageError(
                f"{_rows(made)} of the evaluation set {name!r} are synthetic: a score on them is not the score on new "
                "texts. Give the originals, eval_dataset.filter(lambda row: not row['is_synthetic']); the callback "
                "evaluates synthetic rows apart."
            )
        if text not in part.column_names:
            raise LeakageError(
                f"The evaluation set {name!r} has no text column {text!r}, so that nothing shows that its texts do not "
                "train. Keep the column when you tokenise; Trainer drops it itself."
            )


def _check_twins(given: Mapping[str, Dataset], text: str, texts: Sequence[Any], kind: str) -> int:
    """Refuse evaluated texts that equal or nearly equal one of those that train.

    Args:
        given: evaluation sets by name.
        text: their text column.
        texts: texts that train, or that may.
        kind: what those are.

    Returns:
        How many evaluated texts were looked at.
    """
    tests = [
        (name, k, written)
        for name, part in given.items()
        for k, written in enumerate(part.with_format(None)[text])
        if not is_blank(written)
    ]
    others = [written for written in texts if not is_blank(written)]
    pairs = near_twins([test[2] for test in tests], others=others)
    found = [(tests[a], others[b]) for a, b in pairs.tolist()]
    if found:
        (name, number, written), twin = found[0]
        numbers = sorted({test[1] for test, _ in found if test[0] == name})
        raise LeakageError(
            f"{_rows(numbers)} of the evaluation set {name!r} equal or nearly equal a {kind}. Row {number} "
            f"({written[:60]!r}) is like {twin[:60]!r}. Take these rows out of it, "
            "eval_dataset.filter(lambda row, k: k not in {…}, with_indices=True), or split by text or author, so that "
            "twins stay together."
        )
    return len(tests)


def _check_made(sets: _Sets) -> dict[str, int]:
    """Refuse evaluated rows that are like a synthetic text, or that were shown to the language model.

    Returns:
        What was looked at, originals included: counts of rows, and of near-equal pairs, which is 0.
    """
    made = [part.with_format(None) for part in (sets.trained, sets.held_back)]
    texts = [written for part in made for written in part[sets.text]]
    count = _check_twins(sets.evaluated, sets.text, texts, "synthetic text")
    sources = {source for part in made for ids in part["source_ids"] for source in ids}
    for name, part in sets.evaluated.items():
        ids = part.with_format(None)["row_id"] if "row_id" in part.column_names else ()
        shared = [k for k, row_id in enumerate(ids) if row_id in sources]
        if shared:
            raise LeakageError(
                f"{_rows(shared)} of the evaluation set {name!r} were shown to the language model: their row_id is a "
                "source of a synthetic row. Take them out of eval_dataset. (Where ids are numbers that each split "
                "counts anew, remove the column row_id instead.)"
            )
    return {
        "evaluated": count,
        "originals": len(sets.originals),
        "synthetic": len(texts),
        "sources": len(sources),
        "near_equal_pairs": 0,
    }


def _rows(numbers: Sequence[int]) -> str:
    """Name rows: ``Rows 3, 7 and 2 more``."""
    shown = ", ".join(map(str, numbers[:SHOWN]))
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"{'Row' if len(numbers) == 1 else 'Rows'} {shown}{more}"


def _digest(rows: Dataset, text: str, label: str) -> str:
    """Return a digest of ids, texts and labels in their order."""
    sha = hashlib.sha256()
    plain = rows.with_format(None)
    for row in zip(plain["row_id"], plain[text], plain[label], strict=True):
        sha.update(canonical_json(row).encode("ascii"))
    return sha.hexdigest()


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


@dataclass(frozen=True)
class _Begin:
    """What every fit of the cross-validation begins from.

    Attributes:
        source: what ``from_pretrained`` takes.
        kind: class of the model that it loads.
        tokenizer: the one that belongs to it.
    """

    source: str
    kind: str
    tokenizer: Any


@dataclass(frozen=True)
class _Job:
    """A cross-validation that is to follow the training.

    Attributes:
        settings: of ``CrossValidation``, JSON-able; a classifier's are a list of its source and its options.
        rows: originals and synthetic rows.
        unlike: in what its fits are not like the training, in words.
    """

    settings: dict[str, Any]
    rows: Dataset
    unlike: list[str]


def _given(crossval: Mapping[str, Any] | bool) -> dict[str, Any]:
    return dict(crossval) if isinstance(crossval, Mapping) else {}


def _check_crossval(trainer: Trainer, crossval: Mapping[str, Any] | bool) -> _Begin | None:
    """Refuse a cross-validation that cannot be, before anything is paid; returns what its fits begin from."""
    from .crossval import CrossValidation

    settings = _given(crossval)
    known = sorted(set(inspect.signature(CrossValidation).parameters).difference(OURS))
    for name in settings:
        if name not in known:
            raise PlanError(f"crossval takes no {name!r} here. It takes: {', '.join(known)}.{nearest(name, known)}")
    CrossValidation(**settings)  # tells now what is wrong with it
    groups, columns = settings.get("groups"), trainer.train_dataset.column_names
    if groups is not None and groups not in columns:
        raise ColumnError(f"train_dataset has no column {groups!r}, the crossval's groups.{nearest(groups, columns)}")
    if "classifier" in settings:
        return None
    path = str(getattr(trainer.model.config, "_name_or_path", "") or "")
    other = "Or name what to cross-validate: crossval={'classifier': 'linear', …}."
    if not path:
        raise PlanError(
            "The cross-validation begins every fit from the model's first weights, and trainer.model was made without "
            f"any (config._name_or_path is empty). Load it with from_pretrained. {other}"
        )
    try:
        source = resolve_model(path)[1]
        kind = type(load_model("AutoModelForSequenceClassification", source)).__name__
        tokenizer = load_model("AutoTokenizer", source)
    except GeneratorError as error:
        raise PlanError(f"The cross-validation cannot begin from the model's first weights: {error} {other}") from error
    folder = Path(source)
    if folder.is_dir() and Path(trainer.args.output_dir).resolve() in (folder, *folder.parents):
        raise LeakageError(
            f"The cross-validation would begin from {path!r}, which this trainer wrote: its weights have seen the "
            f"texts of every fold. Load the pretrained model, and resume with train(resume_from_checkpoint=…). {other}"
        )
    return _Begin(source, kind, tokenizer)


def _plan_crossval(
    trainer: Trainer, sets: _Sets, crossval: Mapping[str, Any] | bool, begin: _Begin | None, missing_label: Any
) -> _Job:
    """Settle the cross-validation, refuse one that the rows do not allow, and say in what it is unlike the training."""
    settings = {"seed": trainer.args.seed, "missing_label": missing_label, **_given(crossval)}
    settings |= {"text": sets.text, "label": sets.label}
    unlike = {}
    if begin is not None:
        longest = _longest(sets)
        options = _options(trainer.args, len(sets.originals) + len(sets.trained), longest)
        settings["classifier"] = [begin.source, options]
        unlike = _unlike(trainer, begin, sets, longest)
    settings = json.loads(json.dumps(settings))
    columns = [sets.text, sets.label, *PROVENANCE, *([settings["groups"]] if settings.get("groups") else [])]
    rows = _joined([sets.originals, sets.trained, sets.held_back]).with_format(None)
    rows = rows.select_columns(list(dict.fromkeys(columns)))
    if not isinstance(rows.features[sets.label], ClassLabel):
        rows = rows.cast_column(sets.label, ClassLabel(names=list(sets.names)))
    if trainer.is_world_process_zero():
        _validation(settings).plan(rows)
        defaults = {field.name: field.default for field in fields(trainer.args)}
        told = [words for name, words in unlike.items() if getattr(trainer.args, name, ...) != defaults.get(name)]
        if told:
            warnings.warn(
                f"The cross-validation will not repeat all of this training: {'; '.join(told)}.",
                SynimputeWarning,
                stacklevel=3,
            )
    return _Job(settings, rows, list(unlike.values()))


def _validation(settings: Mapping[str, Any]) -> Any:
    from .crossval import CrossValidation

    chosen = settings.get("classifier")
    if isinstance(chosen, list):
        chosen = load_plugin("classifiers", "transformers", PlanError).from_options(*chosen)
    return CrossValidation(**{**settings, **({} if chosen is None else {"classifier": chosen})})


def _longest(sets: _Sets) -> int:
    """Return the tokens of the longest input."""
    parts = [part.with_format(None) for part in (sets.originals, sets.trained, sets.held_back)]
    if any("input_ids" not in part.column_names for part in parts if len(part)):
        raise PlanError(
            "The cross-validation needs a model that reads tokens, and train_dataset has no column 'input_ids'. Name "
            "what to cross-validate: crossval={'classifier': 'linear', …}."
        )
    return max(len(ids) for part in parts if len(part) for ids in part["input_ids"])


def _options(args: Any, rows: int, longest: int) -> dict[str, Any]:
    """Return the options of a classifier that trains as the trainer does.

    Args:
        args: the trainer's.
        rows: how many rows train.
        longest: tokens of the longest input.
    """
    batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    steps = -(-rows // batch)
    epochs = args.max_steps / steps if args.max_steps > 0 else args.num_train_epochs
    total = max(1, round(epochs * steps))
    return {
        "learning_rate": args.learning_rate,
        "batch_size": batch,
        "epochs": epochs,
        "max_length": longest,
        "warmup": min(args.get_warmup_steps(total) / total, 0.999),
        "weight_decay": args.weight_decay,
        "bf16": args.bf16,
    }


def _unlike(trainer: Trainer, begin: _Begin, sets: _Sets, longest: int) -> dict[str, str]:
    """Say in what the fits of a cross-validation are not like the training, by the argument's name or another key."""
    found = {}
    for name, alike in ALIKE.items():
        value = getattr(trainer.args, name, alike[0])
        value = getattr(value, "value", value)
        if value not in alike:
            found[name] = f"{name}={value} (there {alike[0]})"
    if trainer.compute_loss_func is not None or type(trainer).compute_loss is not Trainer.compute_loss:
        found["loss"] = "a loss of your own (there cross-entropy)"
    if trainer.optimizer is not None or trainer.lr_scheduler is not None:
        found["optimizer"] = "an optimizer or scheduler of your own (there AdamW, falling linearly)"
    kind = type(trainer.model).__name__
    if kind != begin.kind:
        found["model"] = f"the model is a {kind} (there {begin.kind})"
    frozen = sum(not weights.requires_grad for weights in trainer.model.parameters())
    if frozen:
        found["frozen"] = f"{frozen} of the model's tensors do not train (there all do)"
    rows = sets.originals.with_format(None).select(range(min(SHOWN, len(sets.originals))))
    own = begin.tokenizer(list(rows[sets.text]), truncation=True, max_length=longest)["input_ids"]
    if list(map(list, rows["input_ids"])) != own:
        found["inputs"] = "the inputs are not those that the pretrained model's tokenizer makes (there they are)"
    return found


def _cross_validate(job: _Job, args: Any, main: bool) -> dict[str, Any]:
    """Run the cross-validation in a process of its own, and return what it found in every process.

    The process knows nothing of torchrun or of the trainer's mixed precision, which the fits would take on, and the
    trainer's state stays as it is.
    """
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    found = None
    with tempfile.TemporaryDirectory() as temporary:
        child = _start(job, args, Path(temporary)) if main else None
        try:
            code = _wait(child, args)
        finally:
            if child is not None:
                child.kill()
                child.wait()
        if main:
            found = _findings(Path(args.output_dir) / CROSSVAL, Path(temporary), code)
    shared: dict[str, Any] = _shared(found, args)
    return shared


def _start(job: _Job, args: Any, temporary: Path) -> subprocess.Popen[bytes]:
    rows = temporary / "rows"
    job.rows.save_to_disk(str(rows))
    output = Path(args.output_dir).resolve()
    task = {
        "settings": job.settings,
        "rows": str(rows),
        "fits": str(output / FITS),
        "output": str(output / CROSSVAL),
        "error": str(temporary / "error"),
        "source": output.name,
    }
    path = temporary / "job.json"
    path.write_text(json.dumps(task), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not LAUNCHED.match(name)}
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    if args.use_cpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return subprocess.Popen([sys.executable, "-c", CHILD, str(path)], env=environment, stdin=subprocess.PIPE)


def _run_job(path: str) -> None:
    """Be the process that cross-validates; ends with its parent, which holds the other end of standard input."""

    def end_with_parent() -> None:
        os.read(0, 1)  # sys.stdin's own lock would be held while the interpreter ends
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    output = Path(job["output"])
    try:
        _validation(job["settings"]).run(load_from_disk(job["rows"]), output=job["fits"], source=job["source"])
    except SynimputeError as error:
        Path(job["error"]).write_text(str(error), encoding="utf-8")
        raise SystemExit(1) from error
    output.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(job["fits"]) / FACTS, output / FACTS)
    made = subprocess.run([sys.executable, "-m", "synimpute_hf", "report", str(output)], stdin=subprocess.DEVNULL)
    if made.returncode:
        LOG.warning("No report was made of the cross-validation; later: synimpute report %s", output)


def _wait(child: subprocess.Popen[bytes] | None, args: Any) -> int:
    """Wait for the main process's child in all processes; a word now and then keeps their connection from timing out.

    Returns:
        The child's exit status.
    """
    while True:
        code = None
        if child is not None:
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(min(BEAT, args.ddp_timeout / 4))
        code = _shared(code, args)
        if code is not None:
            return int(code)


def _shared(value: Any, args: Any) -> Any:
    """Return the main process's value in every process."""
    if args.world_size < 2:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def _findings(folder: Path, temporary: Path, code: int) -> dict[str, Any]:
    """Return what a cross-validation found, without its single fits, or why there is nothing."""
    said = temporary / "error"
    if said.is_file():
        return {"error": said.read_text(encoding="utf-8")}
    if code:
        return {"error": f"its process ended with status {code}; what it said stands in the log"}
    facts = json.loads((folder / f"{CROSSVAL}.json").read_text(encoding="utf-8"))
    return {**{name: facts[name] for name in KEPT if name in facts}, "trained": list(_trained(facts["fits"]))}


def _trained(fits: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the made rows that trained a fold, on average, by protocol and arm, and how many were missing."""
    cells: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for fit in fits:
        cells.setdefault((fit["protocol"], fit["arm"]), []).append(fit)
    for (protocol, arm), cell in cells.items():
        made = float(np.mean([fit["train"]["made"] for fit in cell]))
        short = float(np.mean([sum(fit["short"].values()) for fit in cell]))
        yield {"protocol": protocol, "arm": arm, "made": made, "short": short}


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


def _card_section(facts: Mapping[str, Any], gap: Mapping[str, Any] | None) -> str:
    """Return the section "Training data" of a model card.

    Args:
        facts: the callback's.
        gap: the entry of its ``overfitting`` to report, or None.
    """
    rows, settings, generator, leaks = facts["rows"], facts["plan"]["settings"], facts["generator"], facts["leak_check"]
    held = f"; {rows['held_back']} more were held back to measure overfitting" if rows["held_back"] else ""
    lines = [
        "## Training data",
        "",
        f"Trained on {rows['originals']} original texts and {rows['synthetic']} synthetic texts{held}. The synthetic "
        "texts were written by a language model after *The Synthetic Imputation Approach* (Timoneda, "
        f"[arXiv:2504.15160](https://arxiv.org/abs/2504.15160)), each from {settings['n_examples']} originals of its "
        "class. They are machine-written.",
        "",
        "| class | originals | synthetic | held back |",
        "|---|---:|---:|---:|",
        *(
            f"| {md_cell(row['name'])} | {row['originals']} | {row['synthetic']} | {row['held_back']} |"
            for row in facts["counts"]
        ),
        "",
        f"- Generator: `{generator['name']}`"
        + "".join(f", {key} `{value}`" for key, value in generator["parameters"].items()),
        f"- Prompt: `{settings['prompt']}`, SHA-256 `{facts['prompt_sha256']}`",
        f"- Leak check: none of {leaks['evaluated']} evaluated texts equals or nearly equals a training text, or was "
        "shown to the language model"
        if leaks["evaluated"]
        else "- Leak check: no evaluation set was given",
        f"- Overfitting: {_gap_words(gap)}",
        *([f"- Training was stopped early: {md_cell(facts['stopped'])}"] if facts["stopped"] else []),
        f"- All settings, versions and digests: `{MANIFEST}`",
        "",
        "Scores below are on originals.",
        "",
    ]
    return "\n".join(lines)


def _gap_words(gap: Mapping[str, Any] | None) -> str:
    if gap is None:
        return "not measured"
    parts = [f"{md_cell(row['name'])} {row['augmented']:.3f} - {row['original']:.3f}" for row in gap["classes"]]
    return (
        f"{100 * gap['overfitting']:+.1f} points at step {gap['step']} (F1 of the imputed classes on originals and "
        f"held-back synthetic texts, minus that on originals alone: {'; '.join(parts)})"
    )


def _crossval_section(found: Mapping[str, Any]) -> str:
    """Return the section "Cross-validation" of a model card, or nothing.

    Args:
        found: the callback's ``facts["crossval"]``.
    """
    if "summary" not in found:
        return ""
    settings, data = found["settings"], found["data"]
    protocol = next(name for name in settings["protocols"] if name in ("seed_aware", "holdout"))
    focus = [row["name"] for row in found["classes"] if row["focus"]]
    said = {
        (row["arm"], row["class"]): f"{row['verdict']} ({_number(row['difference'], '+')})"
        for row in found["comparisons"]
        if row["protocol"] == protocol and row["metric"] == "f1"
    }
    lines = [
        "",
        "## Cross-validation",
        "",
        f"{settings['repeats']} x {settings['folds']} folds of {data['originals']} originals, protocol `{protocol}`: "
        "tested texts are originals, and neither they nor their like were shown to the language model for any text "
        f"that trains. F1 with its 95 % interval; compared with originals alone, margin {settings['margin']}.",
        "",
        "| class | trained on | F1 | 95 % interval | verdict |",
        "|---|---|---:|---|---|",
    ]
    for row in found["summary"]:
        if row["protocol"] == protocol and row["metric"] == "f1" and row["class"] in (*focus, None):
            low, high = (_number(row[name]) for name in ("low", "high"))
            verdict = said.get((row["arm"], row["class"]), "")
            name = "macro" if row["class"] is None else md_cell(row["class"])
            lines.append(f"| {name} | `{row['arm']}` | {_number(row['estimate'])} | {low} to {high} | {verdict} |")
    lines.append("")
    lines += [
        f"- In a fold, `{row['arm']}` trained on {row['made']:.0f} made texts on average, {row['short']:.0f} fewer "
        "than its share: those whose sources are tested there do not train"
        for row in found["trained"]
        if row["protocol"] == protocol and row["short"]
    ]
    lines += [
        f"- Inflation, had the paper's own protocol been used, {md_cell(row['class'])}: {row['sentence']}"
        for row in found["inflation"]
        if row["part"] == "total"
    ]
    parameters = ", ".join(f"{key} `{value}`" for key, value in settings["classifier"]["parameters"].items())
    lines.append(f"- Each fit: `{settings['classifier']['name']}`, {parameters}")
    if found["unlike"]:
        lines.append(f"- Unlike the training above: {md_cell('; '.join(found['unlike']))}")
    lines += ["- Every score: `crossval/crossval.json`", ""]
    return "\n".join(lines)


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"
