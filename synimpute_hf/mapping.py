"""Rows in, rows out: what one call of ``map`` does to a batch or a row, and back from lists to rows.

Added columns are flat, typed and never null, so that they survive parquet, JSONL and ``concatenate_datasets``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from .columns import Columns, Originals, is_blank, plain_label
from .errors import ColumnError, PlanError, nearest
from .records import EVERY_ORIGINAL, JUDGES, SyntheticRow
from .seeding import row_digest

__all__ = ["PROVENANCE", "Anchors", "explode", "impute_batch", "impute_row", "is_dataset", "is_row"]

PROVENANCE = ("is_synthetic", "row_id", "source_ids", "draw", "generator", "prompt_sha256", "journal_key")
LISTS = (
    "texts",
    "texts_source_ids",
    "texts_row_ids",
    "texts_draws",
    "texts_generators",
    "texts_prompt_sha256",
    "texts_journal_keys",
    "texts_columns",
)


@dataclass(frozen=True)
class _Anchor:
    content: str
    rows: tuple[SyntheticRow, ...]


class Anchors:
    """Finds the synthetic rows that stand after an original.

    Args:
        columns: the columns in use.
        rows: accepted rows, in order.
        contents: content digest of each anchor, by row id. A row of another split may carry the same id: only one
            with the same text and label is the anchor.
        judged: whether a classifier that was trained on all originals judged the rows.
    """

    def __init__(
        self, columns: Columns, rows: Iterable[SyntheticRow], contents: Mapping[str, str], judged: bool = False
    ) -> None:
        self.columns = columns
        self.judged = judged
        grouped: dict[str, list[SyntheticRow]] = {}
        for row in rows:
            grouped.setdefault(row.anchor, []).append(row)
        self._anchors = {anchor: _Anchor(contents[anchor], tuple(group)) for anchor, group in grouped.items()}

    @classmethod
    def of(cls, originals: Originals, rows: Sequence[SyntheticRow], judged: bool = False) -> Anchors:
        """Return the anchors of rows that were written from these originals."""
        contents = {row.anchor: row.anchor for row in rows}
        if originals.columns.id is not None:
            for pool in originals.pools.values():
                for row_id, text in zip(pool.ids.to_pylist(), pool.texts.to_pylist(), strict=True):
                    if row_id in contents:
                        contents[row_id] = row_digest(text.decode("utf-8", "surrogatepass"), pool.label)
        return cls(originals.columns, rows, contents, judged)

    def look_up(self, text: Any, label: Any, user_id: Any) -> tuple[str, tuple[SyntheticRow, ...]]:
        """Return a row's id and the synthetic rows that stand after it."""
        content = row_digest("" if is_blank(text) else str(text), plain_label(label))
        row_id = content if self.columns.id is None else str(plain_label(user_id))
        anchor = self._anchors.get(row_id)
        return row_id, anchor.rows if anchor is not None and anchor.content == content else ()


def is_dataset(data: Any) -> bool:
    """Say whether this is a Dataset, an IterableDataset, or a dict of them by split."""
    if isinstance(data, Mapping):
        return bool(data) and hasattr(data, "map") and all(is_dataset(part) for part in data.values())
    return hasattr(data, "map") and hasattr(data, "features")


def is_row(data: Any, columns: Columns) -> bool:
    """Say whether ``map`` has passed one row (unbatched) rather than a batch."""
    if not isinstance(data, Mapping):
        return False
    value = _column(data, columns.text)
    return value is None or isinstance(value, (str, float)) or getattr(value, "ndim", 1) == 0


