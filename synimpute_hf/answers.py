"""PLACEHOLDER until the real module is written."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Reading", "read_answer"]
class Reading(NamedTuple):
    text: str
    reason: str
def read_answer(text: str, finish_reason: str, shown: Sequence[str], *, form: str = "chat", structured: bool = False) -> Reading:
    text = text.strip()
    return Reading(text, "" if text and finish_reason != "length" else ("cut off at the length limit" if text else "empty"))
