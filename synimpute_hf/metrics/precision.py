"""Precision: how many of the rows that were given to a class belong to it."""

from __future__ import annotations

import numpy as np

from .base import ClassMetric, confusion, divide

__all__ = ["Precision"]


class Precision(ClassMetric):
    """Precision of each class, ``TP / (TP + FP)``; 0 for a class that was never predicted."""

    key = "precision"
    per_class = True

    @staticmethod
    def score(labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """See ``ClassMetric.score``."""
        table = confusion(labels, predictions, probabilities.shape[1])
        return divide(np.diag(table), table.sum(axis=0), table.sum(axis=1))


PLUGIN = Precision
