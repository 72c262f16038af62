"""Ceilings on what a run may pay: calls, tokens, dollars; kept also for what is in flight."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from .errors import PlanError
from .prices import Price
from .records import Charge

__all__ = ["Budget", "Ledger"]


@dataclass(frozen=True)
class Budget:
    """What a run, over all its restarts, may pay at most; None sets no limit.

    Attributes:
        usd: dollars.
        calls: requests sent, those that failed included.
        tokens: tokens sent and written.
    """

    usd: float | None = None
    calls: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("budget_usd", self.usd), ("max_calls", self.calls), ("max_tokens_total", self.tokens)):
            if value is not None and not value >= 0:
                raise PlanError(f"{name}={value}: expected 0 or more.")

    @property
    def unlimited(self) -> bool:
        """Whether nothing is limited."""
        return self.usd is None and self.calls is None and self.tokens is None


class Ledger:
    """Counts what was paid and what calls in flight may cost at most. May be used from several threads.

    A call is reserved at its upper bound before it is sent, and settled at what it did cost. What is paid and what is
    reserved together never pass the budget; so neither does the bill, however the calls in flight end.

    Args:
        budget: the ceilings.
        price: dollars a token, or None when unknown.
        batch: whether calls have the Batch API's price.
        charged: what earlier runs paid.

    Raises:
        PlanError: there is a ceiling in dollars, and the price is unknown.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        price: Price | None = None,
        batch: bool = False,
        charged: Charge | None = None,
    ) -> None:
        self._budget = budget or Budget()
        if self._budget.usd is not None and price is None:
            raise PlanError(
                f"A budget of ${self._budget.usd:g} needs a price, and none is known for this model. Give one with "
                "--prices FILE (see synimpute_hf/prices.yaml for the form), or limit --max-calls or --max-tokens-total."
            )
        self._price = price
        self._batch = batch
        self._paid = charged or Charge()
        self._held: dict[str, Charge] = {}
        self._held_total = Charge()
        self._news = Charge()
        self._lock = threading.Lock()
        self.refused = ""

    def charge(
        self, calls: int, prompt_tokens: int, cached_tokens: int, answer_tokens: int, uncertain: bool = False
    ) -> Charge:
        """Return what such calls cost."""
        usd = self._price.of(prompt_tokens, cached_tokens, answer_tokens, self._batch) if self._price else 0.0
        tokens = prompt_tokens + answer_tokens
        return Charge(calls, tokens, usd, tokens if uncertain else 0, usd if uncertain else 0.0)

    def reserve(self, key: str, prompt_tokens: int, answer_tokens: int) -> bool:
        """Set one call's upper bound aside; an earlier reservation under the same key is replaced.

        Returns:
            Whether the budget allows it; if not, nothing is set aside, and ``refused`` says which ceiling was met.
        """
        bound = self.charge(1, prompt_tokens, 0, answer_tokens)
        with self._lock:
            rest = self._held_total - self._held.get(key, Charge())
            total = self._paid + rest + bound
            self.refused = self._over(total)
            if self.refused:
                return False
            self._held[key] = bound
            self._held_total = rest + bound
            return True

    def _over(self, total: Charge) -> str:
        limits: tuple[tuple[str, float | None, float, Callable[[float], str]], ...] = (
            ("--max-calls", self._budget.calls, total.calls, lambda n: f"{n:,.0f} calls"),
            ("--max-tokens-total", self._budget.tokens, total.tokens, lambda n: f"{n:,.0f} tokens"),
            ("--budget-usd", self._budget.usd, total.usd, lambda n: f"${n:.4f}"),
        )
        for option, limit, value, shown in limits:
            if limit is not None and value > limit:
                paid = {"--max-calls": self._paid.calls, "--max-tokens-total": self._paid.tokens}.get(
                    option, self._paid.usd
                )
                return f"{option} {shown(limit)}: {shown(paid)} paid so far, and one more call could pass it"
        return ""

    def settle(self, key: str, charge: Charge) -> None:
        """Replace a reservation by what the call did cost."""
        with self._lock:
            self._held_total = self._held_total - self._held.pop(key, Charge())
            self._paid = self._paid + charge
            self._news = self._news + charge

    def settle_unknown(self, key: str) -> None:
        """A call ended without an answer, and may have been billed: its upper bound counts as paid."""
        with self._lock:
            bound = self._held.pop(key, Charge())
            self._held_total = self._held_total - bound
            bound = Charge(bound.calls, bound.tokens, bound.usd, bound.tokens, bound.usd)
            self._paid = self._paid + bound
            self._news = self._news + bound

    def settle_free(self, key: str) -> None:
        """A call ended without an answer, and is not billed (refused, or a server error): it counts as a call."""
        self.settle(key, Charge(calls=1))

    def release(self, key: str) -> None:
        """A reserved call is not sent after all."""
        with self._lock:
            self._held_total = self._held_total - self._held.pop(key, Charge())

    def holds(self, key: str) -> bool:
        """Whether a call is reserved under this key."""
        with self._lock:
            return key in self._held

    def take_news(self) -> Charge:
        """Return what was paid since this was last asked, to be written down."""
        with self._lock:
            news, self._news = self._news, Charge()
            return news

    @property
    def paid(self) -> Charge:
        """What was paid so far, earlier runs included."""
        with self._lock:
            return self._paid

    @property
    def in_flight(self) -> int:
        """How many calls are reserved."""
        with self._lock:
            return len(self._held)
