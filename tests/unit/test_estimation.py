"""Estimates from predicted categories and a coded sample: closed cases by hand, coverage, and errors."""

import math
import sys

import numpy as np
import pytest

from synimpute_hf.errors import DataError, MissingPackageError, PlanError
from synimpute_hf.estimation import (
    METHODS,
    coded_corpus,
    difference,
    error_rates,
    outcome_regression,
    prevalence,
    prevalence_by_group,
    regressor_regression,
    sample_warnings,
    trend,
)

NAN = math.nan
OURS = ("naive", "adjusted_count", "dsl", "coded_sample")
needs_ppi = pytest.mark.skipif("not __import__('importlib').util.find_spec('ppi_py')", reason="needs ppi-python")


def by_method(found, term=None):
    return {entry.method: entry for entry in found if term in (None, entry.term)}


def simulate(rng, size=1200, coded=200, unequal=False, tpr=0.75, fpr=0.12):
    """Draw texts whose category depends on a year and a covariate, and an outcome that depends on the category.

    The share is 0.24 (the covariate has mean 0), its trend 0.02 a year, the covariate's coefficient 0.05, that of the
    category 2. Errors of the classifier depend on the true code alone.
    """
    year, covariate = rng.integers(0, 10, size).astype(float), rng.choice([-1.0, 1.0], size)
    true = (rng.random(size) < 0.15 + 0.02 * year + 0.05 * covariate).astype(float)
    predicted = (rng.random(size) < np.where(true == 1, tpr, fpr)).astype(float)
    outcome = 1 + 2 * true + 0.5 * covariate + rng.normal(size=size)
    codes, probability = np.full(size, NAN), None
    if unequal:
        probability = np.where(predicted == 1, 0.3, 0.08)
        rows = np.flatnonzero(rng.random(size) < probability)
    else:
        rows = rng.choice(size, coded, replace=False)
    codes[rows] = true[rows]
    return coded_corpus(predicted, codes, probability), year, covariate, outcome


def small():
    """Ten texts, six of them coded: tpr 2/3, fpr 1/3, predicted share 0.5."""
    predicted = [1, 1, 0, 0, 0, 1, 1, 1, 0, 0]
    coded = [1, 1, 1, 0, 0, 0, NAN, NAN, NAN, NAN]
    return coded_corpus(predicted, coded)


def test_rates_and_prevalence_by_hand():
    rates = error_rates(small())
    assert (rates.positives, rates.negatives) == (3, 3)
    assert (rates.tpr, rates.fpr, rates.youden) == pytest.approx((2 / 3, 1 / 3, 1 / 3))
    # each rate has the variance p (1 - p) / (n - 1) = 1/9
    assert rates.youden_se == pytest.approx(math.sqrt(2 / 9))
    found = by_method(prevalence(small(), OURS))
    assert found["naive"].estimate == pytest.approx(0.5)
    assert found["naive"].se == pytest.approx(math.sqrt(0.25 / 9))
    assert found["coded_sample"].estimate == pytest.approx(0.5)
    assert found["dsl"].estimate == pytest.approx(0.5 + (1 - 1) / 6)  # one missed, one taken for it
    assert math.isnan(found["adjusted_count"].estimate)  # 1/3 is within two standard errors of 0
    assert "divides by nearly 0" in found["adjusted_count"].note


def test_adjusted_count_is_rogan_and_gladen():
    rng = np.random.default_rng(1)
    corpus, *_ = simulate(rng, coded=400)
    rates, share = error_rates(corpus), corpus.predicted.mean()
    found = by_method(prevalence(corpus, ("adjusted_count",)))["adjusted_count"]
    p = (share - rates.fpr) / rates.youden
    assert found.estimate == pytest.approx(p)
    # Rogan and Gladen (1978) for a coded sample that is apart; a part of the corpus errs in the share as in the rates
    n = len(corpus.predicted)
    by_rates = p**2 * rates.tpr * (1 - rates.tpr) / rates.positives
    by_rates += (1 - p) ** 2 * rates.fpr * (1 - rates.fpr) / rates.negatives
    variance = share * (1 - share) / n + by_rates * (1 - 2 * corpus.is_coded.mean())
    assert found.se == pytest.approx(math.sqrt(variance) / rates.youden, rel=0.04)


def test_adjusted_count_stays_in_bounds():
    rng = np.random.default_rng(2)
    predicted = (rng.random(900) < 0.02).astype(float)
    coded = np.full(900, NAN)
    predicted[:200] = np.r_[np.ones(90), np.zeros(10), np.ones(20), np.zeros(80)]
    coded[:200] = np.r_[np.ones(100), np.zeros(100)]
    found = by_method(prevalence(coded_corpus(predicted, coded), OURS))["adjusted_count"]
    assert found.estimate == 0.0
    assert found.low == 0.0
    assert 0 < found.high < 0.1


