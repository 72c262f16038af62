"""F1: the harmonic mean of precision and recall of each class."""

from __future__ import annotations

import numpy as np

from .base import ClassMetric, confusion, divide

__all__ = ["F1"]


class F1(ClassMetric):
    """F1 of each class, ``2 TP / (2 TP + FP + FN)`` (van Rijsbergen 1979, Information retrieval, chapter 7).

    It depends on how frequent the class is among the tested rows: compare it on the same rows only.
    """

    key = "f1"
    per_class = True

    @staticmethod
    def score(labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """See ``ClassMetric.score``."""
        table = confusion(labels, predictions, probabilities.shape[1])
        true = table.sum(axis=1)
        return divide(2 * np.diag(table), true + table.sum(axis=0), true)


PLUGIN = F1
