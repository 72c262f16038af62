"""``linear``: a logistic regression on sentence embeddings. The two-minute answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from ..encoder import Encoder
from ..registry import Settings
from .base import Classifier, Features, Fit

__all__ = ["PLUGIN", "LinearClassifier", "LinearSettings"]


@dataclass(frozen=True)
class LinearSettings(Settings):
    """Options.

    Attributes:
        C: inverse strength of the L2 penalty, as in scikit-learn. Embeddings of length 1 want a larger one than 1.
        max_iter: iterations of L-BFGS, at most.
        max_length: tokens of a text that count.
    """

    C: PositiveFloat = 10.0
    max_iter: PositiveInt = 1000
    max_length: PositiveInt = 256


class LinearClassifier(Classifier):
    """A frozen encoder and ``sklearn.linear_model.LogisticRegression``. It draws nothing at random."""

    key = "linear"
    settings_class = LinearSettings
    fits_a_task = 20
    settings: LinearSettings

    @cached_property
    def _encoder(self) -> Encoder:
        cache = None if self.cache is None else self.cache / "embeddings.sqlite"
        return Encoder(self.argument, self.settings.max_length, cache)

    @property
    def identity(self) -> dict[str, Any]:
        """The encoder and the penalty."""
        parameters = {**self._encoder.identity, "C": self.settings.C, "max_iter": self.settings.max_iter}
        return {"name": f"linear:{self._encoder.name}", "parameters": parameters}

    def prepare(self, texts: Sequence[str]) -> Features:
        """Return ``vectors``, shape ``(n, d)``."""
        return {"vectors": self._encoder.encode(texts).astype(np.float64)}

    def fit_predict(self, features: Features, fit: Fit) -> np.ndarray:
        """Train and predict; a class without training rows gets probability 0."""
        from sklearn.linear_model import LogisticRegression

        vectors = features["vectors"]
        out = np.zeros((len(fit.test), fit.classes))
        present = np.unique(fit.labels)
        if len(present) == 1:
            out[:, present] = 1.0
            return out
        model = LogisticRegression(C=self.settings.C, max_iter=self.settings.max_iter)
        model.fit(vectors[fit.train], fit.labels, fit.weights)
        out[:, present] = model.predict_proba(vectors[fit.test])
        return out


PLUGIN = LinearClassifier
