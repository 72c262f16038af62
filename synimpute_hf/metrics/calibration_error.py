"""Expected calibration error: how far probabilities are from shares."""

from __future__ import annotations

import numpy as np

from .base import ClassMetric

__all__ = ["CalibrationError"]

BINS = 10


class CalibrationError(ClassMetric):
    """Expected calibration error in [0, 1]; 0 is best.

    Rows are put into ten bins of equal width, each without its lower end, by the probability of their most probable
    class; the error is the mean over rows of ``|share of the bin that is right - mean probability in the bin|``.

    Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On calibration of modern neural networks. ICML,
    equation 3. It looks at the probabilities only: a moved decision threshold does not change it. With few rows it is
    biased upwards.
    """

    key = "calibration_error"
    per_class = False
    uses_probabilities = True

    @staticmethod
    def score(labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> float:
        """See ``ClassMetric.score``."""
        if not len(labels):
            return float("nan")
        top = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == labels
        bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], top)
        # The rows of a bin cancel from its weight and its two means.
        return float(np.abs(np.bincount(bins, right - top)).sum() / len(labels))


PLUGIN = CalibrationError
