"""Reading a dataset: which columns, which classes, which originals may be shown to a model.

One pass over the rows, map-style or streamed. Everything that comes out is independent of the order of rows.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from .errors import ColumnError, DataError, nearest
from .records import Label
from .seeding import row_digest, text_code
from .shingles import Gathered

__all__ = ["ClassCount", "Collector", "Columns", "Originals", "Pool", "is_blank", "plain_label", "read_originals"]

TEXT_NAMES = (
    "text",
    "sentence",
    "content",
    "message",
    "tweet",
    "post",
    "body",
    "document",
    "utterance",
    "speech",
    "comment",
    "review",
    "query",
    "title",
    "description",
)
LABEL_NAMES = ("label", "labels", "class", "category", "intent", "topic", "target", "code", "sentiment", "stance", "y")
BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Columns:
    """The columns in use.

    Attributes:
        text: name of the text column.
        label: name of the label column.
        id: name of the user's id column, or None: then a row's id is a digest of its text and label.
        names: class names of a ClassLabel column, else None.
    """

    text: str
    label: str
    id: str | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ClassCount:
    """How often a class occurs.

    Attributes:
        label: the value in the label column.
        name: the class as people call it.
        originals: rows with a usable text.
        distinct: how many of the texts differ after normalisation.
        usable: how many of those may be shown to a model.
    """

    label: Label
    name: str
    originals: int
    distinct: int
    usable: int


@dataclass(frozen=True)
class Pool:
    """The originals of one class that may be shown to a model, sorted by content.

    Attributes:
        name: the class.
        label: its value in the label column.
        ids: row ids, one a distinct text.
        texts: their texts, unchanged.
        anchorable: for each original, whether a synthetic row may stand after it (shape ``(len(ids),)``, bool).
        digest: digest of all of this.
    """

    name: str
    label: Label
    ids: pa.StringArray
    texts: pa.LargeBinaryArray
    anchorable: np.ndarray
    digest: str


@dataclass(frozen=True)
class Originals:
    """All that a plan, the draws and the copy check need to know about the user's rows.

    Attributes:
        columns: the columns in use.
        counts: the classes, the largest first.
        pools: by class name; classes that can't be short have none.
        known: sorted codes of all texts, of every class and split (shape ``(n,)``, uint64).
        notes: what was noticed in the data.
        guesses: a sentence for each guessed column.
        shingles: sorted hashes of all texts' word shingles, where they were asked for (shape ``(m,)``, uint32).
    """

    columns: Columns
    counts: tuple[ClassCount, ...]
    pools: Mapping[str, Pool]
    known: np.ndarray
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    shingles: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))


def is_blank(value: Any) -> bool:
    """Say whether a cell holds no text: None, NaN or white space."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is pa.NA or (isinstance(value, float) and value != value)


def plain_label(value: Any) -> Label | None:
    """Return a label as a plain Python value, so that one class has one value in every format.

    NumPy and torch scalars are unpacked, whole floats become integers (a csv column of integers
    with a gap is read as floats), NaN and blank strings become None.

    Raises:
        ColumnError: the label is a list (multi-label) or a fraction.
    """
    if isinstance(value, str):
        return str(value) if value.strip() else None  # NumPy's own strings become plain ones
    if isinstance(value, int):  # bool is an int and stays a bool
        return value
    if value is None or value is pa.NA:
        return None
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return plain_label(value.item())
    if isinstance(value, float):
        if value != value:
            return None
        if value.is_integer():
            return int(value)
        raise ColumnError(
            f"The label column holds the number {value}. A label must name a class: a string, an integer or a "
            "ClassLabel. If this is a score, cut it into classes first."
        )
    raise ColumnError(
        f"The label column holds {value!r} ({type(value).__name__}). Multi-label data are not supported: every row "
        "needs exactly one class. Make one dataset per label (with the label or not), and impute each."
    )


@dataclass
class _ClassRows:
    """Rows of one class while they are read."""

    rows: int = 0
    digests: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    codes: array[int] = field(default_factory=lambda: array("Q"))


