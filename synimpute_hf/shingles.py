"""Word shingles as 32-bit codes: how a verbatim run of words is found among all originals without keeping them.

A shingle is ``WORDS`` words in a row, without case and punctuation; in scripts without blanks, ``CHARACTERS``
characters. A million short texts have some 12 million different ones: 48 MB. A shingle that stands in none of those
is then taken for one that does with a probability of 0.3 %, five in a row with none to speak of.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .seeding import normalise

__all__ = ["CHARACTERS", "WORDS", "Gathered", "Known", "known_runs", "shingles", "shingles_of", "tokens_of"]

WORDS = 4
CHARACTERS = 10
BATCH = 2_000

# Thai and Lao, Myanmar, Khmer, Japanese, Chinese: each character is a word here.
_UNSPACED = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0x20000, 0x2FA1F))
_ALONE = 2
_POWERS = np.array([pow(0x9E3779B97F4A7C15, place, 2**64) for place in range(1, 257)], dtype=np.uint64)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def shingles(text: str) -> np.ndarray:
    """Return the codes of a text's shingles in their order, shape ``(n,)``, uint32; none for a text of few words."""
    return _hashes([text])[0]


def shingles_of(texts: Sequence[str]) -> np.ndarray:
    """Return the distinct codes of many texts' shingles, sorted, shape ``(n,)``, uint32.

    Args:
        texts: a batch of some thousands; ``np.unique`` of several results puts batches together.
    """
    return _distinct(_hashes(texts)[0])


class Gathered:
    """The distinct shingles of texts that come one by one, in batches and in linear time."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._parts: list[np.ndarray] = []
        self._merged = np.zeros(0, dtype=np.uint32)

    def add(self, text: str) -> None:
        """Take a text."""
        self._texts.append(text)
        if len(self._texts) == BATCH:
            self._parts.append(shingles_of(self._texts))
            self._texts.clear()
            # To merge at each doubling keeps both the time linear and the memory small.
            if sum(map(len, self._parts)) > max(len(self._merged), 1_000_000):
                self._merge()

    def codes(self) -> np.ndarray:
        """Return the distinct codes so far, sorted, shape ``(n,)``, uint32."""
        self._parts.append(shingles_of(self._texts))
        self._texts.clear()
        self._merge()
        return self._merged

    def _merge(self) -> None:
        self._merged = _distinct(np.concatenate([self._merged, *self._parts]))
        self._parts.clear()


class Known(NamedTuple):
    """How much of a text stands verbatim elsewhere.

    Attributes:
        run: the longest run of words (characters in scripts without blanks) all of whose shingles are known, or 0.
        share: of the text's shingles, from 0 to 1, how many are known.
        size: words, or characters, of its shingles.
    """

    run: int
    share: float
    size: int


def known_runs(text: str, known: np.ndarray) -> Known:
    """Say how much of a text stands verbatim elsewhere.

    Args:
        text: a candidate.
        known: sorted codes, as ``shingles_of`` returns them.
    """
    codes, size = _hashes([text])
    if not len(codes) or not len(known):
        return Known(0, 0.0, size)
    places = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    hits = known[places] == codes
    edges = np.flatnonzero(np.diff(np.concatenate(([0], hits.astype(np.int8), [0]))))
    longest = int((edges[1::2] - edges[::2]).max(initial=0))
    return Known(longest + size - 1 if longest else 0, float(hits.mean()), size)


def tokens_of(text: str) -> list[str]:
    """Return the words of a text without case and punctuation; in scripts without blanks, its characters."""
    form = normalise(text)
    _, kinds, starts = _words(form)
    if not len(starts):
        return []
    lengths = np.add.reduceat((kinds > 0).astype(np.int64), starts)
    return [form[start : start + length] for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)]


def _distinct(codes: np.ndarray) -> np.ndarray:
    """Sort codes in place and return each once; ``np.unique`` hashes them, which takes several times as long."""
    codes.sort()
    kept = np.ones(len(codes), dtype=bool)
    np.not_equal(codes[1:], codes[:-1], out=kept[1:])
    return codes[kept]


@lru_cache(maxsize=1)
def _kinds() -> np.ndarray:
    """Return for each code point 0 (between words), 1 (part of a word) or 2 (a word by itself)."""
    table = np.zeros(0x30000, dtype=np.uint8)
    for point in range(len(table) - 1):
        character = chr(point)
        table[point] = character.isalnum() or unicodedata.category(character)[0] == "M"
    for first, last in _UNSPACED:
        table[first : last + 1] *= _ALONE
    return table


def _words(form: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the code points of a normal form, what kind each is of, and where words begin."""
    points = np.frombuffer(form.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    kinds = _kinds()[np.minimum(points, len(_kinds()) - 1)]
    begins = kinds > 0
    begins[1:] &= (kinds[1:] == _ALONE) | (kinds[:-1] != kinds[1:])
    return points, kinds, np.flatnonzero(begins)


def _hashes(texts: Sequence[str]) -> tuple[np.ndarray, int]:
    """Return the codes of all shingles of texts in their order, and the size of those of the last text."""
    forms = [normalise(text) + " " for text in texts]
    points, kinds, starts = _words("".join(forms))
    if not len(starts):
        return np.zeros(0, dtype=np.uint32), WORDS
    owners = np.searchsorted(np.cumsum([len(form) for form in forms]), starts, side="right")
    # A word's code is a polynomial in its code points, modulo 2**64.
    points, kinds, starts = points[starts[0] :], kinds[starts[0] :], starts - starts[0]
    place = np.arange(len(points)) - np.repeat(starts, np.diff(starts, append=len(points)))
    values = (points + np.uint64(1)) * _POWERS[place & 255] * (kinds > 0)
    words = np.add.reduceat(values, starts)
    words = (words ^ (words >> np.uint64(29))) * _MIX
    alone = np.bincount(owners, kinds[starts] == _ALONE, len(forms)) * 2 > np.bincount(owners, minlength=len(forms))
    found = [_windows(words, owners, size, alone[owners] == (size == CHARACTERS)) for size in (WORDS, CHARACTERS)]
    return np.concatenate(found), CHARACTERS if alone[-1] else WORDS


def _windows(words: np.ndarray, owners: np.ndarray, size: int, wanted: np.ndarray) -> np.ndarray:
    """Hash each window of so many words that lies within one text."""
    count = len(words) - size + 1
    if count < 1 or not wanted.any():
        return np.zeros(0, dtype=np.uint32)
    total = np.zeros(count, dtype=np.uint64)
    for place in range(size):
        total += words[place : place + count] * _POWERS[place]
    total = (total ^ (total >> np.uint64(31))) * _MIX
    within = wanted[:count] & (owners[:count] == owners[size - 1 :])
    hashed: np.ndarray = (total[within] >> np.uint64(32)).astype(np.uint32)
    return hashed
