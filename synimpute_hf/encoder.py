"""Texts to vectors, each text once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from .pretrained import embedded_encoder, load_model, model_digest, resolve_model
from .seeding import digest

__all__ = ["Encoder", "embedded_encoder"]

BATCH_TOKENS = 4096


class Encoder:
    """Turns texts into vectors: the mean of the last hidden states, of length 1. What was encoded once is kept.

    Args:
        argument: Hub id or path of any encoder; empty for the embedded one.
        max_length: tokens of a text that count.
        cache: an SQLite file, or None to keep nothing.
    """

    def __init__(self, argument: str = "", max_length: int = 256, cache: Path | None = None) -> None:
        self.name, self._source = resolve_model(argument)
        self._max_length = max_length
        self._cache = cache

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that could change a vector."""
        return {"encoder": self.name, "weights": model_digest(self._source)[:16], "max_length": self._max_length}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector a text.

        Args:
            texts: ``n`` texts.

        Returns:
            ``(n, d)`` float32, rows of length 1.
        """
        keys = [digest("vector", self.identity, text) for text in texts]
        known = self._read(keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            fresh = dict(zip(missing, self._encode(list(missing.values())), strict=True))
            self._write(fresh)
            known.update(fresh)
        return np.stack([known[key] for key in keys])

    def _encode(self, texts: list[str]) -> np.ndarray:
        import torch

        tokenizer = load_model("AutoTokenizer", self._source)
        model = load_model("AutoModel", self._source).eval()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model.to(device)
        limit = min(self._max_length, getattr(model.config, "max_position_embeddings", self._max_length) - 2)
        ids = tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
        out = np.zeros((len(texts), model.config.hidden_size), np.float32)
        with torch.inference_mode():
            for rows in _batches([len(row) for row in ids]):
                batch = tokenizer.pad({"input_ids": [ids[k] for k in rows]}, return_tensors="pt").to(device)
                hidden = model(**batch).last_hidden_state.float()
                mask = batch["attention_mask"][..., None]
                mean = (hidden * mask).sum(1) / mask.sum(1)
                out[rows] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return out

    def _read(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        if self._cache is None or not self._cache.is_file():
            return {}
        found = {}
        with closing(sqlite3.connect(self._cache, timeout=60)) as database:
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                rows = database.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part)
                found.update({key: np.frombuffer(blob, np.float32) for key, blob in rows})
        return found

    def _write(self, vectors: dict[str, np.ndarray]) -> None:
        if self._cache is None:
            return
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._cache, timeout=60)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID")
            rows = [(key, np.ascontiguousarray(vector, np.float32).tobytes()) for key, vector in vectors.items()]
            database.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield positions in batches of like length, of at most ``BATCH_TOKENS`` tokens each with their padding."""
    order = sorted(range(len(lengths)), key=lambda k: lengths[k])
    batch: list[int] = []
    for k in order:
        if batch and lengths[k] * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(k)
    if batch:
        yield batch
