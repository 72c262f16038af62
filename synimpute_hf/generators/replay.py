"""``replay:JOURNAL``: rebuilds a past run from its journal, with no model at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import GeneratorError
from ..journal import Journal
from ..prices import FREE
from ..records import Failure, Prompt
from .base import Answers, Generator, Settings

__all__ = ["PLUGIN", "ReplayGenerator", "ReplaySettings"]

MISSING = "not in the replayed journal (other data, settings or prompt?)"


@dataclass(frozen=True)
class ReplaySettings(Settings):
    """Options of ``replay``.

    Attributes:
        generator: name of the generator to replay, when the journal holds answers of several.
        temperature: the sampling temperature to replay, when the journal holds answers at several.
    """

    generator: str | None = None
    temperature: float | None = None


class ReplayGenerator(Generator):
    """Takes the identity of the generator that answered, so that keys, rows and bytes come out the same."""

    key = "replay"
    settings_class = ReplaySettings
    takes_argument = "the path of a journal"
    texts_per_minute = 1_000_000.0
    price = FREE
    settings: ReplaySettings

    @cached_property
    def identity(self) -> dict[str, Any]:  # type: ignore[override]
        """The recorded identity, word for word."""
        wanted, heat = self.settings.generator, self.settings.temperature
        with Journal(self._path, create=False) as journal:
            recorded = journal.generators()
        found = [entry for entry in recorded if wanted in (None, entry["name"])]
        if heat is not None and len(found) > 1:
            found = [entry for entry in found if entry["parameters"].get("temperature") == heat]
        if len(found) == 1:
            return found[0]
        names = [entry["name"] for entry in recorded]
        if not recorded:
            raise GeneratorError(f"The journal {self._path} holds no answers to replay.")
        if wanted and not found:
            raise GeneratorError(
                f"The journal {self._path} holds no answers of {wanted!r}, but of: {', '.join(names)}."
            )
        if len(set(names)) > 1:
            raise GeneratorError(
                f"The journal {self._path} holds answers of several generators: {', '.join(names)}. "
                f"Say which: replay:{self._path},generator={names[0]}"
            )
        raise GeneratorError(
            f"The journal {self._path} holds answers of {names[0]!r} under several settings (such as temperature). "
            "Run again with the generator and the settings of the run that you want: its answers are taken from the "
            "journal, and no model is loaded while all are there."
        )

    @property
    def _path(self) -> Path:
        path = Path(self.argument)
        return path / "journal.sqlite" if path.is_dir() else path

    @property
    def form(self) -> str:
        """The recorded form."""
        return str(self.identity["form"])

    @property
    def name(self) -> str:
        """The recorded name: the texts are that model's."""
        return str(self.identity["name"])

    @property
    def context_tokens(self) -> int | None:
        """The recorded context."""
        return self.identity["context_tokens"]  # type: ignore[no-any-return]

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The recorded parameters."""
        return self.identity["parameters"]  # type: ignore[no-any-return]

    def generate(self, prompts: Iterator[Prompt]) -> Iterator[Answers]:
        """Look prompts up; one that was never answered is a failure."""
        with Journal(self._path, create=False) as journal:
            while group := list(islice(prompts, 1000)):
                found = journal.get([prompt.key for prompt in group])
                yield [(prompt, found.get(prompt.key) or Failure(prompt.key, MISSING)) for prompt in group]


PLUGIN = ReplayGenerator