def test_perfect_predictions_need_no_repair():
    rng = np.random.default_rng(3)
    corpus, year, covariate, outcome = simulate(rng, tpr=1.0, fpr=0.0)
    for found in (
        by_method(prevalence(corpus, OURS)),
        by_method(trend(corpus, year, "year", OURS)),
        by_method(outcome_regression(corpus, covariate, ("x",), OURS), "x"),
        by_method(regressor_regression(corpus, outcome, covariate, ("x",), OURS), "category"),
    ):
        for method in ("adjusted_count", "dsl"):
            assert found[method].estimate == pytest.approx(found["naive"].estimate)
            assert found[method].se == pytest.approx(found["naive"].se, rel=0.01)


def test_trend_and_difference_are_regressions():
    rng = np.random.default_rng(4)
    corpus, year, *_ = simulate(rng)
    slope = np.polyfit(2000 + year, corpus.predicted, 1)[0]
    assert by_method(trend(corpus, 2000 + year, "year", OURS))["naive"].estimate == pytest.approx(slope)
    late = year >= 5
    found = by_method(difference(corpus, late, methods=OURS))
    gap = corpus.predicted[late].mean() - corpus.predicted[~late].mean()
    rates = error_rates(corpus)
    assert found["naive"].estimate == pytest.approx(gap)
    assert found["adjusted_count"].estimate == pytest.approx(gap / rates.youden)


def test_least_squares_agree_with_statsmodels():
    statsmodels = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(5)
    corpus, _, covariate, outcome = simulate(rng)
    chosen = corpus.is_coded
    design = statsmodels.add_constant(np.column_stack([corpus.coded, covariate])[chosen])
    fit = statsmodels.OLS(outcome[chosen], design).fit(cov_type="HC1")
    found = regressor_regression(corpus, outcome, covariate, ("x",), ("coded_sample",))
    assert [e.term for e in found] == ["constant", "category", "x"]
    assert [e.estimate for e in found] == pytest.approx(list(fit.params))
    assert [e.se for e in found] == pytest.approx(list(fit.bse))


@needs_ppi
def test_dsl_is_prediction_powered_inference_without_tuning():
    import ppi_py

    rng = np.random.default_rng(6)
    corpus, _, covariate, _ = simulate(rng, size=20_000, coded=1000)
    chosen = corpus.is_coded
    x = np.column_stack([np.ones(len(covariate)), covariate])
    y, f = corpus.coded, corpus.predicted
    low, high = ppi_py.ppi_ols_ci(x[chosen], y[chosen], f[chosen], x[~chosen], f[~chosen], alpha=0.05, lam=1)
    ours = outcome_regression(corpus, covariate, ("x",), ("dsl",))
    for j, entry in enumerate(ours):
        # ours counts the predictions of the coded texts, too, and takes one design matrix for both parts
        assert entry.estimate == pytest.approx((low[j] + high[j]) / 2, abs=0.15 * entry.se)
        assert entry.se == pytest.approx((high[j] - low[j]) / 2 / 1.96, rel=0.05)


@needs_ppi
def test_our_tuning_is_that_of_the_library():
    from synimpute_hf.estimation import _outcome, _tuned

    rng = np.random.default_rng(7)
    corpus, _, covariate, _ = simulate(rng, size=20_000, coded=1000)
    model = _outcome(np.column_stack([np.ones(len(covariate)), covariate]), ("constant", "x"))
    library = outcome_regression(corpus, covariate, ("x",), ("ppi",))
    for ours, theirs in zip(_tuned(corpus, model, 0.95), library, strict=True):
        assert ours.estimate == pytest.approx(theirs.estimate, abs=0.15 * theirs.se)
        assert ours.se == pytest.approx(theirs.se, rel=0.05)


@needs_ppi
@pytest.mark.parametrize("unequal", [False, True])
def test_corrected_intervals_cover_and_naive_ones_do_not(unequal):
    rng, runs = np.random.default_rng(8), 200
    true = {"share": 0.24, "trend": 0.02, "outcome": 0.05, "regressor": 2.0}
    seen = {(what, method): [] for what in true for method in METHODS}
    for _ in range(runs):
        corpus, year, covariate, outcome = simulate(rng, unequal=unequal)
        found = {
            "share": prevalence(corpus),
            "trend": trend(corpus, year),
            "outcome": [e for e in outcome_regression(corpus, covariate, ("x",)) if e.term == "x"],
            "regressor": [e for e in regressor_regression(corpus, outcome, covariate, ("x",)) if e.term == "category"],
        }
        for what, entries in found.items():
            for e in entries:
                seen[what, e.method].append((e.estimate - true[what], e.se, e.low <= true[what] <= e.high))
    for (what, method), values in seen.items():
        error, se, hit = np.array(values, dtype=float).T
        if method == "naive":
            assert hit.mean() < (0.95 - 0.2 if what != "outcome" else 0.9), what
            continue
        assert 0.90 <= hit.mean() <= 0.99, (what, method)
        assert abs(error.mean()) < 0.25 * error.std(), (what, method)
        assert 0.85 < se.mean() / error.std() < 1.2, (what, method)
    spread = {method: np.std([v[0] for v in seen["regressor", method]]) for method in METHODS}
    assert spread["ppi"] < spread["coded_sample"]
    assert spread["ppi"] < spread["dsl"]


