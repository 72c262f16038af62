"""Folds without a leak: which originals are tested together, and which synthetic rows a fold may train on.

Test parts hold originals only. What must stay on one side of a fold is one group: equal texts, near-equal texts
and the rows of one value of the user's group column. A synthetic row touches the groups of its sources, and of
every original that it nearly equals.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .corpus import CEILING, HOLDOUT, ORIGINAL, Corpus
from .errors import DataError, LeakageError, PlanError, nearest
from .seeding import derive_seed, normalise

__all__ = [
    "PROTOCOLS",
    "Fold",
    "LeakCheck",
    "Links",
    "check_no_leak",
    "check_protocol",
    "link",
    "make_folds",
    "near_twins",
    "usable_rows",
]

NEAR = 90.0
BLOCK = 512
ACROSS = 16


@dataclass(frozen=True)
class Fold:
    """One split into a training and a test part.

    Attributes:
        repeat: which repeat, from 0.
        number: which fold of it, from 0.
        train: positions of the originals that may train.
        test: positions of the originals that are tested.
        synthetic_test: positions of synthetic rows that are tested, too: in ``pooled`` only.
    """

    repeat: int
    number: int
    train: np.ndarray
    test: np.ndarray
    synthetic_test: np.ndarray


@dataclass(frozen=True)
class Links:
    """What must not be torn apart.

    Attributes:
        group: ``(n,)`` group of each original, -1 for made rows.
        touches: ``(n, groups)`` sparse boolean matrix: the groups that a row gives away.
        near: ``(m, 2)`` pairs of rows with nearly equal texts.
        twins: how many originals share a group with another for their text.
    """

    group: np.ndarray
    touches: Any
    near: np.ndarray
    twins: int


@dataclass(frozen=True)
class LeakCheck:
    """What ``check_no_leak`` looked at in one fold: the counts that stand in the report.

    Attributes:
        test: tested rows.
        train: originals that train.
        synthetic: made rows that train.
        sources: sources of those rows that were looked up.
        pairs: pairs of near-equal texts that were looked up.
        shared_sources: made rows that train although a source is tested (not 0 in ``real_test``, ``pooled``).
        synthetic_test: made rows that are tested (not 0 in ``pooled``).
    """

    test: int
    train: int
    synthetic: int
    sources: int
    pairs: int
    shared_sources: int = 0
    synthetic_test: int = 0


def near_twins(
    texts: Sequence[str], originals: int | None = None, threshold: float = NEAR, *, others: Sequence[str] | None = None
) -> np.ndarray:
    """Find pairs of nearly equal texts.

    Args:
        texts: ``n`` texts, the originals first.
        originals: how many of them are originals; of each pair at least one is. None: all are.
        threshold: normalised Indel similarity of the normal forms, in percent (``rapidfuzz.fuzz.ratio``).
        others: texts to compare ``texts`` with, instead of with each other; ``originals`` is not looked at then.

    Returns:
        ``(m, 2)`` positions, the smaller first; with ``others`` a position in ``texts`` and one in ``others``.
    """
    from rapidfuzz import fuzz, process

    forms = [normalise(text) for text in texts]
    second = forms if others is None else [normalise(text) for text in others]
    limit = len(forms) if originals is None else originals
    found: set[tuple[int, int]] = set()
    for rows, columns in _like_lengths(forms, second, threshold, within=others is None):
        scores = process.cdist(
            [forms[k] for k in rows],
            [second[k] for k in columns],
            scorer=fuzz.ratio,
            score_cutoff=threshold,
            dtype=np.uint8,
            workers=1,
        )
        for a, b in zip(*np.nonzero(scores), strict=True):
            i, j = int(rows[a]), int(columns[b])
            if others is not None:
                found.add((i, j))
            elif i != j and min(i, j) < limit:
                found.add((min(i, j), max(i, j)))
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def _like_lengths(
    forms: Sequence[str], others: Sequence[str], threshold: float, *, within: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of positions, and the positions of the other texts that are long enough to be like them.

    Args:
        forms: normal forms of the texts.
        others: normal forms of the texts to compare with.
        threshold: see ``near_twins``.
        within: whether both are the same texts; then each pair comes up once or twice.
    """
    lengths, sizes = (np.array([len(form) for form in part], dtype=np.int64) for part in (forms, others))
    order, ranked = np.argsort(lengths, kind="stable"), np.argsort(sizes, kind="stable")
    # ratio = 2 * common / (a + b) >= t needs the shorter to have at least t / (2 - t) of the longer one's length.
    share = (threshold / 100) / (2 - threshold / 100)
    block = BLOCK if within else ACROSS  # against many others, what counts is that a block's lengths are alike
    for start in range(0, len(order), block):
        rows = order[start : start + block]
        first = start if within else int(np.searchsorted(sizes[ranked], lengths[rows[0]] * share, side="left"))
        last = int(np.searchsorted(sizes[ranked], lengths[rows[-1]] / share, side="right"))
        if first < last:
            yield rows, ranked[first:last]


