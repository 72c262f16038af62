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
from .base import Case, Finding, Reference, Settings, Validator, encodable

__all__ = ["PLUGIN", "LabelSettings", "LabelValidator"]

OTHER = "reads like another class"
FOLDS = 5
A_CLASS = 300
WORDS = 1.5
"""Weight of the character n-grams beside the embedding, which stands for little in languages it does not know."""


@dataclass(frozen=True)
class LabelSettings(Settings):
    """Options.

    Attributes:
        lost: share of the class's own texts that may be taken for another class's. The threshold is that quantile of
            the originals' cross-fitted probabilities, and never above one half.
        encoder: Hub id or path of an encoder; empty for the embedded one, which knows English best.
        C: inverse strength of the L2 penalty.
        max_length: tokens of a text that count.
    """

    lost: Annotated[float, Field(gt=0, lt=1)] = 0.05
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
        from sklearn.model_selection import StratifiedKFold

        vectors = self._encoder.encode(encodable(texts))
        chances = np.zeros(len(texts))
        self._readers = []
        for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(vectors, labels):
            # The words, too, are those of the training part: a new text has some that nobody has seen.
            reader = _Reader(self.settings.C, [texts[k] for k in train], vectors[train], labels[train])
            self._readers.append(reader)
            chances[test] = reader.chances([texts[k] for k in test], vectors[test])[np.arange(len(test)), labels[test]]
        self._least = {}
        for code, name in enumerate(self._names):
            # Of n + 1 exchangeable texts the last falls under the k-th smallest of the others with probability
            # k / (n + 1): split conformal prediction (Vovk et al. 2005), here cross-fitted.
            least = np.quantile(chances[labels == code], self.settings.lost, method="weibull")
            self._least[name] = min(0.5, float(least))

    def judge(self, cases: Sequence[Case]) -> Sequence[Finding]:
        """Return the probability of the class as the figure."""
        findings = [Finding()] * len(cases)
        known = [place for place, case in enumerate(cases) if case.name in self._least]
        if known:
            texts = [cases[place].text for place in known]
            vectors = self._encoder.encode(encodable(texts))
            # Not one training on all originals: that would be surer than those that the thresholds come from.
            chances = np.mean([reader.chances(texts, vectors) for reader in self._readers], axis=0)
            for place, row in zip(known, chances, strict=True):
                name = cases[place].name
                chance = float(row[self._names.index(name)])
                findings[place] = Finding(OTHER if chance < self._least[name] else "", round(chance, 4))
        return findings


class _Reader:
    """One training: character n-grams and a logistic regression on them and on embeddings."""

    def __init__(self, C: float, texts: Sequence[str], vectors: np.ndarray, labels: np.ndarray) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        self._words = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2).fit(texts)
        self._model = LogisticRegression(C=C, class_weight="balanced", max_iter=1000)
        self._model.fit(self._features(texts, vectors), labels)

    def chances(self, texts: Sequence[str], vectors: np.ndarray) -> np.ndarray:
        """Return the probability of each class, shape ``(n, classes)``."""
        chances: np.ndarray = self._model.predict_proba(self._features(texts, vectors))
        return chances

    def _features(self, texts: Sequence[str], vectors: np.ndarray) -> Any:
        from scipy.sparse import csr_matrix, hstack

        return hstack([csr_matrix(vectors), WORDS * self._words.transform(texts)]).tocsr()


PLUGIN = LabelValidator
