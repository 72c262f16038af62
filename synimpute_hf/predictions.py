"""What each fit of a cross-validation said of each tested text, as a parquet file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .corpus import Corpus
from .errors import DataError
from .findings import FitRecord

__all__ = ["PREDICTIONS", "read_predictions", "write_predictions"]

PREDICTIONS = "predictions.parquet"


def write_predictions(folder: Path, records: Sequence[FitRecord], corpus: Corpus) -> Path:
    """Write one row for each fit and tested text.

    The columns are ``protocol``, ``arm``, ``repeat``, ``fold``, ``row_id``, ``label`` (the true class), ``predicted``,
    and for each class its probability, ``p_CLASS``. Texts are left out: ``row_id`` finds them.

    Args:
        folder: of the cross-validation.
        records: its fits.
        corpus: its rows.
    """
    names = [str(name) for name in corpus.names]
    path, unfinished = folder / PREDICTIONS, folder / f".{PREDICTIONS}-unfinished"
    schema = pa.schema(
        [("protocol", pa.string()), ("arm", pa.string()), ("repeat", pa.int32()), ("fold", pa.int32())]
        + [("row_id", pa.string()), ("label", pa.string()), ("predicted", pa.string())]
        + [(f"p_{name}", pa.float32()) for name in names]
    )
    cells: dict[tuple[str, str], list[FitRecord]] = {}
    for record in records:
        cells.setdefault((record.protocol, record.arm.name), []).append(record)
    with pq.ParquetWriter(unfinished, schema) as writer:
        for (protocol, arm), cell in cells.items():
            size = [len(record.tested) for record in cell]
            tested = np.concatenate([record.tested for record in cell])
            said = np.concatenate([record.predictions for record in cell])
            probabilities = np.concatenate([record.probabilities for record in cell])
            columns: list[Any] = [
                [protocol] * len(tested),
                [arm] * len(tested),
                np.repeat([record.fold.repeat for record in cell], size),
                np.repeat([record.fold.number for record in cell], size),
                [corpus.ids[k] for k in tested],
                [names[code] for code in corpus.labels[tested]],
                [names[code] for code in said],
                *probabilities.T,
            ]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    os.replace(unfinished, path)
    return path


def read_predictions(folder: Path, protocol: str | None = None, arm: str | None = None) -> dict[str, np.ndarray]:
    """Read predictions, by column.

    Args:
        folder: of a cross-validation.
        protocol: take this one alone.
        arm: take this one alone.

    Returns:
        The columns of ``write_predictions``, arrays of shape ``(n,)``.

    Raises:
        DataError: there are none.
    """
    path = folder / PREDICTIONS
    if not path.is_file():
        raise DataError(f"{path} is missing. Run `synimpute crossval DATA --predictions --output {folder}`.")
    wanted = [("protocol", "=", protocol)] if protocol else []
    wanted += [("arm", "=", arm)] if arm else []
    table = pq.read_table(path, filters=wanted or None)
    return {name: table[name].to_numpy() for name in table.column_names}
