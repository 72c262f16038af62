"""OpenAI's protocol on the wire: the body of one request, the meaning of one answer.

What a model refuses is learned here: many accept no ``temperature``, want ``max_completion_tokens`` for
``max_tokens``, or know no ``seed``. The server says so once, with status 400 or 422; it is remembered and noted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from .prices import Price
from .records import Candidate, Prompt

__all__ = ["BadAnswerError", "Parameters", "Wire", "scrub"]

MEMORY = "refused parameters"
# Those that a request can do without.
OPTIONAL = (
    "response_format",
    "reasoning_effort",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
)
REFUSING = re.compile(
    r"unsupported|not support|n't support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|extra|"
    r"only the default|invalid|cannot be used|incompatible|deprecated",
    re.IGNORECASE,
)
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "new_text",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": False,
        },
    },
}
MESSAGE_TOKENS = 16
KEY = re.compile(r"\b(sk|hf|gsk|key)[-_][\w*.-]{6,}")


class BadAnswerError(ValueError):
    """The server's answer is not what the protocol says."""


@dataclass(frozen=True)
class Parameters:
    """What every request of a run has in common.

    Attributes:
        model: the model's name at the server.
        temperature: in [0, 2], or None to send none.
        top_p: in (0, 1], or None to send none.
        max_tokens: upper bound of an answer in tokens, or None for twice the length of the originals and some.
        reasoning_tokens: added to that bound for a model that reasons.
        seed: whether to send the draw's seed.
        reasoning_effort: as the model knows it, or None.
        structured: ask for JSON with one field, ``text``.
        extra_body: further fields of the body.
        form: ``chat``, or ``continuation`` for a base model, which continues a text.
    """

    model: str
    temperature: float | None = 0.7
    top_p: float | None = None
    max_tokens: int | None = None
    reasoning_tokens: int = 4096
    seed: bool = True
    reasoning_effort: str | None = None
    structured: bool = False
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    form: str = "chat"


def scrub(text: str, secret: str = "") -> str:
    """Return a server's words without the key, should they hold it, on one line and not too long."""
    if len(secret) > 3:
        text = text.replace(secret, "…")
    text = " ".join(KEY.sub(r"\1-…", text).split())
    return text if len(text) <= 500 else text[:500] + "…"


