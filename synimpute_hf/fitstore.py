"""Finished fits on disk: after a kill, or with an arm more, only what is new runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import JournalError

__all__ = ["Finished", "FitStore"]

FORMAT = 1


class Finished(NamedTuple):
    """What a fit gave.

    Attributes:
        probabilities: ``(m, classes)`` of the tested rows.
        thresholds: decision threshold by class, where some were chosen.
        seconds: time that it took.
    """

    probabilities: np.ndarray
    thresholds: dict[int, float]
    seconds: float


class FitStore:
    """A file with the predictions of every finished fit, by a key of all that made them.

    Args:
        path: the file, or None for one in memory.

    Raises:
        JournalError: the file is something else, or cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            self._database = sqlite3.connect(str(path or ":memory:"), timeout=60)
            self._database.execute("PRAGMA journal_mode=WAL")
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, FORMAT):
                raise JournalError(
                    f"{path} has format {version}; this version reads {FORMAT}. Choose another --output."
                )
            with self._database:
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS fits (key TEXT PRIMARY KEY, classes INTEGER, probabilities BLOB, "
                    "thresholds TEXT, seconds REAL)"
                )
                self._database.execute("CREATE TABLE IF NOT EXISTS texts (key TEXT PRIMARY KEY, texts TEXT)")
                self._database.execute(f"PRAGMA user_version={FORMAT}")
        except sqlite3.Error as error:
            raise JournalError(f"The finished fits in {path} cannot be read: {error}.") from error

    def get(self, keys: Sequence[str]) -> dict[str, Finished]:
        """Return those of some fits that are finished."""
        found = {}
        for row in self._select("key, classes, probabilities, thresholds, seconds FROM fits", keys):
            key, classes, blob, thresholds, seconds = row
            chosen = {int(code): value for code, value in json.loads(thresholds).items()}
            found[key] = Finished(np.frombuffer(blob, np.float32).reshape(-1, classes), chosen, seconds)
        return found

    def add(self, fits: Iterable[tuple[str, Finished]]) -> None:
        """Keep finished fits; they are on disk when this returns."""
        rows = [
            (
                key,
                fit.probabilities.shape[1],
                np.ascontiguousarray(fit.probabilities, np.float32).tobytes(),
                json.dumps(fit.thresholds),
                fit.seconds,
            )
            for key, fit in fits
        ]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO fits VALUES (?, ?, ?, ?, ?)", rows)

    def get_texts(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """Return what augmenters made of some texts."""
        return {key: json.loads(texts) for key, texts in self._select("key, texts FROM texts", keys)}

    def add_texts(self, texts: Iterable[tuple[str, list[str]]]) -> None:
        """Keep what an augmenter made of some texts."""
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO texts VALUES (?, ?)", [(key, json.dumps(made)) for key, made in texts]
            )

    def _select(self, what: str, keys: Sequence[str]) -> list[Any]:
        rows = []
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            query = f"SELECT {what} WHERE key IN ({','.join('?' * len(part))})"
            rows += self._database.execute(query, part).fetchall()
        return rows

    def close(self) -> None:
        """Close the file."""
        self._database.close()
