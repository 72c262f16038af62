"""``refusal``: a text of the class, and not words about writing one, a piece of the instructions or a form to fill in.

What an answer begins with, ``answers`` reads: refusals, preambles, labels. This looks at what is left, anywhere in it.
The phrases stand in ``refusal.yaml``, in English and German.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from ..prompts import load_prompt
from ..registry import plugin_names
from ..seeding import digest
from ..shingles import known_runs, shingles_of
from .base import Case, Finding, Reference, Validator

__all__ = ["PLUGIN", "RefusalValidator"]

LEAK = "piece of the instructions"
RUN = 6
"""Words in a row out of a prompt file, or out of a codebook definition, that are no chance."""


class RefusalValidator(Validator):
    """Phrases, and word runs of the prompt files and definitions; none of them that an original has, too."""

    key = "refusal"
    costs = "nothing to speak of"
    needs_shingles = True

    @property
    def identity(self) -> dict[str, Any]:
        """The phrases by a digest."""
        phrases = digest([(reason, pattern.pattern) for reason, pattern in _patterns()], list(_instructions()))
        return {"name": self.key, "parameters": {"phrases": phrases[:16]}}

    def prepare(self, reference: Reference) -> None:
        """Leave out, class by class, each phrase that the class's originals have."""
        self._patterns = {
            name: [entry for entry in _patterns() if not any(entry[1].search(_plain(text)) for text in texts)]
            for name, texts in reference.texts.items()
        }
        asked = shingles_of([*_instructions(), *reference.descriptions.values()])
        self._asked = asked[~np.isin(asked, reference.shingles)]

    def judge(self, cases: Sequence[Case]) -> Sequence[Finding]:
        """Return the longest run of words out of the instructions as the figure, 0 where there is none."""
        return [self._judge(case) for case in cases]

    def _judge(self, case: Case) -> Finding:
        text = _plain(case.text)
        run = known_runs(case.text, self._asked).run
        for reason, pattern in self._patterns.get(case.name, _patterns()):
            if pattern.search(text) and not any(pattern.search(_plain(shown)) for shown in case.shown):
                return Finding(reason, float(run))
        return Finding(LEAK if run >= RUN else "", float(run))


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    content = yaml.safe_load(resources.files(__package__).joinpath("refusal.yaml").read_text(encoding="utf-8"))
    found = []
    for reason, patterns in content["reasons"].items():
        for pattern in patterns:
            for name, words in content["words"].items():
                pattern = pattern.replace(f"{{{name}}}", words)
            found.append((reason, re.compile(pattern, re.IGNORECASE)))
    return found


def _plain(text: str) -> str:
    return text.replace("\u2019", "'")


def _instructions() -> Iterator[str]:
    """Yield the fixed parts of the prompt files that ship with the package, or come from an entry point."""
    for name in plugin_names("prompts", ".yaml"):
        template = load_prompt(name)
        yield from re.split(r"\{\{.*?\}\}|\{%.*?%\}", f"{template.system}\n{template.user}", flags=re.DOTALL)


PLUGIN = RefusalValidator
