"""``oversample``: the original itself, once more. What every other way has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from .base import Augmenter

__all__ = ["PLUGIN", "OversampleAugmenter"]


class OversampleAugmenter(Augmenter):
    """Copies the original, letter for letter."""

    key = "oversample"

    def augment(self, texts: Sequence[str], copies: int, seed: int) -> list[list[str]]:
        """Return each text ``copies`` times; the seed changes nothing."""
        return [[text] * copies for text in texts]


PLUGIN = OversampleAugmenter
