"""Many chat requests at once: one event loop in a thread of its own, one ``AsyncOpenAI`` client an endpoint.

The caller's thread takes prompts and hands out answers; the loop's thread sends. A slot is free again only when its
answer is on disk, so that a kill -9 repeats at most what was in flight. A call that failed waits without a slot.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import queue
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Union
from urllib.request import getproxies

from .budget import Ledger
from .errors import GeneratorError
from .openai_wire import BadAnswerError, Wire, scrub
from .pacing import Pace, Refusal, backoff, parse_duration
from .records import Candidate, Failure, Prompt

__all__ = ["ChatClient", "Endpoint"]

Answers = Sequence[tuple[Prompt, Union[Candidate, Failure]]]  # noqa: UP007
MOST_TRIES = 25
MOST_TIMEOUTS = 8
LONGEST_PAUSE = 600.0
GRACE_SECONDS = 0.7
LANE = 8
TELEMETRY = [
    *(f"X-Stainless-{name}" for name in ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version")),
    "X-Stainless-Async",
]
A_CALLS_TELEMETRY = ["x-stainless-retry-count", "x-stainless-read-timeout"]


class Endpoint(NamedTuple):
    """One server's address, and how fast it may be asked."""

    url: str
    pace: Pace


@dataclass
class _Job:
    """A prompt on its way to an answer."""

    prompt: Prompt
    tokens: int
    tries: int = 0
    timeouts: int = 0
    version: int = -1
    endpoint: Endpoint | None = None


@dataclass
class _Problem:
    """Why a call got no answer, in all the respects that matter."""

    said: str
    refusal: Refusal = field(default_factory=Refusal)
    billed: bool = False
    timeout: bool = False
    paused: bool = False
    final: bool = False
    fatal: str = ""


