"""``openai:MODEL``: any server that speaks OpenAI's chat protocol, OpenAI's own by default.

OpenAI, Azure, OpenRouter, vLLM, TGI, llama.cpp, Ollama, LM Studio, Hugging Face inference endpoints: by ``base_url``
or ``OPENAI_BASE_URL``. The key comes from the environment and stands nowhere else.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ..errors import GeneratorError, MissingPackageError
from ..openai_wire import Parameters, Wire
from ..prices import Price, look_up_price
from ..records import Prompt
from .base import Answers, Generator, Settings

__all__ = ["PLUGIN", "OpenAIGenerator", "OpenAISettings"]

OWN_URL = "https://api.openai.com/v1"


def _urls(value: Any) -> Any:
    return tuple(value.split()) if isinstance(value, str) else tuple(value or ())


def _json(value: Any) -> Any:
    """Read a JSON object that was written on a command line."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected a JSON object, got {value!r}") from error


@dataclass(frozen=True)
class OpenAISettings(Settings):
    """Options of ``openai``.

    Attributes:
        base_url: addresses of servers of this model, mostly ending in ``/v1``; several share the work by speed.
        temperature: 0.7, as in the paper.
        top_p: nucleus; by default the server's.
        max_tokens: upper bound of an answer; by default twice the originals' length and some.
        reasoning_tokens: added to that bound for a model that reasons before it answers.
        seed: whether to send each draw's seed.
        reasoning_effort: such as ``minimal`` or ``low``.
        structured: ask for JSON with one text field; where the server can't, plain text, with a note.
        extra_body: further fields of each request, a dict or JSON.
        form: ``chat``, or ``continuation`` for a base model behind ``/completions``.
        context_tokens: the model's context, where originals may be too long for it.
        concurrency: calls in flight to one server, at most; fewer where it refuses or times out.
        requests_per_minute: ceiling for one server.
        tokens_per_minute: likewise.
        timeout: seconds that one answer may take.
        batch: use the Batch API: within a day, at half the price.
        poll_seconds: how often a batch is asked after.
        prices: price file of your own.
        api_key_env: environment variable with the key.
    """

    base_url: Annotated[tuple[str, ...], BeforeValidator(_urls)] = ()
    temperature: NonNegativeFloat = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: PositiveInt | None = None
    reasoning_tokens: NonNegativeInt = 4096
    seed: bool = True
    reasoning_effort: str | None = None
    structured: bool = False
    extra_body: Annotated[dict[str, Any], BeforeValidator(_json)] = field(default_factory=dict)
    form: Literal["chat", "continuation"] = "chat"
    context_tokens: PositiveInt | None = None
    concurrency: PositiveInt = 32
    requests_per_minute: PositiveFloat | None = None
    tokens_per_minute: PositiveFloat | None = None
    timeout: PositiveFloat = 120.0
    batch: bool = False
    poll_seconds: PositiveFloat = 30.0
    prices: str | None = None
    api_key_env: str = "OPENAI_API_KEY"


