"""One fit: train, choose a decision threshold where the arm wants one, predict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .classifiers import Classifier, Features, Fit
from .fitstore import Finished

__all__ = ["Task", "decide", "run_tasks"]


@dataclass(frozen=True)
class Task:
    """A fit that is to be made.

    Attributes:
        key: a digest of all that makes its predictions.
        fit: what trains and what is predicted.
        tuned: classes that get a decision threshold.
        groups: ``(n,)`` what must stay together when it is chosen; empty where none is.
    """

    key: str
    fit: Fit
    tuned: tuple[int, ...]
    groups: np.ndarray


def run_tasks(classifier: Classifier, features: Features, tasks: Sequence[Task]) -> list[tuple[str, Finished]]:
    """Make some fits, one after another and each on one thread of a CPU: processes share the cores better."""
    from threadpoolctl import threadpool_limits

    done = []
    with threadpool_limits(1):
        for task in tasks:
            started = time.perf_counter()
            # As they are kept: a score must not depend on whether its fit was made now or before.
            probabilities = classifier.fit_predict(features, task.fit).astype(np.float32)
            thresholds = _thresholds(classifier, features, task) if task.tuned else {}
            done.append((task.key, Finished(probabilities, thresholds, time.perf_counter() - started)))
    return done


def decide(probabilities: np.ndarray, thresholds: dict[int, float]) -> np.ndarray:
    """Return predicted classes.

    Args:
        probabilities: ``(m, classes)``.
        thresholds: by class. A row belongs to the tuned class whose threshold it passes by the largest factor, else to
            the likeliest of the others.

    Returns:
        ``(m,)`` classes.
    """
    if not thresholds:
        return np.asarray(probabilities.argmax(1))
    codes = np.array(sorted(thresholds))
    passed = probabilities[:, codes] / np.array([max(thresholds[int(code)], 1e-12) for code in codes])
    rest = probabilities.copy()
    rest[:, codes] = -1.0
    return np.asarray(np.where(passed.max(1) >= 1, codes[passed.argmax(1)], rest.argmax(1)))


def _thresholds(classifier: Classifier, features: Features, task: Task) -> dict[int, float]:
    """Choose, inside the training part, the threshold of each tuned class that gives the highest F1 for it."""
    from sklearn.model_selection import StratifiedGroupKFold

    fit = task.fit
    inner = StratifiedGroupKFold(classifier.inner_folds, shuffle=True, random_state=fit.seed % 2**32)
    out = np.zeros((len(fit.train), fit.classes))
    for train, test in inner.split(fit.train, fit.labels, task.groups):
        part = replace(
            fit, train=fit.train[train], labels=fit.labels[train], weights=fit.weights[train], test=fit.train[test]
        )
        out[test] = classifier.fit_predict(features, part)
    return {code: _best_threshold(out[:, code], fit.labels == code) for code in task.tuned}


def _best_threshold(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the threshold with the highest F1, half-way between two scores.

    Args:
        scores: ``(n,)`` probabilities of a class.
        positive: ``(n,)`` whether a row belongs to it.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    hits = np.cumsum(positive[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + positive.sum())
    ends = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True))  # equal scores fall on one side
    best = int(ends[f1[ends].argmax()])
    below = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    return float((ordered[best] + below) / 2)
