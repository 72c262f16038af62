"""The cross-validation that follows the training of a ``transformers.Trainer``, in a process of its own."""

from __future__ import annotations

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
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, load_from_disk

from .errors import ColumnError, GeneratorError, LeakageError, PlanError, SynimputeError, SynimputeWarning, nearest
from .facts import FACTS, made_in_folds
from .mapping import PROVENANCE
from .pretrained import load_model, resolve_model
from .registry import load_plugin
from .trainer_sets import Sets, joined

__all__ = ["Begin", "Job", "check_crossval", "cross_validate", "plan_crossval", "run_job"]

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
TRIED = 20
BEAT = 20.0
CHILD = "import sys; from synimpute_hf.trainer_crossval import run_job; run_job(sys.argv[1])"
LAUNCHED = re.compile(r"(ACCELERATE|FSDP|MASTER|ROLE|TORCHELASTIC)_|((GROUP|LOCAL)_)?(RANK|WORLD_SIZE)$")
"""Environment variables by which torchrun and accelerate make a process one of several."""


@dataclass(frozen=True)
class Begin:
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
class Job:
    """A cross-validation that is to follow the training.

    Attributes:
        settings: of ``CrossValidation``, JSON-able; a classifier's are a list of its source and its options.
        rows: originals and synthetic rows.
        unlike: in what its fits are not like the training, in words.
        of_this_training: whether its fits begin where the training began, and repeat it as far as they can.
    """

    settings: dict[str, Any]
    rows: Dataset
    unlike: list[str]
    of_this_training: bool


def _given(crossval: Mapping[str, Any] | bool) -> dict[str, Any]:
    return dict(crossval) if isinstance(crossval, Mapping) else {}


def check_crossval(trainer: Any, crossval: Mapping[str, Any] | bool) -> Begin | None:
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
    return Begin(source, kind, tokenizer)


def plan_crossval(
    trainer: Any, sets: Sets, crossval: Mapping[str, Any] | bool, begin: Begin | None, missing_label: Any
) -> Job:
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
    rows = joined([sets.originals, sets.trained, sets.held_back]).with_format(None)
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
    return Job(settings, rows, list(unlike.values()), begin is not None)


def _validation(settings: Mapping[str, Any]) -> Any:
    from .crossval import CrossValidation

    chosen = settings.get("classifier")
    if isinstance(chosen, list):
        chosen = load_plugin("classifiers", "transformers", PlanError).from_options(*chosen)
    return CrossValidation(**{**settings, **({} if chosen is None else {"classifier": chosen})})


def _longest(sets: Sets) -> int:
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


def _unlike(trainer: Any, begin: Begin, sets: Sets, longest: int) -> dict[str, str]:
    """Say in what the fits of a cross-validation are not like the training, by the argument's name or another key."""
    from transformers import Trainer

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
    rows = sets.originals.with_format(None).select(range(min(TRIED, len(sets.originals))))
    own = begin.tokenizer(list(rows[sets.text]), truncation=True, max_length=longest)["input_ids"]
    if list(map(list, rows["input_ids"])) != own:
        found["inputs"] = "the inputs are not those that the pretrained model's tokenizer makes (there they are)"
    return found


def cross_validate(job: Job, args: Any, main: bool) -> dict[str, Any]:
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
    everywhere: dict[str, Any] = _shared(found, args)
    return everywhere


def _start(job: Job, args: Any, temporary: Path) -> subprocess.Popen[bytes]:
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


def run_job(path: str) -> None:
    """Be the process that cross-validates; ends with its parent, which holds the other end of standard input."""

    def end_with_parent() -> None:
        """Wait until the parent is gone, and end."""
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
    from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]

    return broadcast_object_list([value])[0]


def _findings(folder: Path, temporary: Path, code: int) -> dict[str, Any]:
    """Return what a cross-validation found, without its single fits, or why there is nothing."""
    said = temporary / "error"
    if said.is_file():
        return {"error": said.read_text(encoding="utf-8")}
    if code:
        return {"error": f"its process ended with status {code}; what it said stands in the log"}
    facts = json.loads((folder / f"{CROSSVAL}.json").read_text(encoding="utf-8"))
    return {**{name: facts[name] for name in KEPT if name in facts}, "trained": made_in_folds(facts["fits"])}
