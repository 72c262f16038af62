"""The pace of one endpoint, against simulated providers on a clock of their own."""

import heapq
import random

import pytest

from synimpute_hf.pacing import Pace, Refusal, backoff, parse_duration


class Bucket:
    """A provider's token bucket, with Retry-After as providers give it."""

    def __init__(self, per_minute, size, style):
        self.rate, self.size, self.style = per_minute / 60, size, style
        self.left, self.at = float(size), 0.0

    def ask(self, now):
        self.left = min(self.size, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return None
        wait = (1 - self.left) / self.rate
        return float(-(-wait // 1)) if self.style == "seconds" else wait


def simulate(bucket, calls, latency=0.2, concurrency=50, **ceilings):
    """Send calls through a Pace; returns seconds, refusals, most in flight."""
    pace, rng = Pace(concurrency, **ceilings), random.Random(1)
    now, left, refused, most, events = 0.0, calls, 0, 0, []
    while left or events:
        wait = pace.wait(now) if left else None
        if wait == 0:
            left -= 1
            pace.start(now, 100)
            most = max(most, pace.in_flight)
            pause = bucket.ask(now + latency / 2)
            took = latency * rng.uniform(0.9, 1.1) if pause is None else latency
            heapq.heappush(events, (now + took, now, pause))
            continue
        if wait is not None and (not events or now + wait < events[0][0]):
            now += wait + 1e-9
            continue
        now, started, pause = heapq.heappop(events)
        pace.end()
        if pause is None:
            pace.success()
        else:
            refused += 1
            left += 1
            pace.failure(Refusal(overload=True, pause=pause), started, now)
    return now, refused, most


@pytest.mark.parametrize("style", ["exact", "seconds"])
@pytest.mark.parametrize(("size", "calls"), [(300, 900), (60, 600), (20, 600)])
def test_a_hard_limit_is_learned_and_kept(style, size, calls):
    seconds, refused, _ = simulate(Bucket(300, size, style), calls)
    least = (calls - size) / 5
    assert seconds < 1.1 * least + 1
    assert refused < 0.05 * calls + 50  # those in flight when the bucket first runs dry, and few more


def test_the_users_ceiling_is_never_passed():
    seconds, refused, _ = simulate(Bucket(300, 2, "exact"), 200, requests_per_minute=290)
    assert refused == 0
    assert seconds == pytest.approx(200 / (290 / 60), rel=0.02)


def test_tokens_a_minute_are_kept():
    seconds, _, _ = simulate(Bucket(10**6, 10**6, "exact"), 300, tokens_per_minute=60_000)
    assert seconds == pytest.approx(30, rel=0.02)  # 300 calls of 100 tokens at 1,000 tokens a second


def test_without_limits_all_slots_are_used():
    seconds, _, most = simulate(Bucket(10**6, 10**6, "exact"), 2000)
    assert most == 50
    assert seconds < 1.1 * 2000 / 250


def test_overload_halves_the_calls_in_flight_once_for_all_that_were_under_way():
    pace = Pace(64)
    for _ in range(40):
        pace.start(0.0, 1)
        pace.success()
        pace.end()
    assert pace.limit == 64
    for _ in range(10):
        pace.start(1.0, 1)
    for _ in range(10):
        pace.failure(Refusal(overload=True), started=1.0, now=2.0)
        pace.end()
    assert pace.limit == 32
    pace.start(3.0, 1)
    pace.failure(Refusal(overload=True), started=3.0, now=3.1)
    assert pace.limit == 16


def test_headers_near_the_end_of_an_allowance_set_the_rate():
    pace = Pace(50)
    headers = {
        "x-ratelimit-limit-requests": "300",
        "x-ratelimit-remaining-requests": "200",
        "x-ratelimit-reset-requests": "20s",
    }
    pace.read_headers(headers, 100)
    assert pace.rate is None
    pace.read_headers({**headers, "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}, 100)
    assert pace.rate == pytest.approx(5.0)
    assert Pace(50, requests_per_minute=60).rate == 1.0


@pytest.mark.parametrize(
    ("succeeded", "failures", "unreachable", "seconds", "broken"),
    [
        (0, 4, True, 1, False),
        (0, 5, True, 1, True),
        (0, 11, False, 1, False),
        (0, 12, False, 1, True),
        (1, 19, False, 60, False),
        (1, 20, False, 60, True),
        (1, 50, False, 5, False),
    ],
)
def test_the_circuit_breaks_when_an_endpoint_only_fails(succeeded, failures, unreachable, seconds, broken):
    pace = Pace(8)
    for _ in range(succeeded):
        pace.start(0.0, 1)
        pace.success()
        pace.end()
    for _ in range(failures):
        pace.start(0.0, 1)
        pace.failure(Refusal(unreachable=unreachable), started=0.0, now=seconds)
        pace.end()
    assert pace.broken(seconds) is broken


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("850ms", 0.85), ("6m0s", 360.0), ("1h2m3s", 3723.0), ("soon", None)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


def test_backoff_grows_with_jitter_and_has_an_end():
    rng = random.Random(0)
    waits = [[backoff(tries, rng) for _ in range(200)] for tries in (1, 4, 12)]
    assert max(waits[0]) <= 0.5 < max(waits[1]) <= 4.0 < max(waits[2]) <= 30.0
    assert all(len(set(few)) > 100 for few in waits)
