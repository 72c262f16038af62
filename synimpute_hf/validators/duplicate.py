"""``duplicate``: no text twice, nor nearly so: against the originals, and against the texts accepted before."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from ..errors import MissingPackageError
from ..seeding import normalise
from .base import Case, Finding, Reference, Settings, Validator

__all__ = ["PLUGIN", "DuplicateSettings", "DuplicateValidator"]

COPY, NEAR = "copy of an original", "near-copy of an original"
COPY_ACCEPTED, NEAR_ACCEPTED = "copy of an accepted text", "near-copy of an accepted text"
SIZE = 8
SKETCH = 16
BUCKET = 16
COMPARED = 20
OWN = 0.03
SAMPLE = 200
CEILING = 95.0
_POWERS = np.array([pow(0x9E3779B97F4A7C15, place, 2**64) for place in range(1, SIZE + 1)], dtype=np.uint64)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class DuplicateSettings(Settings):
    """Options.

    Attributes:
        highest: similarity in percent that two texts may have: the normalised Indel similarity of their normal forms
            (``rapidfuzz.fuzz.ratio``), in the order of their words or sorted. Where originals of the class are that
            much alike themselves, as short queries about one matter are, it is raised, at most to ``CEILING``, so
            that no more than ``OWN`` of them would be rejected.
    """

    highest: Annotated[float, Field(gt=0, le=100)] = 85.0


class DuplicateValidator(Validator):
    """Looks likely twins up by a sketch of each text, and compares those alone: time grows linearly with the texts."""

    key = "duplicate"
    settings_class = DuplicateSettings
    cost = 1
    needs = "rapidfuzz"
    costs = "a comparison with a few texts each"
    in_order = True
    settings: DuplicateSettings

    def prepare(self, reference: Reference) -> None:
        """Index the originals.

        Raises:
            MissingPackageError: rapidfuzz is not installed.
        """
        try:
            from rapidfuzz import fuzz, process
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                "The validator 'duplicate' needs rapidfuzz. Install it with: pip install \"synimpute-hf[quality]\""
            ) from error
        self._fuzz, self._process = fuzz, process
        self._places: dict[str, int] = {}
        self._forms: list[str] = []
        self._sorted: list[str] = []
        self._buckets: dict[int, list[int]] = {}
        self._originals = 0
        for texts in reference.texts.values():
            for text in texts:
                self._add(normalise(text))
        self._originals = len(self._forms)
        self._highest = {name: self._raised(texts) for name, texts in reference.texts.items() if len(texts) > 1}

    def judge(self, cases: Sequence[Case]) -> Sequence[Finding]:
        """Return the similarity to the most similar text as the figure, where there is one that is at all alike."""
        return [self._judge(case) for case in cases]

    def accept(self, case: Case) -> None:
        """Index it, too."""
        self._add(normalise(case.text))

    def _add(self, form: str) -> None:
        if form in self._places:
            return
        place = self._places[form] = len(self._forms)
        self._forms.append(form)
        self._sorted.append(_in_order(form))
        for code in _sketch(form):
            bucket = self._buckets.setdefault(code, [])
            # A code that so many texts have tells nothing: their other codes do.
            if len(bucket) < BUCKET:
                bucket.append(place)

    def _raised(self, texts: Sequence[str]) -> float:
        nearest = [self._nearest(normalise(text))[0] for text in texts[:SAMPLE]]
        usual = float(np.quantile(nearest, 1 - OWN))
        return max(self.settings.highest, min(usual, CEILING))

    def _judge(self, case: Case) -> Finding:
        form = normalise(case.text)
        place = self._places.get(form)
        if place is not None:
            return Finding(COPY if place < self._originals else COPY_ACCEPTED, 100.0)
        best, twin = self._nearest(form)
        highest = self._highest.get(case.name, self.settings.highest)
        reason = "" if best <= highest else NEAR if twin < self._originals else NEAR_ACCEPTED
        return Finding(reason, round(best, 1) if twin >= 0 else None)

    def _nearest(self, form: str) -> tuple[float, int]:
        """Return the highest similarity to another text that is indexed, and its place, or 0 and -1."""
        sketch = _sketch(form)
        shared = Counter(other for code in sketch for other in self._buckets.get(code, ()))
        shared.pop(self._places.get(form, -1), None)
        least = 2 if len(sketch) == SKETCH else 1
        ranked = sorted((-times, other) for other, times in shared.items() if times >= least)
        likely = sorted(other for _, other in ranked[:COMPARED])
        best, twin = 0.0, -1
        for query, texts in ((form, self._forms), (_in_order(form), self._sorted)):
            found = self._process.extractOne(query, {k: texts[k] for k in likely}, scorer=self._fuzz.ratio)
            if found is not None and found[1] > best:
                best, twin = found[1], found[2]
        return best, twin


def _in_order(form: str) -> str:
    return " ".join(sorted(form.split()))


def _sketch(form: str) -> list[int]:
    """Return the ``SKETCH`` smallest codes of the runs of ``SIZE`` letters: MinHash, bottom k (Broder 1997).

    Two texts that have two fifths of their runs in common share fewer than two of these with a probability under 1 %.
    """
    letters = re.sub(r"\W+", "", form) or form
    points = np.frombuffer(letters.ljust(SIZE).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    count = len(points) - SIZE + 1
    total = np.zeros(count, dtype=np.uint64)
    for place in range(SIZE):
        total += (points[place : place + count] + np.uint64(1)) * _POWERS[place]
    total = (total ^ (total >> np.uint64(31))) * _MIX
    codes: list[int] = np.unique(total ^ (total >> np.uint64(27)))[:SKETCH].tolist()
    return codes


PLUGIN = DuplicateValidator
