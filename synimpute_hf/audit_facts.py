"""The facts of an audit: where they stand, how they are read, and the bounds from which they alarm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .facts import about_these_rows, load_facts

__all__ = ["AUDIT", "AUDIT_FORMAT", "BOUNDS", "NEAR", "read_audit", "write_audit"]

AUDIT = "audit.json"
AUDIT_FORMAT = 1
NEAR = (0.85, 0.87, 0.90)
"""Cosines to the nearest original at which the paper's audit counts."""
BOUNDS = {
    "told_apart": 0.75,
    "acceptance": 0.5,
    "shared_phrases": 0.1,
    "beyond_originals": 0.1,
    "length": 1.25,
    "language": 0.05,
    "class": 0.1,
}
"""From where an audit alarms. Where a figure has an interval, all of it must lie beyond.

``told_apart``: AUC. Of a synthetic text and an original the classifier names the right one in three of four pairs:
half of the way from chance to certainty, and what Cohen calls a large difference (d = 0.95 for normal scores).
``acceptance``: share of the answers that were kept, the paper's bound. ``shared_phrases``: share of the texts that hold
a phrase which others share and originals rarely have. ``beyond_originals``: share of the texts that are closer to an
original than 95 % of the originals are to each other. ``length``: times as long or as short. ``language``: share in
another language. ``class``: how much less often a classifier of originals assigns them to their class than originals.
"""


def read_audit(folder: Path, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the audit of a result, where there is one and it is about the rows that the result has now.

    Args:
        folder: which holds ``audit.json``, or none.
        result: the content of ``synimpute.json``.

    Raises:
        DataError: the file is of another make.
    """
    file = folder / AUDIT
    if not file.is_file():
        return None
    again = f"Run `synimpute audit {folder}` again with this version, or take the file out."
    audit = load_facts(file, AUDIT_FORMAT, "classes", what="an audit", again=again)
    return audit if about_these_rows(audit["digest"], result) else None


def write_audit(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Write the facts of an audit into a folder."""
    path = folder / AUDIT
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
