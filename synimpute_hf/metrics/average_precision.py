"""Average precision: how well a class's probability ranks its rows before the others, whatever the threshold."""

from __future__ import annotations

import numpy as np

from .base import ClassMetric

__all__ = ["AveragePrecision"]


class AveragePrecision(ClassMetric):
    """Average precision of each class against the rest.

    ``sum over thresholds of (R_n - R_(n-1)) P_n``, with the precision P_n and recall R_n of the rows whose probability
    is at or above the n-th highest; equal probabilities are one threshold (scikit-learn, User guide, section
    "Precision, recall and F-measures"). A ranking by chance scores the share of the class.
    """

    key = "average_precision"
    per_class = True
    uses_probabilities = True

    @staticmethod
    def score(labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """See ``ClassMetric.score``."""
        return np.array([_one(labels == code, column) for code, column in enumerate(probabilities.T)])


def _one(positive: np.ndarray, scores: np.ndarray) -> float:
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # the last row of each threshold
    found = np.cumsum(positive[order])[last]
    return float(np.diff(found, prepend=0) @ (found / (last + 1)) / found[-1])


PLUGIN = AveragePrecision