class Wire:
    """Makes bodies and reads answers, for one server and model.

    Args:
        parameters: what every request has in common.
        memory: where refusals are kept for later runs.
        price: dollars a token, or None.
        batch: whether answers have the Batch API's price.
    """

    def __init__(
        self, parameters: Parameters, memory: MutableMapping[str, str], price: Price | None = None, batch: bool = False
    ) -> None:
        self._parameters = parameters
        self._memory = memory
        self._price = price
        self._batch = batch
        self._completes = parameters.form == "continuation"
        self.path = "/completions" if self._completes else "/chat/completions"
        refused: dict[str, str] = json.loads(memory.get(MEMORY, "{}"))
        self._refused = refused
        self.version = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each refusal, for the manifest and the card."""
        return tuple(
            f"The model refused the parameter {name!r}, and was asked without it ({said})."
            for name, said in self._refused.items()
        )

    @property
    def structured(self) -> bool:
        """Whether answers are JSON."""
        return self._parameters.structured and "response_format" not in self._refused

    def answer_tokens(self, prompt: Prompt) -> int:
        """Return the upper bound of an answer, in tokens, as it is sent."""
        reasons = bool(self._parameters.reasoning_effort) or "max_tokens" in self._refused
        room = self._parameters.reasoning_tokens if reasons else 0
        return (self._parameters.max_tokens or prompt.max_tokens + 16 * self.structured) + room

    def bounds(self, prompt: Prompt) -> tuple[int, int]:
        """Return upper bounds of what a call may use: tokens sent (no token is shorter than a byte), tokens written."""
        sent = sum(len(m.content.encode("utf-8", "surrogatepass")) + MESSAGE_TOKENS for m in prompt.messages)
        sent += len(prompt.text.encode("utf-8", "surrogatepass")) + MESSAGE_TOKENS
        return sent + (100 if self.structured else 0), self.answer_tokens(prompt)

    def body(self, prompt: Prompt) -> dict[str, Any]:
        """Return the JSON body of a request."""
        parameters = self._parameters
        limit = "max_completion_tokens" if "max_tokens" in self._refused else "max_tokens"
        optional = {
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "seed": prompt.draw.seed & 0x7FFFFFFF if parameters.seed else None,
            "reasoning_effort": parameters.reasoning_effort,
            "response_format": SCHEMA if parameters.structured else None,
            limit: self.answer_tokens(prompt),
        }
        if self._completes:
            shown: dict[str, Any] = {"prompt": prompt.text, "stop": list(prompt.stop)[:4]}
        else:
            shown = {"messages": [{"role": m.role, "content": m.content} for m in prompt.messages]}
        return {
            "model": parameters.model,
            **shown,
            **{k: v for k, v in optional.items() if v is not None and k not in self._refused},
            **parameters.extra_body,
        }

    def adapt(self, status: int, body: Any, sent: Mapping[str, Any]) -> bool:
        """Learn from a refused request.

        Args:
            status: HTTP status.
            body: the error as the server gave it, parsed.
            sent: the body that was refused.

        Returns:
            Whether a parameter is now left out or renamed, so that the request may be sent again.
        """
        if status not in (400, 422):
            return False
        said = _error_text(body)
        named = body.get("error", body) if isinstance(body, dict) else {}
        param = named.get("param") if isinstance(named, dict) else None
        for name in OPTIONAL:
            if name not in sent or name in self._parameters.extra_body:
                continue
            mentioned = param == name or str(param).startswith(f"{name}.") or re.search(rf"\b{name}\b", said)
            if name == "response_format":
                mentioned = mentioned or re.search(r"json_schema|structured output|guided", said, re.IGNORECASE)
            if mentioned and (param == name or REFUSING.search(said)):
                self._refused[name] = scrub(said)
                self._memory[MEMORY] = json.dumps(self._refused)
                self.version += 1
                return True
        return False

    def read(self, prompt: Prompt, answer: Any, seconds: float) -> Candidate:
        """Return a server's parsed answer as a candidate.

        Raises:
            BadAnswerError: it is not a completion with a choice.
        """
        try:
            choice = answer["choices"][0]
            message = {"content": choice["text"]} if self._completes else choice["message"]
            text, refusal = message.get("content"), message.get("refusal")
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise BadAnswerError("the server's answer holds no choice with a message") from error
        if isinstance(text, list):  # parts, as some servers send them
            text = "".join(part.get("text", "") for part in text if isinstance(part, dict))
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        sent, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        cost = None
        if self._price and sent is not None and written is not None:
            cost = self._price.of(sent, cached or 0, written, self._batch)
        finish = "refusal" if refusal else str(choice.get("finish_reason") or "stop")
        return Candidate(prompt.key, text or refusal or "", finish, sent, written, seconds, cached, cost)

    def filtered(self, prompt: Prompt, status: int, body: Any) -> Candidate | None:
        """Return an answer for a prompt that the server's content filter turned away; None when it was not that."""
        said = _error_text(body)
        if status == 400 and re.search(r"content_filter|content_policy|ResponsibleAI", f"{said} {body}"):
            return Candidate(prompt.key, said, "content_filter", 0, 0, 0.0, 0, 0.0)
        return None


def _error_text(body: Any) -> str:
    """Return what an error body says, in whichever of the usual places."""
    inner = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(inner, dict):
        for name in ("message", "detail", "msg"):
            if inner.get(name):
                return inner[name] if isinstance(inner[name], str) else json.dumps(inner[name])
    return inner if isinstance(inner, str) else json.dumps(inner, default=str)
