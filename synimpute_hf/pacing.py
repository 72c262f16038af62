"""How fast one endpoint may be asked: calls in flight, pauses, a learned rate, and when to give up on it.

No clock and no network in here: every method is told the time. Calls in flight follow TCP's rule, additive increase
and multiplicative decrease (Chiu and Jain 1989), with a slow start. A provider that says ``Retry-After`` limits a rate,
not the number in flight: between two moments at which its bucket was empty it has granted just what it refills, so the
calls that succeeded between two refusals, over the time between them, are its rate.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Pace", "Refusal", "backoff", "parse_duration"]

FIRST_IN_FLIGHT = 32
CUT = 0.5
# A refusal that asks for a longer pause than this is a window that opens again at once, not a rate to be kept.
RATE_PAUSE = 2.0
GROW_SECONDS = 10.0
GROW = 1.02
SEARCH = 1.5
BREAK_UNREACHABLE = 5
BREAK_AT_START = 12
BREAK_LATER = 20
BREAK_SECONDS = 30.0
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float | None:
    """Return seconds from a rate-limit header such as ``1s``, ``6m0s``, ``850ms`` or ``1.5``; None if it is none.

    >>> parse_duration("6m0.5s")
    360.5
    """
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def backoff(tries: int, rng: random.Random, first: float = 0.25, longest: float = 30.0) -> float:
    """Return seconds to wait before another try: exponential, with full jitter.

    Args:
        tries: how often it was tried already, 1 or more.
        rng: source of the jitter.
        first: mean wait after the first try, in seconds.
        longest: upper bound, in seconds.
    """
    return rng.uniform(0.1, 1.0) * min(longest, first * 2.0 ** min(tries, 16))


@dataclass(frozen=True)
class Refusal:
    """Why a call got no answer, as far as pacing minds.

    Attributes:
        overload: the server had too much to do (429 without a pause, 503, a time-out).
        pause: seconds that the server asks to wait, or None.
        unreachable: no connection came about.
    """

    overload: bool = False
    pause: float | None = None
    unreachable: bool = False


class Pace:
    """Says when the next call may go to one endpoint and model.

    Args:
        most: calls in flight, at most.
        requests_per_minute: the user's ceiling, or None.
        tokens_per_minute: likewise.
    """

    def __init__(
        self, most: int, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self.most = most
        self._limit = float(min(most, FIRST_IN_FLIGHT))
        self._slow_start = True
        self._cut_at = -1.0
        self.in_flight = 0
        self._ceiling = requests_per_minute / 60 if requests_per_minute else None
        self._token_rate = tokens_per_minute / 60 if tokens_per_minute else None
        self._next_call = 0.0
        self._next_token = 0.0
        self._rate: float | None = None
        self._searching = True
        self._rate_at = 0.0
        self._open_at = 0.0
        self._emptied_at: float | None = None
        self._granted = 0
        self.succeeded = 0
        self.failures_in_row = 0
        self._failing_since: float | None = None
        self._unreachable = 0

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return max(1, int(self._limit))

    @property
    def rate(self) -> float | None:
        """Calls a second that the provider was seen to grant, or the user's ceiling; None where neither is known."""
        rates = [rate for rate in (self._rate, self._ceiling) if rate]
        return min(rates) if rates else None

    @property
    def busy(self) -> float:
        """The share of the calls that may be in flight that are."""
        return self.in_flight / self.limit

    def wait(self, now: float) -> float | None:
        """Return seconds until a call may start, 0.0 for now; None when one in flight has to end first."""
        if self.in_flight >= self.limit:
            return None
        if self._rate and not self._open_at > now:
            self._grow(now)
        return max(0.0, self._open_at - now, self._next_call - now, self._next_token - now)

    def start(self, now: float, tokens: int) -> None:
        """A call goes out.

        Args:
            now: seconds.
            tokens: what it will use, estimated.
        """
        self.in_flight += 1
        if self.rate:
            self._next_call = max(now, self._next_call) + 1 / self.rate
        if self._token_rate:
            self._next_token = max(now, self._next_token) + tokens / self._token_rate

    def correct_tokens(self, more: int) -> None:
        """A call used so many tokens more (or, negative, fewer) than was estimated."""
        if self._token_rate:
            self._next_token += more / self._token_rate

    def end(self) -> None:
        """A call that was started is over, and its answer, if it has one, is on disk."""
        self.in_flight -= 1

    def success(self) -> None:
        """A call has an answer."""
        self.succeeded += 1
        self._granted += 1
        self.failures_in_row = 0
        self._failing_since = None
        self._limit = min(self.most, self._limit + (1.0 if self._slow_start else 1.0 / self._limit))

    def answered(self) -> None:
        """A call was refused for reasons of its own (a bad request): the endpoint is well."""
        self.failures_in_row = 0
        self._failing_since = None

    def failure(self, refusal: Refusal, started: float, now: float) -> None:
        """A call got no answer.

        Args:
            refusal: why.
            started: when the call went out, in seconds.
            now: seconds.
        """
        if refusal.pause is not None:
            # The endpoint is well, and busy. One refusal tells for all that were under way with it.
            self.failures_in_row = 0
            self._failing_since = None
            if started >= self._cut_at:
                self._refused(refusal.pause, now)
            elif self._searching and self._rate and refusal.pause > 0:
                # Exact pauses run from nothing to the time between two grants: the longest one tells the rate.
                self._rate = min(self._rate, 1 / refusal.pause)
            self._open_at = max(self._open_at, now + refusal.pause)
            return
        self.failures_in_row += 1
        self._unreachable += refusal.unreachable
        if self._failing_since is None:
            self._failing_since = started
        if refusal.overload and started >= self._cut_at:
            self._cut(now)

    def _cut(self, now: float) -> None:
        self._limit = max(1.0, self._limit * CUT)
        self._slow_start = False
        self._cut_at = now

    def _refused(self, pause: float, now: float) -> None:
        """Learn the provider's rate from a refusal."""
        if pause > RATE_PAUSE:
            self._cut(now)
            return
        if self._emptied_at is None:
            self._emptied_at = now
            self._granted = 0
            self._rate = 1 / max(pause, 0.02)
            self._cut(now)
        else:
            self._cut_at = now
            if self._granted >= 3:
                self._rate = self._granted / (now - self._emptied_at)
                self._searching = False
            elif self._searching and self._rate:
                self._rate /= SEARCH
        self._rate_at = now

    def _grow(self, now: float) -> None:
        """Probe for a higher rate while nothing is refused: fast until the first estimate, then slowly."""
        step, factor = (1.0, SEARCH) if self._searching else (GROW_SECONDS, GROW)
        if self._rate and now - self._rate_at >= step:
            self._rate *= factor
            self._rate_at = now

    def read_headers(self, headers: Mapping[str, str], tokens_a_call: float) -> None:
        """Heed ``x-ratelimit-*``: near the end of an allowance, keep to the rate at which it is refilled.

        Args:
            headers: of an answer.
            tokens_a_call: what a call uses, on average.
        """
        for kind, each in (("requests", 1.0), ("tokens", tokens_a_call)):
            limit = _number(headers.get(f"x-ratelimit-limit-{kind}"))
            left = _number(headers.get(f"x-ratelimit-remaining-{kind}"))
            reset = parse_duration(headers.get(f"x-ratelimit-reset-{kind}", ""))
            if limit is None or left is None or not reset or each <= 0:
                continue
            if left <= (self.in_flight + 1) * each:
                self._rate = max((limit - left) / reset / each, 1 / 60)
                self._searching = False

    def broken(self, now: float) -> bool:
        """Whether the endpoint only fails: it was never reached, or many calls in a row got no answer."""
        if not self.succeeded:
            return self._unreachable >= BREAK_UNREACHABLE or self.failures_in_row >= BREAK_AT_START
        since = self._failing_since
        return self.failures_in_row >= BREAK_LATER and since is not None and now - since >= BREAK_SECONDS


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
