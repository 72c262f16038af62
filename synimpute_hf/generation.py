"""The loop: draws become prompts, prompts answers, answers verdicts, and verdicts rows.

Work goes in waves. The first wave holds the first attempt of every missing text; each later wave holds the next
attempt of those that were rejected. Answers may come in any order, but a wave is judged in the order of classes and
numbers, so that the rows depend on the answers alone: not on speed, batches, crashes or restarts.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import NamedTuple, Protocol

import numpy as np
from filelock import FileLock

from .answers import Reading, read_answer
from .budget import Budget, Ledger
from .columns import Originals
from .drawing import DrawSettings, draw
from .errors import SynimputeWarning
from .generators import Answers, Generator
from .journal import Journal
from .prices import FREE
from .prompts import Renderer
from .records import Candidate, ClassOutcome, ClassPlan, Draw, Failure, Outcome, Prompt, SyntheticRow, Verdict
from .seeding import digest, text_code
from .validators import Case, Judged, Panel, Reference, Validator

__all__ = ["Generation", "Observer", "make_panel", "render_first"]

LOOK_UP = 500
FLOOR_ANSWERS = 30
"""Answers of a class that are judged before its acceptance may end it."""
EXAMPLES = 3


class Observer(Protocol):
    """Whoever wants to watch a run, such as a progress bar."""

    def begin(self, needed: int) -> None:
        """Called once, with the number of texts that are missing."""

    def answered(self, new: int, known: int, usd: float | None) -> None:
        """Called after each group of answers.

        Args:
            new: how many were written.
            known: how many were in the journal.
            usd: what the run has paid so far, earlier parts included, or None when the price is unknown.
        """

    def judged(self, accepted: int, rejected: int) -> None:
        """Called after each wave, with the totals so far."""

    def end(self) -> None:
        """Called once, however the run ends."""


class _Answered(NamedTuple):
    """An answer that is safe on disk, with what its row will need."""

    draw: Draw
    prompt_sha256: str
    answer: Candidate | Failure
    text: str
    reason: str


@dataclass
class _Account:
    """What happened to one class so far."""

    plan: ClassPlan
    rows: dict[int, SyntheticRow] = field(default_factory=dict)
    generated: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    rejected_by: Counter[str] = field(default_factory=Counter)
    figures: dict[str, list[float]] = field(default_factory=dict)
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    gave_up: str = ""

    def reject(self, judged: Judged, text: str) -> None:
        """Count a rejected answer, and keep some of them to be shown."""
        self.rejected[judged.reason] += 1
        if judged.by:
            self.rejected_by[judged.by] += 1
        if text and len(self.examples) < EXAMPLES:
            self.examples.append((self.plan.name, judged.reason, text))

    def keep(self, number: int, row: SyntheticRow, judged: Judged) -> None:
        """Count an accepted answer."""
        self.rows[number] = row
        for name, figure in judged.items():
            self.figures.setdefault(name, []).append(figure)

    def falls_under(self, floor: float) -> bool:
        """Say, once enough answers are judged, whether too few are accepted to go on; notes why."""
        if self.generated < FLOOR_ANSWERS or len(self.rows) >= floor * self.generated:
            return False
        most = self.rejected.most_common(1)[0]
        self.gave_up = (
            f"only {len(self.rows)} of {self.generated} answers were accepted, under the floor of {floor:.0%}; most "
            f"were rejected as {most[0]!r} ({most[1]})"
        )
        return True

    def outcome(self) -> ClassOutcome:
        """Return the account as a record."""
        return ClassOutcome(
            self.plan.name,
            self.plan.to_write,
            self.generated,
            len(self.rows),
            dict(self.rejected),
            dict(self.failed),
            dict(self.rejected_by),
            {name: _span(values) for name, values in sorted(self.figures.items())},
            self.gave_up,
        )


def _span(values: Sequence[float]) -> dict[str, float]:
    return {"mean": sum(values) / len(values), "least": min(values), "largest": max(values)}


def render_first(
    classes: Sequence[ClassPlan], originals: Originals, settings: DrawSettings, renderer: Renderer, count: int
) -> list[Prompt]:
    """Render the first prompts of a plan's classes, taking turns among the short classes."""
    short = [entry for entry in classes if entry.to_write]
    turns = ((entry, number) for number in range(count) for entry in short if number < entry.to_write)
    return [
        renderer.render(draw(originals.pools[entry.name], number, 0, settings))
        for entry, number in islice(turns, count)
    ]