class Collector:
    """Takes rows in batches and gives ``Originals``.

    Args:
        columns: the columns in use (only ``id`` and ``names`` matter here).
        missing_label: label value that means "not labelled"; None when every value is a class.
        enough: rows beyond which a class can't be short, so that its texts need not be kept; None keeps all.
        shingles: whether hashes of all texts' word shingles are kept.
    """

    def __init__(
        self,
        columns: Columns,
        missing_label: Label | None = -1,
        enough: int | None = None,
        shingles: bool = False,
    ) -> None:
        self._shingles = Gathered() if shingles else None
        self.columns = columns
        self._missing_label = plain_label(missing_label)
        self._enough = enough
        self._classes: dict[Label, _ClassRows] = {}
        self._seen_ids: set[str] = set()
        self._blank = 0
        self._unlabelled = 0
        self._other_codes: set[int] = set()
        self._foreign: set[int] = set()

    def add(self, texts: Sequence[Any], labels: Sequence[Any], ids: Sequence[Any] | None = None) -> None:
        """Take one batch of rows, column by column."""
        for position, (text, raw) in enumerate(zip(texts, labels, strict=True)):
            label = self._label(raw)
            row_id = self._row_id(ids[position]) if ids is not None else None
            if is_blank(text):
                self._blank += 1
                continue
            if not isinstance(text, str):
                raise ColumnError(
                    f"Column {self.columns.text!r} should hold texts, but a row holds {text!r} "
                    f"({type(text).__name__}). Name the text column with text=… (--text)."
                )
            if label is None:
                self._unlabelled += 1
                self._other_codes.add(text_code(text))
                self._add_shingles(text)
                continue
            self._add_row(self._classes.setdefault(label, _ClassRows()), text, label, row_id)

    def _add_shingles(self, text: str) -> None:
        if self._shingles is not None:
            self._shingles.add(text)

    def _add_row(self, rows: _ClassRows, text: str, label: Label, row_id: str | None) -> None:
        self._add_shingles(text)
        rows.rows += 1
        rows.codes.append(text_code(text))
        if self._enough is not None and rows.rows > self._enough:
            rows.digests.clear()
            rows.texts.clear()
            rows.ids.clear()
            return
        rows.digests.append(row_digest(text, label))
        rows.texts.append(text)
        if row_id is not None:
            rows.ids.append(row_id)

    def add_other_split(self, texts: Iterable[Any]) -> None:
        """Take the texts of a split that is not imputed: none of them may be a source or be copied."""
        for text in texts:
            if isinstance(text, str) and text.strip():
                self._foreign.add(text_code(text))
                self._add_shingles(text)

    def _label(self, raw: Any) -> Label | None:
        label = plain_label(raw)
        names = self.columns.names
        if names is not None and (label == -1 or label is None):
            return None
        if label is not None and type(label) is type(self._missing_label) and label == self._missing_label:
            return None
        return label

    def _row_id(self, raw: Any) -> str:
        value = plain_label(raw) if not isinstance(raw, str) else raw
        if value is None:
            raise ColumnError(
                f"The id column {self.columns.id!r} has an empty cell. Every row needs an id of its own; leave the "
                "id column out and ids are made from the content."
            )
        row_id = str(value)
        if row_id in self._seen_ids:
            raise ColumnError(
                f"The id column {self.columns.id!r} holds {row_id!r} twice. Every row needs an id of its own; "
                "make them unique, or leave the id column out and ids are made from the content."
            )
        self._seen_ids.add(row_id)
        return row_id

    def finish(self) -> Originals:
        """Return what was read.

        Raises:
            DataError: no row has both a text and a label, or there is one class only.
        """
        if not self._classes:
            raise DataError(self._nothing_usable())
        if len(self._classes) == 1:
            raise DataError(
                f"All rows belong to one class, {self._name(next(iter(self._classes)))!r}. Imputation fills up a rare "
                "class beside others: give the rows of at least two classes, or name another label column."
            )
        foreign = self._foreign
        foreign_codes = np.fromiter(foreign, dtype=np.uint64, count=len(foreign))
        counts: list[ClassCount] = []
        pools: dict[str, Pool] = {}
        overlap = 0
        codes_by_class = []
        for label in sorted(self._classes, key=lambda value: (-self._classes[value].rows, str(value))):
            rows = self._classes[label]
            codes = np.unique(np.frombuffer(rows.codes, dtype=np.uint64))
            codes_by_class.append(codes)
            shared = int(np.isin(codes, foreign_codes).sum()) if foreign else 0
            overlap += shared
            name = self._name(label)
            counts.append(ClassCount(label, name, rows.rows, len(codes), len(codes) - shared))
            if rows.texts:
                pools[name] = _make_pool(name, label, rows, foreign)
        every = np.concatenate(codes_by_class)
        known, times = np.unique(every, return_counts=True)
        if len({entry.name for entry in counts}) < len(counts):
            raise ColumnError(
                f"Two labels of column {self.columns.label!r} have one name: "
                f"{[entry.name for entry in counts]}. Give every class one spelling and type."
            )
        extra = np.fromiter(foreign | self._other_codes, dtype=np.uint64)
        notes = self._notes(overlap, int((times > 1).sum()), counts)
        shingles = np.zeros(0, dtype=np.uint32) if self._shingles is None else self._shingles.codes()
        return Originals(self.columns, tuple(counts), pools, np.union1d(known, extra), notes, shingles=shingles)

    def _name(self, label: Label) -> str:
        names = self.columns.names
        if names is not None and isinstance(label, int) and 0 <= label < len(names):
            return names[label]
        return str(label)

    def _nothing_usable(self) -> str:
        if not self._blank and not self._unlabelled:
            return "The dataset is empty. Expected rows with a text and a label."
        return (
            f"No row has both a text and a label: {self._blank} rows have a blank text in column "
            f"{self.columns.text!r} and {self._unlabelled} rows have no label in column {self.columns.label!r}. "
            "Check that these are the right columns (--text, --label)."
        )

    def _notes(self, overlap: int, conflicting: int, counts: Sequence[ClassCount]) -> tuple[str, ...]:
        notes = []
        if self._blank:
            notes.append(f"{self._blank} rows have a blank text: they are kept, and never shown to the model.")
        if self._unlabelled:
            named = (
                ""
                if self._missing_label is None
                else (
                    f" (empty, or {self._missing_label!r}; if {self._missing_label!r} is a class of yours, "
                    "say missing_label=None or --missing-label none)"
                )
            )
            notes.append(f"{self._unlabelled} rows have no label{named}: they are kept, and never shown to the model.")
        repeated = sum(entry.originals - entry.distinct for entry in counts)
        if repeated:
            notes.append(f"{repeated} rows repeat a text of their class: such a text is shown to the model once.")
        if conflicting:
            notes.append(f"{conflicting} texts stand under two classes: check their labels.")
        if overlap:
            notes.append(
                f"{overlap} texts also stand in another split: a leak in the data. They are no sources and anchor "
                "nothing; better remove them from one side."
            )
        return tuple(notes)


