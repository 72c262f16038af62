"""Recall: how many of a class's rows were given to it."""

from __future__ import annotations

import numpy as np

from .base import ClassMetric, confusion, divide

__all__ = ["Recall"]


class Recall(ClassMetric):
    """Recall of each class, ``TP / (TP + FN)``."""

    key = "recall"
    per_class = True

    @staticmethod
    def score(labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """See ``ClassMetric.score``."""
        table = confusion(labels, predictions, probabilities.shape[1])
        true = table.sum(axis=1)
        return divide(np.diag(table), true, true)


PLUGIN = Recall
