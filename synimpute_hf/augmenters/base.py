"""What an augmenter is: a class with a few settings, and one method that makes new texts of one original each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from ..errors import PlanError
from ..registry import Settings, read_settings

__all__ = ["Augmenter"]


class Augmenter(ABC):
    """Makes texts from one original each. Making one is cheap; models and word lists are loaded by first use.

    An augmenter can be pickled; what it has loaded stays behind.

    Class attributes:
        key: the plugin's file name.
        settings_class: dataclass of the options that a spec may hold, ``key=value``.
        takes_argument: what may stand after the colon (``a model id or path``), or empty when nothing may.
        default_argument: the argument when none is given.
        version: raised when the code makes other texts of the same settings.
    """

    key: ClassVar[str]
    settings_class: ClassVar[type[Settings]] = Settings
    takes_argument: ClassVar[str] = ""
    default_argument: ClassVar[str] = ""
    version: ClassVar[int] = 1

    def __init__(self, argument: str, settings: Settings) -> None:
        self.argument = argument
        self.settings = settings

    @classmethod
    def from_options(cls, argument: str, options: Mapping[str, Any]) -> Augmenter:
        """Make an augmenter from a spec's argument and options.

        Raises:
            PlanError: an option is unknown or of a wrong type, or there is an argument where none is taken.
        """
        if argument and not cls.takes_argument:
            raise PlanError(
                f"The augmenter {cls.key!r} takes nothing but options after the colon, such as "
                f"{cls.key}:key=value; got {argument!r}."
            )
        settings = read_settings(f"augmenter {cls.key!r}", cls.settings_class, options, PlanError)
        return cls(argument or cls.default_argument, settings)

    @property
    def name(self) -> str:
        """The name that stands in reports: the key, with the model where there is one."""
        return self.key

    @property
    def parameters(self) -> Mapping[str, Any]:
        """All settings that could change a text; JSON-able, no path of this machine."""
        return asdict(self.settings)

    @property
    def identity(self) -> dict[str, Any]:
        """``name``, and ``parameters``: all that could change a copy but the text, the copy's number and the seed."""
        return {"name": self.name, "parameters": {"version": self.version, **self.parameters}}

    @abstractmethod
    def augment(self, texts: Sequence[str], copies: int, seed: int) -> list[list[str]]:
        """Make new texts.

        Each is a function of its original, its number, the seed and the settings alone: not of the other originals,
        of their order or of how many copies are asked for.

        Args:
            texts: n originals.
            copies: new texts for each, 0 or more.
            seed: any whole number.

        Returns:
            n lists of ``copies`` texts. None is blank unless its original is.
        """

    def close(self) -> None:  # noqa: B027  (most augmenters hold nothing)
        """Let go of what ``augment`` has loaded."""