class OpenAIGenerator(Generator):
    """Writes with a model behind an OpenAI-compatible server."""

    key = "openai"
    settings_class = OpenAISettings
    takes_argument = "a model's name at the server, such as gpt-4o"
    settings: OpenAISettings

    @property
    def name(self) -> str:
        """The model, as a reader of a card would look it up."""
        return f"openai:{self.argument}"

    @property
    def form(self) -> str:
        """Chat, unless the user says that it is a base model."""
        return self.settings.form

    @property
    def context_tokens(self) -> int | None:
        """What the user says: servers do not tell, and today's models have room."""
        return self.settings.context_tokens

    @cached_property
    def urls(self) -> tuple[str, ...]:
        """The servers' addresses.

        Raises:
            GeneratorError: one is no address, or holds a password or a query.
        """
        urls = self.settings.base_url or (os.environ.get("OPENAI_BASE_URL") or OWN_URL,)
        for url in urls:
            parts = urlsplit(url)
            if parts.username or parts.password or parts.query:
                # Addresses are written into journals and cards.
                raise GeneratorError(
                    "The base URL holds a user name, a password or a query. Put the key into "
                    f"{self.settings.api_key_env}, and write the address without it: https://host/v1"
                )
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise GeneratorError(f"The base URL {url!r} is no address. Expected something like https://host/v1")
        return tuple(dict.fromkeys(url.rstrip("/") for url in urls))

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Model, servers and everything that is sent along."""
        settings = self.settings
        optional = {
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
            "reasoning_effort": settings.reasoning_effort,
            "structured": settings.structured or None,
            "extra_body": settings.extra_body or None,
            "seed": None if settings.seed else False,
        }
        return {
            "model": self.argument,
            "base_url": sorted(self.urls),
            "temperature": settings.temperature,
            **{name: value for name, value in optional.items() if value is not None},
        }

    @property
    def batch(self) -> bool:  # type: ignore[override]
        """Whether the Batch API is used."""
        return self.settings.batch

    @cached_property
    def price(self) -> Price | None:  # type: ignore[override]
        """Dollars a token; with several servers, the dearest one's."""
        prices = [look_up_price(urlsplit(url).netloc, self.argument, self.settings.prices) for url in self.urls]
        known = [price for price in prices if price]
        return max(known, key=lambda price: price.output) if len(known) == len(prices) else None

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the model refused."""
        return self._wire.notes

    def bounds(self, prompt: Prompt) -> tuple[int, int]:
        """Return upper bounds of what a call may use, as it is sent."""
        return self._wire.bounds(prompt)

    @cached_property
    def _wire(self) -> Wire:
        settings = self.settings
        return Wire(
            Parameters(
                model=self.argument,
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_tokens=settings.max_tokens,
                reasoning_tokens=settings.reasoning_tokens,
                seed=settings.seed,
                reasoning_effort=settings.reasoning_effort,
                structured=settings.structured,
                extra_body=settings.extra_body,
                form=settings.form,
            ),
            self.memory,
            self.price,
            settings.batch,
        )

    def _key(self) -> str:
        """Return the API key.

        Raises:
            GeneratorError: there is none, and OpenAI's own server is meant.
            MissingPackageError: the openai package is not installed.
        """
        if importlib.util.find_spec("openai") is None:
            raise MissingPackageError(
                "The generator 'openai' needs the package openai. Install it with: pip install \"synimpute-hf[openai]\""
            )
        key = os.environ.get(self.settings.api_key_env, "")
        if not key and OWN_URL in self.urls:
            raise GeneratorError(
                f"There is no key: the environment variable {self.settings.api_key_env} is not set. Set it, or use a "
                "server of your own with --base-url, or the embedded model with --generator local."
            )
        # Servers of one's own mostly want none, but the client does.
        return key or "none"

    def generate(self, prompts: Iterator[Prompt]) -> Iterator[Answers]:
        """Answer many prompts at once, or through the Batch API.

        Raises:
            GeneratorError: the server can't be used, or only fails.
            MissingPackageError: the openai package is not installed.
        """
        if not self.settings.batch:
            yield from self._chat.answer(prompts)
            return
        from ..batch_client import BatchClient

        with self.batch_api() as client:
            yield from BatchClient(
                client, self._wire, self.ledger, self.memory, poll_seconds=self.settings.poll_seconds
            ).answer(prompts)

    def batch_api(self) -> Any:
        """Return openai's plain client for the first server, for batches and files."""
        key = self._key()
        import openai

        return openai.OpenAI(base_url=self.urls[0], api_key=key, max_retries=4, timeout=self.settings.timeout)

    @cached_property
    def _chat(self) -> Any:
        """The running client; kept for all waves of a run."""
        key = self._key()
        from ..chat_client import ChatClient, Endpoint
        from ..pacing import Pace

        settings = self.settings
        endpoints = [
            Endpoint(url, Pace(settings.concurrency, settings.requests_per_minute, settings.tokens_per_minute))
            for url in self.urls
        ]
        return ChatClient(endpoints, self._wire, self.ledger, key, settings.timeout)

    def close(self) -> None:
        """Drop the connections."""
        chat = self.__dict__.pop("_chat", None)
        if chat:
            chat.close()


PLUGIN = OpenAIGenerator