def _column(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        raise ColumnError(
            f"The imputer was fitted on a column {name!r}, which these rows do not have. Their columns "
            f"are: {', '.join(map(repr, data))}.{nearest(name, data)}"
        )
    return data[name]


def _lists(data: Any) -> dict[str, list[Any]]:
    """Return a batch of any kind (dict, LazyBatch, DataFrame, Arrow table) as lists by column."""
    if isinstance(data, pa.Table):
        return data.to_pydict()  # type: ignore[no-any-return]
    if isinstance(data, Mapping):
        return {name: _plain(values) for name, values in data.items()}
    return {str(name): _plain(data[name]) for name in data.columns}


def _plain(values: Any) -> list[Any]:
    return values.tolist() if hasattr(values, "tolist") else list(values)  # type: ignore[no-any-return]


def impute_batch(batch: Any, anchors: Anchors) -> Any:
    """Return a batch's rows, and after each anchor the synthetic rows anchored there.

    Args:
        batch: dict or LazyBatch of columns, pandas DataFrame or Arrow table.
        anchors: where synthetic rows stand.

    Returns:
        A dict of columns; a DataFrame or table where one came in.
    """
    columns = anchors.columns
    values = _lists(batch)
    texts, labels = _column(values, columns.text), _column(values, columns.label)
    ids = _column(values, columns.id) if columns.id else [None] * len(texts)
    out: dict[str, list[Any]] = {name: [] for name in (*values, *PROVENANCE)}
    others = [name for name in values if name not in (columns.text, columns.label)]
    for position, (text, label, user_id) in enumerate(zip(texts, labels, ids, strict=True)):
        row_id, synthetic = anchors.look_up(text, label, user_id)
        for name, column in values.items():
            out[name].append(column[position])
        _append_original(out, row_id)
        for row in synthetic:
            for name in others:
                out[name].append(None)
            out[columns.text].append(row.text)
            out[columns.label].append(label)
            _append_synthetic(out, row)
    if anchors.judged:
        marks = zip(out["is_synthetic"], out["row_id"], strict=True)
        out[JUDGES] = [[EVERY_ORIGINAL] if made else [row_id] for made, row_id in marks]
    return _like(batch, out)


def _append_original(out: dict[str, list[Any]], row_id: str) -> None:
    for name, value in zip(PROVENANCE, (False, row_id, [row_id], -1, "", "", ""), strict=True):
        out[name].append(value)


def _append_synthetic(out: dict[str, list[Any]], row: SyntheticRow) -> None:
    facts = (True, row.row_id, list(row.source_ids), row.draw, row.generator, row.prompt_sha256, row.journal_key)
    for name, value in zip(PROVENANCE, facts, strict=True):
        out[name].append(value)


def _like(batch: Any, out: dict[str, list[Any]]) -> Any:
    """Return columns in the kind of the batch that came in."""
    if isinstance(batch, pa.Table):
        schema = {field.name: field.type for field in batch.schema}
        return pa.table({name: pa.array(values, type=schema.get(name)) for name, values in out.items()})
    if isinstance(batch, Mapping):
        return out
    return type(batch)(out)


def impute_row(row: Mapping[str, Any], anchors: Anchors) -> dict[str, Any]:
    """Return list columns for one row: its own text and id first, then those of the texts that it anchors."""
    columns = anchors.columns
    if anchors.judged:
        raise PlanError(
            "A validator that learns from originals (label) needs the batched form, whose rows say so: "
            "ds.map(impute, batched=True)."
        )
    text = _column(row, columns.text)
    user_id = _column(row, columns.id) if columns.id else None
    row_id, synthetic = anchors.look_up(text, _column(row, columns.label), user_id)
    return {
        "texts": [None if text is None else str(text), *(entry.text for entry in synthetic)],
        "texts_source_ids": [[row_id], *(list(entry.source_ids) for entry in synthetic)],
        "texts_row_ids": [row_id, *(entry.row_id for entry in synthetic)],
        "texts_draws": [-1, *(entry.draw for entry in synthetic)],
        "texts_generators": ["", *(entry.generator for entry in synthetic)],
        "texts_prompt_sha256": ["", *(entry.prompt_sha256 for entry in synthetic)],
        "texts_journal_keys": ["", *(entry.journal_key for entry in synthetic)],
        # What explode must know: a synthetic row keeps the label, and every other column is null in it.
        "texts_columns": [columns.text, columns.label],
    }


def explode(batch: Any) -> Any:
    """Turn the list columns of an unbatched ``map`` into rows: ``ds.map(impute).map(explode, batched=True)``.

    Args:
        batch: a batch with the list columns, which are taken out of it so that ``map`` keeps none of them; or a whole
            dataset. A stream's ``map`` keeps every column it is not told to remove: give the stream itself,
            ``explode(stream.map(impute))``.

    Returns:
        The same rows that ``ds.map(impute, batched=True)`` gives.

    Raises:
        ColumnError: the list columns are missing.
    """
    if is_dataset(batch):
        return batch.map(explode, batched=True, remove_columns=list(LISTS))
    missing = [name for name in LISTS if name not in batch]
    if missing:
        raise ColumnError(
            f"explode expects the columns that an unbatched map(impute) adds; missing: "
            f"{', '.join(missing)}. Use: ds.map(impute).map(explode, batched=True)"
        )
    values = _lists(batch)
    lists = {name: values.pop(name) for name in LISTS}
    for name in LISTS:
        del batch[name]
    out: dict[str, list[Any]] = {name: [] for name in (*values, *PROVENANCE)}
    for position in range(len(lists["texts"])):
        text_column, label_column = lists["texts_columns"][position]
        cells = {name: column[position] for name, column in values.items()}
        for place, text in enumerate(lists["texts"][position]):
            own = place == 0
            for name, cell in cells.items():
                out[name].append(cell if own or name == label_column else None)
            if not own:
                out[text_column][-1] = text
            facts = (
                not own,
                *(_at(lists[name], position, place) for name in LISTS[2:3]),
                [str(source) for source in lists["texts_source_ids"][position][place]],
                *(_at(lists[name], position, place) for name in LISTS[3:7]),
            )
            for name, value in zip(PROVENANCE, facts, strict=True):
                out[name].append(value)
    return out


def _at(column: Sequence[Any], position: int, place: int) -> Any:
    value = column[position][place]
    return value.item() if hasattr(value, "item") else value
