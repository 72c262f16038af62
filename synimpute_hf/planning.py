"""Who is short, and by how much: ``target`` as in the paper, or ``sampling_strategy`` as in imbalanced-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Union

import numpy as np

from .columns import ClassCount
from .errors import PlanError, TooFewOriginalsError, nearest
from .records import ClassPlan

__all__ = ["FEW", "SamplingStrategy", "advise", "enough_rows", "plan_classes"]

SamplingStrategy = Union[str, int, Mapping[Any, int], Callable[[Any], Mapping[Any, int]]]  # noqa: UP007
STRATEGIES = ("all", "auto", "minority", "not majority", "not minority")
PAPER_TARGET = 200
MINIMUM = 5
FEW = 50
GOOD = 75


def advise(usable: int) -> str:
    """Return the paper's threshold for a number of originals, in plain words (arXiv 2504.15160)."""
    if usable < FEW:
        return f"few: under {FEW} originals, expect inflated scores"
    if usable < GOOD:
        return f"moderate: {FEW} to {GOOD - 1} originals, expect 2 to 4 % overfitting"
    return f"fine: {GOOD} or more originals"


def enough_rows(target: int | None, sampling_strategy: SamplingStrategy | None) -> int | None:
    """Return the number of rows beyond which no class can be short, or None when it depends on the counts."""
    if sampling_strategy is None:
        return PAPER_TARGET if target is None else target
    return sampling_strategy if isinstance(sampling_strategy, int) else None


def plan_classes(
    counts: Sequence[ClassCount],
    target: int | None = None,
    sampling_strategy: SamplingStrategy | None = None,
    n_examples: int = 5,
    contrast: bool = False,
) -> tuple[ClassPlan, ...]:
    """Decide which classes are short and how many rows each needs.

    Args:
        counts: the classes, the largest first.
        target: rows that every class should reach (default 200, the paper's).
        sampling_strategy: instead of ``target``: ``"auto"`` or ``"not majority"`` (all but the largest class reach
            the largest), ``"minority"``, ``"not minority"``, ``"all"``, an integer (the same as ``target``), a dict
            of rows by class name or label, or a function of the array of labels that returns such a dict.
        n_examples: originals shown in one prompt.
        contrast: whether the other classes get synthetic rows, too, in the same share to their originals as the short
            classes have together.

    Raises:
        PlanError: both are given, or the strategy is unknown, negative or names a class that is not there.
        TooFewOriginalsError: a short class has fewer usable originals than a prompt needs.
    """
    if target is not None and sampling_strategy is not None:
        raise PlanError("Give either target or sampling_strategy, not both: they answer the same question.")
    wanted = _wanted(counts, PAPER_TARGET if target is None else target, sampling_strategy)
    plans = []
    for count in counts:
        goal = wanted.get(count.name, count.originals)
        to_write = max(0, goal - count.originals)
        if to_write:
            _check_enough(count, to_write, n_examples)
        advice = advise(count.usable) if to_write else ""
        plans.append(
            ClassPlan(count.name, count.label, count.originals, count.distinct, count.usable, goal, to_write, advice)
        )
    return _with_contrast(plans, counts, n_examples) if contrast else tuple(plans)


def _with_contrast(plans: Sequence[ClassPlan], counts: Sequence[ClassCount], n_examples: int) -> tuple[ClassPlan, ...]:
    short = [entry for entry in plans if entry.to_write]
    share = sum(entry.to_write for entry in short) / max(1, sum(entry.originals for entry in short))
    found = []
    for entry, count in zip(plans, counts, strict=True):
        more = 0 if entry.to_write else round(share * entry.originals)
        if more:
            _check_enough(count, more, n_examples)
            advice = "contrast: machine style then tells no class"
            entry = replace(entry, target=entry.originals + more, to_write=more, advice=advice, contrast=True)
        found.append(entry)
    return tuple(found)


def _check_enough(count: ClassCount, to_write: int, n_examples: int) -> None:
    needed = max(MINIMUM, n_examples)
    if count.usable >= needed:
        return
    differ = (
        ""
        if count.usable == count.originals
        else (f" ({count.originals} rows, of which {count.usable} are distinct and stand in no other split)")
    )
    raise TooFewOriginalsError(
        f"Class {count.name!r} has {count.usable} originals{differ}, and needs {to_write} more rows. A prompt shows "
        f"{n_examples} different originals, and the paper advises 50 or more. Code more texts by hand, or leave this "
        f"class out with sampling_strategy={{...}} naming the others."
    )


def _wanted(counts: Sequence[ClassCount], target: int, strategy: SamplingStrategy | None) -> dict[str, int]:
    """Return the rows wanted by class name."""
    if strategy is None:
        return _checked({count.name: target for count in counts}, "target")
    if isinstance(strategy, (bool, float)):
        raise PlanError(
            f"sampling_strategy={strategy!r} is not supported: expected one of {', '.join(STRATEGIES)}, "
            "an integer, a dict or a function. A ratio is ambiguous with more than two classes."
        )
    if isinstance(strategy, int):
        return _checked({count.name: strategy for count in counts}, "sampling_strategy")
    if isinstance(strategy, str):
        return _by_word(counts, strategy)
    if callable(strategy):
        labels = np.repeat(
            np.array([count.label for count in counts], dtype=object), [count.originals for count in counts]
        )
        strategy = strategy(labels)
    if not isinstance(strategy, Mapping):
        raise PlanError(f"sampling_strategy must give a dict of rows by class, got {type(strategy).__name__}.")
    return _by_class(counts, strategy)


def _by_word(counts: Sequence[ClassCount], word: str) -> dict[str, int]:
    if word not in STRATEGIES:
        raise PlanError(
            f"Unknown sampling_strategy {word!r}. Expected one of {', '.join(map(repr, STRATEGIES))}, an "
            f"integer, a dict or a function.{nearest(word, STRATEGIES)}"
        )
    most = max(counts, key=lambda count: count.originals)
    fewest = min(counts, key=lambda count: count.originals)
    chosen = {
        "all": list(counts),
        "auto": [count for count in counts if count is not most],
        "not majority": [count for count in counts if count is not most],
        "minority": [fewest],
        "not minority": [count for count in counts if count is not fewest],
    }[word]
    return {count.name: most.originals for count in chosen}


def _by_class(counts: Sequence[ClassCount], rows: Mapping[Any, int]) -> dict[str, int]:
    by_label: dict[Any, str] = {count.label: count.name for count in counts}
    names = {count.name for count in counts}
    wanted = {}
    for key, number in rows.items():
        name = key if key in names else by_label.get(key.item() if hasattr(key, "item") else key)
        if name is None:
            raise PlanError(
                f"sampling_strategy names the class {key!r}, which is not in the data. The classes are: "
                f"{', '.join(map(repr, sorted(names)))}.{nearest(str(key), names)}"
            )
        wanted[name] = number
    return _checked(wanted, "sampling_strategy")


def _checked(wanted: dict[str, int], source: str) -> dict[str, int]:
    for name, number in wanted.items():
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 0:
            raise PlanError(f"{source} asks for {number!r} rows of class {name!r}; expected a whole number from 0 on.")
    return {name: int(number) for name, number in wanted.items()}
