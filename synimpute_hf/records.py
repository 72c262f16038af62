"""The nouns of the package: frozen records that travel from one room to the next.

Dataset -columns-> Originals -planning-> Plan -drawing-> Draw -prompts-> Prompt
  -generators-> Candidate -journal-> (safe on disk) -generation-> Verdict -> SyntheticRow
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Union

__all__ = [
    "EVERY_ORIGINAL",
    "JUDGES",
    "Candidate",
    "Charge",
    "ClassOutcome",
    "ClassPlan",
    "Draw",
    "Estimate",
    "Failure",
    "Label",
    "Message",
    "Outcome",
    "Plan",
    "Prompt",
    "SyntheticRow",
    "Verdict",
]

JUDGES = "judge_source_ids"
"""A further column where a validator was trained on originals: those that helped to judge a synthetic row."""
EVERY_ORIGINAL = "*"
Label = Union[str, int, float, bool]  # noqa: UP007  (evaluated at run time on Python 3.10)


@dataclass(frozen=True)
class ClassPlan:
    """What one class has and what it needs.

    Attributes:
        name: the class as people call it (a ClassLabel's name, else the label itself).
        label: the value that stands in the label column.
        originals: rows of this class with a usable text.
        distinct: how many of those texts differ after normalisation.
        usable: how many of them may be shown to a model (not also in another split).
        target: how many rows the class should have in the end.
        to_write: how many synthetic rows are missing.
        contrast: whether it is not short, and gets synthetic rows so that machine style does not tell the others.
        advice: the paper's threshold for this many originals, in plain words; empty when nothing is to write.
    """

    name: str
    label: Label
    originals: int
    distinct: int
    usable: int
    target: int
    to_write: int
    advice: str = ""
    contrast: bool = False


@dataclass(frozen=True)
class Estimate:
    """What a plan will take, as far as it can be known before anything is called.

    Attributes:
        calls: requests to the model if every answer is accepted (rejected ones are drawn again).
        prompt_tokens: estimated tokens sent.
        answer_tokens: estimated tokens written.
        seconds: estimated time, or None when the generator's speed is unknown.
        seconds_from: where that speed comes from.
        cost_usd: estimated price, 0.0 for a model on this machine, None when no price is known.
        price_from: the price list and its date.
        batch: whether the Batch API's price was taken.
    """

    calls: int
    prompt_tokens: int
    answer_tokens: int
    seconds: float | None = None
    seconds_from: str = ""
    cost_usd: float | None = None
    price_from: str = ""
    batch: bool = False


@dataclass(frozen=True)
class Plan:
    """Who is short, what will be asked, what it will take. Printing it gives tables.

    Attributes:
        classes: one entry a class, the largest first.
        digest: a digest of the originals that may be shown and of the settings that shape a draw.
        settings: the settings that made the plan, JSON-able.
        generator: the generator's name.
        generator_reason: why this generator was taken.
        estimate: calls, tokens, time and cost.
        guesses: a sentence for each column that was guessed.
        notes: what was noticed in the data, in plain words.
        example: one fully rendered prompt, or None when nothing is to write.
        checks: a sentence for each validator: what it is, and what it costs.
    """

    classes: tuple[ClassPlan, ...]
    digest: str
    settings: Mapping[str, Any]
    generator: str
    generator_reason: str
    estimate: Estimate
    guesses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    example: Prompt | None = None
    checks: tuple[str, ...] = ()

    @property
    def to_write(self) -> int:
        """How many synthetic rows are missing over all classes."""
        return sum(entry.to_write for entry in self.classes)

    @property
    def short(self) -> tuple[ClassPlan, ...]:
        """The classes that need synthetic rows."""
        return tuple(entry for entry in self.classes if entry.to_write)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON-able dict (with the example prompt rendered as text)."""
        return {
            "classes": [asdict(entry) for entry in self.classes],
            "digest": self.digest,
            "settings": dict(self.settings),
            "generator": self.generator,
            "generator_reason": self.generator_reason,
            "estimate": asdict(self.estimate),
            "to_write": self.to_write,
            "guesses": list(self.guesses),
            "notes": list(self.notes),
            "checks": list(self.checks),
            "example": self.example.as_text() if self.example else None,
        }

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        console = Console(file=StringIO(), width=100, force_terminal=False, highlight=False)
        console.print(self)
        return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from .tables import plan_tables

        yield from plan_tables(self)


@dataclass(frozen=True)
class Draw:
    """One missing text: its class, its number, the originals that the model will be shown.

    Attributes:
        name: the class.
        label: the class's value in the label column.
        number: which missing text of the class, from 0.
        attempt: 0 for the first try, one more after each rejection.
        seed: sampling seed in ``[0, 2**63)``.
        anchor: the row id of the source after which the new row will stand.
        source_ids: row ids of the originals shown, in the order shown.
        texts: their texts, unchanged.
    """

    name: str
    label: Label
    number: int
    attempt: int
    seed: int
    anchor: str
    source_ids: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Message:
    """One message of a chat prompt."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """The rendered form of one draw, as a chat (``messages``) or as a text to continue (``text``).

    Attributes:
        draw: what is asked for.
        messages: system and user message for a chat model; empty in the continuation form.
        text: the text that a base model continues; empty in the chat form.
        stop: strings that end the answer.
        max_tokens: upper bound of the answer, in tokens.
        shortened: how many of the originals had to be cut to fit the model's context.
        sha256: digest of everything above that the model sees.
        key: journal key: ``sha256`` together with the generator's identity and the draw.
    """

    draw: Draw
    messages: tuple[Message, ...]
    text: str
    stop: tuple[str, ...]
    max_tokens: int
    shortened: int
    sha256: str
    key: str

    def request(self) -> dict[str, Any]:
        """Return what is sent, JSON-able and without any secret, as the journal keeps it."""
        body: dict[str, Any] = {"max_tokens": self.max_tokens, "stop": list(self.stop), "seed": self.draw.seed}
        if self.messages:
            body["messages"] = [{"role": m.role, "content": m.content} for m in self.messages]
        else:
            body["text"] = self.text
        return body

    def as_text(self) -> str:
        """Return the prompt as a person would read it."""
        if not self.messages:
            return self.text
        return "\n\n".join(f"[{message.role}]\n{message.content}" for message in self.messages)


@dataclass(frozen=True)
class Candidate:
    """What the model answered, word for word.

    Attributes:
        key: journal key of the prompt.
        text: the answer, unchanged.
        finish_reason: ``stop``, ``length`` (cut off at ``max_tokens``), ``content_filter`` or ``refusal``.
        prompt_tokens: tokens sent, or None when the generator does not count.
        answer_tokens: tokens written, reasoning included, or None.
        seconds: this answer's share of the time that the model took.
        cached_tokens: those of the tokens sent that the server had in its prefix cache, or None.
        cost_usd: what it cost when it was answered, or None when the price was unknown.
    """

    key: str
    text: str
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    seconds: float = 0.0
    cached_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(frozen=True)
class Charge:
    """What calls cost.

    Attributes:
        calls: requests sent, those that failed included.
        tokens: tokens sent and written.
        usd: dollars; 0.0 where the price is unknown.
        uncertain_tokens: those of the tokens that stand for calls which ended without an answer and may have been
            billed (time-outs, lost connections), at their upper bound.
        uncertain_usd: likewise, dollars.
    """

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    uncertain_tokens: int = 0
    uncertain_usd: float = 0.0

    def __add__(self, other: Charge) -> Charge:
        return Charge(
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.usd + other.usd,
            self.uncertain_tokens + other.uncertain_tokens,
            self.uncertain_usd + other.uncertain_usd,
        )

    def __sub__(self, other: Charge) -> Charge:
        return Charge(
            self.calls - other.calls,
            self.tokens - other.tokens,
            self.usd - other.usd,
            self.uncertain_tokens - other.uncertain_tokens,
            self.uncertain_usd - other.uncertain_usd,
        )

    def __bool__(self) -> bool:
        return bool(self.calls or self.tokens or self.usd)


@dataclass(frozen=True)
class Failure:
    """A request that got no answer. It is logged, never cached: the next run asks again.

    Attributes:
        key: journal key of the prompt.
        error: what happened.
        unaffordable: whether it ended because the budget allows no further call.
    """

    key: str
    error: str
    unaffordable: bool = False


@dataclass(frozen=True)
class Verdict:
    """A judgement of one candidate.

    Attributes:
        key: journal key of the candidate.
        accepted: whether it becomes a row.
        reason: why not; empty when accepted.
        figures: what validators measured, by their name.
    """

    key: str
    accepted: bool
    reason: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SyntheticRow:
    """One accepted text with its provenance; its fields are the columns that ``map`` adds."""

    text: str
    label: Label
    row_id: str
    source_ids: tuple[str, ...]
    anchor: str
    draw: int
    generator: str
    prompt_sha256: str
    journal_key: str


@dataclass(frozen=True)
class ClassOutcome:
    """What became of one class.

    Attributes:
        name: the class.
        needed: synthetic rows that were planned.
        generated: answers that were judged.
        kept: answers that became rows.
        rejected: how many were rejected, by reason.
        failed: requests without an answer, by error.
        rejected_by: how many each validator rejected; the others were rejected before one saw them.
        figures: by validator, the mean, least and largest figure of the rows.
        gave_up: why no more was drawn although texts are missing, or empty.
    """

    name: str
    needed: int
    generated: int
    kept: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    rejected_by: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gave_up: str = ""

    @property
    def missing(self) -> int:
        """How many rows the class is short of its target."""
        return self.needed - self.kept


@dataclass(frozen=True)
class Outcome:
    """What a run gave: the rows, and an account of what was thrown away and why.

    Attributes:
        rows: accepted rows, by class and number.
        classes: one entry a short class.
        asked: requests sent to the model in this run.
        from_journal: answers that the journal already held.
        prompt_tokens: tokens sent for all judged answers, over all runs (counted where known).
        answer_tokens: tokens written, likewise.
        shortened: prompts whose originals had to be cut to fit the model's context.
        interrupted: whether the run was stopped before its end.
        cached_tokens: those of the tokens sent that servers had in their prefix caches.
        cost_usd: what all judged answers cost, over all runs, each counted once, and with them the calls that ended
            without an answer and may have been billed; None when a price is unknown.
        uncertain_usd: the part of the cost that stands for those calls, at its upper bound.
        calls: requests that this run and its earlier parts sent, those that failed included.
        stopped: why the run ended early (a budget, a server that only fails), or empty.
        notes: what was noticed on the way, such as a parameter that the model refuses.
        run: the run's id, under which the journal keeps its verdicts.
        examples: some rejected texts: class, reason, text.
    """

    rows: tuple[SyntheticRow, ...]
    classes: tuple[ClassOutcome, ...]
    asked: int = 0
    from_journal: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    shortened: int = 0
    interrupted: bool = False
    cached_tokens: int = 0
    cost_usd: float | None = None
    uncertain_usd: float = 0.0
    calls: int = 0
    stopped: str = ""
    notes: tuple[str, ...] = ()
    run: str = ""
    examples: tuple[tuple[str, str, str], ...] = ()

    @property
    def missing(self) -> int:
        """How many rows are short over all classes."""
        return sum(entry.missing for entry in self.classes)

    @property
    def failed(self) -> int:
        """How many requests got no answer."""
        return sum(sum(entry.failed.values()) for entry in self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Return the account, without the rows, as a JSON-able dict."""
        counts = ("asked", "from_journal", "calls", "prompt_tokens", "cached_tokens", "answer_tokens")
        account = {k: getattr(self, k) for k in (*counts, "cost_usd", "uncertain_usd")}
        classes = [{**asdict(entry), "missing": entry.missing} for entry in self.classes]
        return {
            "classes": classes,
            "kept": len(self.rows),
            "missing": self.missing,
            **account,
            "shortened": self.shortened,
            "interrupted": self.interrupted,
            "stopped": self.stopped,
            "notes": list(self.notes),
            "run": self.run,
        }
