"""Scores of a classifier, one file each: every one is an ``evaluate`` metric that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import PlanError
from ..registry import load_plugin, plugin_names

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .base import ClassMetric

__all__ = ["load_metric", "score"]


def load_metric(key: str, **options: Any) -> ClassMetric:
    """Make a metric, for ``compute``, ``evaluate.combine`` and ``evaluate.save``, as ``evaluate.load`` does online.

    Args:
        key: the file's name, such as ``average_precision``.
        **options: what ``evaluate.Metric`` takes; by default what is added stays in memory.

    Raises:
        PlanError: there is no such metric.
    """
    metric: ClassMetric = _plugin(key)(**{"keep_in_memory": True, **options})
    return metric


def score(
    labels: ArrayLike, predictions: ArrayLike, probabilities: ArrayLike, keys: Sequence[str] | None = None
) -> dict[str, float | list[float]]:
    """Compute every metric there is, or some.

    Args:
        labels: true classes, ints in ``[0, c)``, shape ``(m,)``.
        predictions: predicted classes, likewise.
        probabilities: of each class, shape ``(m, c)``.
        keys: the metrics; None takes all.

    Returns:
        ``{key: float}``, and for metrics that score each class ``{key: list of c floats, key_macro: float}``. A class
        without a tested row has nan, and does not count in the macro average.

    Raises:
        DataError: the shapes do not fit, or a class is not in ``[0, c)``.
    """
    from .base import checked

    rows = checked(labels, predictions, probabilities)
    results: dict[str, float | list[float]] = {}
    for key in _keys() if keys is None else keys:
        results |= _plugin(key).results(*rows)
    return results


@cache
def _keys() -> list[str]:
    return plugin_names("metrics")


@cache
def _plugin(key: str) -> type[ClassMetric]:
    plugin: type[ClassMetric] = load_plugin("metrics", key, PlanError)
    return plugin
