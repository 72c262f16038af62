"""The card against the facts: every figure in it is rendered anew and compared."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

from ..audit_facts import read_audit
from ..cards import dataset_metadata, dataset_section, metadata_of, section_of
from ..errors import SynimputeError
from ..facts import FACTS, read_facts, read_review
from .base import Check, Result, check

__all__ = ["check_card"]

EXACT = ("configs", "dataset_info")


def check_card(result: Result) -> Iterator[Check]:
    """Compare our section and metadata of the card with the facts."""
    path = result.folder / "README.md"
    if not path.is_file():
        yield Check("card", False, "README.md is not there")
        return
    card = path.read_text(encoding="utf-8")
    try:
        theirs = metadata_of(card)
        crossval = read_facts(result.place) if (result.place / FACTS).is_file() else None
        audit = read_audit(result.place, result.facts)
        section = dataset_section(result.facts, crossval, read_review(result.place, result.facts), audit)
        ours = dataset_metadata(result.facts, theirs)
    except (SynimputeError, KeyError, TypeError, ValueError) as error:
        yield Check("card", False, f"{type(error).__name__}: {error}")
        return
    found = section_of(card, result.facts["config"])
    if found is None:
        yield Check("card", False, f"it has no section of ours about {result.facts['config']!r}")
    else:
        lines = unified_diff(section.splitlines(), found.splitlines(), n=0, lineterm="")
        changed = [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]
        yield check("card", [repr(line) for line in changed], len(section.splitlines()), "lines, rendered anew")
    yield check("card's metadata", list(_metadata_problems(theirs, ours)), len(ours), "entries")


def _metadata_problems(theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """Compare metadata; a person may add to lists, and choose license, language and name."""
    for name, value in ours.items():
        found = theirs.get(name)
        if name in EXACT:
            entries = found if isinstance(found, list) else [found]
            if any(entry not in entries for entry in value):
                yield f"{name} is not what the facts say"
        elif isinstance(value, list):
            if not set(map(str, value)) <= set(map(str, found if isinstance(found, list) else [found])):
                yield f"{name} is {found!r}, and lacks {value!r}"
        elif found is None:
            yield f"{name} is missing; the facts say {value!r}"
