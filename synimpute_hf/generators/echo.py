"""``echo``: a deterministic stand-in that shuffles the originals' words. For tests and dry runs: no model, no sense."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import NonNegativeFloat, PositiveInt

from ..prices import FREE
from ..records import Candidate, Prompt
from ..seeding import random_words
from .base import Answers, Generator, Settings

__all__ = ["PLUGIN", "EchoGenerator", "EchoSettings"]


@dataclass(frozen=True)
class EchoSettings(Settings):
    """Options of ``echo``.

    Attributes:
        delay: seconds a text takes, as if a model were at work.
        context: context length in tokens, to see how long originals are shortened.
        form: ``chat`` or ``continuation``.
    """

    delay: NonNegativeFloat = 0.0
    context: PositiveInt | None = None
    form: str = "chat"


class EchoGenerator(Generator):
    """Answers with the originals' own words in a shuffled order, the same for the same draw."""

    key = "echo"
    settings_class = EchoSettings
    price = FREE
    settings: EchoSettings

    @property
    def form(self) -> str:
        """As set; chat by default."""
        return self.settings.form

    @property
    def name(self) -> str:
        """Always ``echo``."""
        return "echo"

    @property
    def context_tokens(self) -> int | None:
        """As set; None by default."""
        return self.settings.context

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The delay changes no answer, so that nothing stands here."""
        return {}

    @property
    def texts_per_minute(self) -> float | None:  # type: ignore[override]
        """What the delay allows."""
        return 60 / self.settings.delay if self.settings.delay else 1_000_000.0

    def generate(self, prompts: Iterator[Prompt]) -> Iterator[Answers]:
        """Answer in groups of 1,000, or one by one when there is a delay."""
        size = 1 if self.settings.delay else 1000
        while group := list(islice(prompts, size)):
            if self.settings.delay:
                time.sleep(self.settings.delay)
            yield [(prompt, self._answer(prompt)) for prompt in group]

    def _answer(self, prompt: Prompt) -> Candidate:
        words = " ".join(prompt.draw.texts).split() or ["nothing"]
        numbers = random_words(prompt.draw.seed)
        length = max(1, len(words) // max(1, len(prompt.draw.texts)))
        chosen = [words[next(numbers) % len(words)] for _ in range(length)]
        # The tag keeps short texts apart and tells a reader what they are looking at.
        text = f"[echo {prompt.draw.seed % 16**8:08x}] {' '.join(chosen)}"
        return Candidate(prompt.key, text, "stop", len(prompt.as_text()) // 4, len(text) // 4, self.settings.delay)


PLUGIN = EchoGenerator
