"""The result folder: ``data/*.parquet``, ``README.md``, ``synimpute.json``, and the journal beside them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .cards import dataset_card
from .errors import OutputError
from .imputer import SyntheticImputer
from .mapping import impute_batch
from .records import Outcome
from .version import versions

__all__ = ["JOURNAL", "check_folder", "write_result"]

JOURNAL = "journal.sqlite"
MANIFEST = "synimpute.json"
OURS = ("README.md", "data", MANIFEST)
FORMAT = 1


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
    foreign = [name for name in names if name not in OURS and JOURNAL not in name]
    if foreign and MANIFEST not in names:
        raise OutputError(
            f"The output folder {folder} already holds something else ({', '.join(sorted(foreign)[:3])}"
            "…). Choose an empty or new folder with --output."
        )


def write_result(
    folder: Path, splits: Mapping[str, Any], split: str, imputer: SyntheticImputer, outcome: Outcome, source: str
) -> dict[str, Any]:
    """Write a result: complete or not at all, over an earlier one if there is one.

    Args:
        folder: the result folder.
        splits: the user's rows by split.
        split: the split that was imputed.
        imputer: fitted.
        outcome: what to write; may be a partial one.
        source: where the rows came from, a file's name or a Hub id.

    Returns:
        The facts, as they stand in ``synimpute.json``.

    Raises:
        OutputError: the disk is full, or the folder can't be written. The journal keeps every answer.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{JOURNAL}-unfinished-") as temporary:
            facts = _facts(splits, split, imputer, outcome, source, folder)
            _write_splits(Path(temporary), splits, imputer, outcome, facts)
            (Path(temporary) / MANIFEST).write_text(
                json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            (Path(temporary) / "README.md").write_text(dataset_card(facts), encoding="utf-8")
            shutil.rmtree(folder / "data", ignore_errors=True)
            for name in OURS:
                os.replace(Path(temporary) / name, folder / name)
    except OSError as error:
        raise OutputError(
            f"The result could not be written to {folder}: {error.strerror or error}. Every answer is "
            f"safe in {imputer.journal_path}: make room, or choose another place with --output, and run "
            "the same command again; nothing is asked twice."
        ) from error
    return facts


def _write_splits(
    folder: Path, splits: Mapping[str, Any], imputer: SyntheticImputer, outcome: Outcome, facts: dict[str, Any]
) -> None:
    (folder / "data").mkdir()
    impute = partial(impute_batch, anchors=imputer.anchors_of(outcome))
    for name, part in splits.items():
        rows = part.map(
            impute, batched=True, cache_file_name=str(folder / "rows.arrow"), new_fingerprint=facts["plan"]["digest"]
        )
        path = folder / "rows.parquet"
        rows.to_parquet(str(path))
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        # datasets caches a folder by its README, not by its files: a name that changes with the content keeps
        # load_dataset from returning what stood here before.
        file = f"data/{name}-{sha[:8]}.parquet"
        path.rename(folder / file)
        facts["splits"][name] = {"file": file, "rows": len(rows), "sha256": sha}
        (folder / "rows.arrow").unlink(missing_ok=True)


def _facts(
    splits: Mapping[str, Any], split: str, imputer: SyntheticImputer, outcome: Outcome, source: str, folder: Path
) -> dict[str, Any]:
    journal = imputer.journal_path
    return {
        "format": FORMAT,
        "title": f"{Path(source).stem if Path(source).suffix else source}, imputed",
        "source": source,
        "split": split,
        "splits": {name: {} for name in splits},
        "plan": imputer.plan.to_dict(),
        "generator": imputer.generator_identity(),
        "prompt": imputer.prompt_fields(),
        "outcome": outcome.to_dict(),
        "journal": journal.name if journal.parent == folder.absolute() else "kept elsewhere",
        "versions": versions(("datasets", "huggingface_hub", "pyarrow", "torch", "transformers")),
    }
