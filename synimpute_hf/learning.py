"""The learning curve: an inverse power law through scores at several numbers of originals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .errors import DataError

__all__ = ["LearningCurve", "fit_power_law", "power_law"]

DRAWS = 500
LEVEL = 0.95
BOUNDS = ([0.0, 0.0, 0.05], [1.0, 20.0, 3.0])
RIDGE = 1e-8
DOUBTFUL = 0.05


@dataclass(frozen=True)
class LearningCurve:
    """A fitted curve ``ceiling - loss * n ** -rate``, and curves that would be as good a guess.

    Attributes:
        parameters: ceiling, loss and rate.
        draws: ``(d, 3)`` parameters of curves through scores drawn from their joint distribution.
        p_fit: p-value of the fit, chi-squared with one degree of freedom a point beyond three; nan with three points.
        doubts: why the curve should not be believed; empty where nothing speaks against it.
    """

    parameters: tuple[float, float, float]
    draws: np.ndarray
    p_fit: float
    doubts: tuple[str, ...]

    def at(self, numbers: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the curve and its interval of 95 % at some numbers of originals, each of shape ``(n,)``."""
        n = np.asarray(numbers, dtype=float)
        values = np.stack([power_law(n, *row) for row in self.draws])
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return power_law(n, *self.parameters), low, high

    def needed(self, score: float) -> tuple[float, float, float]:
        """Return how many originals reach a score, with an interval of 95 %; infinite where the curve never does."""
        every = np.array([_inverse(score, *row) for row in self.draws])
        low, high = np.quantile(every, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
        return _inverse(score, *self.parameters), float(low), float(high)


def power_law(n: np.ndarray, ceiling: float, loss: float, rate: float) -> np.ndarray:
    """Return ``ceiling - loss * n ** -rate``, shape ``(n,)``."""
    return np.asarray(ceiling - loss * n**-rate)


def fit_power_law(numbers: Sequence[float], scores: ArrayLike, test_share: float, seed: int = 0) -> LearningCurve:
    """Fit an inverse power law to scores that were measured on the same folds.

    The covariance of the mean scores is that of the folds' scores times ``1 / folds + test_share``, as in the corrected
    resampled t-test. The curve minimises the generalised sum of squares; the interval comes from refitting it to means
    drawn from the normal distribution with that covariance.

    Cortes, C., Jackel, L. D., Solla, S. A., Vapnik, V. and Denker, J. S. (1993). Learning curves: asymptotic values and
    rate of convergence. NIPS 6, 327-334.
    Nadeau, C. and Bengio, Y. (2003). Inference for the generalization error. Machine Learning 52, 239-281.

    Args:
        numbers: ``k`` numbers of originals, 3 or more different ones.
        scores: shape ``(k, folds)``, one score a number and fold.
        test_share: tested rows for each training row.
        seed: of the drawn means.

    Raises:
        DataError: fewer than three numbers or two folds, or scores of another shape.
    """
    values, n = np.asarray(scores, dtype=float), np.asarray(numbers, dtype=float)
    if values.ndim != 2 or len(values) != len(n) or len(n) < 3 or values.shape[1] < 2 or not np.isfinite(values).all():
        raise DataError(
            f"A learning curve needs the scores of 3 or more numbers of originals on 2 or more folds, as an array of "
            f"shape (numbers, folds); got {len(n)} numbers and scores of shape {values.shape}."
        )
    means = values.mean(axis=1)
    covariance = np.cov(values) * (1 / values.shape[1] + test_share) + RIDGE * np.eye(len(n))
    best = _fit(n, means, covariance)
    generator = np.random.default_rng(seed)
    drawn = generator.multivariate_normal(means, covariance, size=DRAWS, method="eigh")
    fitted = [_fit(n, row, covariance, best) for row in drawn]
    draws = np.array([row for row in fitted if row is not None]).reshape(-1, 3)
    if best is None or not len(draws):
        return LearningCurve((float(means.max()), 0.0, 1.0), np.array([[means.max(), 0.0, 1.0]]), 0.0, (FAILED,))
    residuals = means - power_law(n, *best)
    p_fit = math.nan
    if len(n) > 3:
        from scipy.stats import chi2

        p_fit = float(chi2.sf(residuals @ np.linalg.solve(covariance, residuals), len(n) - 3))
    return LearningCurve((best[0], best[1], best[2]), draws, p_fit, tuple(_doubts(best, p_fit, means, len(fitted))))


FAILED = "no curve of this form could be fitted"


def _doubts(best: tuple[float, ...], p_fit: float, means: np.ndarray, drawn: int) -> list[str]:
    doubts = []
    if p_fit < DOUBTFUL:
        doubts.append(f"the scores lie further from the curve than their error explains (p = {p_fit:.3f})")
    if best[1] <= 1e-6 or means[-1] <= means[0]:
        doubts.append("the score does not rise with the number of originals")
    low, high = BOUNDS
    if best[0] >= high[0] - 1e-3 or best[2] <= low[2] + 1e-3 or best[2] >= high[2] - 1e-2:
        doubts.append(
            "a parameter is at the end of its range: what the curve says beyond the measured numbers is a guess"
        )
    return doubts


def _fit(
    n: np.ndarray, means: np.ndarray, covariance: np.ndarray, start: tuple[float, ...] | None = None
) -> tuple[float, float, float] | None:
    """Return ceiling, loss and rate, or None where no fit was found."""
    from scipy.optimize import OptimizeWarning, curve_fit

    first = start or (min(0.99, float(means.max()) + 0.02), 1.0, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        try:
            found, _ = curve_fit(power_law, n, means, p0=first, sigma=covariance, bounds=BOUNDS, maxfev=4000)
        except RuntimeError:  # it did not converge
            return None
    return float(found[0]), float(found[1]), float(found[2])


def _inverse(score: float, ceiling: float, loss: float, rate: float) -> float:
    if score >= ceiling:
        return math.inf
    return 0.0 if loss <= 0 else float((loss / (ceiling - score)) ** (1 / rate))
