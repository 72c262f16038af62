"""The on-disk record of every answer: written before anything judges it, never asked for again.

SQLite in WAL mode. Several processes may share one journal; a kill -9 loses no committed answer.
No secret is ever written: a generator's identity and a request hold none.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from filelock import FileLock

from .errors import JournalError
from .records import Candidate, Charge, Failure, Prompt, Verdict
from .seeding import canonical_json, digest

__all__ = ["SCHEMA_VERSION", "Journal", "Memory"]

SCHEMA_VERSION = 3
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
# What each later format added, by the format's number.
_ADDED = {
    2: """
ALTER TABLE answers ADD COLUMN cached_tokens INTEGER;
ALTER TABLE answers ADD COLUMN cost_usd REAL;
CREATE TABLE charges (
    run TEXT PRIMARY KEY, calls INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL,
    uncertain_tokens INTEGER NOT NULL, uncertain_usd REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE memory (
    generator TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (generator, name)) WITHOUT ROWID;
""",
    3: """
ALTER TABLE verdicts ADD COLUMN figures TEXT NOT NULL DEFAULT '{}';
""",
}
_ADD_CHARGE = """
INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET
    calls = calls + excluded.calls, tokens = tokens + excluded.tokens, usd = usd + excluded.usd,
    uncertain_tokens = uncertain_tokens + excluded.uncertain_tokens,
    uncertain_usd = uncertain_usd + excluded.uncertain_usd
"""
# A commit is safe from a kill -9 at once, and from a power cut after the next sync, at most so much later.
SYNC_SECONDS = 0.2


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
            # In WAL mode NORMAL survives any crash of the process; add() syncs now and then for power cuts.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._synced = 0.0
        if version > SCHEMA_VERSION:
            self._db.close()
            raise JournalError(
                f"The journal {self.path} was written by a newer synimpute_hf (format {version}; this "
                f"one reads up to {SCHEMA_VERSION}). Upgrade with: pip install -U synimpute-hf"
            )
        if (create or version) and version < SCHEMA_VERSION:
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
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == SCHEMA_VERSION:
            return  # another process was faster
        tables = self._db.execute("SELECT count(*) FROM sqlite_master WHERE name != 'answers'").fetchone()[0]
        if (
            not version
            and tables
            and not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'answers'").fetchone()
        ):
            raise JournalError(f"{self.path} is another program's SQLite file. Choose another path for the journal.")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("BEGIN IMMEDIATE")
        scripts = [_SCHEMA] if not version else []
        scripts += [added for number, added in _ADDED.items() if number > version]
        for statement in (part for script in scripts for part in script.split(";\n")):
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
                    "SELECT key, answer, finish_reason, prompt_tokens, answer_tokens, seconds, cached_tokens, "
                    f"cost_usd FROM answers WHERE key IN ({marks})"
                )
                for row in self._db.execute(query, part):
                    found[row[0]] = Candidate(row[0], json.loads(row[1]), *row[2:])
        return found

    def add(
        self,
        generator: Mapping[str, Any],
        answers: Iterable[tuple[Prompt, Candidate]],
        run: str = "",
        charge: Charge | None = None,
    ) -> None:
        """Commit answers, and what a run paid, in one transaction. An answer that is already there stays as it is.

        Args:
            generator: the identity of the generator that answered.
            answers: prompts with their answers.
            run: the run that paid.
            charge: what it paid since it last said so.
        """
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
                answer.cached_tokens,
                answer.cost_usd,
            )
            for prompt, answer in answers
        ]
        if not rows and not charge:
            return
        with self._told("written"), self._transaction(synced=True):
            if charge:
                self._db.execute(_ADD_CHARGE, (run, *astuple(charge)))
            self._db.execute(
                "INSERT INTO generators VALUES (?, ?) ON CONFLICT DO NOTHING", (code, canonical_json(generator))
            )
            self._db.executemany(
                "INSERT INTO answers (key, generator, class, number, attempt, request, source_ids, answer, "
                "finish_reason, prompt_tokens, answer_tokens, seconds, cached_tokens, cost_usd) "
                "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
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
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)",
                [(run, v.key, int(v.accepted), v.reason, canonical_json(v.figures)) for v in verdicts],
            )

    @contextmanager
    def _transaction(self, synced: bool = False) -> Iterator[None]:
        """Commit or roll back as one; ``synced`` ones see to it that only a moment's commits wait for a sync."""
        due = synced and time.monotonic() - self._synced > SYNC_SECONDS
        if due:
            self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            # After an error, or Ctrl-C in mid write: all of a batch is there, or nothing.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if due:
                self._synced = time.monotonic()
                self._db.execute("PRAGMA synchronous = NORMAL")

    def paid(self, run: str) -> Charge:
        """Return what a run paid so far, over all its restarts."""
        query = "SELECT calls, tokens, usd, uncertain_tokens, uncertain_usd FROM charges WHERE run = ?"
        with self._told("read"):
            row = self._db.execute(query, (run,)).fetchone()
        return Charge(*row) if row else Charge()

    def memory(self, generator: Mapping[str, Any]) -> Memory:
        """Return what a generator wrote down for its later runs; what it writes there is on disk at once."""
        return Memory(self, digest(generator))

    def recall(self, generator: str) -> dict[str, str]:
        """Return a generator's memory, by its digest."""
        with self._told("read"):
            query = "SELECT name, value FROM memory WHERE generator = ? ORDER BY name"
            return dict(self._db.execute(query, (generator,)))

    def remember(self, generator: str, name: str, value: str | None) -> None:
        """Write one fact into a generator's memory, or delete it (None)."""
        with self._told("written"):
            self._db.execute("PRAGMA synchronous = FULL")
            if value is None:
                self._db.execute("DELETE FROM memory WHERE generator = ? AND name = ?", (generator, name))
            else:
                self._db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?, ?)", (generator, name, value))
            self._db.execute("PRAGMA synchronous = NORMAL")

    def remembered(self, prefix: str) -> list[tuple[str, str, str]]:
        """Return the facts whose name starts so, of all generators: the generator's digest, name, value."""
        query = "SELECT generator, name, value FROM memory WHERE substr(name, 1, ?) = ? ORDER BY generator, name"
        with self._told("read"):
            return [tuple(row) for row in self._db.execute(query, (len(prefix), prefix))]

    def generators(self) -> list[dict[str, Any]]:
        """Return the identities of the generators that answered, the one with the most answers first."""
        query = (
            "SELECT g.identity FROM generators g LEFT JOIN answers a ON a.generator = g.digest "
            "GROUP BY g.digest ORDER BY count(a.key) DESC, g.digest"
        )
        with self._told("read"):
            return [json.loads(row[0]) for row in self._db.execute(query)]

    def verdicts(self, run: str) -> dict[str, Verdict]:
        """Return what a run decided, by the answer's key."""
        with self._told("read"):
            query = "SELECT key, accepted, reason, figures FROM verdicts WHERE run = ? ORDER BY key"
            rows = self._db.execute(query, (run,))
            return {key: Verdict(key, bool(ok), reason, json.loads(figures)) for key, ok, reason, figures in rows}

    def requests(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what was asked, by key; an empty dict where the journal was copied without its requests."""
        found = {}
        with self._told("read"):
            for start in range(0, len(keys), KEYS_A_QUERY):
                part = keys[start : start + KEYS_A_QUERY]
                query = f"SELECT key, request FROM answers WHERE key IN ({','.join('?' * len(part))})"
                found.update({key: json.loads(request) for key, request in self._db.execute(query, part)})
        return found

    def copy_run(self, path: Path, run: str, requests: bool = True) -> int:
        """Write a journal with the answers and verdicts of one run, to be published; the same ones give the same bytes.

        Args:
            path: a file that is not there yet.
            run: the run, as its outcome names it.
            requests: whether what was asked comes along; it quotes originals.

        Returns:
            How many answers it holds.
        """
        columns = "key, generator, class, number, attempt, request, source_ids, answer, finish_reason, prompt_tokens, "
        columns += "answer_tokens, seconds, at, cached_tokens, cost_usd"
        asked = columns if requests else columns.replace("request", "'{}'")
        judged = "SELECT key FROM verdicts WHERE run = ?"
        with self._told("copied"), closing(sqlite3.connect(path, isolation_level=None)) as copy:
            for statement in (part for script in (_SCHEMA, *_ADDED.values()) for part in script.split(";\n")):
                copy.execute(statement)
            copy.execute("BEGIN")
            rows = self._db.execute(
                f"SELECT {asked} FROM answers WHERE key IN ({judged}) ORDER BY key", (run,)
            ).fetchall()
            copy.executemany(f"INSERT INTO answers ({columns}) VALUES ({','.join('?' * 15)})", rows)
            codes = sorted({row[1] for row in rows})
            for table, column, values in (("generators", "digest", codes), ("verdicts", "run", [run])):
                for value in values:
                    kept = f"SELECT * FROM {table} WHERE {column} = ? ORDER BY 1, 2"
                    for row in self._db.execute(kept, (value,)):
                        copy.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
            copy.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            copy.execute("COMMIT")
            copy.execute("VACUUM")
        return len(rows)

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


class Memory(MutableMapping[str, str]):
    """A generator's facts for its later runs, such as the id of a batch that a server is working on.

    Args:
        journal: where they are kept.
        generator: digest of the generator's identity.
    """

    def __init__(self, journal: Journal, generator: str) -> None:
        self._journal = journal
        self._generator = generator

    def __getitem__(self, name: str) -> str:
        return self._journal.recall(self._generator)[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._journal.remember(self._generator, name, value)

    def __delitem__(self, name: str) -> None:
        self[name]
        self._journal.remember(self._generator, name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._journal.recall(self._generator))

    def __len__(self) -> int:
        return len(self._journal.recall(self._generator))
