"""The journal: what was paid is on disk, whatever happens next."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_rows
from datasets import Dataset

from synimpute_hf import Journal, SyntheticImputer
from synimpute_hf.errors import JournalError
from synimpute_hf.records import Candidate, Failure

IDENTITY = {"name": "test", "form": "chat", "context_tokens": None, "parameters": {}}


def impute_into(path, generator="echo", **kwargs):
    impute = SyntheticImputer(validators=[], target=20, generator=generator, journal=path, **kwargs)
    return impute.fit(Dataset.from_dict(make_rows()))


@pytest.fixture
def answered(tmp_path):
    """Prompts with answers of all kinds."""
    impute = impute_into(tmp_path / "other.sqlite")
    shown = [prompt for prompt, _, _ in impute.preview(4)]
    texts = ["plain", "nul \x00 inside", "lone \ud800 surrogate", "«ünï» 東京\r\n"]
    return [(prompt, Candidate(prompt.key, text)) for prompt, text in zip(shown, texts, strict=True)]


def test_answers_come_back_word_for_word(tmp_path, answered):
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.add(IDENTITY, answered)
        journal.log_failures([Failure("k", "no answer")])
    with Journal(tmp_path / "j.sqlite") as journal:
        found = journal.get([prompt.key for prompt, _ in answered] + ["k", "unknown"])
        assert found == {prompt.key: candidate for prompt, candidate in answered}
        assert journal.count() == 4
        assert journal.generators() == [IDENTITY]


def test_a_first_answer_is_never_overwritten(tmp_path, answered):
    prompt, candidate = answered[0]
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.add(IDENTITY, [(prompt, candidate)])
        journal.add(IDENTITY, [(prompt, Candidate(prompt.key, "another"))])
        assert journal.get([prompt.key])[prompt.key] == candidate


def test_a_batch_is_all_there_or_not_at_all(tmp_path, answered):
    with Journal(tmp_path / "j.sqlite") as journal:
        broken = [*answered[:2], (answered[2][0], Candidate(answered[2][0].key, "x", finish_reason=None))]
        with pytest.raises(JournalError, match="NOT NULL"):
            journal.add(IDENTITY, broken)
        assert journal.count() == 0
        journal.add(IDENTITY, answered)
        assert journal.count() == 4


def test_a_newer_journal_is_refused(tmp_path):
    path = tmp_path / "j.sqlite"
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match=r"newer synimpute_hf \(format 99.*pip install -U"):
        Journal(path)


def test_what_is_no_journal_is_refused(tmp_path):
    with pytest.raises(JournalError, match="There is no journal"):
        Journal(tmp_path / "none.sqlite", create=False)
    text = tmp_path / "text.sqlite"
    text.write_text("This is a letter, and much longer than the header of a database. " * 20)
    with pytest.raises(JournalError, match="no journal, or a damaged one"):
        Journal(text)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE recipes (name)")
    with pytest.raises(JournalError, match="another program's"):
        Journal(other)
    with pytest.raises(JournalError, match="no journal of synimpute_hf"):
        Journal(other, create=False)


def test_a_place_that_cannot_be_written(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(JournalError, match=r"could not be opened.*--journal|--journal"):
        Journal(blocker / "j.sqlite")
    with pytest.raises(JournalError, match="journal"):
        Journal("/proc/self/j.sqlite")


def test_a_full_disk_keeps_what_was_written_and_the_run_goes_on_later(tmp_path, scripted):
    path = tmp_path / "j.sqlite"
    spec = scripted("a text of some length " * 200 + "SEED")
    # The kernel refuses to let any file grow beyond 80 kB, as on a full disk.
    code = (
        "import resource, signal\nfrom pathlib import Path\n"
        "import sys; sys.path.insert(0, 'tests/unit'); sys.path.insert(0, 'tests')\n"
        "from test_journal import impute_into\n"
        f"impute = impute_into({str(path)!r}, {spec!r})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))\nimpute.generate()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "JournalError" in run.stderr
    assert "The disk is full or failing: make room and run the same command again." in run.stderr
    with Journal(path) as journal:
        kept = journal.count()
    assert 0 < kept < 8
    asked = len(scripted.log())
    outcome = impute_into(path, spec).generate()
    assert len(outcome.rows) == 8
    assert outcome.from_journal == kept
    assert len(scripted.log()) == asked + 8 - kept


def test_several_processes_may_share_a_journal(tmp_path):
    path = tmp_path / "j.sqlite"
    code = (
        "import sys; sys.path.insert(0, 'tests/unit'); sys.path.insert(0, 'tests')\n"
        "from test_journal import impute_into\n"
        f"print(len(impute_into({str(path)!r}, 'echo:delay=0.01', seed=int(sys.argv[1])).generate().rows))\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(seed % 2)], stdout=subprocess.PIPE) for seed in range(4)]
    assert [run.communicate()[0].strip() for run in runs] == [b"8"] * 4
    with Journal(path) as journal:
        assert journal.count() == 16
    assert not list(tmp_path.glob(".*.lock"))


def test_a_secret_is_never_written(tmp_path, scripted):
    secret = "sk-planted-0123456789"
    impute = impute_into(tmp_path / "j.sqlite", scripted("SEED"), generator_options={"api_key": secret})
    impute.generate()
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            assert secret.encode() not in (Path(folder) / name).read_bytes()
    assert secret not in str(impute.plan) + str(impute.plan.to_dict()) + str(impute.generator_identity())


def test_the_default_journal_lends_its_answers(tmp_path, scripted):
    spec = scripted("SEED")
    assert len(impute_into(None, spec).preview(3)) == 3
    outcome = impute_into(tmp_path / "own.sqlite", spec).generate()
    assert (outcome.asked, outcome.from_journal) == (5, 3)
    with Journal(tmp_path / "own.sqlite") as journal:
        assert journal.count() == 8
