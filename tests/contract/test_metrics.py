"""Every metric that is found keeps the same contract, and gives what scikit-learn gives."""

import json
import math
import time

import numpy as np
import pytest

from synimpute_hf.errors import DataError, PlanError
from synimpute_hf.metrics import load_metric, score
from synimpute_hf.registry import load_plugin, plugin_names

evaluate = pytest.importorskip("evaluate")
sklearn = pytest.importorskip("sklearn.metrics")
base = pytest.importorskip("synimpute_hf.metrics.base")

FOUND = plugin_names("metrics")
PER_CLASS = ["average_precision", "f1", "precision", "recall"]


def rows(seed, size=60, classes=2, decimals=8):
    """Return labels, predictions and probabilities; few decimals make ties."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(classes), size).round(decimals)
    labels = np.where(
        generator.uniform(size=size) < 0.5, probabilities.argmax(1), generator.integers(classes, size=size)
    )
    return labels, probabilities.argmax(1), probabilities


def test_found_by_file_name():
    assert FOUND == ["average_precision", "calibration_error", "f1", "mcc", "precision", "recall"]


@pytest.mark.parametrize("key", FOUND)
def test_every_metric_says_who_it_is(key):
    plugin = load_plugin("metrics", key, PlanError)
    assert issubclass(plugin, base.ClassMetric)
    assert issubclass(plugin, evaluate.Metric)
    assert plugin.key == key
    assert plugin.per_class == (key in PER_CLASS)
    metric = load_metric(key)
    assert metric.name == key
    assert metric.description


def test_a_metric_that_is_none():
    with pytest.raises(PlanError, match="Did you mean 'precision'"):
        load_metric("precison")


@pytest.mark.parametrize("key", FOUND)
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("keep_in_memory", [True, False])
def test_compute_gives_what_score_gives(key, classes, keep_in_memory, tmp_path):
    labels, predictions, probabilities = rows(0, classes=classes)
    metric = load_metric(key, keep_in_memory=keep_in_memory, cache_dir=str(tmp_path))
    more = {"probabilities": probabilities} if metric.uses_probabilities else {}
    found = metric.compute(references=labels, predictions=predictions, **more)
    assert found.items() <= score(labels, predictions, probabilities).items()
    assert set(found) == ({key, f"{key}_macro"} if key in PER_CLASS else {key})
    for k in range(0, 60, 20):  # in batches
        part = slice(k, k + 20)
        some = {"probabilities": probabilities[part]} if more else {}
        metric.add_batch(references=labels[part], predictions=predictions[part], **some)
    assert metric.compute() == found


def test_combine_and_save(tmp_path):
    labels, predictions, probabilities = rows(1)
    every = evaluate.combine([load_metric(key) for key in FOUND])
    found = every.compute(references=labels, predictions=predictions, probabilities=probabilities)
    assert found == score(labels, predictions, probabilities)
    path = evaluate.save(tmp_path, **found)
    saved = json.loads(path.read_text())
    assert saved.items() >= found.items()
    assert "_timestamp" in saved


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [8, 1])
@pytest.mark.parametrize("classes", [2, 3])
def test_scikit_learn_gives_the_same(seed, decimals, classes):
    labels, predictions, probabilities = rows(seed, classes=classes, decimals=decimals)
    found = score(labels, predictions, probabilities)
    codes = list(range(classes))
    expected = sklearn.precision_recall_fscore_support(labels, predictions, labels=codes, zero_division=0)
    for key, values in zip(("precision", "recall", "f1"), expected, strict=False):
        assert found[key] == pytest.approx(values)
        assert found[f"{key}_macro"] == pytest.approx(values.mean())
    average = [sklearn.average_precision_score(labels == k, probabilities[:, k]) for k in codes]
    assert found["average_precision"] == pytest.approx(average)
    assert found["average_precision_macro"] == pytest.approx(np.mean(average))
    assert found["mcc"] == pytest.approx(sklearn.matthews_corrcoef(labels, predictions))


def test_calibration_error_by_hand():
    # Two bins: (0.6, 0.7] holds 0.65 and 0.7, one of them right; (0.8, 0.9] holds 0.9 and 0.85, both right.
    top = np.array([0.65, 0.7, 0.9, 0.85])
    probabilities = np.column_stack([top, 1 - top])
    expected = 2 / 4 * abs(1 / 2 - 0.675) + 2 / 4 * abs(1 - 0.875)
    found = score([0, 1, 0, 0], [1, 1, 1, 1], probabilities)["calibration_error"]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 5])
def test_calibration_error_by_its_definition(classes):
    labels, predictions, probabilities = rows(2, size=200, classes=classes)
    top, right = probabilities.max(1), probabilities.argmax(1) == labels
    error = 0.0
    for low, high in zip(np.arange(10) / 10, np.arange(1, 11) / 10, strict=True):
        inside = (top > low) & (top <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - top[inside].mean())
    assert score(labels, predictions, probabilities)["calibration_error"] == pytest.approx(error)


def test_a_class_without_a_tested_row():
    labels, predictions, probabilities = rows(3, classes=3)
    labels = np.where(labels == 2, 0, labels)
    found = score(labels, predictions, probabilities)
    for key in PER_CLASS:
        assert math.isnan(found[key][2])
        assert found[f"{key}_macro"] == pytest.approx(np.mean(found[key][:2]))
    assert math.isfinite(found["mcc"])


def test_a_class_that_is_never_predicted():
    found = score([0, 0, 1, 1], [0, 0, 0, 0], [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3]])
    assert (found["precision"], found["recall"]) == ([0.5, 0.0], [1.0, 0.0])
    assert found["f1"] == pytest.approx([2 / 3, 0])
    assert found["average_precision"] == [1, 1]  # it ranks well all the same
    assert found["mcc"] == 0


@pytest.mark.filterwarnings("error")
def test_one_class_and_no_rows():
    found = score([1, 1], [1, 1], [[0.2, 0.8], [0.1, 0.9]])
    assert (found["f1_macro"], found["average_precision_macro"], found["mcc"]) == (1, 1, 0)
    assert all(np.isnan(value).all() for value in score([], [], np.empty((0, 2))).values())


def test_rows_that_do_not_fit():
    fit = [[0.5, 0.5], [0.5, 0.5]]
    for labels, predictions, probabilities in (([0], [0, 1], fit), ([0, 1], [0, 1], [0.5, 0.5]), ([0, 1], [0], fit)):
        with pytest.raises(DataError, match=r"expected \(m,\), \(m,\) and \(m, classes\)"):
            score(labels, predictions, probabilities)
    for labels, predictions in (([0, 2], [0, 1]), ([0, 1], [-1, 1])):
        with pytest.raises(DataError, match="expected classes from 0 to 1"):
            score(labels, predictions, fit)
    with pytest.raises(DataError, match="diverged"):
        score([0, 1], [0, 1], [[0.5, 0.5], [math.nan, 0.5]])


def test_it_is_quick():
    given = rows(4)
    score(*given)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        score(*given)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.003
