"""Matthews correlation coefficient: the correlation of true and predicted classes."""

from __future__ import annotations

import numpy as np

from .base import ClassMetric, confusion

__all__ = ["Mcc"]


class Mcc(ClassMetric):
    """Matthews correlation coefficient for two or more classes, in [-1, 1].

    R_K of Gorodkin, J. (2004). Comparing two K-category assignments by a K-category correlation coefficient.
    Computational Biology and Chemistry 28, 367-374. It is 0 where all rows have one true, or one predicted, class.
    """

    key = "mcc"
    per_class = False

    @staticmethod
    def score(labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> float:
        """See ``ClassMetric.score``."""
        if not len(labels):
            return float("nan")
        table = confusion(labels, predictions, probabilities.shape[1])
        rows, true, predicted = len(labels), table.sum(axis=1), table.sum(axis=0)
        spread = (rows**2 - true @ true) * (rows**2 - predicted @ predicted)
        return float((rows * np.trace(table) - true @ predicted) / np.sqrt(spread)) if spread else 0.0


PLUGIN = Mcc
