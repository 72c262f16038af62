"""What a generator is: a class with a few facts about a model, and one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Union

from pydantic import Field, NonNegativeFloat, PositiveInt

from ..budget import Ledger
from ..errors import GeneratorError
from ..prices import Price
from ..records import Candidate, Failure, Prompt
from ..registry import Settings, read_settings

__all__ = ["Answers", "Generator", "SamplingSettings", "Settings"]

Answers = Sequence[tuple[Prompt, Union[Candidate, Failure]]]  # noqa: UP007


@dataclass(frozen=True)
class SamplingSettings(Settings):
    """Options of a model that is sampled on this machine.

    Attributes:
        temperature: 0 takes the likeliest token; 0.7, as in the paper.
        top_p: nucleus, in (0, 1]; 1.0 keeps every token.
        batch_size: texts written side by side.
    """

    temperature: NonNegativeFloat = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    batch_size: PositiveInt = 32


class Generator(ABC):
    """A language model. Making one is cheap; the model is loaded by the first ``generate``.

    Class attributes:
        key: the plugin's file name.
        settings_class: dataclass of the options that a spec may hold, ``key=value``.
        takes_argument: what stands after the colon (``a model id or path``), or empty when nothing may.
        texts_per_minute: typical speed, or None when unknown; only for a plan's estimate.
        price: dollars a token, ``FREE`` for a model on this machine, None when unknown.
        batch: whether calls have the Batch API's price.

    Attributes:
        ledger: what may be paid; a run sets its own. Each prompt that ``generate`` takes was reserved by its key.
        memory: facts for later runs, durable as soon as they are set; a run lends its journal's.
        notes: what was noticed on the way, such as a parameter that the model refuses.
    """

    key: ClassVar[str]
    settings_class: ClassVar[type[Settings]] = Settings
    takes_argument: ClassVar[str] = ""
    texts_per_minute: float | None = None
    price: Price | None = None
    batch: bool = False
    notes: tuple[str, ...] = ()

    def __init__(self, argument: str, settings: Settings) -> None:
        self.argument = argument
        self.settings = settings
        self.ledger = Ledger()
        self.memory: MutableMapping[str, str] = {}

    @classmethod
    def from_options(cls, argument: str, options: Mapping[str, Any]) -> Generator:
        """Make a generator from a spec's argument and options.

        Raises:
            GeneratorError: an option is unknown or of a wrong type, or an argument is missing or too much.
        """
        if bool(argument) != bool(cls.takes_argument):
            expected = (
                f"needs {cls.takes_argument} after the colon: {cls.key}:…"
                if cls.takes_argument
                else (f"takes nothing but options after the colon, such as {cls.key}:key=value; got {argument!r}")
            )
            raise GeneratorError(f"The generator {cls.key!r} {expected}.")
        settings = read_settings(f"generator {cls.key!r}", cls.settings_class, options, GeneratorError)
        return cls(argument, settings)

    @property
    @abstractmethod
    def form(self) -> str:
        """``chat`` or ``continuation``: what the model wants."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name that stands in the dataset's ``generator`` column and in the card."""

    @property
    @abstractmethod
    def context_tokens(self) -> int | None:
        """How many tokens prompt and answer may have together; None when there is no limit worth minding."""

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """Everything else that could change an answer: model, revision, sampling, server. JSON-able, no secrets."""

    @property
    def identity(self) -> dict[str, Any]:
        """All facts by which this generator's answers are kept in a journal; ``replay`` needs no more."""
        return {
            "name": self.name,
            "form": self.form,
            "context_tokens": self.context_tokens,
            "parameters": dict(self.parameters),
        }

    def bounds(self, prompt: Prompt) -> tuple[int, int]:
        """Return upper bounds of what a call may use: tokens sent, tokens written.

        No token of a byte-level vocabulary is shorter than a byte.
        """
        return len(prompt.as_text().encode("utf-8", "surrogatepass")) + 64, prompt.max_tokens

    @abstractmethod
    def generate(self, prompts: Iterator[Prompt]) -> Iterator[Answers]:
        """Answer prompts, in any order, in groups as they are done.

        Args:
            prompts: taken as the generator gets to them.

        Yields:
            Groups of prompts, each with its answer or its failure. A group is on disk before the next one is asked for.

        Raises:
            GeneratorError: the model cannot be loaded or run at all.
        """

    def close(self) -> None:  # noqa: B027  (most generators hold nothing)
        """Let go of what ``generate`` has loaded."""
