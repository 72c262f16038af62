"""What a validator is: it looks at readable answers, and says of each whether it may become a row, and a figure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from ..errors import PlanError
from ..registry import Settings, read_settings

__all__ = ["Case", "Finding", "Reference", "Settings", "Validator", "encodable"]


@dataclass(frozen=True)
class Case:
    """A candidate that could be read, before it becomes a row.

    Attributes:
        name: the class that it was written for.
        text: as the row would have it.
        source_ids: row ids of the originals that the model was shown.
        shown: their texts, as shown.
    """

    name: str
    text: str
    source_ids: tuple[str, ...]
    shown: tuple[str, ...]


class Finding(NamedTuple):
    """What a validator says of one case.

    Attributes:
        reason: why it is rejected, such as ``near-copy of an original``; empty when it passes. A reason is one of few
            fixed phrases, so that rejections can be counted by it.
        figure: the number by which that was decided, or None where there is none.
    """

    reason: str = ""
    figure: float | None = None


@dataclass(frozen=True)
class Reference:
    """What validators may know of the originals.

    Attributes:
        texts: the originals that may be shown to the model, by class; of classes that cannot be short there are none.
        ids: their row ids, in the same order.
        descriptions: codebook definitions by class, as far as there are some.
        shingles: sorted hashes of the word shingles of every text of every class and split, shape ``(n,)``, uint32.
        language: the language that was asked for, or empty: then the originals' own.
    """

    texts: Mapping[str, Sequence[str]]
    ids: Mapping[str, Sequence[str]]
    descriptions: Mapping[str, str]
    shingles: Any
    language: str = ""


class Validator(ABC):
    """One question to every candidate. Its answers depend on cases, settings and originals alone.

    Class attributes:
        key: the plugin's file name.
        settings_class: dataclass of the options that a spec may hold, ``key=value``.
        cost: rank of its price: 0 arithmetic, 1 an index or a detector, 2 a model on this machine, 3 calls that may be
            paid. Validators run in this order, each on what the ones before let pass.
        costs: what it costs, in words, for the plan.
        needs: module of a package that it needs and that may be missing, or empty.
        needs_shingles: whether it reads ``Reference.shingles``.
        learns: whether it is trained on originals, tested ones too: no fold is then clean of a text that it let pass.
        in_order: whether a finding depends on the cases accepted before: then ``accept`` is called for each of them.
    """

    key: ClassVar[str]
    settings_class: ClassVar[type[Settings]] = Settings
    cost: ClassVar[int] = 0
    costs: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    needs_shingles: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    in_order: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def from_options(cls, argument: str, options: Mapping[str, Any]) -> Validator:
        """Make a validator from a spec's options.

        Raises:
            PlanError: an option is unknown or of a wrong type, or there is an argument.
        """
        if argument:
            raise PlanError(
                f"The validator {cls.key!r} takes options only, such as {cls.key}:key=value; got {argument!r}."
            )
        return cls(read_settings(f"validator {cls.key!r}", cls.settings_class, options, PlanError))

    @property
    def identity(self) -> dict[str, Any]:
        """``name`` and ``parameters``: everything that could change a finding. JSON-able, no path of this machine."""
        return {"name": self.key, "parameters": dict(self.settings.__dict__)}

    def prepare(self, reference: Reference) -> None:  # noqa: B027  (most need nothing)
        """Look at the originals, once, before the first case.

        Raises:
            MissingPackageError: it needs a package that is not installed; says what to type.
        """

    @abstractmethod
    def judge(self, cases: Sequence[Case]) -> Sequence[Finding]:
        """Return a finding for each case; where ``in_order`` is set it is called with one case at a time."""

    def accept(self, case: Case) -> None:  # noqa: B027
        """A case has become a row. Only called where ``in_order`` is set."""


def encodable(texts: Sequence[str]) -> list[str]:
    """Return texts that a tokenizer takes: a lone surrogate, which some data hold, becomes a question mark."""
    return [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