def _make_pool(name: str, label: Label, rows: _ClassRows, foreign: set[int]) -> Pool:
    """Choose one representative for each distinct text; one that may be an anchor, where there is one."""
    own_ids = rows.ids or rows.digests
    twins = Counter(rows.digests) if not rows.ids else None
    best: dict[int, tuple[bool, str, str, int]] = {}
    for position, code in enumerate(rows.codes):
        if code in foreign:
            continue
        # Two equal rows without ids of their own would both be taken for the anchor: neither may be one.
        repeated = twins is not None and twins[rows.digests[position]] > 1
        entry = (repeated, rows.digests[position], own_ids[position], position)
        if code not in best or entry < best[code]:
            best[code] = entry
    chosen = sorted(best.values(), key=lambda entry: (entry[1], entry[2]))
    sha = hashlib.sha256()
    for repeated, content, row_id, _ in chosen:
        sha.update(f"{content}\x1f{row_id}\x1f{int(repeated)}\n".encode("utf-8", "surrogatepass"))
    anchorable = np.array([not entry[0] for entry in chosen], dtype=bool)
    ids = pa.array([entry[2] for entry in chosen], type=pa.string())
    texts = [rows.texts[entry[3]].encode("utf-8", "surrogatepass") for entry in chosen]
    return Pool(name, label, ids, pa.array(texts, type=pa.large_binary()), anchorable, sha.hexdigest())


def guess(
    features: Mapping[str, Any] | None,
    sample: Mapping[str, Sequence[Any]],
    text: str | None,
    label: str | None,
    id: str | None,
) -> tuple[Columns, tuple[str, ...]]:
    """Settle the columns: check those that were named, guess the obvious ones among the others.

    Args:
        features: the dataset's features, or None for a stream that has none.
        sample: some rows, column by column.
        text: the text column, or None to guess.
        label: the label column, or None to guess.
        id: the id column, or None for ids made from the content.

    Returns:
        The columns, and a sentence for each guess.

    Raises:
        ColumnError: a named column is missing or of a wrong type, or no guess is obvious.
    """
    names = list(features) if features is not None else list(sample)
    for role, column in (("text", text), ("label", label), ("id", id)):
        if column is not None and column not in names:
            raise ColumnError(
                f"There is no column {column!r} (asked for as the {role} column). The columns are: "
                f"{', '.join(map(repr, names))}.{nearest(column, names)}"
            )
    notes = []
    if label is None:
        label = _guess_label(features, names, text)
        notes.append(f"Column {label!r} is taken as the label (guessed; --label names another).")
    if text is None:
        text = _guess_text(features, sample, [name for name in names if name not in (label, id)])
        notes.append(f"Column {text!r} is taken as the text (guessed; --text names another).")
    feature = (features or {}).get(label)
    _check_types(features, text, label)
    class_names = getattr(feature, "names", None)
    return Columns(text, label, id, tuple(class_names) if class_names else None), tuple(notes)


