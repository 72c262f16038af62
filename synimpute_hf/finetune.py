"""One sequence classifier, fine-tuned on all rows of an imputed split, with its facts and its card."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .cards import metadata_of, model_card, unlike_training
from .classifiers import make_classifier
from .classifiers.transformers import TransformersClassifier, draw_head, freeze_lower_layers, training_arguments
from .columns import guess
from .corpus import Corpus, read_corpus
from .errors import DataError, LeakageError, OutputError, PlanError, SynimputeWarning
from .facts import FACTS, LEAKY, MODEL_FORMAT, read_facts
from .inputs import read_data
from .mapping import PROVENANCE
from .outputs import MANIFEST, read_manifest, write_manifest
from .pretrained import base_facts, load_model, load_quietly, resolve_model
from .progress import show_progress
from .provenance import rows_digest
from .registry import parse_spec
from .seeding import digest
from .version import versions

__all__ = ["DEFAULT_MODEL", "fine_tune"]

DEFAULT_MODEL = "transformers"
UNFINISHED = ".unfinished-"
LIBRARIES = ("accelerate", "datasets", "huggingface_hub", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class _Data:
    """What trains.

    Attributes:
        corpus: the usable rows.
        digest: of them, with their provenance.
        told: the facts of the run that made them; None where nothing is recorded beside them.
        title: what they are called.
        split: where they stand.
        generators: who wrote them, as the rows tell.
        hub_id: of the dataset, or None.
    """

    corpus: Corpus
    digest: str
    told: Mapping[str, Any] | None
    title: str
    split: str
    generators: list[str]
    hub_id: str | None


def fine_tune(
    data: str,
    output: str | Path,
    *,
    classifier: str = DEFAULT_MODEL,
    crossval: str | Path | None = None,
    dataset_id: str | None = None,
    seed: int = 0,
    split: str | None = None,
    config: str | None = None,
    text: str | None = None,
    label: str | None = None,
) -> dict[str, Any]:
    """Train a sequence classifier as the fits of a cross-validation are trained, on all rows, and save it.

    Rows without a text or a label do not train.

    Args:
        data: a result folder, or what else ``read_data`` reads, with provenance columns.
        output: folder of the classifier. What a person wrote in its card stays.
        classifier: ``transformers:MODEL,preset=…``; without a model the embedded encoder.
        crossval: folder of a cross-validation, for the card.
        dataset_id: the Hub id of the data, for the card.
        seed: of the head, of the order of rows and of dropout.
        split: the split that trains; None takes the one that was imputed.
        config: configuration of a dataset that has several.
        text: the text column; None takes the recorded one, or guesses.
        label: the label column; None takes the recorded one, or guesses.

    Returns:
        The facts, as they stand in the folder's ``synimpute.json``.

    Raises:
        DataError: the data were not imputed, are not as they were written, or the cross-validation is of other classes.
        LeakageError: a synthetic row names no source, or one that is not there; or the cross-validation leaks.
        PlanError: a setting is not possible.
        OutputError: the folder holds something else, or cannot be written.
    """
    folder = Path(output)
    model = _classifier(classifier)
    card = _check_folder(folder)
    if dataset_id is not None:
        _check_id(dataset_id)
    found = _read(data, split, config, text, label)
    measured = None if crossval is None else _read_crossval(Path(crossval), found.corpus)
    facts = _facts(found, model, classifier, dataset_id, seed, folder.resolve().name)
    unlike = unlike_training(facts, measured) if measured else []
    if unlike:
        warnings.warn(
            f"The cross-validation did not train as this model does: {'; '.join(unlike)}. The card says so, and its "
            f"metadata give no F1. For that: synimpute crossval DATA --classifier '{facts['classifier']['spec']}'.",
            SynimputeWarning,
            stacklevel=2,
        )
    _make(folder, model, found.corpus, seed, facts, card, measured, None if crossval is None else Path(crossval))
    return facts


def _make(
    folder: Path,
    model: TransformersClassifier,
    corpus: Corpus,
    seed: int,
    facts: dict[str, Any],
    card: str,
    measured: Mapping[str, Any] | None,
    crossval: Path | None,
) -> None:
    """Train, and put all files in place when all are there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=UNFINISHED) as temporary:
            scratch = Path(temporary)
            _train(model, corpus, seed, scratch, facts)
            if crossval is not None:
                facts["crossval"] = _copy_crossval(crossval, scratch)
            write_manifest(scratch, facts)
            (scratch / "README.md").write_text(model_card(facts, card, measured), encoding="utf-8")
            (folder / FACTS).unlink(missing_ok=True)
            for file in scratch.iterdir():
                os.replace(file, folder / file.name)
    except OSError as error:
        raise OutputError(
            f"The classifier could not be written to {folder}: {error.strerror or error}. Make room, or choose another "
            "place with --output."
        ) from error


