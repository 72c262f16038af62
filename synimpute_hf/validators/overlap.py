"""``overlap``: no phrase taken over from any original, of any class and split. A copy is a matter of privacy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from ..shingles import WORDS, known_runs, shingles
from .base import Case, Finding, Reference, Settings, Validator

__all__ = ["PLUGIN", "OverlapSettings", "OverlapValidator"]

SOME = 6
OWN = 0.03
SAMPLE = 200
CEILING = (11, 0.8)
RUN, SHARE = "verbatim run from an original", "mostly phrases of originals"


@dataclass(frozen=True)
class OverlapSettings(Settings):
    """Options.

    Attributes:
        longest: words in a row that a text may share with the originals; in scripts without blanks two and a half times
            as many characters.
        containment: share of a text's word shingles (``shingles.WORDS`` words each) that may stand in originals, where
            a run of ``SOME`` words is among them.
            Where originals of the class share as much with each other, as short queries about one matter do, both are
            raised, at most to ``CEILING``, so that no more than ``OWN`` of them would be rejected.
        common: originals of the classes at hand from which a shingle belongs to nobody and is not counted.
    """

    longest: PositiveInt = 7
    containment: Annotated[float, Field(gt=0, le=1)] = 0.4
    common: PositiveInt = 3


class OverlapValidator(Validator):
    """Longest verbatim run and containment, against all rows by their shingles."""

    key = "overlap"
    settings_class = OverlapSettings
    costs = "4 bytes for each distinct run of four words in the data"
    needs_shingles = True
    settings: OverlapSettings

    def prepare(self, reference: Reference) -> None:
        """Keep the codes, but for those of commonplace phrases."""
        texts = [text for part in reference.texts.values() for text in part]
        own = np.concatenate([np.zeros(0, np.uint32), *(np.unique(shingles(text)) for text in texts)])
        codes, times = np.unique(own, return_counts=True)
        self._known = np.setdiff1d(reference.shingles, codes[times >= self.settings.common], assume_unique=True)
        twice = codes[(times > 1) & (times < self.settings.common)]
        self._most = {name: self._raised(texts, twice) for name, texts in reference.texts.items() if texts}

    def _raised(self, texts: Sequence[str], twice: np.ndarray) -> tuple[float, float]:
        """Return the longest run and the containment that may be, in view of what each original has from another."""
        found = [known_runs(text, twice) for text in texts[:SAMPLE]]
        run, share = np.quantile([(entry.run, entry.share) for entry in found], 1 - OWN, axis=0)
        return (
            max(self.settings.longest, min(float(run), CEILING[0])),
            max(self.settings.containment, min(float(share), CEILING[1])),
        )

    def judge(self, cases: Sequence[Case]) -> Sequence[Finding]:
        """Return the containment as the figure, from 0 to 1."""
        findings = []
        for case in cases:
            run, share, size = known_runs(case.text, self._known)
            factor = size / WORDS
            longest, most = self._most.get(case.name, (self.settings.longest, self.settings.containment))
            reason = ""
            if run > longest * factor:
                reason = RUN
            elif share > most and run >= SOME * factor:
                reason = SHARE
            findings.append(Finding(reason, round(share, 4)))
        return findings


PLUGIN = OverlapValidator
