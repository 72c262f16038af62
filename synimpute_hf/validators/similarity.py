"""``similarity``: not nearer to one original in meaning than a new text should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from ..encoder import Encoder
from .base import Case, Finding, Reference, Settings, Validator, encodable

__all__ = ["PLUGIN", "SimilaritySettings", "SimilarityValidator"]

NEAR = "too similar to an original"
OWN = 0.03


@dataclass(frozen=True)
class SimilaritySettings(Settings):
    """Options.

    Attributes:
        encoder: Hub id or path of an encoder; empty for the embedded one, which knows English best.
        highest: cosine to the nearest original of the class that a text may have. The paper's audit counts the texts
            above 0.85, 0.87 and 0.90. Where originals of the class are that much alike themselves, it is raised, so
            that no more than ``OWN`` of them would be rejected.
        max_length: tokens of a text that count.
    """

    encoder: str = ""
    highest: Annotated[float, Field(gt=0, le=1)] = 0.9
    max_length: PositiveInt = 256


class SimilarityValidator(Validator):
    """Cosine of sentence embeddings to the nearest original of the class."""

    key = "similarity"
    settings_class = SimilaritySettings
    cost = 2
    costs = "a small encoder on this machine: some milliseconds a text"
    settings: SimilaritySettings

    @property
    def identity(self) -> dict[str, object]:
        """The encoder by the digest of its weights, and the threshold."""
        return {"name": self.key, "parameters": {**self._encoder.identity, "highest": self.settings.highest}}

    @property
    def _encoder(self) -> Encoder:
        return Encoder(self.settings.encoder, self.settings.max_length)

    def prepare(self, reference: Reference) -> None:
        """Encode the originals.

        Raises:
            MissingPackageError: torch or the embedded encoder is not installed.
        """
        self._vectors = {
            name: self._encoder.encode(encodable(texts)) for name, texts in reference.texts.items() if texts
        }
        self._highest = {name: self._raised(vectors) for name, vectors in self._vectors.items()}

    def _raised(self, vectors: np.ndarray) -> float:
        if len(vectors) < 2:
            return self.settings.highest
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -1)
        return max(self.settings.highest, float(np.quantile(cosines.max(axis=1), 1 - OWN)))

    def judge(self, cases: Sequence[Case]) -> Sequence[Finding]:
        """Return the cosine as the figure."""
        findings = [Finding()] * len(cases)
        known = [place for place, case in enumerate(cases) if case.name in self._vectors]
        if known:
            vectors = self._encoder.encode(encodable([cases[place].text for place in known]))
            for place, vector in zip(known, vectors, strict=True):
                name = cases[place].name
                cosine = float(np.max(self._vectors[name] @ vector))
                findings[place] = Finding(NEAR if cosine > self._highest[name] else "", round(cosine, 4))
        return findings


PLUGIN = SimilarityValidator
