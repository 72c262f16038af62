"""What a token costs: a data file with its date, and the user's own file before it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated

import platformdirs
import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError

from .errors import GeneratorError

__all__ = ["FREE", "Price", "home", "look_up_price"]

MILLION = 1_000_000
# A dated snapshot of a model, such as gpt-4o-2024-08-06, costs what the model does.
SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True)
class Price:
    """US dollars a token.

    Attributes:
        input: a token sent.
        cached: a token sent that the server had in its prefix cache.
        output: a token written, reasoning included.
        batch_factor: what a call of the Batch API costs, as a share of a plain call, in (0, 1].
        source: file and date, for people.
    """

    input: float
    cached: float
    output: float
    batch_factor: float = 1.0
    source: str = ""

    def of(self, prompt_tokens: int, cached_tokens: int, answer_tokens: int, batch: bool = False) -> float:
        """Return the dollars that one call costs."""
        fresh = max(0, prompt_tokens - cached_tokens)
        plain = self.input * fresh + self.cached * min(cached_tokens, prompt_tokens) + self.output * answer_tokens
        return plain * (self.batch_factor if batch else 1.0)


FREE = Price(0.0, 0.0, 0.0, source="a model on this machine")


class _Entry(BaseModel):
    """A model's line in a price file, in dollars per million tokens."""

    model_config = ConfigDict(extra="forbid")
    input: NonNegativeFloat
    cached: NonNegativeFloat | None = None
    output: NonNegativeFloat


class _File(BaseModel):
    """A price file."""

    model_config = ConfigDict(extra="forbid")
    date: date
    batch_factor: Annotated[float, Field(gt=0, le=1)] = 1.0
    hosts: dict[str, dict[str, _Entry]]


def home() -> Path:
    """Return the folder of the user's default journal and price file: ``$SYNIMPUTE_HOME`` or the data folder."""
    return Path(os.environ.get("SYNIMPUTE_HOME") or platformdirs.user_data_dir("synimpute_hf"))


def look_up_price(host: str, model: str, file: str | None = None) -> Price | None:
    """Return a model's price, or None when it is unknown.

    Args:
        host: the server's host name, with its port if it names one.
        model: the model's name there; a dated snapshot has the price of its model.
        file: the user's price file; by default ``prices.yaml`` in ``home()``, if there is one.

    Raises:
        GeneratorError: the user's file is missing or wrong.
    """
    own = Path(file) if file else home() / "prices.yaml"
    if file or own.is_file():
        found = _find(_read(own.name, _text(own)), own.name, host, model)
        if found:
            return found
    shipped = resources.files("synimpute_hf").joinpath("prices.yaml").read_text(encoding="utf-8")
    return _find(_read("prices.yaml", shipped), "price list", host, model)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise GeneratorError(f"The price file {path} can't be read: {error.strerror or error}.") from error


def _read(name: str, text: str) -> _File:
    try:
        return _File.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        if isinstance(error, ValidationError):
            said = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        else:
            said = " ".join(str(error).split())
        raise GeneratorError(
            f"The price file {name} is not right: {said}. Expected, in US dollars per million tokens: "
            "'date: 2026-11-01' and 'hosts: {api.openai.com: {gpt-4o: {input: 2.5, cached: 1.25, output: 10}}}'."
        ) from error


def _find(prices: _File, name: str, host: str, model: str) -> Price | None:
    models = prices.hosts.get(host, {})
    entry = models.get(model) or models.get(SNAPSHOT.sub("", model)) or models.get("*")
    if entry is None:
        return None
    cached = entry.input if entry.cached is None else entry.cached
    return Price(
        entry.input / MILLION,
        cached / MILLION,
        entry.output / MILLION,
        prices.batch_factor,
        f"{name} of {prices.date.isoformat()}",
    )
