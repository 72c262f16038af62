"""The result folder: ``data/*.parquet``, ``README.md``, ``synimpute.json``, and the journal beside them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .audit_facts import AUDIT, read_audit
from .cards import dataset_card, metadata_of
from .columns import Columns
from .errors import DataError, OutputError, SynimputeWarning
from .facts import FACTS, load_facts, read_facts, read_review
from .imputer import SyntheticImputer
from .journal import Journal
from .mapping import impute_batch
from .provenance import choose_examples, rows_digest
from .records import Outcome
from .version import versions

__all__ = [
    "JOURNAL",
    "MANIFEST",
    "check_folder",
    "read_manifest",
    "read_split",
    "save",
    "write_card",
    "write_manifest",
    "write_result",
    "write_split",
]

JOURNAL = "journal.sqlite"
MANIFEST = "synimpute.json"
OURS = ("README.md", "data", MANIFEST)
FORMAT = 2


def check_folder(folder: Path) -> None:
    """Refuse, before anything is paid, a folder that holds something else, or that can't be written.

    Raises:
        OutputError: says which.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        names = [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise OutputError(
            f"The output folder {folder} can't be written: {error.strerror or error}. Choose another with --output."
        ) from error
    foreign = [name for name in names if name not in (*OURS, FACTS) and JOURNAL not in name]
    if foreign and MANIFEST not in names:
        raise OutputError(
            f"The output folder {folder} already holds something else ({', '.join(sorted(foreign)[:3])}"
            "…). Choose an empty or new folder with --output."
        )
    metadata_of(_card_of(folder))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the facts of a result.

    Args:
        folder: which holds ``synimpute.json``.

    Raises:
        DataError: there are none, or they are of another make.
    """
    return load_facts(
        folder / MANIFEST,
        FORMAT,
        "splits",
        what="an imputed dataset",
        again="Run the same `synimpute impute` command again with this version: nothing is asked twice.",
        absent=f"No result at {folder}",
        expected="Name a folder that `synimpute impute DATA --output FOLDER` has written.",
    )


def read_split(folder: Path, facts: Mapping[str, Any], name: str, cache: Path | None = None) -> Any:
    """Return the rows of one split of a result, as a Dataset.

    Args:
        folder: of the result.
        facts: the content of its ``synimpute.json``.
        name: of the split.
        cache: a folder that outlives the rows; None keeps them in memory.

    Raises:
        DataError: a file is missing.
    """
    import datasets

    paths = [folder / file["file"] for file in facts["splits"][name]["files"]]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing: the folder is not whole. Run the same impute command again.")
    with tempfile.TemporaryDirectory() as scratch:
        where = {"cache_dir": scratch, "keep_in_memory": True} if cache is None else {"cache_dir": str(cache)}
        return datasets.Dataset.from_parquet([str(path) for path in paths], **where)


def write_result(
    folder: Path,
    splits: Mapping[str, Any],
    split: str,
    imputer: SyntheticImputer,
    outcome: Outcome,
    source: str,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a result: complete or not at all, over an earlier one if there is one.

    Args:
        folder: the result folder. What a person wrote in its card stays.
        splits: the user's rows by split.
        split: the split that was imputed.
        imputer: fitted.
        outcome: what to write; may be a partial one.
        source: where the rows came from, a file's name or a Hub id.
        metadata: what the card inherits, see ``inputs.source_metadata``.

    Returns:
        The facts, as they stand in ``synimpute.json``.

    Raises:
        OutputError: the disk is full, or the folder can't be written. The journal keeps every answer.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{JOURNAL}-unfinished-") as temporary:
            facts = _facts(split, imputer, outcome, source, metadata or {"source_dataset": "original"}, folder)
            _write_splits(Path(temporary), splits, imputer, outcome, facts)
            write_manifest(Path(temporary), facts)
            (Path(temporary) / "README.md").write_text(_render_card(folder, facts), encoding="utf-8")
            shutil.rmtree(folder / "data", ignore_errors=True)
            for name in OURS:
                os.replace(Path(temporary) / name, folder / name)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"The result could not be written to {folder}: {error.strerror or error}. Every answer is "
            f"safe in {imputer.journal_path}: make room, or choose another place with --output, and run "
            "the same command again; nothing is asked twice."
        ) from error
    return facts


def save(folder: str | Path, dataset: Any, impute: SyntheticImputer, source: str = "a dataset") -> dict[str, Any]:
    """Write an imputed dataset with its card, facts and journal into a folder, as ``synimpute impute`` does.

    Args:
        folder: new, empty, or with an earlier result of the same rows.
        dataset: the rows that the imputer was fitted on: a Dataset, or a DatasetDict whose ``train`` is imputed.
        impute: fitted; what its plan lacks is generated now.
        source: what the card calls the rows: a file's name, or a Hub id.

    Returns:
        The facts, as they stand in ``synimpute.json``.

    Raises:
        OutputError: the folder can't be written, or holds something else.
        DataError: a DatasetDict without ``train``.
        GeneratorError: the model failed; nothing is written, and the journal keeps what was answered.
    """
    folder = Path(folder)
    splits = dict(dataset) if isinstance(dataset, Mapping) else {"train": dataset}
    if "train" not in splits:
        raise DataError(f"The DatasetDict has no split 'train'; its splits are: {', '.join(map(repr, splits))}.")
    check_folder(folder)
    outcome = impute.generate()
    if impute.journal_path != (folder / JOURNAL).absolute() and impute.journal_path.is_file():
        (folder / JOURNAL).unlink(missing_ok=True)
        with Journal(impute.journal_path, create=False) as journal:
            journal.copy_run(folder / JOURNAL, outcome.run)
    return write_result(folder, splits, "train", impute, outcome, source)


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts of a result into a folder."""
    (folder / MANIFEST).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_card(folder: Path) -> None:
    """Write a result's card anew, from the facts that lie in its folder now.

    Raises:
        DataError: there is no result.
    """
    card = _render_card(folder, read_manifest(folder))
    unfinished = folder / ".README.md-unfinished"
    unfinished.write_text(card, encoding="utf-8")
    os.replace(unfinished, folder / "README.md")


def _render_card(folder: Path, facts: Mapping[str, Any]) -> str:
    """Return the card of facts, with what else lies in their folder, and what a person wrote there."""
    crossval = read_facts(folder) if (folder / FACTS).is_file() else None
    return dataset_card(facts, _card_of(folder), crossval, read_review(folder, facts), _audit_of(folder, facts))


def _audit_of(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the audit of these rows; says it where there is only one of other rows."""
    audit = read_audit(folder, facts)
    if audit is None and (folder / AUDIT).is_file():
        warnings.warn(
            f"{folder / AUDIT} is about other rows than the result has now, and is left out of the card. Run again: "
            f"`synimpute audit {folder}`.",
            SynimputeWarning,
            stacklevel=4,
        )
    return audit


def _card_of(folder: Path) -> str:
    path = folder / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _write_splits(
    folder: Path, splits: Mapping[str, Any], imputer: SyntheticImputer, outcome: Outcome, facts: dict[str, Any]
) -> None:
    (folder / "data").mkdir()
    impute = partial(impute_batch, anchors=imputer.anchors_of(outcome))
    facts["splits"] = {}
    for name, part in splits.items():
        rows = part.map(
            impute, batched=True, cache_file_name=str(folder / "rows.arrow"), new_fingerprint=facts["plan"]["digest"]
        )
        facts["splits"][name] = write_split(rows, folder, name, imputer.columns)
        facts["features"] = rows.features.to_dict()
        (folder / "rows.arrow").unlink(missing_ok=True)


def write_split(
    rows: Any, folder: Path, name: str, columns: Columns, largest: int | None = None, count: int = 1
) -> dict[str, Any]:
    """Write a split as parquet files of about one size, and return what stands about it in the facts.

    Args:
        rows: a Dataset with provenance columns.
        folder: in whose folder ``data`` the files go.
        name: of the split.
        columns: those in use.
        largest: bytes that a file may have, or None.
        count: files to write, where ``largest`` does not say.
    """
    path = folder / "rows.parquet"
    rows.to_parquet(str(path))
    count = count if largest is None else min(len(rows) or 1, -(-path.stat().st_size // largest))
    files = []
    for number in range(count):
        part = rows if count == 1 else rows.shard(count, number, contiguous=True)
        if count > 1:
            part.to_parquet(str(path))
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        # datasets caches a folder by its README, not by its files: a name that changes with the content keeps
        # load_dataset from returning what stood here before.
        file = f"data/{name}-{number:05d}-of-{count:05d}-{sha[:8]}.parquet"
        files.append({"file": file, "rows": len(part), "bytes": path.stat().st_size, "sha256": sha})
        path.rename(folder / file)
    return {
        "rows": len(rows),
        "bytes": rows.data.nbytes,
        "files": files,
        "digest": rows_digest(rows, columns.text, columns.label),
    }


def _facts(
    split: str,
    imputer: SyntheticImputer,
    outcome: Outcome,
    source: str,
    metadata: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "config": "default",
        "place": "",
        "title": f"{Path(source).stem if Path(source).suffix else source}, imputed",
        "source": source,
        "metadata": dict(metadata),
        "split": split,
        "splits": {},
        "features": {},
        "parameters": imputer.parameters(),
        "plan": imputer.plan.to_dict(),
        "generator": imputer.generator_identity(),
        "prompt": imputer.prompt_fields(),
        "outcome": outcome.to_dict(),
        "examples": choose_examples(outcome.rows, {entry.label: entry.name for entry in imputer.plan.classes}),
        "journal": JOURNAL if (folder / JOURNAL).is_file() else "kept elsewhere",
        "versions": versions(("datasets", "huggingface_hub", "pyarrow", "torch", "transformers")),
    }
