"""The Batch API over real HTTP: killed at every step, nothing is uploaded, created or paid twice."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_rows
from datasets import Dataset
from fault_server import Behaviour, FaultServer
from test_openai import PRICES, imputer

from synimpute_hf.batch_client import outstanding
from synimpute_hf.errors import GeneratorError
from synimpute_hf.journal import Journal


def run(server, tmp_path, **options):
    return imputer(server, tmp_path, batch=True, poll_seconds=0.1, **options).generate()


def test_one_batch_answers_all(tmp_path):
    with FaultServer(Behaviour(batch_seconds=0.3)) as server:
        outcome = run(server, tmp_path)
        assert (outcome.missing, outcome.asked, server.uploads, server.batches_created) == (0, 40, 1, 1)
        assert run(server, tmp_path).asked == 0
        assert (server.uploads, len(server.calls)) == (1, 40)


def test_failures_are_drawn_again_in_a_follow_up_batch(tmp_path):
    with FaultServer(Behaviour(batch_fail=0.3)) as server:
        outcome = run(server, tmp_path)
        assert outcome.missing == 0
        assert 2 <= server.uploads == server.batches_created <= 6
        assert max(server.answered_by_key().values()) == 1


def test_refused_parameters_are_left_out_of_the_next_batch(tmp_path):
    refuse = {"temperature": "Unsupported value: 'temperature' does not support 0.7 with this model."}
    with FaultServer(Behaviour(refuse=refuse)) as server:
        outcome = run(server, tmp_path)
        assert (outcome.missing, outcome.failed, server.uploads) == (0, 0, 2)
    assert "temperature" in outcome.notes[0]


def test_it_costs_half(tmp_path):
    with FaultServer() as server:
        (tmp_path / "prices.yaml").write_text(PRICES % repr(server.url.split("/")[2]))
        prices = str(tmp_path / "prices.yaml")
        outcome = run(server, tmp_path, prices=prices)
        _, sent, written = server.billed()
        assert outcome.cost_usd == pytest.approx((sent * 1e-3 + written * 3e-3) / 2)
        plan = imputer(server, tmp_path, prices=prices, batch=True).plan
        full = imputer(server, tmp_path, prices=prices).plan
    assert plan.estimate.cost_usd == pytest.approx(full.estimate.cost_usd / 2)
    assert "half" in str(plan)


def test_a_budget_holds_for_batches(tmp_path):
    with FaultServer(Behaviour(usage="random")) as server:
        (tmp_path / "prices.yaml").write_text(PRICES % repr(server.url.split("/")[2]))
        outcome = run(server, tmp_path, prices=str(tmp_path / "prices.yaml"), budget_usd=3.0)
        _, sent, written = server.billed()
    assert 0 < (sent * 1e-3 + written * 3e-3) / 2 <= 3.0
    assert outcome.stopped.startswith("--budget-usd")


SCRIPT = """
import os, sys
sys.path[:0] = sys.argv[4:]
from pathlib import Path
from types import SimpleNamespace
import openai
from openai.resources import Batches, Files
from test_openai import imputer

def dying(method, before):
    def call(*args, **kwargs):
        answer = None if before else method(*args, **kwargs)
        os.kill(os.getpid(), 9)
        return answer
    return call

step = sys.argv[3]
if step == "before upload": Files.create = dying(Files.create, True)
if step == "after upload": Files.create = dying(Files.create, False)
if step == "after creation": Batches.create = dying(Batches.create, False)
if step == "polling": Batches.retrieve = dying(Batches.retrieve, True)
if step == "fetching": Files.content = dying(Files.content, False)
server = SimpleNamespace(url=sys.argv[1])
outcome = imputer(server, Path(sys.argv[2]), needed=40, batch=True, poll_seconds=0.1).generate()
print(len(outcome.rows), outcome.missing)
"""


@pytest.mark.parametrize("step", ["before upload", "after upload", "after creation", "polling", "fetching"])
def test_killed_at_any_step_nothing_is_uploaded_or_created_twice(tmp_path, step):
    here = Path(__file__).parent
    with FaultServer(Behaviour(batch_seconds=0.3)) as server:

        def start(step):
            command = [sys.executable, "-c", SCRIPT, server.url, str(tmp_path), step, str(here), str(here.parent)]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

        killed = start(step)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        done = start("none")
        assert done.stdout.split() == ["40", "0"], done.stderr
        assert (server.uploads, server.batches_created, len(server.calls)) == (1, 1, 40)


def test_answers_that_a_run_does_not_want_stay_to_be_fetched(tmp_path):
    with FaultServer(Behaviour(batch_seconds=60)) as server:

        def stop(*_):
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("synimpute_hf.batch_client.sleep", stop)
            with pytest.raises(KeyboardInterrupt):
                run(server, tmp_path)
        server.behaviour.batch_seconds = 0
        server.batches["batch-0"]["done_at"] = 0
        assert run(server, tmp_path, max_calls=10).from_journal == 0
        with Journal(tmp_path / "j.sqlite") as journal:
            (batch,) = outstanding({name: value for _, name, value in journal.remembered("batch:")})
        assert len(batch.keys) == 30
        assert run(server, tmp_path).missing == 0
        assert (server.uploads, len(server.calls)) == (1, 40)


def test_the_command_lists_and_cancels(tmp_path):
    rows = Dataset.from_dict(make_rows(rare=30, common=50))
    rows.to_csv(tmp_path / "rows.csv")
    out = str(tmp_path / "out")
    with FaultServer(Behaviour(batch_seconds=60)) as server:
        base = [sys.executable, "-m", "synimpute_hf"]
        command = [
            *base,
            "impute",
            str(tmp_path / "rows.csv"),
            "--validator",
            "none",
            "--generator",
            "openai:m,poll_seconds=0.1",
            "--batch",
        ]
        command += ["--target", "40", "--base-url", server.url, "--output", out]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while "in progress" not in process.stderr.readline():
            assert process.poll() is None
        process.kill()
        process.communicate()

        def batches(*options):
            done = subprocess.run([*base, "batches", out, *options], capture_output=True, text=True, check=True)
            return done.stdout

        assert "batch-0  10 requests  in_progress" in batches()
        assert "cancelled" in batches("--cancel")
        server.behaviour.batch_seconds = 0
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        # The five that were answered before the end were fetched; the other five came in a second batch.
        assert (server.uploads, max(server.answered_by_key().values()), len(server.calls)) == (2, 1, 10)
        assert batches() == "No batch is under way.\n"


def test_a_server_without_batches_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("fault_server.Batches.request", lambda *_: (404, {"error": {"message": "No such path."}}))
    with FaultServer() as server, pytest.raises(GeneratorError, match="leave --batch out"):
        run(server, tmp_path)


def test_long_batches_are_split(tmp_path, monkeypatch):
    monkeypatch.setattr("synimpute_hf.batch_client.MOST_BYTES", 20_000)
    with FaultServer() as server:
        assert run(server, tmp_path).missing == 0
        assert server.uploads > 1
        sizes = [len(file["content"]) for file in server.files.values() if file["filename"].startswith("synimpute-")]
        assert max(sizes) <= 20_000