def _lanes(most: int) -> Any:
    """Return a transport of several small connection pools, used in turn.

    A pool looks at all of its connections for every request that begins or ends: with 50 in one pool, that is the
    largest part of the CPU time of a call.
    """
    import httpx2

    context = httpx2.create_ssl_context()
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30)
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]

    class Lanes(httpx2.AsyncBaseTransport):
        def __init__(self) -> None:
            count = -(-most // LANE)
            self._lanes = [
                httpx2.AsyncHTTPTransport(verify=context, limits=limits, socket_options=options) for _ in range(count)
            ]
            self._turn = itertools.cycle(self._lanes)

        async def handle_async_request(self, request: Any) -> Any:
            return await next(self._turn).handle_async_request(request)

        async def aclose(self) -> None:
            for lane in self._lanes:
                await lane.aclose()

    return Lanes()


class ChatClient:
    """Sends prompts and returns answers as they come.

    Args:
        endpoints: servers of one and the same model.
        wire: makes bodies and reads answers.
        ledger: what may be paid.
        key: the API key; it stays in here and in the HTTP client.
        timeout: seconds that one answer may take.
    """

    def __init__(self, endpoints: Sequence[Endpoint], wire: Wire, ledger: Ledger, key: str, timeout: float) -> None:
        self._endpoints = list(endpoints)
        self._wire = wire
        self._ledger = ledger
        self._key = key
        self._timeout = timeout
        self._rng = random.Random()
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ready: deque[_Job] = deque()
        self._clients: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots: dict[str, Endpoint] = {}
        self._wake: asyncio.TimerHandle | None = None
        self._proven = False
        self._fatal = ""
        self._stopping = False
        self._last_error = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="synimpute-chat", daemon=True)
        self._thread.start()

    # -- the caller's thread ------------------------------------------------------------------------------------

    def answer(self, prompts: Iterator[Prompt]) -> Iterator[Answers]:
        """Answer prompts, in groups as they come; a group's slots are free when the next one is asked for.

        Raises:
            GeneratorError: the server can't be used, or only fails. Every answer was yielded before.
        """
        pending = 0
        exhausted = False
        try:
            while True:
                fresh = []
                while not exhausted and pending < self._wanted():
                    prompt = next(prompts, None)
                    if prompt is None:
                        exhausted = True
                        break
                    fresh.append(prompt)
                    pending += 1
                if fresh:
                    self._call(self._take, fresh)
                if not pending:
                    return
                group = self._gather()
                pending -= len(group)
                yield group
                self._call(self._committed, [prompt.key for prompt, _ in group])
        except KeyboardInterrupt:
            rest = self._drain()
            if rest:
                yield rest
            raise

    def _wanted(self) -> int:
        return 2 * sum(endpoint.pace.limit for endpoint in self._endpoints) + 8

    def _call(self, function: Any, argument: Any) -> None:
        self._loop.call_soon_threadsafe(function, argument)

    def _gather(self) -> list[tuple[Prompt, Candidate | Failure]]:
        """Wait for an answer, and take all that are there."""
        items = [self._done.get()]
        while not self._done.empty():
            items.append(self._done.get_nowait())
        stopped = [item for item in items if isinstance(item, GeneratorError)]
        answers = [item for item in items if not isinstance(item, GeneratorError)]
        if stopped and not answers:
            raise stopped[0]
        for error in stopped:
            self._done.put(error)
        return answers

    def _drain(self) -> list[tuple[Prompt, Candidate | Failure]]:
        """Start nothing more; give what is in flight a moment, and return what has come."""
        self._call(self._halt, None)
        until = time.monotonic() + GRACE_SECONDS
        while self._tasks and time.monotonic() < until:
            time.sleep(0.02)
        items = []
        while not self._done.empty():
            items.append(self._done.get_nowait())
        return [item for item in items if not isinstance(item, GeneratorError)]

    def close(self) -> None:
        """Drop what is in flight and end the thread."""
        if self._thread.is_alive():
            self._call(self._halt, None)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=2)

    # -- the loop's thread --------------------------------------------------------------------------------------

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._loop.run_forever()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.gather(*(client.close() for client in self._clients.values())))
        self._loop.close()

    async def _open(self) -> None:
        import httpx2
        import openai

        self._omitted = dict.fromkeys(A_CALLS_TELEMETRY, openai.Omit())
        for endpoint in self._endpoints:
            most = endpoint.pace.most + 8
            limits = httpx2.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=30)
            # A transport of one's own would pass a proxy of the environment by.
            transport = None if getproxies() else _lanes(most)
            self._clients[endpoint.url] = openai.AsyncOpenAI(
                base_url=endpoint.url,
                api_key=self._key,
                max_retries=0,
                timeout=self._timeout,
                # Nothing about the user's machine goes out, and a call takes less of the CPU.
                default_headers={name: openai.Omit() for name in TELEMETRY},  # type: ignore[misc]
                http_client=openai.DefaultAsyncHttpxClient(limits=limits, timeout=self._timeout, transport=transport),
            )

    def _take(self, prompts: list[Prompt]) -> None:
        for prompt in prompts:
            sent, written = self._wire.bounds(prompt)
            self._ready.append(_Job(prompt, sent // 4 + written // 2))
        self._pump()

    def _committed(self, keys: list[str]) -> None:
        for key in keys:
            endpoint = self._slots.pop(key, None)
            if endpoint:
                endpoint.pace.end()
        self._pump()

    def _halt(self, _: None) -> None:
        self._stopping = True
        for job in self._ready:
            self._ledger.release(job.prompt.key)
        self._ready.clear()

    def _pump(self) -> None:
        """Start as many calls as may be started now; see to it that the next ones start in time."""
        if self._wake:
            self._wake.cancel()
            self._wake = None
        while self._ready and not self._stopping:
            if not self._proven and self._tasks:
                return  # one call goes ahead: whatever the server refuses, it refuses once
            now = self._loop.time()
            free = [(e.pace.wait(now), e.pace.busy, i) for i, e in enumerate(self._endpoints)]
            waits = sorted((wait, busy, i) for wait, busy, i in free if wait is not None)
            if not waits:
                return
            wait, _, index = waits[0]
            if wait > 0:
                self._wake = self._loop.call_later(wait, self._pump)
                return
            job = self._ready.popleft()
            job.endpoint = self._endpoints[index]
            job.endpoint.pace.start(now, job.tokens)
            task = self._loop.create_task(self._attempt(job, job.endpoint))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            # A defect of ours: tell it where the user sees it, not in a log.
            self._done.put(GeneratorError(f"{type(task.exception()).__name__}: {task.exception()}"))
        self._pump()

    async def _attempt(self, job: _Job, endpoint: Endpoint) -> None:
        """Send one request, once."""
        started = self._loop.time()
        job.tries += 1
        job.version = self._wire.version
        answer = await self._send(job.prompt, endpoint, started)
        now = self._loop.time()
        if isinstance(answer, Candidate):
            self._proven = True
            endpoint.pace.success()
            self._settle(job, answer, endpoint)
            self._deliver(job, endpoint, answer)
            return
        endpoint.pace.end()
        self._bill(job, answer)
        if answer.refusal.pause is None and answer.final:
            endpoint.pace.answered()
        else:
            endpoint.pace.failure(answer.refusal, started, now)
        self._after(job, endpoint, answer, now)

    async def _send(self, prompt: Prompt, endpoint: Endpoint, started: float) -> Candidate | _Problem:
        import httpx2
        import openai

        body = self._wire.body(prompt)
        # The bare response: its body is read by Wire alone, which costs a fraction of openai's own models.
        call = self._clients[endpoint.url].post(
            self._wire.path,
            cast_to=httpx2.Response,
            body=body,
            options={"headers": {"Idempotency-Key": prompt.key, **self._omitted}},
        )
        try:
            response = await asyncio.wait_for(call, self._timeout)
            endpoint.pace.read_headers(response.headers, self._mean_tokens())
            beside = max(1, sum(one.pace.in_flight for one in self._endpoints))
            return self._wire.read(prompt, json.loads(response.content), (self._loop.time() - started) / beside)
        except (asyncio.TimeoutError, openai.APITimeoutError):
            return _Problem("timed out", Refusal(overload=True), billed=True, timeout=True)
        except (json.JSONDecodeError, UnicodeDecodeError):
            kind = response.headers.get("content-type", "no content type")
            return _Problem(f"an answer that is not JSON ({kind})", billed=True)
        except BadAnswerError as error:
            return _Problem(str(error), billed=True)
        except openai.APIStatusError as error:
            filtered = self._wire.filtered(prompt, error.status_code, error.body)
            return filtered or self._status(error, body)
        except openai.APIConnectionError as error:
            cause = error.__cause__
            refused = type(cause).__name__ in ("ConnectError", "ConnectTimeout")
            said = f"connection failed: {scrub(str(cause or error), self._key)}"
            return _Problem(said, Refusal(unreachable=refused), billed=not refused)

    def _mean_tokens(self) -> float:
        paid = self._ledger.paid
        return paid.tokens / paid.calls if paid.calls else 0.0

    def _status(self, error: Any, body: dict[str, Any]) -> _Problem:
        """Read an error status: what it means for this prompt, for the pace, for the run."""
        status = error.status_code
        said = f"status {status}: {scrub(str(error.message), self._key)}"
        if status == 429 and "insufficient_quota" in f"{error.code} {error.message}":
            return _Problem(said, fatal=f"The account's credit is used up ({said}). Top it up and run again.")
        if status in (408, 409, 425, 429) or status >= 500:
            pause = _pause(error.response.headers) if status in (429, 503) else None
            if pause is not None and pause > LONGEST_PAUSE:
                return _Problem(said, fatal=f"The server asks to wait {pause:.0f} seconds ({said}). Run again then.")
            return _Problem(said, Refusal(overload=status in (429, 503), pause=pause), paused=pause is not None)
        if status in (401, 403):
            return _Problem(
                said, fatal=f"The server refuses the key ({said}). Expected a valid one in the environment variable."
            )
        if status in (404, 405):
            return _Problem(
                said,
                fatal=f"The server knows no such address or model ({said}). Check --base-url, which mostly ends in "
                "/v1, and the model's name.",
            )
        self._wire.adapt(status, error.body, body)
        return _Problem(said, final=True)

    def _settle(self, job: _Job, answer: Candidate, endpoint: Endpoint) -> None:
        if answer.prompt_tokens is None or answer.answer_tokens is None:
            self._ledger.settle_unknown(job.prompt.key)
            return
        self._ledger.settle(
            job.prompt.key,
            self._ledger.charge(1, answer.prompt_tokens, answer.cached_tokens or 0, answer.answer_tokens),
        )
        endpoint.pace.correct_tokens(answer.prompt_tokens + answer.answer_tokens - job.tokens)

    def _bill(self, job: _Job, problem: _Problem) -> None:
        key = job.prompt.key
        if problem.refusal.unreachable:
            self._ledger.release(key)
        elif problem.billed:
            self._ledger.settle_unknown(key)
        else:
            self._ledger.settle_free(key)

    def _after(self, job: _Job, endpoint: Endpoint, problem: _Problem, now: float) -> None:
        """Try again, give this prompt up, or give the server up."""
        self._last_error = problem.said
        if problem.fatal:
            self._give_up(problem.fatal)
        elif endpoint.pace.broken(now):
            self._drop(endpoint, problem)
        job.tries -= problem.paused
        job.timeouts += problem.timeout
        if self._stopping:
            return
        adapted = problem.final and self._wire.version > job.version
        if (problem.final and not adapted) or job.tries >= MOST_TRIES or job.timeouts >= MOST_TIMEOUTS:
            self._deliver(job, None, Failure(job.prompt.key, problem.said))
            return
        if not self._ledger.reserve(job.prompt.key, *self._wire.bounds(job.prompt)):
            self._deliver(job, None, Failure(job.prompt.key, self._ledger.refused, True))
            return
        if adapted:
            job.tries = 0
            self._ready.appendleft(job)
            self._reserve_again()
            return
        longest = 2.0 if not self._proven else 8.0
        # While the server answers others, this call was unlucky, and need not wait for the server to recover.
        row = min(job.tries, endpoint.pace.failures_in_row + 2)
        wait = 0.0 if problem.paused else backoff(row, self._rng, longest=longest)
        self._loop.call_later(wait, self._again, job)

    def _again(self, job: _Job) -> None:
        if self._stopping:
            self._ledger.release(job.prompt.key)
            return
        self._ready.appendleft(job)
        self._pump()

    def _reserve_again(self) -> None:
        """A request has grown (room for reasoning): those that wait need more set aside."""
        kept: deque[_Job] = deque()
        for job in self._ready:
            if self._ledger.reserve(job.prompt.key, *self._wire.bounds(job.prompt)):
                kept.append(job)
            else:
                self._ledger.release(job.prompt.key)
                self._deliver(job, None, Failure(job.prompt.key, self._ledger.refused, True))
        self._ready = kept

    def _deliver(self, job: _Job, endpoint: Endpoint | None, answer: Candidate | Failure) -> None:
        if endpoint:
            self._slots[job.prompt.key] = endpoint
        self._done.put((job.prompt, answer))

    def _drop(self, endpoint: Endpoint, problem: _Problem) -> None:
        """Stop asking an endpoint that only fails; with the last one the run ends."""
        if len(self._endpoints) > 1:
            self._endpoints = [other for other in self._endpoints if other.url != endpoint.url]
            return
        self._give_up(
            f"The server {endpoint.url} only fails: {endpoint.pace.failures_in_row} calls in a row got no answer "
            f"(the last one: {problem.said}). Every answer so far is kept. Check that it runs, and that --base-url is "
            "right (it mostly ends in /v1); then run the same command again."
        )

    def _give_up(self, message: str) -> None:
        if self._fatal:
            return
        self._fatal = message
        self._halt(None)
        # Calls in flight may still bring answers that were paid for.
        self._loop.create_task(self._last_words())

    async def _last_words(self) -> None:
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        if others:
            await asyncio.wait(others, timeout=10)
        self._done.put(GeneratorError(self._fatal))


def _pause(headers: Any) -> float | None:
    """Return the seconds that a server asks to wait, from ``retry-after-ms`` or ``Retry-After`` (seconds or a date)."""
    milliseconds = headers.get("retry-after-ms")
    if milliseconds and parse_duration(f"{milliseconds}ms") is not None:
        return parse_duration(f"{milliseconds}ms")
    text = headers.get("retry-after", "")
    seconds = parse_duration(text)
    if seconds is None and text:
        from email.utils import parsedate_to_datetime

        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except ValueError:
            return None
    return seconds
