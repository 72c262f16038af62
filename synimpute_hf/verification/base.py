"""What all checks share: their outcome, and the result that they look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..columns import Columns
from ..outputs import read_split

__all__ = ["Check", "Result", "check", "compare"]

SHOWN = 3


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        passed: whether it is as the facts say; None where it could not be looked at.
        found: what was found, in words.
    """

    name: str
    passed: bool | None
    found: str = ""


def check(name: str, wrong: Iterable[str], looked_at: int, what: str = "rows") -> Check:
    """Return a check over many things, with the first that are wrong.

    Args:
        name: of the check.
        wrong: a sentence for each that is wrong.
        looked_at: how many there were.
        what: they are.
    """
    problems = list(wrong)
    if not problems:
        return Check(name, True, f"{looked_at:,} {what}")
    rest = f"; and {len(problems) - SHOWN:,} more" if len(problems) > SHOWN else ""
    return Check(name, False, "; ".join(problems[:SHOWN]) + rest)


def compare(name: str, said: Mapping[str, Any], found: Mapping[str, Any]) -> Check:
    """Return a check of figures, by name."""
    wrong = [
        f"{key}: the facts say {said.get(key)!r}, found {found.get(key)!r}"
        for key in {**said, **found}
        if not _same(said.get(key), found.get(key))
    ]
    return check(name, wrong, len(found), "figures")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, (int, float)) and isinstance(other, (int, float))
        return numbers and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


@dataclass(frozen=True)
class Result:
    """A result as it lies in a folder.

    Attributes:
        folder: with the card.
        place: with the facts and the files of one configuration.
        facts: the content of ``synimpute.json``.
        columns: those in use.
        splits: rows by split.
    """

    folder: Path
    place: Path
    facts: Mapping[str, Any]
    columns: Columns
    splits: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, place: Path, facts: Mapping[str, Any]) -> Result:
        """Read the data files."""
        from datasets import Features

        said = facts["plan"]["settings"]
        features = Features.from_dict(facts["features"])
        splits = {name: read_split(place, facts, name) for name in facts["splits"]}
        for name, rows in splits.items():
            if rows.features != features:
                raise ValueError(f"split {name!r} has other columns or types than the facts say")
        names = getattr(features[said["label"]], "names", None)
        columns = Columns(said["text"], said["label"], said["id"], tuple(names) if names else None)
        return cls(folder, place, facts, columns, splits)

    @property
    def has_originals(self) -> bool:
        """Whether the originals were published."""
        return bool(self.facts.get("published", {"originals": True})["originals"])

    @cached_property
    def listed(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of every split, by its name."""
        return {name: rows.with_format(None).to_list() for name, rows in self.splits.items()}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the imputed split."""
        return self.listed[self.facts["split"]]

    @cached_property
    def synthetic(self) -> list[dict[str, Any]]:
        """The synthetic rows."""
        return [row for row in self.rows if row["is_synthetic"]]

    @cached_property
    def class_names(self) -> Callable[[Any], str]:
        """Returns a class's name by its label."""
        names = {entry["label"]: entry["name"] for entry in self.facts["plan"]["classes"]}
        return lambda label: names.get(label, str(label))
