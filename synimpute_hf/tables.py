"""Records as tables for a terminal. Rich is imported only when something is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assembly import Amounts
    from .records import Estimate, Outcome, Plan, Prompt

__all__ = [
    "amounts_table",
    "checks_table",
    "dollars",
    "duration",
    "estimate_line",
    "estimates_table",
    "outcome_table",
    "paid_line",
    "plan_tables",
    "preview_table",
]


def duration(seconds: float) -> str:
    """Return a time span as a person would say it."""
    if seconds < 90:
        return f"{round(seconds)} seconds" if seconds >= 1.5 else "a second"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def dollars(usd: float) -> str:
    """Return an amount with as many digits as it needs to be seen."""
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.4f}"


def paid_line(outcome: Outcome) -> str:
    """Return what a result took, over all its runs, in one line."""
    cost = "cost unknown (no price is known for this generator)"
    if outcome.cost_usd is not None:
        cost = f"cost {dollars(outcome.cost_usd)}" if outcome.cost_usd else "no cost"
    if outcome.uncertain_usd:
        cost += f", of which {dollars(outcome.uncertain_usd)} at most for calls that ended without an answer"
    return (
        f"{outcome.prompt_tokens:,} tokens sent ({outcome.cached_tokens:,} of them cached at the server), "
        f"{outcome.answer_tokens:,} written; {cost}."
    )


def _table(*columns: tuple[str, bool], title: str | None = None) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name, number in columns:
        table.add_column(name, justify="right" if number else "left", no_wrap=number, overflow="fold")
    return table


def plan_tables(plan: Plan) -> Iterator[Any]:
    """Yield a plan's parts: classes, what it takes, notes, one rendered prompt."""
    from rich.panel import Panel
    from rich.text import Text

    table = _table(("class", False), ("originals", True), ("target", True), ("to write", True), ("advice", False))
    for entry in plan.classes:
        table.add_row(
            Text(entry.name),
            f"{entry.originals:,}",
            f"{entry.target:,}",
            f"{entry.to_write:,}" if entry.to_write else "-",
            entry.advice,
        )
    yield table
    for guess in plan.guesses:
        yield Text(guess)
    for note in plan.notes:
        yield Text(f"Note: {note}")
    if plan.checks and plan.to_write:
        yield Text("Every text is judged by " + "; ".join(plan.checks) + ".")
    if not plan.to_write:
        yield Text("Nothing to do: every class has reached its target.")
        return
    yield Text(f"Generator: {plan.generator} ({plan.generator_reason})")
    yield Text(estimate_line(plan.estimate))
    if plan.example:
        yield Panel(Text(plan.example.as_text()), title="one rendered prompt", title_align="left")


def estimate_line(estimate: Estimate) -> str:
    """Return calls, tokens, time and cost in one line."""
    time = (
        "time unknown"
        if estimate.seconds is None
        else (f"about {duration(estimate.seconds)} ({estimate.seconds_from})")
    )
    source = estimate.price_from + (", at the Batch API's half price" if estimate.batch else "")
    cost = (
        "cost unknown (no price is known for this generator)"
        if estimate.cost_usd is None
        else ("no cost" if not estimate.cost_usd else f"about {dollars(estimate.cost_usd)} ({source})")
    )
    return (
        f"Takes: {estimate.calls:,} calls, more for rejected texts; about {estimate.prompt_tokens:,} prompt and "
        f"{estimate.answer_tokens:,} answer tokens (estimated); {time}; {cost}"
    )


def estimates_table(estimates: Sequence[dict[str, Any]]) -> Any:
    """Return what the runs of an experiment take, a line each.

    Args:
        estimates: with ``name``, ``texts``, ``calls``, ``seconds`` and ``cost_usd``.
    """
    from rich.text import Text

    table = _table(("run", False), ("texts", True), ("calls", True), ("time", True), ("cost", True), title="To write")
    for entry in estimates:
        time = "unknown" if entry["seconds"] is None else duration(entry["seconds"])
        cost = "unknown" if entry["cost_usd"] is None else dollars(entry["cost_usd"])
        table.add_row(Text(entry["name"]), f"{entry['texts']:,}", f"{entry['calls']:,}", time, cost)
    table.caption = "Texts that several runs share are counted in each and paid once."
    return table


def amounts_table(amounts: Amounts) -> Any:
    """Return how many texts a cross-validation needs, a line a class."""
    from rich.text import Text

    names = [("class", False), ("for the arms", True), ("more for whole folds", True), ("in all", True)]
    nested = amounts.nested.any()
    table = _table(*names, *([("nested, besides", True)] if nested else []), title="Synthetic texts")
    for name, planned, enough, anew in zip(amounts.names, amounts.planned, amounts.enough, amounts.nested, strict=True):
        if enough or anew:
            cells = [f"{planned:,}", f"{enough - planned:,}", f"{enough:,}", *([f"{anew:,}"] if nested else [])]
            table.add_row(Text(name), *cells)
    return table


def outcome_table(outcome: Outcome) -> Any:
    """Return the account of a run, a line a class."""
    from rich.text import Text

    table = _table(
        ("class", False),
        ("needed", True),
        ("generated", True),
        ("kept", True),
        ("missing", True),
        ("rejected and failed", False),
    )
    for entry in outcome.classes:
        reasons = [f"{count} {reason}" for reason, count in sorted({**entry.rejected}.items(), key=lambda x: -x[1])]
        reasons += [f"{count} failed: {error}" for error, count in entry.failed.items()]
        table.add_row(
            Text(entry.name),
            f"{entry.needed:,}",
            f"{entry.generated:,}",
            f"{entry.kept:,}",
            f"{entry.missing:,}" if entry.missing else "-",
            Text("; ".join(reasons)),
        )
    return table


def checks_table(checks: Sequence[Any]) -> Any:
    """Return the outcome of a verification, a line a check."""
    from rich.text import Text

    table = _table(("check", False), ("", False), ("found", False))
    words = {True: ("passed", "green"), False: ("FAILED", "bold red"), None: ("not possible", "yellow")}
    for entry in checks:
        word, style = words[entry.passed]
        table.add_row(Text(entry.name), Text(word, style=style), Text(entry.found))
    return table


def preview_table(shown: Sequence[tuple[Prompt, str, str]], figures: Sequence[Mapping[str, float | None]] = ()) -> Any:
    """Return new texts beside the originals that the model was shown.

    Args:
        shown: prompt, new text, and why it would be rejected (or an empty string).
        figures: for each of them ``unique_ngrams`` and ``nearest``, see ``audit.preview_figures``.
    """
    from rich.text import Text

    table = _table(("class", False), ("new text", False), ("the originals that the model was shown", False))
    for place, (prompt, text, reason) in enumerate(shown):
        new = Text(text)
        known = {key: value for key, value in (figures[place] if figures else {}).items() if value is not None}
        if known:
            said = {"unique_ngrams": "unique n-grams {:.0%}", "nearest": "nearest original {:.2f}"}
            new.append("\n" + ", ".join(said[key].format(value) for key, value in known.items()), style="dim")
        if reason:
            new.append(f"\n(would be rejected: {reason})", style="yellow")
        originals = "\n".join(f"- {original}" for original in prompt.draw.texts)
        table.add_row(Text(prompt.draw.name), new, Text(originals))
        table.add_section()
    return table
