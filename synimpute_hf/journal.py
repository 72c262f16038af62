"""The on-disk record of every answer: written before anything judges it, never asked for again.

SQLite in WAL mode. Several processes may share one journal; a kill -9 loses no committed answer.
No secret is ever written: a generator's identity and a request hold none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from .errors import JournalError
from .records import Candidate, Failure, Prompt, Verdict
from .seeding import canonical_json, digest

__all__ = ["SCHEMA_VERSION", "Journal"]

SCHEMA_VERSION = 1
BUSY_SECONDS = 60.0
KEYS_A_QUERY = 500

# Answers are appended in row order and found by a small index: keys are random, and rows sorted by them would
# touch a new page with every write.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS generators (digest TEXT PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, generator TEXT NOT NULL, class TEXT NOT NULL, number INTEGER NOT NULL,
    attempt INTEGER NOT NULL, request TEXT NOT NULL, source_ids TEXT NOT NULL, answer TEXT NOT NULL,
    finish_reason TEXT NOT NULL, prompt_tokens INTEGER, answer_tokens INTEGER, seconds REAL NOT NULL,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')));
CREATE TABLE IF NOT EXISTS failures (
    key TEXT NOT NULL, error TEXT NOT NULL, at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')));
CREATE TABLE IF NOT EXISTS verdicts (
    run TEXT NOT NULL, key TEXT NOT NULL, accepted INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (run, key)) WITHOUT ROWID;
"""


class Journal:
    """An open journal.

    Args:
        path: the SQLite file; made, with its folder, when it is not there.
        create: whether a missing file may be made; otherwise it is an error.

    Raises:
        JournalError: the file cannot be opened, is no journal, or was written by a newer version.
    """

    def __init__(self, path: str | Path, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise JournalError(
                f"There is no journal {self.path}. Expected the file that an earlier run wrote "
                "(journal.sqlite beside its output, or where --journal said)."
            )
        with self._told("opened"):
            if create:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            # In WAL mode NORMAL survives any crash of the process, and costs one fsync a checkpoint.
            self._db.execute("PRAGMA synchronous = NORMAL")
        if version > SCHEMA_VERSION:
            self._db.close()
            raise JournalError(
                f"The journal {self.path} was written by a newer synimpute_hf (format {version}; this "
                f"one reads up to {SCHEMA_VERSION}). Upgrade with: pip install -U synimpute-hf"
            )
        if create and version < SCHEMA_VERSION:
            # Turning on WAL heeds no busy timeout: only one process may do it.
            lock = self.path.with_name(f".{self.path.name}.lock")
            with self._told("prepared"):
                with FileLock(lock):
                    self._prepare()
                lock.unlink(missing_ok=True)
        elif version == 0:
            self._db.close()
            raise JournalError(f"{self.path} is an SQLite file, but no journal of synimpute_hf.")

    def _prepare(self) -> None:
        if self._db.execute("PRAGMA user_version").fetchone()[0]:
            return  # another process was faster
        tables = self._db.execute("SELECT count(*) FROM sqlite_master WHERE name != 'answers'").fetchone()[0]
        if tables and not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'answers'").fetchone():
            raise JournalError(f"{self.path} is another program's SQLite file. Choose another path for the journal.")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._db.execute("COMMIT")

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Turn SQLite's errors into one that says what to do."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            text = str(error)
            advice = "Choose another path with journal=… (--journal)."
            if "full" in text or "disk I/O" in text:
                advice = "The disk is full or failing: make room and run the same command again."
            elif "readonly" in text or "Permission" in text or "unable to open" in text or "Read-only" in text:
                advice = "The place can't be written: choose another with journal=… (--journal)."
            elif "not a database" in text or "malformed" in text:
                advice = "It is no journal, or a damaged one. " + advice
            elif "locked" in text:
                advice = "Another process holds it; run the same command again when that has ended."
            raise JournalError(
                f"The journal {self.path} could not be {doing}: {text}. {advice} Every answer written before is safe."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def get(self, keys: Sequence[str]) -> dict[str, Candidate]:
        """Return the answers that are there, by key."""
        found = {}
        with self._told("read"):
            for start in range(0, len(keys), KEYS_A_QUERY):
                part = keys[start : start + KEYS_A_QUERY]
                marks = ",".join("?" * len(part))
                query = (
                    "SELECT key, answer, finish_reason, prompt_tokens, answer_tokens, seconds "
                    f"FROM answers WHERE key IN ({marks})"
                )
                for row in self._db.execute(query, part):
                    found[row[0]] = Candidate(row[0], json.loads(row[1]), *row[2:])
        return found

    def add(self, generator: Mapping[str, Any], answers: Iterable[tuple[Prompt, Candidate]]) -> None:
        """Commit answers, in one transaction. An answer that is already there stays as it is."""
        code = digest(generator)
        rows = [
            (
                prompt.key,
                code,
                prompt.draw.name,
                prompt.draw.number,
                prompt.draw.attempt,
                canonical_json(prompt.request()),
                canonical_json(prompt.draw.source_ids),
                canonical_json(answer.text),
                answer.finish_reason,
                answer.prompt_tokens,
                answer.answer_tokens,
                answer.seconds,
            )
            for prompt, answer in answers
        ]
        if not rows:
            return
        with self._told("written"), self._transaction():
            self._db.execute(
                "INSERT INTO generators VALUES (?, ?) ON CONFLICT DO NOTHING", (code, canonical_json(generator))
            )
            self._db.executemany(
                "INSERT INTO answers (key, generator, class, number, attempt, request, source_ids, answer, "
                "finish_reason, prompt_tokens, answer_tokens, seconds) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) "
                "ON CONFLICT DO NOTHING",
                rows,
            )

    def log_failures(self, failures: Iterable[Failure]) -> None:
        """Write down requests that got no answer. They are not answers: the next run asks again."""
        rows = [(failure.key, failure.error) for failure in failures]
        if not rows:
            return
        with self._told("written"), self._transaction():
            self._db.executemany("INSERT INTO failures (key, error) VALUES (?, ?)", rows)

    def add_verdicts(self, run: str, verdicts: Iterable[Verdict]) -> None:
        """Keep what a run decided about each answer, and why."""
        with self._told("written"), self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)",
                [(run, v.key, int(v.accepted), v.reason) for v in verdicts],
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            # After an error, or Ctrl-C in mid write: all of a batch is there, or nothing.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def generators(self) -> list[dict[str, Any]]:
        """Return the identities of the generators that answered, the one with the most answers first."""
        query = (
            "SELECT g.identity FROM generators g LEFT JOIN answers a ON a.generator = g.digest "
            "GROUP BY g.digest ORDER BY count(a.key) DESC, g.digest"
        )
        with self._told("read"):
            return [json.loads(row[0]) for row in self._db.execute(query)]

    def speed(self, generator: Mapping[str, Any]) -> tuple[float, int]:
        """Return the mean seconds an answer of a generator took, and over how many answers (0.0 and 0 for none)."""
        query = "SELECT avg(seconds), count(*) FROM answers WHERE generator = ? AND seconds > 0"
        with self._told("read"):
            mean, count = self._db.execute(query, (digest(generator),)).fetchone()
        return float(mean or 0.0), int(count)

    def count(self) -> int:
        """Return how many answers the journal holds."""
        with self._told("read"):
            return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])
