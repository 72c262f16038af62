"""Statistics of repeated cross-validation: arrays in, numbers out.

The scores of repeated k-fold cross-validation are not independent: their training sets share most rows, and each row
is tested once a repeat. An ordinary t-test takes them for independent and finds differences that are not there. All
tests here take the variance of their mean as

    s^2 (1 / n + n_test / n_train)

where s^2 is the variance of the n scores: the corrected resampled t-test (Nadeau and Bengio 2003), for r times
repeated k-fold cross-validation with n = r k the corrected repeated k-fold cv test (Bouckaert and Frank 2004). The
second term is a floor: more repeats do not take the error below it, only more originals do.

The formula takes the scores of two folds to be correlated by n_test / (n_test + n_train), whatever the learner; no
estimate from the scores alone is free of bias (Nadeau and Bengio 2003). Where a score depends little on the luck of
the training set it is a little too careful, and where it depends on it much, not careful enough: the simulations in
tests/unit/test_stats.py show both.

Nadeau, C. and Bengio, Y. (2003). Inference for the generalization error. Machine Learning 52, 239-281.
Bouckaert, R. R. and Frank, E. (2004). Evaluating the replicability of significance tests for comparing learning
algorithms. PAKDD 2004, LNCS 3056, 3-12.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .errors import DataError, PlanError

__all__ = [
    "Equivalence",
    "Interval",
    "Posterior",
    "Share",
    "Verdict",
    "bootstrap_interval",
    "corrected_interval",
    "correlated_bayes",
    "equivalence",
    "holm",
    "same_rows",
    "share_difference",
    "share_interval",
    "verdict",
]

ALPHA = 0.05
PRACTICABLE = 10.0
ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie; nan where fewer than two scores give no interval.

    Attributes:
        estimate: the mean of the scores, or the statistic on the rows themselves.
        low: lower end.
        high: upper end.
        sd: standard deviation of the scores; of a bootstrap, that of the resampled statistic.
        n: scores (folds times repeats); of a bootstrap, rows or groups of rows.
        df: degrees of freedom, ``n - 1``.
        level: share of such intervals that hold the true value, in (0, 1).
        p: two-sided p-value of a true value of 0, in [0, 1]; of use for differences.
    """

    estimate: float
    low: float
    high: float
    sd: float
    n: int
    df: int
    level: float = 0.95
    p: float = math.nan


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a mean difference.

    Attributes:
        p_lower: p-value against "it is lower by the margin or more".
        p_upper: p-value against "it is higher by the margin or more".
        p: the larger of the two.
        equivalent: whether ``p`` is below alpha.
        margin: the largest difference that does not matter, in units of the score.
    """

    p_lower: float
    p_upper: float
    p: float
    equivalent: bool
    margin: float


@dataclass(frozen=True)
class Posterior:
    """Probabilities that the true difference lies below, inside and above the region of practical equivalence.

    They add up to 1, and are nan where there are fewer than two differences.
    """

    worse: float
    equivalent: float
    better: float


@dataclass(frozen=True)
class Verdict:
    """A comparison in words.

    Attributes:
        word: ``better``, ``equivalent``, ``worse`` or ``cannot tell``.
        sentence: the word, the number and its interval; it names neither what is compared nor the score.
        repeats: how many times the repeats would tell; None unless it cannot tell, and where no number would.
        originals_factor: how many times the originals would tell; None unless it cannot tell.
    """

    word: str
    sentence: str
    repeats: float | None = None
    originals_factor: float | None = None


@dataclass(frozen=True)
class Share:
    """A share of judgements and where it may lie; nan where nothing was judged.

    Attributes:
        estimate: hits over ratings, in [0, 1].
        low: lower end.
        high: upper end.
        texts: how many were judged.
        ratings: judgements of them.
        effective: independent judgements that would tell as much; at most ``ratings``.
        level: share of such intervals that hold the true value, in (0, 1).
    """

    estimate: float
    low: float
    high: float
    texts: int
    ratings: int
    effective: float
    level: float = 0.95


def corrected_interval(scores: ArrayLike, test_share: float, level: float = 0.95) -> Interval:
    """Give a mean of cross-validated scores its interval, with the corrected variance.

    On paired differences between two arms, ``p`` is that of the corrected resampled t-test. Formula: see the top of
    this module. With ``test_share=0`` it is the ordinary t interval, which is wrong for cross-validation.

    Args:
        scores: shape ``(n,)``, one score or difference a fold. Folds without a score must be left out, in both arms.
        test_share: tested rows for each training row, 0 or more: ``1 / 9`` in 10-fold cross-validation.
        level: see ``Interval``.

    Returns:
        The interval; of width 0 where all scores are equal (p is then 1 for a mean of 0, else 0).

    Raises:
        DataError: the scores have another shape, or are not finite.
        PlanError: a share below 0, or a level outside (0, 1).
    """
    mean, error, sd, n = _moments(scores, test_share)
    low, high = _t_interval(mean, error, n - 1, level)
    return Interval(mean, low, high, sd, n, max(n - 1, 0), level, 2 * _tail(abs(mean), error, n - 1))


def equivalence(differences: ArrayLike, test_share: float, margin: float = 0.02, alpha: float = ALPHA) -> Equivalence:
    """Test whether a true difference is smaller than a margin: two one-sided tests with the corrected variance.

    Schuirmann, D. J. (1987). A comparison of the two one-sided tests procedure and the power approach for assessing
    the equivalence of average bioavailability. Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680.

    Args:
        differences: shape ``(n,)``, paired by fold.
        test_share: see ``corrected_interval``.
        margin: above 0, in units of the score, named before the data are seen.
        alpha: level of each of the tests, so that the ``1 - 2 alpha`` interval lies inside the margin.

    Raises:
        DataError: see ``corrected_interval``.
        PlanError: a share below 0, or a margin that is not above 0.
    """
    _check(margin > 0, "margin", margin, "above 0")
    mean, error, _, n = _moments(differences, test_share)
    lower, upper = _tail(mean + margin, error, n - 1), _tail(margin - mean, error, n - 1)
    p = max(lower, upper)
    return Equivalence(lower, upper, p, p < alpha, margin)


def correlated_bayes(differences: ArrayLike, correlation: float, rope: float = 0.02) -> Posterior:
    """Say how probable it is that an arm is worse, practically equivalent, better: the Bayesian correlated t-test.

    With a matching prior the true difference has a Student posterior with n - 1 degrees of freedom, centred at the
    mean, of squared scale ``s^2 (1 / n + correlation / (1 - correlation))``.

    Benavoli, A., Corani, G., Demšar, J. and Zaffalon, M. (2017). Time for a change: a tutorial for comparing multiple
    classifiers through Bayesian analysis. Journal of Machine Learning Research 18 (77), 1-36.

    Args:
        differences: shape ``(n,)``, paired by fold.
        correlation: of two folds' differences, in [0, 1): ``n_test / (n_test + n_train)``, 0.1 for ten folds.
        rope: half the width of the region of practical equivalence, 0 or more, in units of the score.

    Raises:
        DataError: see ``corrected_interval``.
        PlanError: a correlation outside [0, 1), or a negative rope.
    """
    _check(0 <= correlation < 1, "correlation", correlation, "in [0, 1)")
    _check(rope >= 0, "rope", rope, "0 or more")
    mean, error, _, n = _moments(differences, correlation / (1 - correlation))
    worse, better = _tail(mean + rope, error, n - 1), _tail(rope - mean, error, n - 1)
    return Posterior(worse, 1 - worse - better, better)


def holm(p_values: ArrayLike) -> np.ndarray:
    """Adjust p-values for their number, so that the chance of any false finding stays below alpha.

    Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6,
    65-70.

    Args:
        p_values: shape ``(m,)``, in [0, 1]; nan where a test could not be made, which then does not count.

    Returns:
        Adjusted p-values, shape ``(m,)``, in the same order, nan where they were.
    """
    adjusted = np.array(p_values, dtype=float)
    made = np.flatnonzero(~np.isnan(adjusted))
    order = made[np.argsort(adjusted[made], kind="stable")]
    stepped = np.arange(len(order), 0, -1) * adjusted[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float],
    size: int,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    groups: Sequence[Hashable] | np.ndarray | None = None,
) -> Interval:
    """Give a statistic of a fixed test set its percentile interval, by drawing the tested rows anew.

    It speaks of the trained model at hand, not of models trained on other originals. ``p`` is the level at which the
    interval would just touch 0.

    Efron, B. and Tibshirani, R. J. (1993). An introduction to the bootstrap. Chapman and Hall, chapter 13.

    Args:
        statistic: takes positions of rows, some of them several times, and returns a number; nan (no row of the
            class was drawn) leaves the resample out.
        size: tested rows.
        n_resamples: how often to draw.
        level: see ``Interval``.
        seed: seed of the draws.
        groups: the group of each row, shape ``(size,)``, where rows of a document or an author are drawn together.

    Raises:
        DataError: as many groups as rows were expected.
        PlanError: a level outside (0, 1).
    """
    _check(0 < level < 1, "level", level, "in (0, 1)")
    if groups is not None and len(groups) != size:
        raise DataError(f"{len(groups)} groups for {size} rows: expected one group a row.")
    members = None if groups is None else _members(groups)
    n = size if members is None else len(members)
    estimate = float(statistic(np.arange(size))) if size else math.nan
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(n, size=n) for _ in range(n_resamples if n > 1 else 0))
    rows = drawn if members is None else (np.concatenate([members[k] for k in chosen]) for chosen in drawn)
    values = np.array([statistic(chosen) for chosen in rows], dtype=float)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return Interval(estimate, math.nan, math.nan, math.nan, n, max(n - 1, 0), level)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    beyond = min(np.count_nonzero(values <= 0), np.count_nonzero(values >= 0))
    p = min(1.0, 2 * (beyond + 1) / (len(values) + 1))
    return Interval(estimate, float(low), float(high), float(values.std(ddof=1)), n, n - 1, level, p)


def share_interval(hits: ArrayLike, ratings: ArrayLike, level: float = 0.95) -> Share:
    """Give a share its Wilson score interval, also where one text was judged by several coders.

    Judgements of one text are not independent. The variance of the share is therefore taken between texts (the ratio
    estimator of cluster sampling, ``k / (k - 1) sum((hits - p ratings)^2) / sum(ratings)^2``), and Wilson's formula
    gets the number of independent judgements with that variance, made smaller by the ratio of the normal to the t
    quantile with k - 1 degrees of freedom. Where all judgements are alike, no variance can be seen, and each text
    counts once. With one judgement a text it is the ordinary Wilson interval.

    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the American
    Statistical Association 22, 209-212.
    Korn, E. L. and Graubard, B. I. (1998). Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data. Survey Methodology 24, 193-201 (the effective sample size).

    Args:
        hits: shape ``(k,)``, one number a text, from 0 to its ratings; halves are allowed.
        ratings: shape ``(k,)``, above 0.
        level: see ``Share``.

    Raises:
        DataError: shapes differ, or a text has more hits than ratings, or no rating.
    """
    y, m = np.asarray(hits, dtype=float), np.asarray(ratings, dtype=float)
    if y.shape != m.shape or y.ndim != 1 or (m <= 0).any() or (y < 0).any() or (y > m).any():
        raise DataError("Expected one number of hits and one of ratings a text, ratings above 0 and hits up to them.")
    k, total = len(y), float(m.sum())
    if not k:
        return Share(math.nan, math.nan, math.nan, 0, 0, 0.0, level)
    p = float(y.sum() / total)
    z = _quantile(10**9, level)
    effective = float(k)
    if (m > 1).any() and k > 1 and 0 < p < 1:
        variance = k / (k - 1) * float(((y - p * m) ** 2).sum()) / total**2
        shrink = (z / _quantile(k - 1, level)) ** 2
        effective = min(total, p * (1 - p) / variance * shrink) if variance > ROUNDING else total
    middle = (p + z**2 / (2 * effective)) / (1 + z**2 / effective)
    reach = z / (1 + z**2 / effective) * math.sqrt(p * (1 - p) / effective + z**2 / (4 * effective**2))
    return Share(p, max(0.0, middle - reach), min(1.0, middle + reach), k, round(total), effective, level)


def share_difference(first: Share, second: Share) -> tuple[float, float, float]:
    """Return the difference of two shares of different texts, first minus second, and its interval.

    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions: comparison of eleven
    methods. Statistics in Medicine 17, 873-890 (method 10, from the two Wilson intervals). That the same coders judged
    both makes it a little too careful.

    Returns:
        Estimate, lower and upper end; nan where one of the two was not judged.
    """
    difference = first.estimate - second.estimate
    low = difference - math.hypot(first.estimate - first.low, second.high - second.estimate)
    high = difference + math.hypot(first.high - first.estimate, second.estimate - second.low)
    return difference, low, high


def verdict(
    difference: Interval, equivalence: Equivalence, p_holm: float, test_share: float, repeatable: bool = True
) -> Verdict:
    """Put a comparison into words, and say what would tell where the scores cannot.

    Equivalent, if the two one-sided tests say so; else better or worse, if the adjusted p-value is below 0.05; else it
    cannot tell. What would tell is an interval whose half width is the margin. Where it is that narrow already, and
    the difference lies between "none" and "the margin", it is half the margin: then one of the two always follows.
    The standard deviation of the scores is taken to fall with the square root of the number of originals.

    Args:
        difference: from ``corrected_interval`` on paired differences.
        equivalence: from ``equivalence`` on the same differences.
        p_holm: ``difference.p`` after ``holm``.
        test_share: the one of ``difference``.
        repeatable: whether more repeats bring further scores; not so on a fixed hold-out set.
    """
    number = f"it is {abs(difference.estimate):.3f} {'lower' if difference.estimate < 0 else 'higher'}"
    number += f" ({100 * difference.level:g} % interval {difference.low:.3f} to {difference.high:.3f})"
    if difference.n < 2:
        return Verdict("cannot tell", "cannot tell: fewer than two scores give no interval")
    error = difference.sd * math.sqrt(1 / difference.n + test_share)
    margin = equivalence.margin
    if equivalence.equivalent:
        low, high = _t_interval(difference.estimate, error, difference.df, 1 - 2 * ALPHA)
        inside = f"90 % interval {low:.3f} to {high:.3f}"
        return Verdict("equivalent", f"equivalent: the difference is smaller than {margin:g} either way ({inside})")
    if p_holm < ALPHA:
        word = "better" if difference.estimate > 0 else "worse"
        return Verdict(word, f"{word}: {number}")
    # What Holm leaves of alpha for this comparison: it must be significant at that level.
    quantile = _quantile(difference.df, 1 - ALPHA * difference.p / p_holm)
    target = margin if quantile * error > margin else margin / 2
    room = (target / (quantile * difference.sd)) ** 2 - test_share
    repeats = max(1.0, 1 / (difference.n * room)) if repeatable and room > 0 else None
    originals = max(1.0, (quantile * error / target) ** 2)
    ways = [f"{_times(repeats)} as many repeats"] if repeats is not None and repeats <= PRACTICABLE else []
    told = " or ".join([*ways, f"{_times(originals)} as many originals"])
    sentence = f"cannot tell: {number}; about {told} would tell a difference of {target:g}"
    return Verdict("cannot tell", sentence, repeats, originals)


def same_rows(same: int, folds: int) -> Verdict | None:
    """Return the verdict on two arms that train on the same rows in most folds, else None.

    Their scores are equal there whatever the made rows are worth: that is no sign of equivalence.

    Args:
        same: folds in which both train on the same rows.
        folds: all of them.
    """
    if 2 * same <= folds:
        return None
    told = f"in {same} of {folds} fits both train on the same rows, since no made row was there to train on"
    return Verdict("cannot tell", f"cannot tell: {told}")


def _check(right: bool, name: str, value: float, expected: str) -> None:
    if not right:
        raise PlanError(f"{name} is {value}: expected a number {expected}.")


def _moments(scores: ArrayLike, test_share: float) -> tuple[float, float, float, int]:
    """Return the mean, its corrected standard error, the standard deviation and the number of the scores."""
    _check(0 <= test_share < math.inf, "test_share", test_share, "0 or more")
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise DataError(
            f"Scores of shape {values.shape}, {np.count_nonzero(~np.isfinite(values))} of them not finite: expected "
            "one number a fold. Leave folds without a score out, in both arms."
        )
    n = len(values)
    mean = float(values.mean()) if n else math.nan
    if n < 2:
        return mean, math.nan, math.nan, n
    # Equal scores of two arms can differ in their last bits, and the t-test would find that significant.
    if np.ptp(values) <= ROUNDING:
        return (0.0 if abs(mean) <= ROUNDING else mean), 0.0, 0.0, n
    sd = float(values.std(ddof=1))
    return mean, sd * math.sqrt(1 / n + test_share), sd, n


def _tail(distance: float, error: float, df: int) -> float:
    """Return P(T > distance / error) of Student's t, its limit where the error is 0, and nan where it is unknown."""
    from scipy.special import stdtr

    if error == 0:
        return 0.5 - 0.5 * float(np.sign(distance))
    return float(stdtr(df, -distance / error)) if df > 0 else math.nan


def _quantile(df: int, level: float) -> float:
    """Return how many standard errors an interval reaches to each side."""
    from scipy.special import stdtrit

    _check(0 < level < 1, "level", level, "in (0, 1)")
    return float(stdtrit(df, (1 + level) / 2)) if df > 0 else math.nan


def _t_interval(mean: float, error: float, df: int, level: float) -> tuple[float, float]:
    reach = _quantile(df, level) * error
    return mean - reach, mean + reach


def _members(groups: Sequence[Hashable] | np.ndarray) -> list[np.ndarray]:
    """Return the positions of each group's rows."""
    positions: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        positions.setdefault(group, []).append(row)
    return [np.array(rows) for rows in positions.values()]


def _times(factor: float) -> str:
    """Round up: a little more than enough."""
    return f"{math.ceil(10 * factor) / 10:.1f} times" if factor < PRACTICABLE else f"{math.ceil(factor)} times"
