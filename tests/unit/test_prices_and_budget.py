"""What a token costs, and what a run may pay."""

import random

import pytest

from synimpute_hf.budget import Budget, Ledger
from synimpute_hf.errors import GeneratorError, PlanError
from synimpute_hf.prices import FREE, Price, look_up_price
from synimpute_hf.records import Charge

OPENAI = "api.openai.com"


def test_a_known_model_has_a_price_with_its_date():
    price = look_up_price(OPENAI, "gpt-4o")
    assert price.input == pytest.approx(2.5e-6)
    assert price.of(1000, 400, 100) == pytest.approx((600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6)
    assert price.of(1000, 400, 100, batch=True) == pytest.approx(price.of(1000, 400, 100) / 2)
    assert price.source.startswith("price list of 20")
    assert look_up_price(OPENAI, "gpt-4o-2024-08-06") == price


@pytest.mark.parametrize(("host", "model"), [(OPENAI, "gpt-99"), ("localhost:8000", "gpt-4o"), ("", "gpt-4o")])
def test_an_unknown_price_is_unknown(host, model):
    assert look_up_price(host, model) is None


def test_the_users_file_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNIMPUTE_HOME", str(tmp_path))
    (tmp_path / "prices.yaml").write_text(
        "date: 2026-11-01\nhosts:\n  api.openai.com: {gpt-4o: {input: 3, output: 12}}\n"
        "  box:80: {'*': {input: 0, output: 0}}"
    )
    price = look_up_price(OPENAI, "gpt-4o")
    assert (price.input, price.cached, price.output) == pytest.approx((3e-6, 3e-6, 12e-6))
    assert price.source == "prices.yaml of 2026-11-01"
    assert look_up_price("box:80", "anything").of(10, 0, 10) == 0
    assert look_up_price(OPENAI, "gpt-4o-mini") is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts: [", "not right"),
        ("date: 2026-11-01\nhosts: {a: {b: {input: -1, output: 1}}}", "input"),
        ("hosts: {}", "date"),
    ],
)
def test_a_wrong_price_file_is_told(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(GeneratorError, match=message):
        look_up_price(OPENAI, "gpt-4o", str(tmp_path / "mine.yaml"))
    with pytest.raises(GeneratorError, match="can't be read"):
        look_up_price(OPENAI, "gpt-4o", str(tmp_path / "none.yaml"))


def test_a_budget_in_dollars_needs_a_price():
    with pytest.raises(PlanError, match="--prices FILE"):
        Ledger(Budget(usd=1.0))
    with pytest.raises(PlanError, match="max_calls=-1"):
        Budget(calls=-1)


@pytest.mark.parametrize("seed", range(20))
def test_no_ceiling_is_ever_passed_however_calls_end(seed):
    rng = random.Random(seed)
    price = Price(2e-6, 1e-6, 8e-6)
    budget = Budget(usd=rng.uniform(0, 0.02), calls=rng.randint(1, 40), tokens=rng.randint(100, 20_000))
    ledger = Ledger(budget, price, charged=Charge(calls=1, tokens=50, usd=0.0001))
    usd, calls, tokens, flight = 0.0001, 1, 50, {}
    for step in range(400):
        key = str(step)
        if rng.random() < 0.6 and ledger.reserve(key, 300, 200):
            flight[key] = None
        elif flight:
            key = rng.choice(list(flight))
            del flight[key]
            end = rng.choice(["answer", "unknown", "free", "release"])
            sent, written = rng.randint(0, 300), rng.randint(0, 200)
            if end == "answer":
                ledger.settle(key, ledger.charge(1, sent, 0, written))
            elif end == "unknown":
                ledger.settle_unknown(key)  # billed or not: the true cost is at most the bound
            elif end == "free":
                ledger.settle_free(key)
                sent = written = 0
            else:
                ledger.release(key)
                continue
            usd, calls, tokens = usd + price.of(sent, 0, written), calls + 1, tokens + sent + written
        assert usd <= budget.usd + 1e-12 or calls == 1
        assert calls + len(flight) <= max(budget.calls, 1)
        assert tokens <= max(budget.tokens, 50)
    assert ledger.in_flight == len(flight)


def test_news_are_told_once():
    ledger = Ledger(price=FREE)
    assert ledger.reserve("a", 10, 10)
    ledger.settle("a", ledger.charge(1, 5, 0, 3))
    assert ledger.take_news() == Charge(1, 8)
    assert not ledger.take_news()
    assert ledger.paid == Charge(1, 8)
