"""Faults that can be set: at the n-th request, or at requests of a method and a path."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .wire import Reply, Request

__all__ = ["KINDS", "Fault", "Faults", "Hook", "Rule"]

KINDS = {
    "reset": "TCP reset before the body is read; nothing is done",
    "close": "the body is read, then the connection closed without an answer; nothing is done",
    "lost-reset": "the request is done, then TCP reset in the place of the answer",
    "lost-close": "the request is done, then the connection closed in the place of the answer",
    "cut-close": "the request is done, the answer closed after half of its body",
    "cut-reset": "the request is done, TCP reset after half of the answer's body",
    "trickle": "the request is done, the answer written in 20 pieces over `seconds`",
    "NNN": "any status from 400 to 599, with the Hub's words; nothing is done",
}

MESSAGES = {
    401: "Invalid credentials in Authorization header",
    403: "Authorization error.",
    409: "Another conflicting operation is in progress",
    412: "A commit has happened since. Please refresh and try again.",
    429: "We had to rate limit you, you hit the quota of 1000 api requests per 5 minutes period.",
    500: "Internal Error - We're working hard to fix this as soon as possible!",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass
class Rule:
    """Which requests something befalls.

    Attributes:
        method: only requests of this method; None for all.
        path: a regular expression, searched in the path as sent.
        after: how many matching requests pass first.
        times: how many it befalls; None for all from then on.
        listener: ``hub`` or ``cdn`` alone.
        when: a last condition on the request, whose body is not read yet.
        struck: the numbers of the requests that it befell.
    """

    method: str | None = None
    path: str = ""
    after: int = 0
    times: int | None = 1
    listener: str | None = None
    when: Callable[[Request], bool] | None = None
    seen: int = 0
    struck: list[int] = field(default_factory=list)

    def strikes(self, request: Request) -> bool:
        """Count a request; tell whether it is one of those."""
        if self.method not in (None, request.method) or self.listener not in (None, request.listener):
            return False
        if not re.search(self.path, request.path) or (self.when is not None and not self.when(request)):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and len(self.struck) >= self.times):
            return False
        self.struck.append(request.number)
        return True


@dataclass
class Fault(Rule):
    """One fault and the requests that it strikes, as a `Rule`.

    Attributes:
        kind: one of `KINDS`; a status as digits.
        retry_after: seconds told in Retry-After; None tells none.
        ratelimit: seconds told in the Hub's own ``ratelimit`` header with nothing remaining; None tells none.
        code, message: X-Error-Code, and other words than the usual ones.
        seconds: how long ``trickle`` takes, and how long a status waits before it is told.
    """

    kind: str = "503"
    retry_after: int | None = None
    ratelimit: int | None = None
    code: str = ""
    message: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS and not re.fullmatch("[45][0-9][0-9]", self.kind):
            raise ValueError(f"unknown fault {self.kind!r}; expected a status from 400 to 599 or one of {list(KINDS)}")

    @property
    def done(self) -> bool:
        """Whether the request is carried out in spite of the fault."""
        return self.kind.startswith(("lost", "cut", "trickle"))

    def reply(self) -> Reply:
        """Return the answer of a status fault."""
        time.sleep(self.seconds)
        status = int(self.kind)
        message = self.message or MESSAGES.get(status, f"Fault {status}")
        headers = [("X-Error-Message", message)]
        if self.code:
            headers.append(("X-Error-Code", self.code))
        if self.retry_after is not None:
            headers.append(("Retry-After", str(self.retry_after)))
        if self.ratelimit is not None:
            headers.append(("ratelimit", f'"api";r=0;t={self.ratelimit}'))
            headers.append(("ratelimit-policy", '"fixed window";"api";q=1000;w=300'))
        return Reply.json({"error": message}, status, headers)


@dataclass
class Hook(Rule):
    """Something to do before a request is carried out, such as a rival's commit."""

    callback: Callable[[Request], object] = print


class Faults:
    """The faults that are set; the first that strikes a request is taken, all that match count it."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []
        self.lock = threading.Lock()

    def add(self, kind: str | int, method: str | None = None, path: str = "", **options: Any) -> Fault:
        """Set a fault with options as the attributes of `Fault` and `Rule`; it tells later whom it struck."""
        fault = Fault(method, path, kind=str(kind), **options)
        return self.put(fault)

    def put(self, fault: Fault) -> Fault:
        """Set a fault that was made before."""
        with self.lock:
            self.rules.append(fault)
        return fault

    def at(self, number: int, kind: str | int, **options: Any) -> Fault:
        """Set a fault at the n-th request from now on, 0 for the next."""
        return self.add(kind, after=number, **options)

    def clear(self) -> None:
        """Set no fault any more."""
        with self.lock:
            self.rules.clear()

    def take(self, request: Request) -> Fault | None:
        """Return the fault that strikes a request, or None."""
        with self.lock:
            striking = [fault for fault in self.rules if fault.strikes(request)]
            for fault in striking[1:]:
                fault.struck.pop()
            return striking[0] if striking else None
