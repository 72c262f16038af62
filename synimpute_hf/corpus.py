"""The table that cross-validation works on: originals, and every row made from them, with its sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .columns import guess, is_blank, plain_label
from .errors import ColumnError, DataError, LeakageError, nearest
from .records import EVERY_ORIGINAL
from .seeding import digest, normalise, row_digest

__all__ = ["CEILING", "CONTRAST", "HOLDOUT", "IMPUTED", "ORIGINAL", "Corpus", "Extra", "read_corpus"]

ORIGINAL = "original"
IMPUTED = "imputed"
CONTRAST = "contrast"
HOLDOUT = "holdout"
CEILING = "ceiling"
"""Kinds of rows. A ``holdout`` row is only ever tested; a ``ceiling`` row is an original that only ever trains, or
also is tested, see ``Corpus.tested``."""


@dataclass(frozen=True)
class Extra:
    """A row made from originals, or a further original, to be added to a corpus.

    Attributes:
        text: its text.
        label: its class, as a position in the corpus's names.
        kind: what made it, such as ``"imputed"`` or ``"eda"``.
        sources: positions of the originals that it was made from, or that helped to judge it.
        row_id: its id.
        draw: its number within its class and kind.
        group: value of the user's group column, for a further original.
    """

    text: str
    label: int
    kind: str
    sources: tuple[int, ...] = ()
    row_id: str = ""
    draw: int = 0
    group: Any = None


@dataclass(frozen=True)
class Corpus:
    """Originals first, then the rows made from them.

    Attributes:
        texts: ``n`` texts.
        labels: ``(n,)`` positions in ``names``.
        names: the classes.
        ids: row ids.
        kinds: ``(n,)`` strings, see ``Extra.kind``.
        sources: for each row the positions of its sources; empty for originals.
        draws: ``(n,)`` number within class and kind; -1 for originals.
        groups: for each row a value of the user's group column, or None.
        rows: ``(n,)`` where each row stands in the dataset; -1 for rows that were added.
        tested: the kinds of rows that folds test.
    """

    texts: tuple[str, ...]
    labels: np.ndarray
    names: tuple[str, ...]
    ids: tuple[str, ...]
    kinds: np.ndarray
    sources: tuple[tuple[int, ...], ...]
    draws: np.ndarray
    groups: tuple[Any, ...]
    rows: np.ndarray
    tested: tuple[str, ...] = (ORIGINAL,)

    def __len__(self) -> int:
        return len(self.texts)

    def of_kind(self, *kinds: str) -> np.ndarray:
        """Return the positions of the rows of some kinds, shape ``(m,)``."""
        return np.flatnonzero(np.isin(self.kinds, kinds))

    @property
    def originals(self) -> np.ndarray:
        """Positions of the originals that folds are made of."""
        return self.of_kind(ORIGINAL)

    def counts(self, *kinds: str) -> np.ndarray:
        """Return the rows of some kinds by class, shape ``(classes,)``."""
        return np.bincount(self.labels[self.of_kind(*kinds)], minlength=len(self.names))

    def extended(self, rows: Iterable[Extra]) -> Corpus:
        """Return a corpus with further rows at its end."""
        rows = list(rows)
        if not rows:
            return self
        return replace(
            self,
            texts=self.texts + tuple(row.text for row in rows),
            labels=np.concatenate([self.labels, [row.label for row in rows]]).astype(np.int64),
            ids=self.ids + tuple(row.row_id or f"{row.kind}-{digest(row.text, row.label)[:16]}" for row in rows),
            kinds=np.concatenate([self.kinds, np.array([row.kind for row in rows], dtype=object)]),
            sources=self.sources + tuple(row.sources for row in rows),
            draws=np.concatenate([self.draws, [row.draw for row in rows]]).astype(np.int64),
            groups=self.groups + tuple(row.group for row in rows),
            rows=np.concatenate([self.rows, np.full(len(rows), -1)]),
        )

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """The form of each text in which twins are found."""
        return tuple(normalise(text) for text in self.texts)

    @cached_property
    def content(self) -> np.ndarray:
        """A digest of each row's text and label, for the keys of finished fits."""
        rows = zip(self.texts, self.labels.tolist(), strict=True)
        return np.array([row_digest(text, self.names[label]) for text, label in rows], dtype=object)


