"""Digests, seeds and normal forms: everything that must be the same in any order, process and year.

Nothing here depends on Python's hash seed, on a library's random generator or on the order of rows.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator
from typing import Any

__all__ = ["canonical_json", "derive_seed", "digest", "normalise", "random_words", "row_digest", "text_code"]

ID_LENGTH = 32
"""Hexadecimal digits of a row id: 128 bits."""


def canonical_json(value: Any) -> str:
    """Write a JSON value so that equal values give equal strings (sorted keys, ASCII, no blanks)."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def digest(*parts: Any) -> str:
    """Return the SHA-256 of JSON-able parts, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(parts).encode("ascii")).hexdigest()


def derive_seed(*parts: Any) -> int:
    """Return a seed in ``[0, 2**63)`` that depends on every part and on nothing else."""
    return int(digest(*parts)[:16], 16) >> 1


def random_words(seed: int) -> Iterator[int]:
    """Yield an endless, portable stream of 64-bit integers for a seed.

    BLAKE2b in counter mode: the same on every platform and Python version, which the standard
    library promises for ``random.random()`` only.
    """
    key = seed.to_bytes(8, "big")
    counter = 0
    while True:
        block = hashlib.blake2b(counter.to_bytes(8, "big"), key=key, digest_size=64).digest()
        for start in range(0, 64, 8):
            yield int.from_bytes(block[start : start + 8], "big")
        counter += 1


def row_digest(text: str, label: Any) -> str:
    """Return the content id of a row: a digest of its text, as it stands, and its label.

    Args:
        text: the row's text; lone surrogates are allowed.
        label: a plain string, integer, boolean, float or None (see ``columns.plain_label``).

    Returns:
        32 hexadecimal digits.
    """
    # A label's type counts: the class "1" of one file is not the class 1 of another.
    head = f"{type(label).__name__}:{label}\x1f"
    data = (head + text).encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()[:ID_LENGTH]


def normalise(text: str) -> str:
    """Return the form in which two texts are compared: NFKC, case-folded, single blanks."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def text_code(text: str) -> int:
    """Return a 64-bit code of the normal form of a text.

    With a million originals and a hundred thousand candidates the chance of any false match is
    below 1e-8 (birthday bound over pairs of an original and a candidate).
    """
    data = normalise(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
