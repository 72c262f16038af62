"""What a ``transformers.Trainer`` trains and evaluates on: rows joined in one form, and no leak between them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, Features, concatenate_datasets

from .columns import is_blank
from .errors import ColumnError, LeakageError
from .folds import near_twins
from .seeding import canonical_json, derive_seed

__all__ = [
    "AUGMENTED",
    "ORIGINAL",
    "Sets",
    "check_made",
    "check_shown",
    "check_twins",
    "class_names",
    "formatted",
    "held_back_rows",
    "joined",
    "label_column",
    "like_columns_of",
    "marked",
    "order_digest",
    "together",
]

ORIGINAL = "original"
AUGMENTED = "augmented"
"""Names of the evaluation sets: originals, and these with the synthetic rows that were held back."""
SHOWN = 20


@dataclass(frozen=True)
class Sets:
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


def label_column(rows: Dataset, label: str) -> str:
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


def class_names(rows: Dataset, label: str, config: Any) -> list[str]:
    """Return the classes' names by number: the column's own, else the model's, else the numbers."""
    own = getattr(rows.features[label], "names", None)
    names = list(own) if own else []
    for k in range(len(names), getattr(config, "num_labels", 0)):
        given = str((config.id2label or {}).get(k, k))
        names.append(str(k) if given == f"LABEL_{k}" else given)
    return names


def held_back_rows(rows: Dataset, label: str, share: float, seed: int) -> np.ndarray:
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


def like_columns_of(rows: Dataset, other: Dataset) -> Dataset:
    """Return rows with those of their columns that another set has, in its types; it fills the rest with None."""
    shared = [name for name in other.column_names if name in rows.column_names]
    return rows.select_columns(shared).cast(Features({name: other.features[name] for name in shared}))


def joined(parts: Sequence[Dataset]) -> Dataset:
    """Return the rows of all parts in the format of the first."""
    filled = [part.with_format(None) for part in parts if len(part)] or [parts[0].with_format(None)]
    return formatted(concatenate_datasets(filled), parts[0])


def marked(base: Dataset, held_back: Dataset) -> Dataset:
    """Return evaluated originals and held-back rows, told apart by the column ``is_synthetic``."""
    rows = joined([base, like_columns_of(held_back, base)])
    if "is_synthetic" in base.column_names:
        return rows
    return rows.add_column("is_synthetic", [False] * len(base) + [True] * len(held_back))


def formatted(rows: Dataset, like: Dataset) -> Dataset:
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


def together(sets: Sets) -> Dataset:
    """Return the evaluated originals: the set of that name, or all sets one after the other."""
    parts = sets.evaluated
    if ORIGINAL in parts:
        return parts[ORIGINAL]
    first, *rest = parts.values()
    shared = [name for name in first.column_names if all(name in part.column_names for part in rest)]
    base = first.select_columns(shared)
    return joined([base, *(like_columns_of(part.with_format(None), base) for part in rest)])


def check_shown(given: Mapping[str, Dataset], text: str) -> None:
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


def check_twins(given: Mapping[str, Dataset], text: str, texts: Sequence[Any], kind: str) -> int:
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


def check_made(sets: Sets) -> dict[str, int]:
    """Refuse evaluated rows that are like a synthetic text, or that were shown to the language model.

    Returns:
        What was looked at, originals included: counts of rows, and of near-equal pairs, which is 0.
    """
    made = [part.with_format(None) for part in (sets.trained, sets.held_back)]
    texts = [written for part in made for written in part[sets.text]]
    count = check_twins(sets.evaluated, sets.text, texts, "synthetic text")
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


def order_digest(rows: Dataset, text: str, label: str) -> str:
    """Return a digest of ids, texts and labels in their order."""
    sha = hashlib.sha256()
    plain = rows.with_format(None)
    for row in zip(plain["row_id"], plain[text], plain[label], strict=True):
        sha.update(canonical_json(row).encode("ascii"))
    return sha.hexdigest()
