"""Estimates of a category over a corpus that a classifier coded, repaired with texts that people coded.

A classifier errs, and its errors do not cancel: the share of texts that it puts into a rare category, the trend of
that share and every regression on it are off by amounts that no number of texts makes smaller. What repairs them is a
random sample of the same corpus with true codes, which neither trained the classifier nor chose its threshold. Methods:

- ``naive``: the predictions are taken for the truth. Its interval knows nothing of the classifier's error.
- ``adjusted_count``: with the classifier's true and false positive rates in the coded sample, the predicted code is
  replaced by ``(predicted - fpr) / (tpr - fpr)``, whose mean given the true code is the true code. For a share this is
  the estimator of Rogan and Gladen (1978), in text analysis adjusted classify and count (Forman 2005). It takes the two
  rates to be the same everywhere, whatever the group, the year, the covariate or the outcome.
- ``ppi``: prediction-powered inference, power-tuned (Angelopoulos et al. 2023; Angelopoulos, Duchi and Zrnic 2023), by
  the library ppi-python: the predictions of the uncoded texts, and their mean error in the coded ones.
- ``dsl``: design-based supervised learning (Egami et al. 2023): the moments of a regression at the predicted code, plus
  those at the true code less those at the predicted one, weighted by one over the sampling probability.
- ``coded_sample``: the coded texts alone.

The last three assume nothing about the classifier, only that the coded texts were sampled with known probabilities.

Every regression here has moments that are linear in the code D, which is 0 or 1: ``(1 - D) x0 (y0 - x0 b) + D x1
(y1 - x1 b)``. With the category as outcome, x0 = x1 are the covariates and y0, y1 are 0 and 1; as regressor, x0 and x1
differ in its column and y0 = y1. So each method but ``ppi`` puts its own number in the place of D, and solves. A
prevalence is the regression on a constant, a difference that on an indicator, a trend that on a number.
Variances are sandwiches of the influence of each text, the estimated rates and means included. Intervals are normal,
Wilson's for the share in a coded sample; they speak of the texts from which the corpus is a random sample.

Angelopoulos, A. N., Bates, S., Fannjiang, C., Jordan, M. I. and Zrnic, T. (2023). Prediction-powered inference.
Science 382, 669-674.
Angelopoulos, A. N., Duchi, J. C. and Zrnic, T. (2023). PPI++: efficient prediction-powered inference. arXiv:2311.01453.
Egami, N., Hinck, M., Stewart, B. M. and Wei, H. (2023). Using imperfect surrogates for downstream inference:
design-based supervised learning for social science applications of large language models. NeurIPS 2023.
Forman, G. (2005). Counting positives accurately despite inaccurate classification. ECML 2005, LNCS 3720, 564-575.
Rogan, W. J. and Gladen, B. (1978). Estimating prevalence from the results of a screening test. American Journal of
Epidemiology 107, 71-76.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .errors import DataError, MissingPackageError, PlanError
from .stats import share_interval

__all__ = [
    "CATEGORY",
    "CONSTANT",
    "METHODS",
    "CodedCorpus",
    "Estimate",
    "Rates",
    "coded_corpus",
    "difference",
    "error_rates",
    "outcome_regression",
    "prevalence",
    "prevalence_by_group",
    "regressor_regression",
    "sample_warnings",
    "trend",
]

METHODS = ("naive", "adjusted_count", "ppi", "dsl", "coded_sample")
CONSTANT = "constant"
CATEGORY = "category"
FEW_CODED = 100
FEW_OF_A_KIND = 10
SMALLEST_YOUDEN = 0.05
SINGULAR = 1e-10
INSTALL = 'Prediction-powered inference needs ppi-python: pip install "synimpute-hf[estimate]"'


@dataclass(frozen=True)
class CodedCorpus:
    """Predictions for all texts of a corpus, and the true codes of a random sample of them; see ``coded_corpus``.

    Attributes:
        predicted: shape ``(N,)``, the predicted code (0 or 1) or the predicted probability of the category.
        coded: shape ``(N,)``, 0 or 1 where a person coded the text, nan elsewhere.
        probability: shape ``(N,)``, in (0, 1], with which a text came into the sample; it may be nan where a text did
            not. None: all alike.
    """

    predicted: np.ndarray
    coded: np.ndarray
    probability: np.ndarray | None = None

    @property
    def is_coded(self) -> np.ndarray:
        """Whether each text is in the sample, shape ``(N,)``."""
        return np.asarray(~np.isnan(self.coded))

    @property
    def weights(self) -> np.ndarray:
        """One over the sampling probability, 0 where a text was not sampled, scaled to a mean of 1 over all texts."""
        inverse = np.zeros(len(self.coded))
        chosen = self.is_coded
        inverse[chosen] = 1.0 if self.probability is None else 1 / self.probability[chosen]
        total = inverse.sum()
        return inverse * len(inverse) / total if total else inverse

    def take(self, rows: np.ndarray) -> CodedCorpus:
        """Return a part of the corpus.

        Args:
            rows: positions, or a mask of shape ``(N,)``.
        """
        probability = None if self.probability is None else self.probability[rows]
        return CodedCorpus(self.predicted[rows], self.coded[rows], probability)


@dataclass(frozen=True)
class Estimate:
    """A number, where it may lie, and how it was found; nan where the method cannot tell, and the note says why.

    Attributes:
        term: what is estimated: ``constant`` (a prevalence), ``category`` or the name of a column.
        method: one of ``METHODS``.
        estimate: the number.
        low: lower end.
        high: upper end.
        se: standard error.
        level: share of such intervals that hold the true value, in (0, 1).
        note: why there is no number, or what to be careful about; mostly empty.
    """

    term: str
    method: str
    estimate: float
    low: float
    high: float
    se: float
    level: float = 0.95
    note: str = ""


@dataclass(frozen=True)
class Rates:
    """How a classifier errs in the coded sample; nan where there is no such text.

    Attributes:
        tpr: true positive rate (recall), in [0, 1]: the mean prediction over texts of the category.
        fpr: false positive rate, in [0, 1]: the mean prediction over the others.
        positives: coded texts of the category.
        negatives: the others.
        youden: ``tpr - fpr``, from 1 (no errors) over 0 (says nothing) to -1.
        youden_se: its standard error.
    """

    tpr: float
    fpr: float
    positives: int
    negatives: int
    youden: float
    youden_se: float


@dataclass(frozen=True)
class _Model:
    """A regression for both codes of each text: covariates ``(N, k)`` and outcomes ``(N,)`` at code 0 and at code 1."""

    terms: tuple[str, ...]
    x0: np.ndarray
    y0: np.ndarray
    x1: np.ndarray
    y1: np.ndarray

    def take(self, rows: np.ndarray) -> _Model:
        """Return the regression of some texts."""
        return _Model(self.terms, self.x0[rows], self.y0[rows], self.x1[rows], self.y1[rows])

    def solve(self, zero: np.ndarray, one: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Solve the regression.

        Args:
            zero: shape ``(N,)``, how much the text at code 0 counts.
            one: shape ``(N,)``, how much it counts at code 1. Corrections make some of these negative.

        Returns:
            The coefficients ``(k,)``, and the inverse of the sum of ``x x'``; None where they are not determined.
        """
        bread = self.x0.T @ (zero[:, None] * self.x0) + self.x1.T @ (one[:, None] * self.x1)
        if not _positive(bread):
            return None
        inverse = np.linalg.inv(bread)
        return inverse @ (self.x0.T @ (zero * self.y0) + self.x1.T @ (one * self.y1)), inverse

    def scores(self, code: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each text's moment, and what it changes by when the code goes from 0 to 1, both ``(N, k)``."""
        zero = self.x0 * (self.y0 - self.x0 @ beta)[:, None]
        step = self.x1 * (self.y1 - self.x1 @ beta)[:, None] - zero
        return zero + code[:, None] * step, step


def coded_corpus(predicted: ArrayLike, coded: ArrayLike, probability: ArrayLike | None = None) -> CodedCorpus:
    """Check predictions and codes, and put them together.

    Args:
        predicted: shape ``(N,)``, 0 or 1, or a probability of the category, in [0, 1].
        coded: shape ``(N,)``, 0 or 1 for the texts of the random sample, nan elsewhere.
        probability: shape ``(N,)``, in (0, 1] for the sampled texts; prediction-powered inference also needs that of
            the others, below 1. None: each text had the same chance.

    Raises:
        DataError: shapes differ, values are out of range, or no text is coded.
    """
    f, y = np.asarray(predicted, dtype=float), np.asarray(coded, dtype=float)
    if f.ndim != 1 or f.shape != y.shape:
        raise DataError(f"Expected one prediction and one code (or nan) a text, got shapes {f.shape} and {y.shape}.")
    if not ((f >= 0) & (f <= 1)).all():
        raise DataError("Predictions must be 0, 1 or probabilities in between; some are missing or out of [0, 1].")
    chosen = ~np.isnan(y)
    if not np.isin(y[chosen], (0, 1)).all():
        raise DataError("Codes must be 1 (the category), 0 (another) or nan (not coded), and some are something else.")
    if not chosen.any():
        raise DataError("No text is coded. Draw a random sample of the corpus, code it, and put the codes in a column.")
    if probability is None:
        return CodedCorpus(f, y)
    pi = np.asarray(probability, dtype=float)
    if pi.shape != y.shape:
        raise DataError(f"Expected one sampling probability a text ({len(y)}), got shape {pi.shape}.")
    known = pi[~np.isnan(pi)]
    if np.isnan(pi[chosen]).any() or (known <= 0).any() or (known > 1).any():
        raise DataError("Each coded text needs the probability with which it was sampled, above 0 and up to 1.")
    return CodedCorpus(f, y, pi)


def sample_warnings(corpus: CodedCorpus) -> list[str]:
    """Say what makes the coded sample too small for its estimates to be trusted.

    The intervals are those of large samples: with a handful of texts of the category they are too narrow.
    """
    y = corpus.coded[corpus.is_coded]
    found = []
    if len(y) < FEW_CODED:
        found.append(
            f"Only {len(y)} texts are coded: below {FEW_CODED} the intervals are rough, mostly too narrow. Code more."
        )
    for count, kind in ((int(y.sum()), "of the category"), (int((1 - y).sum()), "not of the category")):
        if count < FEW_OF_A_KIND:
            found.append(
                f"Only {count} coded texts are {kind}: with fewer than {FEW_OF_A_KIND} the classifier's errors are "
                "hardly known. Code more; to find rare ones, sample texts with a high predicted probability more "
                "often, and keep the sampling probability of every text."
            )
    return found


def error_rates(corpus: CodedCorpus) -> Rates:
    """Return how the classifier errs in the coded sample, weighted by one over the sampling probability.

    Args:
        corpus: from ``coded_corpus``.
    """
    y = corpus.coded[corpus.is_coded]
    tpr, one = _rate(corpus, 1.0)
    fpr, zero = _rate(corpus, 0.0)
    spread = math.sqrt(float(one @ one + zero @ zero))
    return Rates(tpr, fpr, int(y.sum()), int(len(y) - y.sum()), tpr - fpr, spread)


def prevalence(corpus: CodedCorpus, methods: Sequence[str] = METHODS, level: float = 0.95) -> list[Estimate]:
    """Estimate the share of texts of the category.

    Estimates and intervals are cut to [0, 1].

    Args:
        corpus: from ``coded_corpus``.
        methods: of ``METHODS``.
        level: see ``Estimate``.

    Returns:
        One estimate a method, of the term ``constant``.

    Raises:
        PlanError: an unknown method, or a level outside (0, 1).
        MissingPackageError: ``ppi`` is asked for and ppi-python is not installed; says what to type.
    """
    model = _outcome(np.ones((len(corpus.predicted), 1)), (CONSTANT,))
    return [_share(corpus, entry) for entry in _estimates(corpus, model, methods, level)]


def prevalence_by_group(
    corpus: CodedCorpus, groups: Sequence[Hashable] | np.ndarray, methods: Sequence[str] = METHODS, level: float = 0.95
) -> dict[Hashable, list[Estimate]]:
    """Estimate the share of texts of the category in each group.

    ``adjusted_count`` takes the error rates of the whole coded sample; the others look at the group's texts alone.

    Args:
        corpus: from ``coded_corpus``.
        groups: shape ``(N,)``, the group of each text.
        methods: of ``METHODS``.
        level: see ``Estimate``.

    Returns:
        One estimate a method for each group, sorted by group (numbers as such, others as text).

    Raises:
        DataError: as many groups as texts were expected.
        PlanError: see ``prevalence``.
        MissingPackageError: see ``prevalence``.
    """
    if len(groups) != len(corpus.predicted):
        raise DataError(f"{len(groups)} groups for {len(corpus.predicted)} texts: expected one group a text.")
    members: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    found = {}
    for group in sorted(members, key=_order):
        rows = np.array(members[group])
        part = {entry.method: entry for entry in prevalence(corpus.take(rows), methods, level)}
        if "adjusted_count" in part:
            inside = np.zeros((len(corpus.predicted), 1))
            inside[rows] = 1
            (entry,) = _estimates(corpus, _outcome(inside, (CONSTANT,)), ("adjusted_count",), level)
            part["adjusted_count"] = _share(corpus, entry)
        found[group] = [part[method] for method in methods]
    return found


def trend(
    corpus: CodedCorpus, time: ArrayLike, name: str = "time", methods: Sequence[str] = METHODS, level: float = 0.95
) -> list[Estimate]:
    """Estimate how the share of the category changes with a number, such as the year: the least-squares slope.

    Args:
        corpus: from ``coded_corpus``.
        time: shape ``(N,)``, finite, not all alike.
        name: of the column.
        methods: of ``METHODS``.
        level: see ``Estimate``.

    Returns:
        One estimate a method: change of the share for each unit of ``time``.

    Raises:
        DataError: not one finite number a text, or all are alike.
        PlanError: see ``prevalence``.
        MissingPackageError: see ``prevalence``.
    """
    x = _columns(time, len(corpus.predicted), (name,))
    found = outcome_regression(corpus, x - x.mean(axis=0), (name,), methods, level)  # years are far from 0
    return [entry for entry in found if entry.term == name]


def difference(
    corpus: CodedCorpus, second: ArrayLike, name: str = "difference", methods: Sequence[str] = METHODS
) -> list[Estimate]:
    """Estimate the share of the category in a second group of texts minus that in the first.

    Args:
        corpus: from ``coded_corpus``.
        second: shape ``(N,)``, whether a text is in the second group.
        name: of the difference.
        methods: of ``METHODS``.

    Returns:
        One estimate a method, in [-1, 1] but for the error of estimation.

    Raises:
        DataError: one of the groups is empty.
        PlanError: see ``prevalence``.
        MissingPackageError: see ``prevalence``.
    """
    return trend(corpus, np.asarray(second, dtype=bool).astype(float), name, methods)


def outcome_regression(
    corpus: CodedCorpus,
    covariates: ArrayLike,
    names: Sequence[str],
    methods: Sequence[str] = METHODS,
    level: float = 0.95,
) -> list[Estimate]:
    """Estimate a linear regression of the category on covariates: the linear probability model.

    ``ppi`` tunes its power for each coefficient apart, so that they are not those of one common weight.

    Args:
        corpus: from ``coded_corpus``.
        covariates: shape ``(N, k)`` or ``(N,)``, finite, without a constant, which is added.
        names: of the ``k`` covariates.
        methods: of ``METHODS``.
        level: see ``Estimate``.

    Returns:
        For each method the coefficients, ``constant`` first.

    Raises:
        DataError: covariates of another shape, not finite, or one follows from the others.
        PlanError: see ``prevalence``.
        MissingPackageError: see ``prevalence``.
    """
    x = _columns(covariates, len(corpus.predicted), names)
    design = np.column_stack([np.ones(len(x)), x])
    _check_rank(design, names)
    return _estimates(corpus, _outcome(design, (CONSTANT, *names)), methods, level)


def regressor_regression(
    corpus: CodedCorpus,
    outcome: ArrayLike,
    controls: ArrayLike | None = None,
    names: Sequence[str] = (),
    methods: Sequence[str] = METHODS,
    level: float = 0.95,
) -> list[Estimate]:
    """Estimate a linear regression of a numeric outcome on the category and controls.

    ppi-python takes predicted outcomes, not predicted regressors: here ``ppi`` is ours. It weighs the predictions by
    how much they help, where ``dsl`` takes them in full and does worse than the coded sample if the classifier is bad.
    ``naive`` is least squares on the predictions as they are. Where the others hold predicted probabilities, their
    moments are averaged over both codes. ``adjusted_count`` also takes the classifier's errors to have nothing to do
    with the outcome and the controls among texts of one code, which fails when it reads what the outcome depends on.

    Args:
        corpus: from ``coded_corpus``.
        outcome: shape ``(N,)``, finite.
        controls: shape ``(N, k)`` or ``(N,)``, finite, without a constant, which is added; None: none.
        names: of the ``k`` controls.
        methods: of ``METHODS``.
        level: see ``Estimate``.

    Returns:
        For each method the coefficients of ``constant``, ``category`` and the controls.

    Raises:
        DataError: columns of another shape, not finite, or one follows from the others.
        PlanError: see ``prevalence``.
    """
    n = len(corpus.predicted)
    y = _columns(outcome, n, ("the outcome",))[:, 0]
    c = np.zeros((n, 0)) if controls is None else _columns(controls, n, names)
    _check_rank(np.column_stack([np.ones(n), c]), names)
    x0 = np.column_stack([np.ones(n), np.zeros(n), c])
    x1 = np.column_stack([np.ones(n), np.ones(n), c])
    model = _Model((CONSTANT, CATEGORY, *names), x0, y, x1, y)
    return _estimates(corpus, model, methods, level)


def _outcome(design: np.ndarray, terms: tuple[str, ...]) -> _Model:
    n = len(design)
    return _Model(terms, design, np.zeros(n), design, np.ones(n))


def _order(group: Hashable) -> tuple[bool, float, str]:
    number = isinstance(group, (int, float, np.number))
    return (not number, float(group) if number else 0.0, str(group))  # type: ignore[arg-type]


def _columns(values: ArrayLike, n: int, names: Sequence[str]) -> np.ndarray:
    x = np.asarray(values, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    if x.shape != (n, len(names)):
        raise DataError(f"Expected {len(names)} columns of {n} numbers ({', '.join(names)}), got shape {x.shape}.")
    if not np.isfinite(x).all():
        place = int(np.flatnonzero(~np.isfinite(x).all(axis=0))[0])
        raise DataError(f"{names[place]} has cells that are not numbers. Fill them, or leave those texts out.")
    return x


def _check_rank(design: np.ndarray, names: Sequence[str]) -> None:
    if not _positive(design.T @ design):
        raise DataError(
            f"A column of {', '.join(names)} is the same for all texts, or follows from the others: leave it out."
        )


def _positive(bread: np.ndarray) -> bool:
    """Say whether a matrix of products can be inverted safely, whatever the units of its columns."""
    diagonal = np.diag(bread)
    if not np.isfinite(bread).all() or (diagonal <= 0).any():
        return False
    root = np.sqrt(diagonal)
    return bool(np.linalg.eigvalsh(bread / np.outer(root, root))[0] > SINGULAR)


def _share(corpus: CodedCorpus, entry: Estimate) -> Estimate:
    """Cut a share to [0, 1]; that of the coded sample gets Wilson's interval where all texts weigh the same."""
    if entry.method == "coded_sample" and corpus.probability is None and corpus.is_coded.any():
        y = corpus.coded[corpus.is_coded]
        wilson = share_interval(y, np.ones(len(y)), entry.level)
        return replace(entry, estimate=wilson.estimate, low=wilson.low, high=wilson.high)
    middle, low, high = (float(np.clip(value, 0, 1)) for value in (entry.estimate, entry.low, entry.high))
    return replace(entry, estimate=middle, low=low, high=high)  # nan stays nan


def _estimates(corpus: CodedCorpus, model: _Model, methods: Sequence[str], level: float) -> list[Estimate]:
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise PlanError(f"There is no method {unknown[0]!r}. The methods are: {', '.join(METHODS)}.")
    if not 0 < level < 1:
        raise PlanError(f"The level must be in (0, 1), got {level!r}.")
    return [entry for name in methods for entry in _ESTIMATORS[name](corpus, model, level)]


def _normal(model: _Model, method: str, beta: np.ndarray, spread: np.ndarray, level: float) -> list[Estimate]:
    reach = NormalDist().inv_cdf((1 + level) / 2)
    return [
        Estimate(term, method, float(b), float(b - reach * s), float(b + reach * s), float(s), level)
        for term, b, s in zip(model.terms, beta, spread, strict=True)
    ]


def _none(model: _Model, method: str, level: float, note: str) -> list[Estimate]:
    return [Estimate(term, method, math.nan, math.nan, math.nan, math.nan, level, note) for term in model.terms]


def _spread(inverse: np.ndarray, influence: np.ndarray) -> np.ndarray:
    """Return standard errors from the inverse bread and each text's share in the moments, ``(N, k)``."""
    return np.asarray(np.sqrt(((influence @ inverse) ** 2).sum(axis=0)))


def _naive(corpus: CodedCorpus, model: _Model, level: float) -> list[Estimate]:
    f = corpus.predicted
    x = model.x0 + f[:, None] * (model.x1 - model.x0)
    y = model.y0 + f * (model.y1 - model.y0)
    plain = _Model(model.terms, x, y, x, y)
    return _least_squares(plain, f, np.ones(len(f)), "naive", level, "All predictions are alike.")


def _coded_sample(corpus: CodedCorpus, model: _Model, level: float) -> list[Estimate]:
    chosen = corpus.is_coded
    if chosen.sum() <= len(model.terms):
        return _none(model, "coded_sample", level, "Too few coded texts.")
    note = "The coded texts do not differ in one of the columns."
    part, weight = model.take(chosen), corpus.weights[chosen]
    return _least_squares(part, corpus.coded[chosen], weight, "coded_sample", level, note)


def _least_squares(
    model: _Model, code: np.ndarray, weight: np.ndarray, method: str, level: float, note: str
) -> list[Estimate]:
    """Solve a regression with robust variance (HC1), the codes taken for the truth."""
    solved = model.solve(weight * (1 - code), weight * code)
    if solved is None:
        return _none(model, method, level, note)
    beta, inverse = solved
    n, k = len(code), len(beta)
    scores = model.scores(code, beta)[0] * weight[:, None] * math.sqrt(n / max(n - k, 1))
    return _normal(model, method, beta, _spread(inverse, scores), level)


def _rate(corpus: CodedCorpus, code: float) -> tuple[float, np.ndarray]:
    """Return the mean prediction over coded texts of one code, and the influence of each text on it, ``(N,)``."""
    weight = np.where(corpus.coded == code, corpus.weights, 0.0)
    count, total = int((weight > 0).sum()), float(weight.sum())
    if not count:
        return math.nan, np.full(len(weight), math.nan)
    mean = float(weight @ corpus.predicted / total)
    return mean, weight * (corpus.predicted - mean) / total * math.sqrt(count / max(count - 1, 1))


def _adjusted_count(corpus: CodedCorpus, model: _Model, level: float) -> list[Estimate]:
    """Solve at ``(f - fpr) / J`` with J = tpr - fpr; its derivatives are ``(code - 1) / J`` and ``-code / J``."""
    method, rates = "adjusted_count", error_rates(corpus)
    if not rates.positives or not rates.negatives:
        kind = "of the category" if not rates.positives else "not of the category"
        return _none(model, method, level, f"No coded text is {kind}: the error rates are not known.")
    if rates.youden < max(SMALLEST_YOUDEN, 2 * rates.youden_se):
        note = (
            f"The true and false positive rates ({rates.tpr:.2f}, {rates.fpr:.2f}) hardly differ for the size of the "
            "sample: the correction divides by nearly 0."
        )
        return _none(model, method, level, note)
    code = (corpus.predicted - rates.fpr) / rates.youden
    solved = model.solve(1 - code, code)
    if solved is None:
        return _none(model, method, level, "The corrected moments have no solution: the correction goes too far.")
    beta, inverse = solved
    influence, step = model.scores(code, beta)
    by_tpr = -(code[:, None] * step).sum(axis=0) / rates.youden
    by_fpr = ((code - 1)[:, None] * step).sum(axis=0) / rates.youden
    influence = influence + np.outer(_rate(corpus, 1.0)[1], by_tpr) + np.outer(_rate(corpus, 0.0)[1], by_fpr)
    return _normal(model, method, beta, _spread(inverse, influence), level)


def _dsl(corpus: CodedCorpus, model: _Model, level: float) -> list[Estimate]:
    """Solve at ``f + w (y - f)``; the weights have mean 1, so that the variance is around the mean error."""
    method, chosen = "dsl", corpus.is_coded
    n, k = int(chosen.sum()), len(model.terms)
    if n <= k:
        return _none(model, method, level, "Too few coded texts.")
    f, weight = corpus.predicted, corpus.weights
    error = np.where(chosen, corpus.coded - f, 0.0)
    code = f + weight * error
    solved = model.solve(1 - code, code)
    if solved is None:
        return _none(model, method, level, "The corrected moments have no solution: more coded texts are needed.")
    beta, inverse = solved
    predicted, step = model.scores(f, beta)
    change = error[:, None] * step
    mean = weight @ change / len(f)
    influence = predicted + mean + math.sqrt(n / (n - k)) * weight[:, None] * (change - mean)
    return _normal(model, method, beta, _spread(inverse, influence), level)


def _ppi(corpus: CodedCorpus, model: _Model, level: float) -> list[Estimate]:
    """Ask ppi-python, which wants coded and uncoded texts apart, and outcomes."""
    if model.x0 is not model.x1:
        return _tuned(corpus, model, level)
    library, method = _library(), "ppi"
    chosen, k = corpus.is_coded, len(model.terms)
    rest = ~chosen
    if chosen.sum() <= k or rest.sum() <= k:
        kind = "coded" if chosen.sum() <= k else "uncoded"
        return _none(model, method, level, f"Too few {kind} texts.")
    x = model.x0
    if not all(_positive(x[part].T @ x[part]) for part in (chosen, rest)):
        return _none(model, method, level, "The coded texts do not differ in one of the columns.")
    weight: dict[str, Any] = {}
    if corpus.probability is not None:
        pi = corpus.probability
        if np.isnan(pi).any() or (pi >= 1).any():
            note = "It needs the sampling probability of every text, below 1; use dsl."
            return _none(model, method, level, note)
        weight = {"w": 1 / pi[chosen], "w_unlabeled": 1 / (1 - pi[rest])}
    y, f, g = corpus.coded[chosen], corpus.predicted[chosen], corpus.predicted[rest]
    if model.terms == (CONSTANT,):
        ends = [library.ppi_mean_ci(y, f, g, alpha=1 - level, **weight)]
    else:
        ends = [library.ppi_ols_ci(x[chosen], y, f, x[rest], g, alpha=1 - level, coord=j, **weight) for j in range(k)]
    low = np.array([np.ravel(pair[0])[j] for j, pair in enumerate(ends)])
    high = np.array([np.ravel(pair[1])[j] for j, pair in enumerate(ends)])
    reach = NormalDist().inv_cdf((1 + level) / 2)
    return _normal(model, method, (low + high) / 2, (high - low) / 2 / reach, level)


def _tuned(corpus: CodedCorpus, model: _Model, level: float) -> list[Estimate]:
    """Tune the weight of the predictions for each coefficient: 0 is the coded sample alone, 1 is ``dsl``.

    At weight L the moments are L times those of all predictions, plus the coded texts' mean of m(true) - L m(predicted)
    (PPI++, section 6). Its influence is linear in L, so that the weight of least variance is a regression coefficient.
    """
    chosen, k = corpus.is_coded, len(model.terms)
    f, weight = corpus.predicted, corpus.weights
    y = np.where(chosen, corpus.coded, 0.0)
    first = model.solve(weight * (1 - y), weight * y) if chosen.sum() > k else None
    if first is None:
        return _none(model, "ppi", level, "Too few coded texts, or they do not differ in one of the columns.")
    inflate = math.sqrt(chosen.sum() / (chosen.sum() - k))
    found = []
    for j, term in enumerate(model.terms):
        beta, inverse = first
        lam = 0.0
        for _ in range(2):  # the second time at the tuned coefficients
            true, said = (model.scores(code, beta)[0] @ inverse[:, j] for code in (y, f))
            alone, extra = _two_parts(true, said, weight, inflate)
            lam = float(np.clip(-(alone @ extra) / max(extra @ extra, np.finfo(float).tiny), 0, 1))
            solved = model.solve(lam * (1 - f) + weight * (1 - y - lam * (1 - f)), lam * f + weight * (y - lam * f))
            beta, inverse = solved if solved is not None else first
        true, said = (model.scores(code, beta)[0] @ inverse[:, j] for code in (y, f))
        alone, extra = _two_parts(true, said, weight, inflate)
        spread = np.array([math.sqrt(((alone + lam * extra) ** 2).sum())])
        one = replace(model, terms=(term,))
        found += _normal(one, "ppi", beta[j : j + 1], spread, level)
    return found


def _two_parts(true: np.ndarray, said: np.ndarray, weight: np.ndarray, inflate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return each text's influence in the coded sample alone, and what a weight of 1 on the predictions adds to it."""
    mean, other = float(weight @ true) / len(true), float(weight @ said) / len(said)
    alone = inflate * weight * (true - mean) + mean
    return alone, said - other - inflate * weight * (said - other)


def _library() -> Any:
    try:
        return importlib.import_module("ppi_py")
    except ModuleNotFoundError as error:
        raise MissingPackageError(INSTALL) from error


_ESTIMATORS: dict[str, Callable[[CodedCorpus, _Model, float], list[Estimate]]] = {
    "naive": _naive,
    "adjusted_count": _adjusted_count,
    "ppi": _ppi,
    "dsl": _dsl,
    "coded_sample": _coded_sample,
}