def read_corpus(
    dataset: Any,
    *,
    text: str | None = None,
    label: str | None = None,
    id: str | None = None,
    groups: str | None = None,
    contrast: Sequence[str] | None = None,
    missing_label: Any = -1,
) -> Corpus:
    """Read a dataset of originals, or one that was imputed.

    Args:
        dataset: a ``datasets.Dataset``; blank texts and rows without a label are left out.
        text: the text column; None guesses an obvious one.
        label: the label column; None guesses an obvious one.
        id: a column with row ids, for data that was not imputed.
        groups: a column (document, author, debate) whose rows must stay on one side of every fold.
        contrast: classes whose synthetic rows were written as contrast; None infers them, see ``_contrast_classes``.
        missing_label: label value that means "not labelled".

    Raises:
        ColumnError: a column is missing.
        LeakageError: there are synthetic rows, but not which originals each came from.
    """
    columns, _ = guess(dataset.features, {}, text, label, id)
    if groups is not None and groups not in dataset.column_names:
        raise ColumnError(
            f"There is no column {groups!r} (asked for as the groups). The columns are: "
            f"{', '.join(map(repr, dataset.column_names))}.{nearest(groups, dataset.column_names)}"
        )
    table = dataset.with_format(None)
    rows = _usable(table, columns.text, columns.label, missing_label, columns.names)
    if not rows:
        raise DataError(f"No row has both a text in {columns.text!r} and a label in {columns.label!r}.")
    names = tuple(sorted({name for _, _, name, _ in rows}, key=str))
    if columns.names:
        names = tuple(name for name in columns.names if name in names)
    if len(names) < 2:
        raise DataError(f"All rows belong to one class, {names[0]!r}. Cross-validation needs two or more.")
    synthetic, ids, sources = _provenance(table, columns.id, rows)
    order = [k for k, made in enumerate(synthetic) if not made] + [k for k, made in enumerate(synthetic) if made]
    place = {ids[k]: new for new, k in enumerate(order) if not synthetic[k]}
    codes = {name: code for code, name in enumerate(names)}
    values = table[groups] if groups is not None else None
    labels = np.array([codes[rows[k][2]] for k in order], dtype=np.int64)
    made = np.array([synthetic[k] for k in order])
    counts = [np.bincount(labels[part], minlength=len(names)) for part in (~made, made)]
    others = {codes[name] for name in contrast if name in codes} if contrast is not None else _contrast_classes(*counts)
    kinds = np.array(
        [
            (CONTRAST if code in others else IMPUTED) if new else ORIGINAL
            for code, new in zip(labels, made, strict=True)
        ],
        dtype=object,
    )
    draws = table["draw"] if "draw" in table.column_names else None
    return Corpus(
        texts=tuple(rows[k][1] for k in order),
        labels=labels,
        names=names,
        ids=tuple(ids[k] for k in order),
        kinds=kinds,
        sources=tuple(_positions(sources[k], place, ids[k]) if synthetic[k] else () for k in order),
        draws=np.array([draws[rows[k][0]] if draws is not None else -1 for k in order], dtype=np.int64),
        groups=tuple(None if values is None or synthetic[k] else values[rows[k][0]] for k in order),
        rows=np.array([rows[k][0] for k in order], dtype=np.int64),
    )


