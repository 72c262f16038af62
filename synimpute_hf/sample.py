"""What a cross-validation is made of, before anything is written: a test set set aside, classes thinned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .corpus import CEILING, HOLDOUT, ORIGINAL, Corpus, Extra, read_corpus
from .errors import DataError, PlanError, nearest
from .folds import link, make_folds
from .seeding import derive_seed

__all__ = ["Sample", "take_sample"]


@dataclass(frozen=True)
class Sample:
    """The rows before anything is written for them.

    Attributes:
        corpus: originals, and with them the hold-out and ceiling rows; for data that was imputed, its synthetic rows.
        originals: the originals that folds are made of, as a dataset, or None for data that was imputed.
        columns: text, label and id column of the dataset.
        imputed: whether the data was imputed before.
    """

    corpus: Corpus
    originals: Any
    columns: dict[str, str | None]
    imputed: bool


def take_sample(
    dataset: Any,
    *,
    text: str | None = None,
    label: str | None = None,
    id: str | None = None,
    groups: str | None = None,
    missing_label: Any = -1,
    holdout: float | Any = None,
    keep: Mapping[str, int] | None = None,
    seed: int = 0,
    keep_seed: int | None = None,
    full_test: bool = False,
) -> Sample:
    """Read the data, set a test set aside, and thin classes.

    Args:
        dataset: originals, or an imputed dataset.
        text: the text column; None guesses.
        label: the label column; None guesses.
        id: a column of row ids.
        groups: a column whose rows must stay together.
        missing_label: label that means "not labelled".
        holdout: a dataset of further originals to be tested by ``holdout``, or the share of the originals to set aside
            for it, in (0, 0.5]; None sets none aside.
        keep: how many originals of a class stay; the others become ``ceiling`` rows.
        seed: seed of both choices.
        keep_seed: seed of the choice of originals that stay, where it should be another one.
        full_test: whether folds test the thinned-out originals, too; they still train the ceiling alone.

    Raises:
        DataError: columns are missing, or there are too few rows.
        PlanError: ``keep`` or ``holdout`` asks for what is not there.
    """
    options = {"text": text, "label": label, "id": id, "missing_label": missing_label}
    corpus = read_corpus(dataset, groups=groups, **options)
    columns = {"text": text, "label": label, "id": id}
    if "is_synthetic" in dataset.column_names:
        if keep or holdout is not None:
            raise PlanError(
                "This dataset was imputed already: to hold texts out or to thin a class, give the originals, so that "
                "no synthetic text is written from what is set aside."
            )
        return Sample(corpus, None, columns, True)
    aside: list[Extra] = []
    rest = corpus.originals
    if isinstance(holdout, (int, float)):
        out = _split_off(corpus, float(holdout), seed)
        aside += [_as_extra(corpus, int(k), HOLDOUT) for k in out]
        rest = np.setdiff1d(rest, out)
    elif holdout is not None:
        given = read_corpus(holdout, groups=groups if groups in holdout.column_names else None, **options)
        unknown = set(given.names) - set(corpus.names)
        if unknown:
            raise DataError(f"The hold-out set has the class {sorted(unknown)[0]!r}, which the data do not have.")
        codes = [corpus.names.index(name) for name in given.names]
        aside += [replace(_as_extra(given, int(k), HOLDOUT), label=codes[given.labels[k]]) for k in given.originals]
    thinned = _thin(corpus, rest, keep or {}, seed if keep_seed is None else keep_seed)
    aside += [_as_extra(corpus, int(k), CEILING) for k in thinned]
    rest = np.setdiff1d(rest, thinned)
    originals = dataset.select(corpus.rows[rest].tolist())
    kept = read_corpus(originals, groups=groups, **options)
    codes = [corpus.names.index(name) for name in kept.names]
    labels = np.array(codes, dtype=np.int64)[kept.labels]
    kept = replace(kept, names=corpus.names, labels=labels, tested=(ORIGINAL, CEILING) if full_test else (ORIGINAL,))
    return Sample(kept.extended(aside), originals, columns, False)


def _as_extra(corpus: Corpus, k: int, kind: str) -> Extra:
    name = f"{kind}-{corpus.ids[k]}"
    return Extra(corpus.texts[k], int(corpus.labels[k]), kind, (), name, -1, corpus.groups[k])


def _split_off(corpus: Corpus, share: float, seed: int) -> np.ndarray:
    """Return the positions of a stratified share of the originals, whole groups at a time."""
    if not 0 < share <= 0.5:
        raise PlanError(f"holdout={share:g}: expected a share of the originals above 0 and up to 0.5.")
    parts = round(1 / share)
    fold = make_folds(corpus, link(corpus), protocol="seed_aware", folds=max(2, parts), repeats=1, seed=seed)[0]
    return fold.test


def _thin(corpus: Corpus, rest: np.ndarray, keep: Mapping[str, int], seed: int) -> np.ndarray:
    """Return the positions of the originals that are thinned out."""
    out = [rest[:0]]
    for name, number in keep.items():
        if name not in corpus.names:
            raise PlanError(
                f"keep names the class {name!r}. The classes are: {', '.join(map(repr, corpus.names))}."
                f"{nearest(name, corpus.names)}"
            )
        rows = rest[corpus.labels[rest] == corpus.names.index(name)]
        if number > len(rows):
            raise PlanError(f"keep asks for {number} originals of class {name!r}, and there are {len(rows)} to choose.")
        out.append(np.random.default_rng(derive_seed("keep", seed, name)).permutation(rows)[number:])
    return np.concatenate(out)
