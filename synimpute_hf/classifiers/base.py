"""What a classifier is: texts become features once, and then one method trains and predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import PlanError
from ..registry import Settings, read_settings

__all__ = ["Classifier", "Features", "Fit"]

Features = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Fit:
    """One training with its predictions.

    Attributes:
        train: ``(n,)`` positions of the rows that train.
        labels: ``(n,)`` their classes, 0 to ``classes - 1``.
        weights: ``(n,)`` their weights in the loss, above 0.
        test: ``(m,)`` positions of the rows to predict.
        classes: how many classes there are.
        seed: seed of all that is random in it.
    """

    train: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    test: np.ndarray
    classes: int
    seed: int


class Classifier(ABC):
    """A way to learn classes from texts. It is picklable, and a worker process gets it with the features.

    Class attributes:
        key: the plugin's file name.
        settings_class: dataclass of the options that a spec may hold, ``key=value``.
        inner_folds: folds inside a training part by which a decision threshold is chosen.
        fits_a_task: fits that a worker makes before it hands them back.
    """

    key: ClassVar[str]
    settings_class: ClassVar[type[Settings]] = Settings
    inner_folds: ClassVar[int] = 5
    fits_a_task: ClassVar[int] = 1

    def __init__(self, argument: str, settings: Settings, cache: Path | None = None) -> None:
        self.argument = argument
        self.settings = settings
        self.cache = cache

    @classmethod
    def from_options(cls, argument: str, options: Mapping[str, Any], cache: Path | None = None) -> Classifier:
        """Make a classifier from a spec's argument and options.

        Raises:
            PlanError: an option is unknown or of a wrong type.
        """
        return cls(argument, read_settings(f"classifier {cls.key!r}", cls.settings_class, options, PlanError), cache)

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """``name``, and ``parameters``: everything that could change a score. JSON-able, no path of this machine."""

    @abstractmethod
    def prepare(self, texts: Sequence[str]) -> Features:
        """Turn all texts into arrays, once for all folds and arms."""

    @abstractmethod
    def fit_predict(self, features: Features, fit: Fit) -> np.ndarray:
        """Train, and return ``(m, classes)`` probabilities of the rows to predict."""
