"""``multilingual``: texts in another language than English, by English prompts and by one in their language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ..errors import PlanError
from ..facts import number
from ..validators import DEFAULTS
from .base import Bench, Settings, Words
from .prompt import PromptExperiment, PromptSettings, Variant

__all__ = ["PLUGIN", "MultilingualExperiment", "MultilingualSettings"]


@dataclass(frozen=True)
class MultilingualSettings(PromptSettings):
    """Options of ``multilingual``, which are those of ``prompt`` with other defaults, and one more.

    Attributes:
        native: a prompt in the language of the texts, which is compared with ``prompts``; empty for none.
    """

    prompts: Words = ("messages", "messages=German")
    native: str = "nachrichten"
    texts: Annotated[int, Field(ge=2)] = 40
    keep: Annotated[int, Field(ge=2)] = 40
    review: bool = False


class MultilingualExperiment(PromptExperiment):
    """Compares an English prompt, one that names the language, and one in the language of the texts."""

    key = "multilingual"
    question = "Must the prompt be in the language of the texts, or name it?"
    settings_class: ClassVar[type[Settings]] = MultilingualSettings
    full: ClassVar[Mapping[str, Any]] = {"texts": 200}
    settings: MultilingualSettings

    def variants(self) -> list[Variant]:
        """Return the prompts, and the one in the language of the texts last."""
        found = super().variants()
        native = [Variant.read(self.settings.native)] if self.settings.native else []
        if {variant.name for variant in native} & {variant.name for variant in found}:
            raise PlanError(f"native={self.settings.native}: this prompt stands in prompts, too. Leave it out of one.")
        return [*found, *native]

    def impute(self, bench: Bench, variant: Variant) -> dict[str, Any]:
        """Return the settings of a variant; the validator ``language`` judges every text, whatever was asked for."""
        given = bench.imputer.validators
        specs = list(DEFAULTS if given is None else given)
        there = any(spec.partition(":")[0] == "language" for spec in specs)
        return {**super().impute(bench, variant), "validators": specs if there else [*specs, "language"]}

    @classmethod
    def answer(cls, result: Mapping[str, Any]) -> list[str]:
        """Say first which texts are in the wrong language, then what the experiment ``prompt`` says."""
        said = []
        for entry in result["variants"]:
            found = entry["texts"]
            foreign, languages = found["foreign"]["estimate"], found["languages"] or {}
            share = number(None if foreign is None else 100 * foreign, 0)
            kept = ", ".join(f"{count} {name}" for name, count in languages.items())
            said.append(
                f"{entry['name']}: {share} % of {found['generated']} answers were rejected as in another language than "
                f"asked for{f'; the kept ones are by the detector: {kept}' if kept else ''}."
            )
        return [*said, *super().answer(result)]


PLUGIN = MultilingualExperiment
