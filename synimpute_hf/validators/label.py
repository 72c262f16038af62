"""``label``: a small classifier, trained on originals alone, reads the text again."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from ..encoder import Encoder
from ..errors import MissingPackageError, PlanError
from .base import Case, Finding, Reference, Settings, Validator

__all__ = ["PLUGIN", "LabelSettings", "LabelValidator"]

OTHER = "reads like another class"
FOLDS = 5
A_CLASS = 1000


@dataclass(frozen=True)
class LabelSettings(Settings):
    """Options.

    Attributes:
        lost: share of the class's own held-out originals that may read like another class. The threshold is the
            probability that so many of them fall short of, and never above one half.
        encoder: Hub id or path of an encoder; empty for the embedded one, which knows English best.
        C: inverse strength of the L2 penalty.
        max_length: tokens of a text that count.
    """

    lost: Annotated[float, Field(gt=0, lt=1)] = 0.03
    encoder: str = ""
    C: PositiveFloat = 10.0
    max_length: PositiveInt = 256


class LabelValidator(Validator):
    """Logistic regression on sentence embeddings and words; a threshold a class from cross-fitted probabilities.

    It needs originals of two classes or more, and sees no test part. Confidence of a label is not quality: a text that
    says the plainest thing about its class passes best.
    """

    key = "label"
    settings_class = LabelSettings
    cost = 2
    learns = True
    costs = "a small encoder on this machine: some milliseconds a text, and one training"
    needs = "sklearn"
    settings: LabelSettings

    @property
    def identity(self) -> dict[str, Any]:
        """The encoder by the digest of its weights, and the options."""
        options = {"lost": self.settings.lost, "C": self.settings.C}
        return {"name": self.key, "parameters": {**self._encoder.identity, **options}}

    @property
    def _encoder(self) -> Encoder:
        return Encoder(self.settings.encoder, self.settings.max_length)

    def prepare(self, reference: Reference) -> None:
        """Train, and find the thresholds.

        Raises:
            MissingPackageError: scikit-learn, torch or the embedded encoder is not installed.
            PlanError: there are originals of one class only.
        """
        if importlib.util.find_spec("sklearn") is None:
            raise MissingPackageError(
                "The validator 'label' needs scikit-learn. Install it with: pip install \"synimpute-hf[crossval]\""
            )
        self._names = sorted(name for name, texts in reference.texts.items() if len(texts) >= FOLDS)
        if len(self._names) < 2:
            raise PlanError(
                f"The validator 'label' learns to tell classes apart and needs {FOLDS} originals of two or more; there "
                f"are so many of {', '.join(self._names) or 'none'}. Leave it out."
            )
        texts, labels = [], []
        for code, name in enumerate(self._names):
            texts += list(reference.texts[name])[:A_CLASS]
            labels += [code] * len(reference.texts[name][:A_CLASS])
        self._fit(texts, np.array(labels))

    def _fit(self, texts: Sequence[str], labels: np.ndarray) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        self._words = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2).fit(texts)
        features = self._features(texts)
        self._model = LogisticRegression(C=self.settings.C, class_weight="balanced", max_iter=1000)
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        fitted = cross_val_predict(self._model, features, labels, cv=folds, method="predict_proba")
        self._model.fit(features, labels)
        self._least = {}
        for code, name in enumerate(self._names):
            own = np.sort(fitted[labels == code, code])
            # Of n + 1 exchangeable texts the last one is below the k-th smallest of the others with probability
            # k / (n + 1): split conformal prediction (Vovk et al. 2005), here cross-fitted.
            place = max(1, int(self.settings.lost * (len(own) + 1)))
            self._least[name] = min(0.5, float(own[place - 1]))

    def _features(self, texts: Sequence[str]) -> Any:
        from scipy.sparse import csr_matrix, hstack

        return hstack([csr_matrix(self._encoder.encode(texts)), self._words.transform(texts)]).tocsr()

    def judge(self, cases: Sequence[Case]) -> Sequence[Finding]:
        """Return the probability of the class as the figure."""
        findings = [Finding()] * len(cases)
        known = [place for place, case in enumerate(cases) if case.name in self._least]
        if known:
            chances = self._model.predict_proba(self._features([cases[place].text for place in known]))
            for place, row in zip(known, chances, strict=True):
                name = cases[place].name
                chance = float(row[self._names.index(name)])
                findings[place] = Finding(OTHER if chance < self._least[name] else "", round(chance, 4))
        return findings


PLUGIN = LabelValidator
