"""What every metric does, so that a file of this folder is one formula.

The formulas are written out in numpy, because cross-validation scores thousands of small test sets, where each call
of scikit-learn costs one to two milliseconds of checks. A test holds every one to scikit-learn's result.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np
from numpy.typing import ArrayLike

from ..errors import DataError

__all__ = ["ClassMetric", "checked", "confusion", "divide"]


class ClassMetric(evaluate.Metric):  # type: ignore[misc]
    """A metric of a classifier.

    Attributes:
        key: the file's name.
        per_class: whether ``score`` gives one number a class.
        uses_probabilities: whether ``compute`` needs ``probabilities=``.
    """

    key: ClassVar[str]
    per_class: ClassVar[bool]
    uses_probabilities: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def score(labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray) -> np.ndarray | float:
        """Compute the metric; m may be 0.

        Args:
            labels: true classes, ints in ``[0, c)``, shape ``(m,)``.
            predictions: predicted classes, likewise.
            probabilities: of each class, shape ``(m, c)``.

        Returns:
            Shape ``(c,)`` where it is per class, nan for a class without a row in ``labels``; else a float.
        """

    @classmethod
    def results(
        cls, labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray
    ) -> dict[str, float | list[float]]:
        """Compute the metric and name what comes out: its key and, per class, its macro average."""
        value = cls.score(labels, predictions, probabilities)
        if not cls.per_class:
            return {cls.key: float(value)}
        values = np.asarray(value, dtype=float)
        there = values[~np.isnan(values)]
        return {cls.key: values.tolist(), f"{cls.key}_macro": float(there.mean()) if len(there) else float("nan")}

    def _info(self) -> evaluate.MetricInfo:
        features: dict[str, Any] = {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
        if self.uses_probabilities:
            features["probabilities"] = datasets.Sequence(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description=(self.__doc__ or "").strip(),
            citation="",
            inputs_description="Classes as ints from 0; probabilities with one number a class.",
            features=datasets.Features(features),
        )

    def _compute(
        self, predictions: ArrayLike, references: ArrayLike, probabilities: ArrayLike | None = None
    ) -> dict[str, float | list[float]]:
        if probabilities is None:
            classes = 1 + max([-1, *np.asarray(predictions).tolist(), *np.asarray(references).tolist()])
            probabilities = np.zeros((len(np.asarray(predictions)), classes))
        return self.results(*checked(references, predictions, probabilities))


def checked(
    labels: ArrayLike, predictions: ArrayLike, probabilities: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the three as arrays that fit each other.

    Raises:
        DataError: they do not.
    """
    shares = np.asarray(probabilities, dtype=float)
    true, predicted = np.asarray(labels, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    if shares.ndim != 2 or true.shape != shares.shape[:1] or predicted.shape != shares.shape[:1]:
        raise DataError(
            f"Labels of shape {true.shape}, predictions of {predicted.shape}, probabilities of {shares.shape}: "
            "expected (m,), (m,) and (m, classes)."
        )
    if not np.isfinite(shares).all():
        raise DataError("Some probabilities are not finite: the classifier has diverged. Lower its learning rate.")
    classes = shares.shape[1]
    for name, values in (("labels", true), ("predictions", predicted)):
        if len(values) and not (values.min() >= 0 and values.max() < classes):
            raise DataError(
                f"The {name} go from {values.min()} to {values.max()}: expected classes from 0 to {classes - 1}, one "
                "for each column of the probabilities."
            )
    return true, predicted, shares


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Count rows by true class (down) and predicted class (across), shape ``(classes, classes)``."""
    cells = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return cells.reshape(classes, classes)


def divide(part: np.ndarray, whole: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Divide; 0 where the whole is 0, and nan where there is nothing to score, all of shape ``(c,)``."""
    return np.where(there > 0, part / np.maximum(whole, 1), np.nan)
