"""DATA on the command line: a file, a folder or a Hub id becomes splits of rows."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow as pa

from .errors import DataError, MissingPackageError, first_line, nearest
from .seeding import digest

__all__ = ["read_data", "source_metadata"]


def _csv(path: str) -> Any:
    return datasets.Dataset.from_csv(path)


def _tsv(path: str) -> Any:
    return datasets.Dataset.from_csv(path, sep="\t")


def _json(path: str) -> Any:
    return datasets.Dataset.from_json(path)


def _parquet(path: str) -> Any:
    return datasets.Dataset.from_parquet(path)


def _xlsx(path: str) -> Any:
    try:
        import openpyxl  # noqa: F401  (pandas reads with it)
        import pandas as pd
    except ImportError as error:
        raise MissingPackageError('Reading .xlsx files needs openpyxl: pip install "synimpute-hf[xlsx]"') from error
    return datasets.Dataset.from_pandas(pd.read_excel(path), preserve_index=False)


READERS: dict[str, Callable[[str], Any]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".json": _json,
    ".jsonl": _json,
    ".parquet": _parquet,
    ".xlsx": _xlsx,
}


def read_data(data: str, split: str | None = None, config: str | None = None) -> tuple[dict[str, Any], str]:
    """Read DATA into its splits.

    Args:
        data: a csv, tsv, json, jsonl, parquet or xlsx file, a folder of such files, a folder that ``save_to_disk``
            wrote, or a dataset's id on the Hugging Face Hub.
        split: the split to impute; None takes ``train``, or the only one.
        config: configuration of a dataset that has several.

    Returns:
        The splits by name, and the name of the one to impute.

    Raises:
        DataError: it is no dataset, or there is no such split.
    """
    try:
        found = _read(data, config)
    except (
        datasets.exceptions.DatasetsError,
        OSError,
        ValueError,
        LookupError,
        zipfile.BadZipFile,
        pa.ArrowException,
    ) as error:
        if isinstance(error, DataError):
            raise
        cause = first_line(error.__cause__ or error)
        raise DataError(f"{data!r} could not be read as a dataset: {cause}\nExpected {EXPECTED}.") from error
    splits = {str(name): part for name, part in found.items()} if isinstance(found, dict) else {"train": found}
    if split is None:
        split = next(iter(splits)) if len(splits) == 1 else "train"
    if split not in splits:
        raise DataError(
            f"{data!r} has no split {split!r}. Its splits are: {', '.join(map(repr, splits))}. Say which to "
            f"impute with --split.{nearest(split, splits)}"
        )
    return splits, split


def source_metadata(data: str) -> dict[str, Any]:
    """Return what a result may inherit from the card of its source: never more than stands there.

    Args:
        data: as for ``read_data``.

    Returns:
        ``source_dataset`` (a Hub id, or ``original``), and where the card has them ``license`` and ``language``, each
        with its ``value`` and where it is ``from``.
    """
    path = Path(data)
    on_hub = not path.exists()
    found: dict[str, Any] = {"source_dataset": data if on_hub else "original"}
    try:
        card = huggingface_hub.DatasetCard.load(data if on_hub else path / "README.md", ignore_metadata_errors=True)
    except (OSError, ValueError):  # there is none, or it cannot be read: nothing is inherited
        return found
    for name in ("license", "language"):
        value = card.data.get(name)
        if value:
            found[name] = {"value": value, "from": f"the card of {data if on_hub else path.name}"}
    return found


EXPECTED = (
    "a csv, tsv, json, jsonl, parquet or xlsx file, a folder of such files, a folder that save_to_disk wrote, "
    "or a dataset's id on the Hugging Face Hub (user/name)"
)


def _cache_for(folder: Path) -> Path:
    """Return a cache folder for the files as they are now: the library's own key would return what they were."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    state = [[str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    return Path(datasets.config.HF_DATASETS_CACHE) / f"synimpute-{digest(str(folder.resolve()), state)[:24]}"


def _read(data: str, config: str | None) -> Any:
    path = Path(data)
    if path.is_file():
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            raise DataError(
                f"{data!r} is a file of an unknown kind ({path.suffix or 'no ending'}). Expected {EXPECTED}."
            )
        return reader(str(path))
    if path.is_dir():
        if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            return datasets.load_from_disk(str(path))
        return datasets.load_dataset(str(path), config, cache_dir=str(_cache_for(path)))
    if path.suffix.lower() in READERS or path.is_absolute() or data.startswith(".") or data.count("/") > 1:
        raise DataError(f"There is no file or folder {data!r}. Expected {EXPECTED}.")
    return datasets.load_dataset(data, config)
