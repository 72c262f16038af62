"""``openai:`` against a server that fails in every way that servers do, over real HTTP."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from conftest import make_rows
from datasets import Dataset, load_dataset
from fault_server import Behaviour, FaultServer

from synimpute_hf import SyntheticImputer
from synimpute_hf.errors import GeneratorError, PlanError, ShortfallWarning
from synimpute_hf.journal import Journal

KEY = "sk-planted-7f3a9c51e2d84b60"
PRICES = "date: 2026-11-01\nbatch_factor: 0.5\nhosts: {%s: {m: {input: 1000, output: 3000}}}\n"


def imputer(server, tmp_path, needed=40, seed=0, journal="j.sqlite", **options):
    rows = make_rows(rare=30, common=30 + needed)
    arguments = {
        k: options.pop(k) for k in ("budget_usd", "max_calls", "max_tokens_total", "max_attempts") if k in options
    }
    urls = options.pop("base_url", None) or (server and server.url)
    return SyntheticImputer(
        text="text",
        validators=[],
        label="label",
        target=30 + needed,
        seed=seed,
        generator="openai:m",
        generator_options={"base_url": urls, **options},
        journal=tmp_path / journal,
        **arguments,
    ).fit(Dataset.from_dict(rows))


def test_all_texts_come_and_a_second_run_asks_for_none(tmp_path):
    with FaultServer(Behaviour(latency=0.05)) as server:
        outcome = imputer(server, tmp_path).generate()
        assert (len(outcome.rows), outcome.missing, outcome.asked) == (40, 0, 40)
        assert len({row.text for row in outcome.rows}) == 40
        again = imputer(server, tmp_path).generate()
        assert again.rows == outcome.rows
        assert (again.asked, again.from_journal, again.calls) == (0, 40, 40)
        assert len(server.calls) == 40
    assert outcome.prompt_tokens == sum(call.prompt_tokens for call in server.calls)
    assert outcome.cost_usd is None


def test_it_works_inside_a_running_loop(tmp_path):
    import asyncio

    async def main():
        return imputer(server, tmp_path).generate()

    with FaultServer() as server:
        assert asyncio.run(main()).missing == 0


@pytest.mark.parametrize("seed", range(4))
def test_mixed_faults_cost_no_text_and_no_needless_call(tmp_path, seed):
    kinds = dict.fromkeys(["429", "500", "drop", "malformed", "timeout"], 0.1)
    with FaultServer(Behaviour(latency=0.01, faults=kinds, seed=seed, hang=5)) as server:
        outcome = imputer(server, tmp_path, needed=60, seed=seed, timeout=1.5, concurrency=40).generate()
        calls, faults = server.calls_by_key(), server.faults_by_key()
    assert outcome.missing == outcome.failed == 0
    assert len({row.text for row in outcome.rows}) == 60
    answered = outcome.asked
    assert sum(calls.values()) == answered + sum(faults.values())
    assert all(count == 1 + faults.get(key, 0) for key, count in calls.items())


@pytest.mark.parametrize("fault", ["429-after", "503", "drop-mid", "empty", "html", "trickle"])
def test_each_fault_is_survived(tmp_path, fault):
    with FaultServer(Behaviour(latency=0.01, faults={fault: 0.3}, hang=2, retry_after=0.2)) as server:
        outcome = imputer(server, tmp_path, timeout=0.5).generate()
    assert outcome.missing == 0


def test_a_dead_server_is_given_up_soon(tmp_path):
    with FaultServer() as server:
        url = server.url
    started = time.monotonic()
    with pytest.raises(GeneratorError, match="only fails.*--base-url"):
        imputer(server, tmp_path, base_url=url).generate()
    assert time.monotonic() - started < 15


def test_a_server_that_dies_later_keeps_what_came(tmp_path):
    with FaultServer(Behaviour(latency=0.05)) as server:
        impute = imputer(server, tmp_path, needed=200, concurrency=10)

        class Killer:
            count = 0

            def begin(self, needed):
                pass

            def answered(self, new, known, usd):
                self.count += new
                if self.count >= 30:
                    server.behaviour.status = 401

            def judged(self, accepted, rejected):
                pass

            def end(self):
                pass

        with pytest.raises(GeneratorError, match="refuses the key"):
            impute.generate(Killer())
    assert 30 <= len(impute.outcome.rows) <= 60
    assert "refuses the key" in impute.outcome.stopped
    with Journal(tmp_path / "j.sqlite") as journal:
        assert journal.count() >= 30


@pytest.mark.parametrize(
    ("status", "message"), [(401, "refuses the key"), (404, "no such address or model"), (403, "refuses the key")]
)
def test_what_cannot_work_is_told_after_one_call(tmp_path, status, message):
    with FaultServer(Behaviour(status=status)) as server, pytest.raises(GeneratorError, match=message):
        imputer(server, tmp_path).generate()
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("url", "message"), [("https://me:pw@host/v1", "user name, a password"), ("host/v1", "is no address")]
)
def test_wrong_addresses_are_told(tmp_path, url, message):
    with pytest.raises(GeneratorError, match=message):
        imputer(None, tmp_path, base_url=url).generate()


def test_without_a_key_openai_is_not_asked(tmp_path):
    with pytest.raises(GeneratorError, match="OPENAI_API_KEY is not set"):
        imputer(None, tmp_path, base_url=None).generate()


def test_a_key_in_the_environment_chooses_openai_and_says_so(monkeypatch, rows):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    plan = SyntheticImputer(target=20).fit(Dataset.from_dict(rows)).plan
    assert plan.generator == "openai:gpt-4o"
    assert "OPENAI_API_KEY is set" in plan.generator_reason
    assert plan.estimate.cost_usd > 0
    assert "price list of" in str(plan)


def test_refused_parameters_are_handled_once_and_remembered(tmp_path):
    refuse = {
        "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead.",
        "temperature": "Unsupported value: 'temperature' does not support 0.7 with this model.",
    }
    with FaultServer(Behaviour(latency=0.02, refuse=refuse), keep_bodies=True) as server:
        outcome = imputer(server, tmp_path).generate()
        assert outcome.missing == 0
        assert len(server.calls) == 42
        assert sorted(note.split("'")[1] for note in outcome.notes) == ["max_tokens", "temperature"]
        body = server.calls[-1].body
        assert "temperature" not in body
        assert body["max_completion_tokens"] > 4096
        more = imputer(server, tmp_path, needed=50).generate()
        assert more.missing == 0
        assert more.notes == outcome.notes
        assert all(call.status == 200 for call in server.calls[42:])


def test_structured_output_and_its_fallback(tmp_path):
    def answer(body):
        text = f"Text of {body['seed']}."
        return json.dumps({"text": text}) if "response_format" in body else f'Here is a new text: "{text}"'

    with FaultServer(Behaviour(answers=answer), keep_bodies=True) as server:
        rows = imputer(server, tmp_path, structured=True).generate().rows
        assert all(row.text.startswith("Text of ") for row in rows)
        server.behaviour.refuse = {"response_format": "response_format of type json_schema is not supported"}
        fallback = imputer(server, tmp_path, journal="k.sqlite", structured=True).generate()
    assert fallback.rows[0].text == rows[0].text
    assert "response_format" in fallback.notes[0]


def test_bad_answers_are_drawn_again_with_their_reasons(tmp_path):
    def answer(body):
        turn = body["seed"] % 5
        good = f"A text about number {body['seed']}."
        return [good, f"Sure! Here is a new text:\n\n{good}", "I'm sorry, but I can't assist with that.", "", good][
            turn
        ]

    with FaultServer(Behaviour(answers=answer)) as server:
        outcome = imputer(server, tmp_path, max_attempts=20).generate()
    assert outcome.missing == 0
    assert set(outcome.classes[0].rejected) == {"refusal", "empty"}
    assert all(row.text.startswith("A text about") for row in outcome.rows)
    with Journal(tmp_path / "j.sqlite") as journal:
        raw = [c.text for c in journal.get([row.journal_key for row in outcome.rows]).values()]
    assert any(text.startswith("Sure!") for text in raw)


def test_two_servers_share_the_work_by_speed(tmp_path):
    with FaultServer(Behaviour(latency=0.05)) as fast, FaultServer(Behaviour(latency=0.2)) as slow:
        outcome = imputer(fast, tmp_path, needed=200, base_url=[fast.url, slow.url], concurrency=5).generate()
    assert outcome.missing == 0
    assert 2 < len(fast.calls) / len(slow.calls) < 6


def test_one_of_two_servers_may_die(tmp_path):
    with FaultServer() as server:
        dead = server.url
    with FaultServer(Behaviour(latency=0.01)) as server:
        outcome = imputer(server, tmp_path, base_url=[dead, server.url]).generate()
    assert outcome.missing == 0


def priced(server, tmp_path):
    (tmp_path / "prices.yaml").write_text(PRICES % repr(server.url.split("/")[2]))
    return str(tmp_path / "prices.yaml")


@pytest.mark.parametrize("seed", range(8))
def test_the_budget_is_never_overshot(tmp_path, seed):
    rng = random.Random(seed)
    budget = rng.uniform(0.5, 20)
    faults = {"timeout": 0.05, "drop-mid": 0.05, "500": 0.1, "malformed": 0.05}
    behaviour = Behaviour(latency=0.01, jitter=0.5, faults=faults, seed=seed, usage="random", hang=3)
    with FaultServer(behaviour) as server:
        settings = {"prices": priced(server, tmp_path), "timeout": 0.3, "concurrency": rng.choice([1, 8, 40])}
        first = imputer(server, tmp_path, needed=100, seed=seed, budget_usd=budget, **settings).generate()
        imputer(server, tmp_path, needed=100, seed=seed, budget_usd=budget, **settings).generate()
        _, sent, written = server.billed()
    assert sent * 1e-3 + written * 3e-3 <= budget
    assert first.stopped.startswith("--budget-usd")
    assert first.missing


def test_ceilings_on_calls_and_tokens(tmp_path):
    with FaultServer(Behaviour(faults={"500": 0.2})) as server:
        outcome = imputer(server, tmp_path, max_calls=25).generate()
        assert outcome.stopped.startswith("--max-calls")
        assert len(server.calls) == outcome.calls == 25
        assert 10 < len(outcome.rows) <= 25
    with FaultServer() as server:
        outcome = imputer(server, tmp_path, journal="k.sqlite", max_tokens_total=4000).generate()
        _, sent, written = server.billed()
        assert 2000 < sent + written <= 4000


def test_map_with_a_budget_warns_and_gives_what_there_is(tmp_path):
    with FaultServer() as server:
        impute = imputer(server, tmp_path, max_calls=10)
        with pytest.warns(ShortfallWarning, match="--max-calls 10"):
            augmented = impute(Dataset.from_dict(make_rows(rare=30, common=70)))
    assert sum(augmented["is_synthetic"]) == 10


def test_a_budget_without_a_price_is_told(tmp_path):
    with FaultServer() as server, pytest.raises(PlanError, match="--prices FILE"):
        imputer(server, tmp_path, budget_usd=1).generate()


def test_cost_is_counted_once_over_restarts(tmp_path):
    with FaultServer() as server:
        prices = priced(server, tmp_path)
        first = imputer(server, tmp_path, max_calls=15, prices=prices).generate()
        whole = imputer(server, tmp_path, prices=prices).generate()
        _, sent, written = server.billed()
    assert whole.cost_usd == pytest.approx(sent * 1e-3 + written * 3e-3)
    assert first.cost_usd < whole.cost_usd
    assert (whole.prompt_tokens, whole.answer_tokens) == (sent, written)


SCRIPT = """
import sys
sys.path[:0] = sys.argv[4:]
from pathlib import Path
from types import SimpleNamespace
from test_openai import imputer
server = SimpleNamespace(url=sys.argv[1])
outcome = imputer(server, Path(sys.argv[2]), needed=int(sys.argv[3]), concurrency=50).generate()
print(len(outcome.rows), outcome.missing)
"""


def start(server, tmp_path, needed):
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", SCRIPT, server.url, str(tmp_path), str(needed), here, os.path.dirname(here)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("after", [60, 170])
def test_kill_minus_9_repeats_at_most_what_was_in_flight(tmp_path, after):
    with FaultServer(Behaviour(latency=0.1, jitter=0.5)) as server:
        process = start(server, tmp_path, 300)
        while len(server.calls) < after:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        out, err = start(server, tmp_path, 300).communicate(timeout=60)
        assert out.split() == ["300", "0"], err
        repeated = sum(server.calls_by_key().values()) - 300
    assert 0 <= repeated <= 50


def test_ctrl_c_ends_soon_with_what_was_answered(tmp_path):
    with FaultServer(Behaviour(latency=0.2)) as server:
        process = start(server, tmp_path, 2000)
        while len(server.calls) < 200:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)
        assert time.monotonic() - started < 2
        with Journal(tmp_path / "j.sqlite") as journal:
            assert journal.count() >= len(server.calls) - 55


def test_the_key_is_written_nowhere(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = Dataset.from_dict(make_rows(rare=30, common=50))
    rows.to_csv(tmp_path / "rows.csv")
    said = []
    with FaultServer(Behaviour(api_key=KEY, faults={"500": 0.2, "drop": 0.1})) as server:
        impute = imputer(server, tmp_path, needed=10)
        impute.generate()
        said += [repr(impute), str(impute.plan), json.dumps(impute.settings()), repr(impute.generator_identity())]
        said += [repr(impute._generator()), repr(vars(impute)), repr(pickle.dumps(impute))]
        command = [
            sys.executable,
            "-m",
            "synimpute_hf",
            "impute",
            str(tmp_path / "rows.csv"),
            "--generator",
            "openai:m",
        ]
        command += ["--target", "40", "--base-url", server.url, "--output", str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        said += [done.stdout, done.stderr]
        server.behaviour.api_key = "another"  # and the server's error message holds the key that was sent
        with pytest.raises(GeneratorError) as error:
            imputer(server, tmp_path, journal="k.sqlite").generate()
        cause = error.value
        while cause:
            said += [str(cause), repr(cause)]
            cause = cause.__cause__ or cause.__context__
        failed = subprocess.run([*command[:-1], str(tmp_path / "out2")], capture_output=True, text=True, check=False)
        assert failed.returncode == 2
        said += [failed.stdout, failed.stderr]
        assert load_dataset(str(tmp_path / "out"), split="train").num_rows == 90
    assert all(KEY not in text for text in said)
    assert all(KEY not in text for text in capfd.readouterr())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert Counter(path.suffix for path in files)[".sqlite"] >= 2
    assert all(KEY.encode() not in path.read_bytes() for path in files)


def test_a_key_in_a_spec_is_refused_and_not_repeated():
    with pytest.raises(GeneratorError, match="no option 'api_key'") as error:
        SyntheticImputer(generator=f"openai:m,api_key={KEY}", target=20).fit(Dataset.from_dict(make_rows()))
    assert KEY not in str(error.value)