def _classifier(spec: str) -> TransformersClassifier:
    model = make_classifier(spec)
    if not isinstance(model, TransformersClassifier):
        raise PlanError(
            f"--classifier {spec!r} cannot be trained into a model folder. Expected transformers:MODEL, such as "
            "transformers:roberta-large,preset=paper-short, or transformers for the embedded encoder."
        )
    return model


def _check_id(dataset_id: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(dataset_id)
    except HFValidationError as error:
        raise PlanError(f"--dataset-id {dataset_id!r}: expected an id on the Hub, user/name. ({error})") from error


def _check_folder(folder: Path) -> str:
    """Refuse a folder that holds something else than a classifier of ours; returns its card."""
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    names = [name for name in names if not name.startswith(UNFINISHED)]
    if MANIFEST in names:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if told.get("kind") != "model":
            raise OutputError(f"The output folder {folder} holds an imputed dataset. Choose another with --output.")
    elif set(names) - {"README.md"} or (folder.exists() and not folder.is_dir()):
        raise OutputError(
            f"The output folder {folder} already holds something else ({', '.join(sorted(names)[:3]) or 'it is a file'}"
            "). Choose an empty or new folder with --output."
        )
    card = (folder / "README.md").read_text(encoding="utf-8") if "README.md" in names else ""
    metadata_of(card)
    return card


def _read(data: str, split: str | None, config: str | None, text: str | None, label: str | None) -> _Data:
    told = _recorded(data, config)
    splits, split = read_data(data, split or (told["split"] if told else None), config)
    rows = splits[split]
    missing = [name for name in PROVENANCE if name not in rows.column_names]
    if missing:
        raise DataError(
            f"{data!r} lacks the provenance columns {', '.join(missing)}: nothing tells its synthetic texts from its "
            "originals. Expected a folder that `synimpute impute` has written, or a dataset with all columns that it "
            "adds. To train on originals alone, use Trainer itself."
        )
    said = told["plan"]["settings"] if told else {}
    columns, _ = guess(rows.features, {}, text or said.get("text"), label or said.get("label"), None)
    if (
        told
        and split in told["splits"]
        and told["splits"][split]["digest"] != rows_digest(rows, columns.text, columns.label)
    ):
        raise DataError(
            f"The rows of {data!r} are not those that its {MANIFEST} is about. See what differs with: synimpute verify "
            f"{data}"
        )
    corpus = read_corpus(rows, text=columns.text, label=columns.label, missing_label=said.get("missing_label", -1))
    used = rows.select(sorted(corpus.rows.tolist()))
    path = Path(data)
    return _Data(
        corpus=corpus,
        digest=rows_digest(used, columns.text, columns.label),
        told=told,
        title=told["title"] if told else path.name if path.exists() else data,
        split=split,
        generators=sorted({name for name in used["generator"] if name}),
        hub_id=None if path.exists() else data,
    )


def _recorded(data: str, config: str | None) -> dict[str, Any] | None:
    """Return the facts of the run that made the data, where they stand beside them."""
    path = Path(data)
    if path.exists():
        return read_manifest(path) if (path / MANIFEST).is_file() else None
    import huggingface_hub

    place = "" if config in (None, "default") else f"{config}/"
    try:
        file = huggingface_hub.hf_hub_download(data, f"{place}{MANIFEST}", repo_type="dataset")
    except (OSError, ValueError):  # there is none; read_data says what is wrong with the id
        return None
    return read_manifest(Path(file).parent)


def _read_crossval(path: Path, corpus: Corpus) -> dict[str, Any]:
    """Read the facts of a cross-validation, and refuse one that is of other data, incomplete or leaky."""
    facts = read_facts(path)
    here, there = set(corpus.names), {row["name"] for row in facts["classes"]}
    if here != there:
        raise DataError(
            f"The cross-validation in {path} is of other data: its classes are {', '.join(sorted(there))}, and those "
            f"that train are {', '.join(sorted(here))}. Make one of these data: synimpute crossval DATA --output {path}"
        )
    if facts.get("incomplete"):
        raise DataError(f"The cross-validation in {path} is incomplete: {facts['incomplete']} Run it to its end.")
    protocols = [name for name in facts["settings"]["protocols"] if name not in LEAKY]
    checks = [facts["leak_check"].get(name) for name in protocols]
    if not protocols or any(check is None or check["shared_sources"] for check in checks):
        raise LeakageError(
            f"The cross-validation in {path} has no protocol whose leak check found none. Run `synimpute crossval` "
            "again with --protocols seed_aware."
        )
    return facts


def _copy_crossval(source: Path, folder: Path) -> dict[str, Any]:
    """Copy the facts of a cross-validation; returns what stands about them in the classifier's."""
    file = source / FACTS if source.is_dir() else source
    shutil.copyfile(file, folder / FACTS)
    return {"file": FACTS, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def _facts(
    data: _Data, model: TransformersClassifier, spec: str, dataset_id: str | None, seed: int, title: str
) -> dict[str, Any]:
    """Return what is known before training; no original's text is in it."""
    told, corpus = data.told or {}, data.corpus
    base = base_facts(model.argument)
    inherited = {"license": base.pop("license", None), "language": told.get("metadata", {}).get("language")}
    metadata = {name: value for name, value in inherited.items() if value}
    if dataset_id or data.hub_id:
        metadata["dataset_id"] = dataset_id or data.hub_id
    identity, options = model.identity, parse_spec(spec)[2]
    name = identity["name"] if model.argument else DEFAULT_MODEL
    made = corpus.kinds != "original"
    counts = [np.bincount(corpus.labels[part], minlength=len(corpus.names)).tolist() for part in (~made, made)]
    prompt = told.get("prompt")
    return {
        "format": MODEL_FORMAT,
        "kind": "model",
        "title": title,
        "base_model": base,
        "labels": list(corpus.names),
        "metadata": metadata,
        "data": {"title": data.title, "split": data.split, "generators": data.generators},
        "classifier": {"spec": ",".join([name, *(f"{key}={value}" for key, value in options.items())]), **identity},
        "seed": seed,
        "training": {"hyperparameters": {}},
        "plan": {**told["plan"], "example": None} if told else None,
        "outcome": told.get("outcome"),
        "generator": told.get("generator"),
        "prompt": prompt,
        "prompt_sha256": digest(prompt) if prompt else None,
        "counts": [
            {"name": name, "originals": real, "synthetic": synthetic, "held_back": 0}
            for name, real, synthetic in zip(corpus.names, *counts, strict=True)
        ],
        "rows": {"originals": int((~made).sum()), "synthetic": int(made.sum()), "held_back": 0},
        "train_digest": data.digest,
        "leak_check": None,
        "overfitting": [],
        "scores": [],
        "best_step": None,
        "crossval": None,
        "stopped": "",
        "versions": versions(LIBRARIES),
    }


def _train(classifier: TransformersClassifier, corpus: Corpus, seed: int, folder: Path, facts: dict[str, Any]) -> None:
    """Train from the pretrained weights and a head drawn by the seed, and save model and tokenizer."""
    import torch
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, set_seed

    settings, source = classifier.settings, resolve_model(classifier.argument)[1]
    tokenizer = load_model("AutoTokenizer", source)
    tokenizer.model_max_length = classifier.longest(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    set_seed(seed % 2**32)
    model, loaded = load_model(
        "AutoModelForSequenceClassification",
        source,
        num_labels=len(corpus.names),
        id2label=dict(enumerate(corpus.names)),
        label2id={name: k for k, name in enumerate(corpus.names)},
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    draw_head(model, loaded["missing_keys"])
    model.config.pad_token_id = tokenizer.pad_token_id
    if settings.train_layers is not None:
        freeze_lower_layers(model, settings.train_layers)
    rows = tokenizer(list(corpus.texts), truncation=True)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = training_arguments(scratch, settings, classifier.options, seed)
        arguments.train_sampling_strategy = "group_by_length"
        arguments.disable_tqdm = not show_progress(None)
        trainer = Trainer(
            model,
            arguments,
            train_dataset=Dataset.from_dict({**rows, "labels": corpus.labels}),
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    facts["training"]["hyperparameters"] = {
        **facts["classifier"]["parameters"],
        "bf16": arguments.bf16,
        "seed": seed,
        "steps": trainer.state.global_step,
        "optimizer": arguments.optim.value,
        "schedule": arguments.lr_scheduler_type.value,
    }
    load_quietly(trainer.model.save_pretrained, folder)
    tokenizer.save_pretrained(folder)
