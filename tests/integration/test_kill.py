"""kill -9 at random moments: nothing that was in the journal is asked for again, and the result is the same."""

import random
import signal
import sqlite3
import subprocess
import sys
import time

import pandas as pd
from conftest import make_rows

KILLS = 20
TARGET = 330
DELAY = 0.05


def command(csv, output, spec):
    return [
        sys.executable,
        "-m",
        "synimpute_hf",
        "impute",
        str(csv),
        "--target",
        str(TARGET),
        "--generator",
        spec,
        "--validator",
        "none",
        "--max-attempts",
        "20",
        "--output",
        str(output),
    ]


def keys_in(journal):
    if not journal.exists():
        return set()
    with sqlite3.connect(journal) as db:
        if not db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'answers'").fetchone()[0]:
            return set()
        return {row[0] for row in db.execute("SELECT key FROM answers")}


def test_kill_9_at_20_random_moments(tmp_path, scripted):
    csv = tmp_path / "texts.csv"
    pd.DataFrame(make_rows(rare=30, common=TARGET)).to_csv(csv, index=False)
    # One answer in four is a copy and is drawn again, so that kills also fall into later attempts.
    answers = ("a SEED", "b SEED", "c SEED", "FIRST")
    whole = tmp_path / "whole"
    done = subprocess.run(command(csv, whole, scripted(*answers, by_seed=True)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = len(scripted.log())
    assert calls > TARGET - 30

    spec = scripted(*answers, by_seed=True, delay=DELAY)
    output = tmp_path / "killed"
    rng = random.Random(20)
    kills_at = []
    for life in range(KILLS + 1):
        before = keys_in(output / "journal.sqlite")
        seen = len(scripted.log())
        run = subprocess.Popen(command(csv, output, spec), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if life < KILLS:
            time.sleep(rng.uniform(0.3, 2.6))
            run.send_signal(signal.SIGKILL)
        run.communicate()
        assert run.returncode == (-signal.SIGKILL if life < KILLS else 0)
        asked = scripted.log()[seen:]
        assert not before & set(asked), "an answer that was in the journal was asked for again"
        assert before <= keys_in(output / "journal.sqlite"), "an answer was lost"
        kills_at.append(len(before))
    assert len(set(kills_at)) > 5, f"the kills did not hit the run: {kills_at}"
    # Asked twice: at most the one call that was under way at each kill.
    assert len(scripted.log()) - calls <= calls + KILLS
    (one,) = (whole / "data").iterdir()
    (other,) = (output / "data").iterdir()
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