def link(corpus: Corpus, threshold: float = NEAR) -> Links:
    """Group the originals, and note the groups that each made row touches.

    Args:
        corpus: originals first.
        threshold: see ``near_twins``.
    """
    from scipy.sparse import coo_matrix, csr_matrix
    from scipy.sparse.csgraph import connected_components

    plain = np.isin(corpus.kinds, [CEILING, HOLDOUT]) | np.array([not sources for sources in corpus.sources])
    originals = int(plain.sum())
    # Further originals may stand behind made rows: near_twins wants the originals first.
    order = np.concatenate([np.flatnonzero(plain), np.flatnonzero(~plain)])
    near = order[near_twins([corpus.texts[k] for k in order], originals, threshold)].reshape(-1, 2)
    edges = near[plain[near].all(axis=1)]
    first: dict[Any, int] = {}
    same = []
    for position, value in enumerate(corpus.groups):
        if value is not None and plain[position]:
            same.append((first.setdefault(value, position), position))
    together = np.concatenate([edges, np.array(same, dtype=np.int64).reshape(-1, 2)])
    size = len(corpus)
    graph = coo_matrix((np.ones(len(together)), (together[:, 0], together[:, 1])), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, dense = np.unique(component[plain], return_inverse=True)
    group = np.full(size, -1, dtype=np.int64)
    group[plain] = dense
    pairs = [(k, group[s]) for k, sources in enumerate(corpus.sources) for s in sources]
    pairs += [(int(k), group[k]) for k in np.flatnonzero(plain)]
    pairs += [(b, group[a]) if plain[a] else (a, group[b]) for a, b in near if plain[a] != plain[b]]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    shape = (size, int(dense.max()) + 1)
    touches = csr_matrix((np.ones(len(table), dtype=np.int32), (table[:, 0], table[:, 1])), shape=shape)
    return Links(group, touches, near, len(np.unique(edges)))


def make_folds(
    corpus: Corpus, links: Links, *, protocol: str, folds: int = 10, repeats: int = 10, seed: int = 0
) -> list[Fold]:
    """Split the originals, the same way for every protocol with k folds.

    Args:
        corpus: what to split.
        links: from ``link``.
        protocol: one of ``PROTOCOLS``.
        folds: parts of one repeat, 2 or more.
        repeats: how often the originals are split anew.
        seed: seed of all splits.

    Raises:
        PlanError: no such protocol, or fewer than two folds.
        DataError: a class has fewer groups of originals than there are folds.
    """
    check_protocol(protocol)
    if folds < 2 or repeats < 1:
        raise PlanError(f"{repeats} x {folds} folds: expected at least 1 x 2.")
    return list(PROTOCOLS[protocol].split(corpus, links, folds, repeats, seed))


def check_protocol(name: str) -> None:
    """Raise a PlanError unless there is such a protocol."""
    if name not in PROTOCOLS:
        raise PlanError(f"There is no protocol {name!r}. There are: {', '.join(PROTOCOLS)}.{nearest(name, PROTOCOLS)}")


def _k_folds(corpus: Corpus, links: Links, folds: int, repeats: int, seed: int) -> Iterator[Fold]:
    from sklearn.model_selection import StratifiedGroupKFold

    rows = _in_order(corpus)
    labels, groups = corpus.labels[rows], links.group[rows]
    if CEILING in corpus.tested:
        _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
        groups = np.argsort(np.argsort(first))[inverse]  # numbered as they come, whichever of them are thinned out
    for code, name in enumerate(corpus.names):
        parts = len(np.unique(groups[labels == code]))
        if parts < folds:
            raise DataError(
                f"Class {name!r} has {parts} originals (or groups of them) that may stand apart, and {folds} folds "
                f"need {folds} or more: take fewer folds, or code more texts."
            )
    none = np.array([], dtype=np.int64)
    for repeat in range(repeats):
        state = derive_seed("folds", seed, repeat) % 2**32
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class")
            for number, (train, test) in enumerate(splitter.split(rows, labels, groups)):
                trains = rows[train]
                yield Fold(repeat, number, trains[corpus.kinds[trains] == ORIGINAL], rows[test], none)


def _in_order(corpus: Corpus) -> np.ndarray:
    """Return the rows that folds test; with ceiling rows among them, in an order that thinning does not change."""
    rows = corpus.of_kind(*corpus.tested)
    if CEILING not in corpus.tested:
        return rows
    return np.array(sorted(rows, key=lambda k: (corpus.forms[k], int(corpus.labels[k]), corpus.texts[k])))


def _pooled_folds(corpus: Corpus, links: Links, folds: int, repeats: int, seed: int) -> Iterator[Fold]:
    """Spread the synthetic rows over the test parts, too, class by class: the folds of originals stay the same."""
    made = np.flatnonzero([bool(sources) for sources in corpus.sources])
    made = made[np.lexsort((made, corpus.draws[made]))]
    key = [(int(corpus.labels[k]), str(corpus.kinds[k])) for k in made]
    cells = {cell: made[[k == cell for k in key]] for cell in sorted(set(key))}
    for fold in _k_folds(corpus, links, folds, repeats, seed):
        share = []
        for cell, rows in cells.items():
            generator = np.random.default_rng(derive_seed("pooled", seed, fold.repeat, *cell))
            # Dealt out in rounds, so that texts which are written later leave the first ones where they are.
            rounds = [generator.permutation(folds) for _ in range(-(-len(rows) // folds))]
            share.append(rows[np.concatenate(rounds)[: len(rows)] == fold.number])
        yield Fold(fold.repeat, fold.number, fold.train, fold.test, np.sort(np.concatenate([fold.test[:0], *share])))


def _holdout_folds(corpus: Corpus, links: Links, folds: int, repeats: int, seed: int) -> Iterator[Fold]:
    """One test set, given or split off (one part of ``folds``); a repeat trains with another seed."""
    given = corpus.of_kind(HOLDOUT)
    none = np.array([], dtype=np.int64)
    first = next(_k_folds(corpus, links, folds, 1, seed)) if not len(given) else None
    test = given if first is None else first.test
    apart = ~np.isin(links.group[corpus.originals], links.group[test])
    for repeat in range(repeats):
        yield Fold(repeat, 0, corpus.originals[apart], test, none)


def _clean(corpus: Corpus, links: Links, fold: Fold, rows: np.ndarray) -> np.ndarray:
    """Keep the rows that touch no group of the test part."""
    tested = np.zeros(links.touches.shape[1], dtype=np.int32)
    tested[np.unique(links.group[fold.test])] = 1
    kept: np.ndarray = rows[(links.touches[rows] @ tested) == 0]
    return kept


def _every(corpus: Corpus, links: Links, fold: Fold, rows: np.ndarray) -> np.ndarray:
    return rows


def _outside(corpus: Corpus, links: Links, fold: Fold, rows: np.ndarray) -> np.ndarray:
    return np.setdiff1d(rows, fold.synthetic_test)


@dataclass(frozen=True)
class _Protocol:
    """How originals are split, and which made rows train.

    Attributes:
        split: yields the folds.
        usable: keeps the made rows that may train a fold.
        leaky: whether it is there for comparison only, and leaks on purpose.
    """

    split: Callable[[Corpus, Links, int, int, int], Iterator[Fold]]
    usable: Callable[[Corpus, Links, Fold, np.ndarray], np.ndarray]
    leaky: bool = False


PROTOCOLS = {
    "seed_aware": _Protocol(_k_folds, _clean),
    "nested": _Protocol(_k_folds, _clean),
    "holdout": _Protocol(_holdout_folds, _clean),
    "real_test": _Protocol(_k_folds, _every, leaky=True),
    "pooled": _Protocol(_pooled_folds, _outside, leaky=True),
}
"""How a score can be measured; the last two are there for comparison."""


def usable_rows(corpus: Corpus, links: Links, fold: Fold, protocol: str, *kinds: str) -> np.ndarray:
    """Return the made rows of some kinds that may train a fold, in the order of their draws, shape ``(m,)``."""
    rows = PROTOCOLS[protocol].usable(corpus, links, fold, corpus.of_kind(*kinds))
    return rows[np.lexsort((rows, corpus.draws[rows]))]


def check_no_leak(corpus: Corpus, near: np.ndarray, fold: Fold, train: np.ndarray, protocol: str) -> LeakCheck:
    """Look at what really trains a fold, by another way than the one that chose it.

    Args:
        corpus: the rows.
        near: pairs of near-equal texts.
        fold: the fold.
        train: positions of all rows that train, made ones included.
        protocol: the leaky ones are counted, not refused.

    Returns:
        What was looked at.

    Raises:
        LeakageError: a test row, its equal, its near-equal or a row of its group trains, or a made row one of whose
            sources is tested.
    """
    test = {int(k) for k in fold.test}
    tested = test.union(fold.synthetic_test.tolist())
    made = [int(k) for k in np.unique(train) if corpus.sources[k]]
    plain = [int(k) for k in np.unique(train) if not corpus.sources[k]]
    leaky = PROTOCOLS[protocol].leaky
    where = f"repeat {fold.repeat}, fold {fold.number}, protocol {protocol}"
    for k in (*plain, *made):
        if k in tested:
            raise LeakageError(f"Row {corpus.ids[k]!r} both trains and is tested ({where}).")
    forms = {corpus.forms[k]: k for k in test}
    groups = {corpus.groups[k] for k in test} - {None}
    for k in plain if leaky else (*plain, *made):
        twin = forms.get(corpus.forms[k])
        if twin is not None:
            raise LeakageError(
                f"Row {corpus.ids[k]!r} trains, and has the text of tested row {corpus.ids[twin]!r} ({where})."
            )
        if corpus.groups[k] in groups:
            raise LeakageError(f"Row {corpus.ids[k]!r} trains, and group {corpus.groups[k]!r} is tested ({where}).")
    shared = [k for k in made if test.intersection(corpus.sources[k])]
    kin = [k for k in made if any(corpus.groups[s] in groups or corpus.forms[s] in forms for s in corpus.sources[k])]
    if (shared or kin) and not leaky:
        k = (shared or kin)[0]
        raise LeakageError(
            f"Synthetic row {corpus.ids[k]!r} trains, and one of its sources, or that one's twin or group, is tested "
            f"({where})."
        )
    trained = set(plain if leaky else (*plain, *made))
    for a, b in near.tolist():
        if (a in test and b in trained) or (b in test and a in trained):
            raise LeakageError(
                f"Rows {corpus.ids[a]!r} and {corpus.ids[b]!r} are nearly equal; one trains, one is tested ({where})."
            )
    looked_up = sum(len(corpus.sources[k]) for k in made)
    return LeakCheck(
        len(test) + len(fold.synthetic_test),
        len(plain),
        len(made),
        looked_up,
        len(near),
        len(set(shared) | set(kin)),
        len(fold.synthetic_test),
    )