@needs_ppi
def test_groups():
    rng = np.random.default_rng(9)
    corpus, year, *_ = simulate(rng)
    found = prevalence_by_group(corpus, [int(value) for value in year])
    assert list(found) == list(range(10))
    rates = error_rates(corpus)
    for group, entries in found.items():
        methods = by_method(entries)
        assert list(methods) == list(METHODS)
        share = corpus.predicted[year == group].mean()
        assert methods["naive"].estimate == pytest.approx(share)
        assert methods["adjusted_count"].estimate == pytest.approx(max(0.0, (share - rates.fpr) / rates.youden))
    # a group without coded texts has what needs none, and says why the rest is missing
    coded = np.where(year == 3, NAN, corpus.coded)
    lacking = by_method(prevalence_by_group(coded_corpus(corpus.predicted, coded), [f"y{v:.0f}" for v in year])["y3"])
    assert not math.isnan(lacking["adjusted_count"].estimate)
    for method in ("ppi", "dsl", "coded_sample"):
        assert math.isnan(lacking[method].estimate)
        assert "Too few coded texts" in lacking[method].note


@needs_ppi
def test_probabilities_as_predictions():
    rng = np.random.default_rng(10)
    size = 6000
    odds = rng.normal(-1.5, 1.5, size)
    p = 1 / (1 + np.exp(-odds))
    true = (rng.random(size) < p).astype(float)
    outcome = 1 + 2 * true + rng.normal(size=size)
    coded = np.full(size, NAN)
    rows = rng.choice(size, 600, replace=False)
    coded[rows] = true[rows]
    corpus = coded_corpus(p, coded)
    for entry in prevalence(corpus):
        assert entry.estimate == pytest.approx(true.mean(), abs=0.05)
    found = by_method(regressor_regression(corpus, outcome), "category")
    for method in ("ppi", "dsl", "adjusted_count"):
        assert found[method].low < 2 < found[method].high


@needs_ppi
def test_sampling_probabilities_that_ppi_cannot_use():
    corpus, *_ = simulate(np.random.default_rng(11), unequal=True)
    known = np.where(corpus.is_coded, corpus.probability, NAN)
    found = by_method(prevalence(coded_corpus(corpus.predicted, corpus.coded, known)))
    assert math.isnan(found["ppi"].estimate)
    assert "use dsl" in found["ppi"].note
    assert found["dsl"] == by_method(prevalence(corpus))["dsl"]


def test_a_sample_without_the_category():
    corpus = coded_corpus([1.0, 0, 0, 0, 1, 0], [0, 0, 0, 0, NAN, NAN])
    found = by_method(prevalence(corpus, OURS))
    assert "No coded text is of the category" in found["adjusted_count"].note
    assert found["coded_sample"].estimate == 0
    assert found["coded_sample"].high > 0.3  # Wilson: none of four seen
    assert math.isnan(error_rates(corpus).tpr)


def test_warnings():
    assert sample_warnings(simulate(np.random.default_rng(12))[0]) == []
    few = sample_warnings(small())
    assert len(few) == 3
    assert few[0].startswith("Only 6 texts are coded")
    assert "Only 3 coded texts are of the category" in few[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [1]), "one prediction and one code"),
        (([0, 2], [1, 0]), r"out of \[0, 1\]"),
        (([0, NAN], [1, 0]), "missing"),
        (([0, 1], [2, 0]), "Codes must be 1"),
        (([0, 1], [NAN, NAN]), "Draw a random sample"),
        (([0, 1], [1, NAN], [0.5]), "one sampling probability a text"),
        (([0, 1], [1, NAN], [NAN, 0.5]), "Each coded text needs"),
        (([0, 1], [1, NAN], [0.5, 1.5]), "above 0 and up to 1"),
    ],
)
def test_wrong_data(arguments, message):
    with pytest.raises(DataError, match=message):
        coded_corpus(*arguments)


def test_wrong_requests():
    corpus = small()
    with pytest.raises(PlanError, match="no method 'ppi\\+\\+'"):
        prevalence(corpus, ("ppi++",))
    with pytest.raises(PlanError, match="level"):
        prevalence(corpus, OURS, level=1.0)
    with pytest.raises(DataError, match="3 groups for 10 texts"):
        prevalence_by_group(corpus, [1, 2, 3], OURS)
    with pytest.raises(DataError, match="year is the same|same for all texts"):
        trend(corpus, np.ones(10), "year", OURS)
    with pytest.raises(DataError, match="year has cells that are not numbers"):
        trend(corpus, [NAN] * 10, "year", OURS)
    with pytest.raises(DataError, match="follows from the others"):
        outcome_regression(corpus, np.column_stack([np.arange(10), 2 * np.arange(10)]), ("a", "b"), OURS)
    with pytest.raises(DataError, match=r"Expected 2 columns of 10 numbers"):
        regressor_regression(corpus, np.arange(10), np.arange(10), ("a", "b"), OURS)


def test_ppi_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ppi_py", None)
    with pytest.raises(MissingPackageError, match=r"synimpute-hf\[estimate\]"):
        prevalence(small())