def _guess_label(features: Mapping[str, Any] | None, names: Sequence[str], text: str | None) -> str:
    rest = [name for name in names if name != text]
    class_labels = [name for name in rest if getattr((features or {}).get(name), "names", None)]
    if len(class_labels) == 1:
        return class_labels[0]
    known = [name for name in rest if name.lower() in LABEL_NAMES]
    if len(known) == 1 or (known and known[0].lower() in ("label", "labels")):
        return known[0]
    raise ColumnError(
        f"Which column is the label? The columns are: {', '.join(map(repr, names))}. Say label='…' (--label)."
    )


def _guess_text(features: Mapping[str, Any] | None, sample: Mapping[str, Sequence[Any]], names: Sequence[str]) -> str:
    def holds_text(name: str) -> bool:
        """Say whether a column holds strings."""
        if features is not None:
            return getattr(features[name], "dtype", "") in ("string", "large_string")
        return any(isinstance(value, str) for value in sample.get(name, ()))

    strings = [name for name in names if holds_text(name)]
    known = [name for name in TEXT_NAMES for column in strings if column.lower() == name]
    if known:
        return next(column for column in strings if column.lower() == known[0])
    if len(strings) == 1:
        return strings[0]
    raise ColumnError(
        f"Which column is the text? Columns with strings: {', '.join(map(repr, strings)) or 'none'}. "
        "Say text='…' (--text)."
    )


def _check_types(features: Mapping[str, Any] | None, text: str, label: str) -> None:
    if features is None:
        return
    dtype = getattr(features[text], "dtype", type(features[text]).__name__)
    if dtype not in ("string", "large_string", "null"):
        raise ColumnError(
            f"Column {text!r} holds {dtype}, but a text column must hold strings. Name another column "
            "with text='…' (--text)."
        )
    feature = features[label]
    dtype = getattr(feature, "dtype", None)
    if dtype is None or not isinstance(dtype, str) or dtype in ("list", "dict"):
        raise ColumnError(
            f"Column {label!r} holds {feature}: multi-label data are not supported, every row needs exactly one class. "
            "Make one dataset per label (with the label or not), and impute each."
        )


def _batches(dataset: Any, names: Sequence[str] | None) -> Iterator[Mapping[str, Sequence[Any]]]:
    """Yield a dataset's rows in batches of plain lists, only the named columns where the format allows it."""
    if hasattr(dataset, "with_format") and hasattr(dataset, "num_rows"):
        part = dataset.select_columns(list(names)) if names else dataset
        for table in part.with_format("arrow").iter(batch_size=BATCH_ROWS):
            yield table.to_pydict()
    else:
        for batch in dataset.iter(batch_size=1000):
            yield {key: list(values) for key, values in batch.items()}


def read_originals(
    dataset: Any,
    *,
    text: str | None = None,
    label: str | None = None,
    id: str | None = None,
    others: Mapping[str, Any] | None = None,
    missing_label: Label | None = -1,
    enough: int | None = None,
    shingles: bool = False,
) -> Originals:
    """Read a dataset once and return its classes and originals.

    Args:
        dataset: a ``datasets.Dataset`` or ``IterableDataset``.
        text: name of the text column; None to guess.
        label: name of the label column; None to guess.
        id: name of a column with unique row ids; None for ids made from the content.
        others: other splits of the same data, by name.
        missing_label: label value that means "not labelled".
        enough: see ``Collector``.
        shingles: likewise.

    Raises:
        ColumnError: a column is missing, mistyped or ambiguous.
        DataError: nothing usable, or one class only.
    """
    features = dataset.features
    collector: Collector | None = None
    guesses: tuple[str, ...] = ()
    if features is not None:
        columns, guesses = guess(features, {}, text, label, id)
        collector = Collector(columns, missing_label, enough, shingles)
    used = None if collector is None else _used(collector.columns)
    for batch in _batches(dataset, used):
        if collector is None:
            columns, guesses = guess(None, batch, text, label, id)
            collector = Collector(columns, missing_label, enough, shingles)
        columns = collector.columns
        collector.add(batch[columns.text], batch[columns.label], batch[columns.id] if columns.id else None)
    if collector is None:
        raise DataError("The dataset is empty. Expected rows with a text and a label.")
    for split in (others or {}).values():
        if collector.columns.text not in (split.column_names or [collector.columns.text]):
            continue
        for batch in _batches(split, [collector.columns.text]):
            collector.add_other_split(batch[collector.columns.text])
    return replace(collector.finish(), guesses=guesses)


def _used(columns: Columns) -> list[str]:
    return [column for column in (columns.text, columns.label, columns.id) if column is not None]