def _usable(
    table: Any, text: str, label: str, missing_label: Any, class_names: Sequence[str] | None
) -> list[tuple[int, str, str, Any]]:
    """Return position, text, class name and plain label of the rows that have both."""
    found = []
    for position, (value, raw) in enumerate(zip(table[text], table[label], strict=True)):
        plain = plain_label(raw)
        unlabelled = plain is None or (type(plain) is type(missing_label) and plain == missing_label)
        if unlabelled or is_blank(value):
            continue
        found.append((position, value, class_names[int(str(plain))] if class_names else str(plain), plain))
    return found


def _contrast_classes(originals: np.ndarray, made: np.ndarray) -> set[int]:
    """Infer which classes have their synthetic rows as contrast: the largest, and those with as large a share as it.

    ``SyntheticImputer(contrast=True)`` writes the same share for every class that is not short. The smallest class is
    never contrast.

    Args:
        originals: ``(classes,)`` originals by class.
        made: ``(classes,)`` synthetic rows by class.
    """
    largest, smallest = int(originals.argmax()), int(originals.argmin())
    expected = originals * made[largest] / max(1, originals[largest])
    alike = np.abs(made - expected) <= 1
    return {largest} | {int(code) for code in np.flatnonzero(alike & (made > 0)) if code != smallest}


def _provenance(
    table: Any, id_column: str | None, rows: Sequence[tuple[int, str, str, Any]]
) -> tuple[list[bool], list[str], list[list[str]]]:
    """Return, for each usable row, whether it is synthetic, its id and its source ids."""
    has = set(table.column_names)
    if "is_synthetic" not in has and "source_ids" not in has:
        own = table[id_column] if id_column else None
        seen: dict[str, int] = {}
        ids = []
        for position, value, _, plain in rows:
            # The id that an imputer gives the row, so that its synthetic rows find their sources here.
            row_id = str(plain_label(own[position])) if own is not None else row_digest(value, plain)
            seen[row_id] = seen.get(row_id, 0) + 1
            ids.append(row_id if seen[row_id] == 1 else f"{row_id}-{seen[row_id]}")
        return [False] * len(rows), ids, [[] for _ in rows]
    missing = {"is_synthetic", "source_ids", "row_id"} - has
    if missing:
        raise LeakageError(
            f"The dataset was imputed, but its columns {sorted(missing)} are gone: nothing shows which originals each "
            "synthetic row came from, so no fold can be kept clean. Give the dataset as it was imputed, with all of "
            "is_synthetic, row_id and source_ids."
        )
    flags, every, sources = table["is_synthetic"], table["row_id"], table["source_ids"]
    judged = table["judge_source_ids"] if "judge_source_ids" in has else None
    ids = []
    twins: dict[str, int] = {}
    for position, _, _, _ in rows:
        row_id = every[position]
        twins[row_id] = twins.get(row_id, 0) + 1
        ids.append(row_id if twins[row_id] == 1 else f"{row_id}-{twins[row_id]}")
    helped = [list(sources[p]) + list((judged[p] if judged is not None else None) or ()) for p, _, _, _ in rows]
    return [bool(flags[p]) for p, _, _, _ in rows], ids, helped


def _positions(source_ids: Sequence[str], place: Mapping[str, int], row_id: str) -> tuple[int, ...]:
    if not source_ids:
        raise LeakageError(f"The synthetic row {row_id!r} names no source: no fold can be shown to be clean of it.")
    if EVERY_ORIGINAL in source_ids:
        raise LeakageError(
            "The synthetic rows were judged by a classifier that was trained on all originals (the validator label): "
            "no fold is clean of them. Impute without that validator, or cross-validate the originals with the "
            "protocol nested, where each fold's texts are judged by its own training part."
        )
    unknown = [source for source in source_ids if source not in place]
    if unknown:
        raise LeakageError(
            f"The synthetic row {row_id!r} names the source {unknown[0]!r}, which is not among the originals. Were "
            "originals filtered out or ids changed after imputation? Give the whole imputed dataset."
        )
    return tuple(dict.fromkeys(place[source] for source in source_ids))
