"""The classifier two-sample test: can a classifier tell two kinds of texts apart?

Lopez-Paz, D. and Oquab, M. (2017). Revisiting classifier two-sample tests. ICLR 2017.

A classifier learns on some of the texts which kind each is, and is scored on the rest, fold by fold, by the area under
the ROC curve: 0.5 where the kinds cannot be told apart, 1 where always. The AUC is taken within each fold and then
averaged; scores of different folds are not comparable, and an AUC of all of them together lies below 0.5 where there is
nothing to learn. The interval has the corrected variance of Nadeau and Bengio (2003), see ``stats``: an interval that
takes the folds for independent (a DeLong interval of the pooled scores, say) is too narrow by a factor of about the
square root of 2, for when A helps to predict B, then B helps to predict A. tests/unit/test_audit.py shows that it
covers 0.5 at the nominal rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .folds import near_twins
from .stats import Interval, corrected_interval

__all__ = ["FOLDS", "LEAST", "Told", "on_characters", "on_vectors", "together", "told_apart"]

FOLDS = 10
LEAST = 10
"""Texts, or groups of them, of either kind, under which no AUC is given."""


@dataclass(frozen=True)
class Told:
    """How well two kinds of texts are told apart.

    Attributes:
        auc: area under the ROC curve, mean of the folds; nan where there are too few texts.
        low: lower end of its 95 % interval, 0 or more.
        high: upper end, 1 or less.
        folds: how many.
    """

    auc: float
    low: float
    high: float
    folds: int


def on_vectors() -> Any:
    """Return a logistic regression for vectors of length 1, with the penalty of ``--classifier linear``."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced")


def on_characters() -> Any:
    """Return a logistic regression on character n-grams: punctuation, casing and spelling, which embeddings blur."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), sublinear_tf=True, lowercase=False)
    return make_pipeline(grams, LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced"))


def together(texts: Sequence[str]) -> np.ndarray:
    """Return the group of each text, shape ``(n,)``: equal and nearly equal texts are one group.

    They must be on one side of a fold, or a classifier knows a text again. The sources of a synthetic text need not be
    on its side: a text near its source looks like an original then, which makes the two kinds harder to tell apart,
    never easier; nor could they be, for the sources of all texts together link most of a class.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = near_twins(texts)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(texts), len(texts)))
    groups: np.ndarray = connected_components(graph, directed=False)[1]
    return groups


def told_apart(
    features: Any, second: np.ndarray, groups: np.ndarray, make: Callable[[], Any] = on_vectors, seed: int = 0
) -> Told:
    """Cross-validate a classifier that tells two kinds of texts apart.

    Args:
        features: ``(n, d)`` vectors, or an array of ``n`` texts.
        second: ``(n,)`` booleans: which are of the second kind.
        groups: ``(n,)``, from ``together``.
        make: returns a fresh classifier for those features.
        seed: seed of the folds.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold
    from threadpoolctl import threadpool_limits

    kinds = second.astype(int)
    if min(len(np.unique(groups[kinds == kind])) for kind in (0, 1)) < LEAST:
        return Told(np.nan, np.nan, np.nan, 0)
    scores = []
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
    with threadpool_limits(1):  # for small matrices, more threads mostly wait for each other
        for train, test in folds.split(kinds, kinds, groups):
            if len(np.unique(kinds[test])) == 2 == len(np.unique(kinds[train])):
                model = make().fit(features[train], kinds[train])
                scores.append(roc_auc_score(kinds[test], model.decision_function(features[test])))
    found: Interval = corrected_interval(scores, 1 / (FOLDS - 1))
    return Told(found.estimate, max(found.low, 0.0), min(found.high, 1.0), len(scores))
