"""``length``: as long as a text of this class may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import PositiveFloat

from .base import Case, Finding, Reference, Settings, Validator

__all__ = ["PLUGIN", "LengthSettings", "LengthValidator"]

SHORT, LONG = "too short", "too long"
TAIL = 0.01


@dataclass(frozen=True)
class LengthSettings(Settings):
    """Options.

    Attributes:
        widen: how many times longer than the class's long originals (99 % quantile), or shorter than its short ones,
            a text may be. Of few originals the extremes are not known: there it is widened by a further
            ``1 + 5 / originals``.
        shown: how many times longer than the longest original shown, or shorter than the shortest, a text may be.
    """

    widen: PositiveFloat = 1.5
    shown: PositiveFloat = 4.0


class LengthValidator(Validator):
    """Words, or characters in scripts without blanks, against the class's originals and against those shown."""

    key = "length"
    settings_class = LengthSettings
    costs = "nothing to speak of"
    settings: LengthSettings

    def prepare(self, reference: Reference) -> None:
        """Take each class's unit and bounds."""
        self._bounds: dict[str, tuple[bool, float, float]] = {}
        for name, texts in reference.texts.items():
            if texts:
                spaced = _spaced(texts)
                low, high = np.quantile([_measure(text, spaced) for text in texts], [TAIL, 1 - TAIL])
                factor = self.settings.widen * (1 + 5 / len(texts))
                self._bounds[name] = (spaced, float(low) / factor, float(high) * factor)

    def judge(self, cases: Sequence[Case]) -> Sequence[Finding]:
        """Return the length as the figure."""
        return [self._judge(case) for case in cases]

    def _judge(self, case: Case) -> Finding:
        spaced, low, high = self._bounds.get(case.name) or (_spaced(case.shown), 0.0, np.inf)
        length = _measure(case.text, spaced)
        if case.shown:
            shown = [_measure(text, spaced) for text in case.shown]
            low = max(low, min(shown) / self.settings.shown)
            high = min(high, max(shown) * self.settings.shown)
        return Finding(SHORT if length < low else LONG if length > high else "", float(length))


def _spaced(texts: Sequence[str]) -> bool:
    """Say whether words are counted: in Chinese, Thai, ... a "word" is very long. The same rule as in prompts."""
    return sum(map(len, texts)) <= 20 * sum(len(text.split()) for text in texts)


def _measure(text: str, spaced: bool) -> int:
    return len(text.split()) if spaced else len(text)


PLUGIN = LengthValidator
