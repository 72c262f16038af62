"""The learning curve: a curve that is there is found, its interval holds the truth, and a bad fit is told."""

import numpy as np
import pytest

from synimpute_hf import learning
from synimpute_hf.errors import DataError
from synimpute_hf.learning import fit_power_law, power_law

NUMBERS = np.array([25, 50, 75, 100, 150])
TRUE = (0.85, 4.0, 0.8)
FOLDS, SHARE = 100, 1 / 9


def scores(generator, means, between=0.03, within=0.04):
    """Return scores of folds whose means are off by as much as the corrected variance takes them to be."""
    shared = generator.normal(0, between, (1, FOLDS))
    own = generator.normal(0, within, (len(means), FOLDS))
    values = np.asarray(means)[:, None] + shared + own
    # What all folds have in common (the sample at hand) is not seen in their spread: the correction stands for it.
    common = generator.normal(0, np.sqrt(SHARE) * between) + generator.normal(0, np.sqrt(SHARE) * within, len(means))
    return values + common[:, None]


def test_a_curve_without_noise_is_found():
    means = power_law(NUMBERS, *TRUE)
    noise = np.random.default_rng(0).normal(0, 1e-3, (len(NUMBERS), FOLDS))
    fitted = fit_power_law(NUMBERS, means[:, None] + noise - noise.mean(axis=1, keepdims=True), SHARE)
    assert fitted.parameters == pytest.approx(TRUE, rel=0.02)
    middle, low, high = fitted.at([60, 300])
    assert middle == pytest.approx(power_law(np.array([60, 300]), *TRUE), abs=2e-3)
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert fitted.needed(power_law(np.array([120.0]), *TRUE)[0])[0] == pytest.approx(120, rel=0.03)
    assert fitted.needed(0.99)[0] == np.inf
    assert fitted.doubts == ()


def test_the_interval_holds_the_truth_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(learning, "DRAWS", 100)
    generator = np.random.default_rng(1)
    truth = power_law(np.array([60.0, 125.0]), *TRUE)
    held = []
    for seed in range(30):
        fitted = fit_power_law(NUMBERS, scores(generator, power_law(NUMBERS, *TRUE)), SHARE, seed)
        _, low, high = fitted.at([60, 125])
        held.append((low <= truth) & (truth <= high))
    assert 0.85 <= np.mean(held) <= 1.0


def test_scores_that_no_curve_fits_are_told():
    noise = np.random.default_rng(2).normal(0, 0.01, (5, FOLDS))
    jagged = fit_power_law(NUMBERS, np.array([0.5, 0.8, 0.4, 0.8, 0.5])[:, None] + noise, SHARE)
    assert any("further from the curve" in doubt for doubt in jagged.doubts)
    assert jagged.p_fit < 0.05
    falling = fit_power_law(NUMBERS, np.array([0.8, 0.79, 0.78, 0.77, 0.76])[:, None] + noise, SHARE)
    assert any("does not rise" in doubt for doubt in falling.doubts)


def test_three_numbers_give_no_test_of_the_fit():
    noise = np.random.default_rng(3).normal(0, 0.01, (3, FOLDS))
    fitted = fit_power_law(NUMBERS[:3], power_law(NUMBERS[:3], *TRUE)[:, None] + noise, SHARE)
    assert np.isnan(fitted.p_fit)


@pytest.mark.parametrize(
    ("numbers", "shape"), [([25, 50], (2, 10)), ([25, 50, 75], (2, 10)), ([25, 50, 75], (3, 1)), ([25, 50, 75], (3,))]
)
def test_too_little_is_refused(numbers, shape):
    with pytest.raises(DataError, match="3 or more numbers"):
        fit_power_law(numbers, np.zeros(shape), SHARE)