def make_panel(
    validators: Sequence[Validator], originals: Originals, descriptions: Mapping[str, str], language: str | None
) -> Panel | None:
    """Make the panel that judges answers; None where there is no validator.

    Args:
        validators: which.
        originals: what they may know.
        descriptions: codebook definitions by class.
        language: the language that was asked for.
    """
    if not validators:
        return None
    pools = originals.pools
    texts = {
        name: [text.decode("utf-8", "surrogatepass") for text in pool.texts.to_pylist()] for name, pool in pools.items()
    }
    ids = {name: pool.ids.to_pylist() for name, pool in pools.items()}
    return Panel(validators, Reference(texts, ids, descriptions, originals.shingles, language or ""))


class Generation:
    """One run over a plan.

    Args:
        classes: the plan's classes; those with nothing to write are left alone.
        originals: the user's rows.
        settings: how originals are drawn.
        renderer: makes prompts.
        generator: answers them. It is used only for answers that the journal does not hold.
        journal: keeps every answer.
        max_attempts: how often one missing text may be drawn, 1 or more.
        observer: told of progress, or None.
        lender: another journal whose answers to these very prompts are taken over, or None.
        budget: what this run, over all its restarts, may pay.
        panel: makes the validators that judge answers, when the first one is there; None: none but the built-in checks.
        min_acceptance: share of its answers under which a class is given up, in [0, 1).
    """

    def __init__(
        self,
        classes: Sequence[ClassPlan],
        originals: Originals,
        settings: DrawSettings,
        renderer: Renderer,
        generator: Generator,
        journal: Journal,
        max_attempts: int,
        observer: Observer | None = None,
        lender: Journal | None = None,
        budget: Budget | None = None,
        panel: Callable[[], Panel | None] | None = None,
        min_acceptance: float = 0.0,
    ) -> None:
        self._make_panel = panel
        self._panel: Panel | None = None
        self._min_acceptance = min_acceptance
        self._lender = lender
        self._accounts = {entry.name: _Account(entry) for entry in classes if entry.to_write}
        self._originals = originals
        self._settings = settings
        self._renderer = renderer
        self._generator = generator
        self._journal = journal
        self._max_attempts = max_attempts
        self._observer = observer
        self._run = digest(
            "run",
            generator.identity,
            [[a.plan.name, originals.pools[a.plan.name].digest] for a in self._accounts.values()],
        )
        generator.memory = journal.memory(generator.identity)
        generator.ledger = Ledger(budget, generator.price, generator.batch, journal.paid(self._run))
        self._structured = bool(generator.parameters.get("structured"))
        self._accepted_codes: set[int] = set()
        self._asked = 0
        self._from_journal = 0
        self._tokens = [0, 0, 0]
        self._usd = 0.0
        self._priced = True
        self._stopped = ""
        self._shortened = 0
        self._wave: list[tuple[str, int]] = []
        self._answers: dict[tuple[str, int], _Answered] = {}

    def run(self) -> Outcome:
        """Generate, judge and draw again until every class is full or its attempts are used up.

        Only one process works on a run at a time; a second one waits, and then finds the answers in the journal.

        Raises:
            GeneratorError: the model cannot be loaded or run.
            JournalError: the journal cannot be read or written.
            KeyboardInterrupt: passed on; ``outcome()`` then tells what there is so far.
        """
        path = self._journal.path
        lock = path.with_name(f".{path.name}.{self._run[:12]}.lock")
        needed = [(name, number) for name, account in self._accounts.items() for number in range(account.plan.to_write)]
        if not needed:
            return self.outcome()
        if self._observer:
            self._observer.begin(len(needed))
        try:
            with FileLock(lock):
                self._waves(needed)
            lock.unlink(missing_ok=True)
        finally:
            self._generator.close()
            if self._observer:
                self._observer.end()
        return self.outcome()

    def preview(self, count: int) -> list[tuple[Prompt, str, str]]:
        """Write the first texts of the plan and judge them; a later ``run`` finds their answers in the journal.

        Returns:
            For each: its prompt, the new text, and why it would be rejected (or an empty string).
        """
        prompts = render_first(
            [a.plan for a in self._accounts.values()], self._originals, self._settings, self._renderer, count
        )
        if self._observer and prompts:
            self._observer.begin(len(prompts))
        try:
            self._wave = [(prompt.draw.name, prompt.draw.number) for prompt in prompts]
            self._collect(0)
            self._look()
        finally:
            self._generator.close()
            if self._observer and prompts:
                self._observer.end()
        shown = []
        for prompt in prompts:
            if (prompt.draw.name, prompt.draw.number) not in self._answers:
                continue  # the budget was used up before
            answer = self._answers[prompt.draw.name, prompt.draw.number].answer
            if isinstance(answer, Failure):
                shown.append((prompt, "", f"failed: {answer.error}"))
            else:
                kept = self._answers[prompt.draw.name, prompt.draw.number]
                shown.append((prompt, kept.text, self._reason_against(kept).reason))
        return shown

    def _waves(self, needed: list[tuple[str, int]]) -> None:
        self._wave = needed
        for attempt in range(self._max_attempts):
            self._collect(attempt)
            self._wave = self._judge()
            if not self._wave or self._stopped:
                return

    def _collect(self, attempt: int) -> None:
        """Gather the wave's answers: those in the journal, and new ones for the rest."""
        purse = _Purse(self._missing(attempt), self._generator)
        while True:
            first = next(purse, None)
            if first is None:
                # The model is never touched: a run whose answers are all in the journal loads nothing.
                break
            for group in self._generator.generate(chain([first], purse)):
                self._record(group)
            if not purse.blocked:
                break
            # Calls in flight had more set aside than they used: what is left may do for some more.
            purse.unblock()
        if purse.blocked:
            self._stopped = self._generator.ledger.refused

    def _record(self, group: Answers) -> None:
        """Write a group of answers down, and what was paid for them; nothing judges them before."""
        ledger = self._generator.ledger
        answers = [
            (prompt, self._priced_answer(answer)) if isinstance(answer, Candidate) else (prompt, answer)
            for prompt, answer in group
        ]
        for prompt, answer in answers:
            # Generators that know more have settled the call already: to do so again changes nothing.
            if ledger.holds(prompt.key):
                if isinstance(answer, Failure):
                    ledger.settle_free(prompt.key)
                elif answer.prompt_tokens is None or answer.answer_tokens is None:
                    ledger.settle_unknown(prompt.key)
                else:
                    cached = answer.cached_tokens or 0
                    ledger.settle(prompt.key, ledger.charge(1, answer.prompt_tokens, cached, answer.answer_tokens))
        self._journal.add(
            self._generator.identity,
            [(prompt, answer) for prompt, answer in answers if isinstance(answer, Candidate)],
            self._run,
            ledger.take_news(),
        )
        self._journal.log_failures(answer for _, answer in answers if isinstance(answer, Failure))
        for prompt, answer in answers:
            self._answers[prompt.draw.name, prompt.draw.number] = self._keep(prompt, answer)
        self._asked += len(group)
        self._tell(len(group), 0)

    def _missing(self, attempt: int) -> Iterator[Prompt]:
        """Yield the wave's prompts that the journal has no answer to; the others' answers are taken."""
        places = iter(self._wave)
        while part := list(islice(places, LOOK_UP)):
            prompts = [self._prompt(name, number, attempt) for name, number in part]
            found = self._known(prompts)
            for place, prompt in zip(part, prompts, strict=True):
                if prompt.key in found:
                    self._answers[place] = self._keep(prompt, found[prompt.key])
            self._tell(0, len(found))
            for prompt in prompts:
                if prompt.key not in found:
                    yield prompt

    def _known(self, prompts: Sequence[Prompt]) -> dict[str, Candidate]:
        """Look answers up, here and in the lending journal; what that one has is copied here first."""
        found = self._journal.get([prompt.key for prompt in prompts])
        rest = [prompt for prompt in prompts if prompt.key not in found] if self._lender else []
        if self._lender and rest:
            lent = self._lender.get([prompt.key for prompt in rest])
            self._journal.add(
                self._generator.identity, [(prompt, lent[prompt.key]) for prompt in rest if prompt.key in lent]
            )
            found.update(lent)
        return found

    def _prompt(self, name: str, number: int, attempt: int) -> Prompt:
        prompt = self._renderer.render(draw(self._originals.pools[name], number, attempt, self._settings))
        if prompt.shortened:
            if not self._shortened:
                warnings.warn(
                    f"The originals are longer than the context of {self._generator.name} "
                    f"({self._generator.context_tokens} tokens) has room for: the longest of each five are cut to one "
                    "length. A model with a longer context sees them whole.",
                    SynimputeWarning,
                    stacklevel=2,
                )
            self._shortened += 1
        return prompt

    def _tell(self, new: int, known: int) -> None:
        self._from_journal += known
        if self._observer and (new or known):
            priced = self._generator.price is not None
            self._observer.answered(new, known, self._generator.ledger.paid.usd if priced else None)

    def _judge(self) -> list[tuple[str, int]]:
        """Judge the wave in its order; returns the places that need another draw."""
        self._look()
        verdicts = []
        again = []
        for place in self._wave:
            if place not in self._answers:
                continue  # interrupted before it was asked
            account = self._accounts[place[0]]
            # Let go of each as it is judged: of many answers, the row alone stays.
            kept = self._answers.pop(place)
            if isinstance(kept.answer, Failure):
                if kept.answer.unaffordable:
                    self._stopped = kept.answer.error
                    continue
                account.failed[kept.answer.error] += 1
                continue
            judged = self._reason_against(kept)
            verdicts.append(Verdict(kept.answer.key, not judged.reason, judged.reason, dict(judged)))
            account.generated += 1
            self._tokens[0] += kept.answer.prompt_tokens or 0
            self._tokens[1] += kept.answer.answer_tokens or 0
            self._tokens[2] += kept.answer.cached_tokens or 0
            self._usd += self._priced_answer(kept.answer).cost_usd or 0.0
            self._priced &= kept.answer.cost_usd is not None or self._generator.price is not None
            if judged.reason:
                account.reject(judged, kept.text)
                again.append(place)
            else:
                row = self._row(kept, kept.answer.key)
                self._accepted_codes.add(text_code(row.text))
                if self._panel and judged.case:
                    self._panel.accept(judged.case)
                account.keep(place[1], row, judged)
        self._answers = {}
        self._journal.add_verdicts(self._run, verdicts)
        if self._observer:
            accounts = self._accounts.values()
            self._observer.judged(sum(len(a.rows) for a in accounts), sum(a.rejected.total() for a in accounts))
        over = {name for name, account in self._accounts.items() if account.falls_under(self._min_acceptance)}
        return [place for place in again if place[0] not in over]

    def _look(self) -> None:
        """Let validators look at all readable answers of the wave at once."""
        readable = [kept for kept in self._answers.values() if isinstance(kept.answer, Candidate) and not kept.reason]
        if not readable or self._make_panel is None:
            return
        self._panel = self._panel or self._make_panel()
        if self._panel:
            self._panel.look([self._case(kept) for kept in readable if not self._copy(kept.text)])

    def _case(self, kept: _Answered) -> Case:
        at = kept.draw
        shown = draw(self._originals.pools[at.name], at.number, at.attempt, self._settings).texts
        return Case(at.name, kept.text, at.source_ids, shown)

    def _priced_answer(self, answer: Candidate) -> Candidate:
        """Return an answer with its cost, where a price is known."""
        price, sent, written = self._generator.price, answer.prompt_tokens, answer.answer_tokens
        if answer.cost_usd is not None or price is None:
            return answer
        if price is not FREE and (sent is None or written is None):
            return answer  # the ledger counts its upper bound
        cost = price.of(sent or 0, answer.cached_tokens or 0, written or 0, self._generator.batch)
        return replace(answer, cost_usd=cost)

    def _keep(self, prompt: Prompt, answer: Candidate | Failure) -> _Answered:
        """Keep what a row needs, without the originals' texts; the answer is read beside those."""
        reading = Reading("", "")
        if isinstance(answer, Candidate):
            reading = read_answer(
                answer.text,
                answer.finish_reason,
                prompt.draw.texts,
                form=self._generator.form,
                structured=self._structured and answer.text.lstrip().startswith(("{", "```")),
            )
        return _Answered(replace(prompt.draw, texts=()), prompt.sha256, answer, *reading)

    def _reason_against(self, kept: _Answered) -> Judged:
        """Return why an answer is rejected, if it is, and what validators measured."""
        judged = Judged()
        judged.reason = kept.reason or self._copy(kept.text)
        if not judged.reason and self._panel:
            judged = self._panel.find(self._case(kept))
        return judged

    def _copy(self, text: str) -> str:
        """Say whether a text equals an original, of any class or split, or an accepted one; else empty."""
        code = text_code(text)
        known = self._originals.known
        place = int(np.searchsorted(known, np.uint64(code)))
        if place < len(known) and int(known[place]) == code:
            return "copy of an original"
        return "copy of an accepted text" if code in self._accepted_codes else ""

    def _row(self, kept: _Answered, key: str) -> SyntheticRow:
        draw = kept.draw
        return SyntheticRow(
            text=kept.text,
            label=draw.label,
            row_id=f"synthetic-{key[:22]}",
            source_ids=draw.source_ids,
            anchor=draw.anchor,
            draw=draw.number,
            generator=self._generator.name,
            prompt_sha256=kept.prompt_sha256,
            journal_key=key,
        )

    def outcome(self, interrupted: bool = False, stopped: str = "") -> Outcome:
        """Return the rows and the account so far.

        Args:
            interrupted: the user stopped the run; answers that were not judged yet are judged now.
            stopped: why else the run ended early; likewise.
        """
        self._stopped = stopped or self._stopped
        if (interrupted or stopped) and self._answers:
            self._judge()
        paid = self._generator.ledger.paid
        accounts = list(self._accounts.values())
        rows = tuple(account.rows[number] for account in accounts for number in sorted(account.rows))
        classes = tuple(account.outcome() for account in accounts)
        return Outcome(
            rows,
            classes,
            self._asked,
            self._from_journal,
            self._tokens[0],
            self._tokens[1],
            self._shortened,
            interrupted,
            self._tokens[2],
            self._usd + paid.uncertain_usd if self._priced else None,
            paid.uncertain_usd,
            paid.calls,
            self._stopped,
            self._generator.notes,
            self._run,
            tuple(example for account in accounts for example in account.examples),
        )


class _Purse(Iterator[Prompt]):
    """Hands out prompts as long as the budget allows, and sets aside what each may cost."""

    def __init__(self, prompts: Iterator[Prompt], generator: Generator) -> None:
        self._prompts = prompts
        self._generator = generator
        self._next: Prompt | None = None
        self.blocked = False

    def __next__(self) -> Prompt:
        if self.blocked:
            raise StopIteration
        prompt = self._next or next(self._prompts)
        if not self._generator.ledger.reserve(prompt.key, *self._generator.bounds(prompt)):
            self._next = prompt
            self.blocked = True
            raise StopIteration
        self._next = None
        return prompt

    def unblock(self) -> None:
        """Try again with the prompt that was too dear."""
        self.blocked = False
