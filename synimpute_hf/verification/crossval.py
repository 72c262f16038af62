"""The cross-validation's summary against its fits: means, intervals and differences, computed anew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import SynimputeError
from ..facts import FACTS, read_facts
from .base import Check, Result, compare

__all__ = ["check_crossval"]


def check_crossval(result: Result) -> Iterator[Check]:
    """Recompute what can be from the scores of single fits; a hold-out's bootstrap needs its rows, and cannot."""
    if not (result.place / FACTS).is_file():
        return
    try:
        import scipy  # noqa: F401
    except ImportError:
        yield Check("cross-validation", None, 'needs scipy: pip install "synimpute-hf[crossval]"')
        return
    try:
        facts = read_facts(result.place)
        yield compare("cross-validation's summary", *_summary(facts))
        yield compare("cross-validation's differences", *_differences(facts))
        yield compare("cross-validation's leak checks", *_leaks(facts))
    except (SynimputeError, KeyError, TypeError, ValueError) as error:
        yield Check("cross-validation", False, f"{type(error).__name__}: {error}")


def _score(facts: Mapping[str, Any], fit: Mapping[str, Any], metric: str, name: str | None) -> float:
    """Return a number of a fit; nan where its fold has no row of the class."""
    scores = fit["scores"]
    if name is not None:
        names = [entry["name"] for entry in facts["classes"]]
        value = scores[metric][names.index(name)]
    else:
        value = scores.get(f"{metric}_macro", scores.get(metric))
    return math.nan if value is None else float(value)


def _cell(facts: Mapping[str, Any], protocol: str, arm: str) -> dict[tuple[int, int], Mapping[str, Any]]:
    fits = facts["fits"]
    return {(fit["repeat"], fit["fold"]): fit for fit in fits if (fit["protocol"], fit["arm"]) == (protocol, arm)}


def _summary(facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    from ..stats import corrected_interval

    said, found = {}, {}
    for row in facts["summary"]:
        if row["protocol"] == "holdout":
            continue
        cell = _cell(facts, row["protocol"], row["arm"]).values()
        values = [_score(facts, fit, row["metric"], row["class"]) for fit in cell]
        interval = corrected_interval([v for v in values if not math.isnan(v)], facts["test_share"][row["protocol"]])
        least = -1.0 if row["metric"] == "mcc" else 0.0
        key = f"{row['protocol']}, {row['arm']}, {row['metric']}, {row['class'] or 'macro'}"
        for name, value in (
            ("estimate", interval.estimate),
            ("low", max(interval.low, least)),
            ("high", min(interval.high, 1.0)),
        ):
            said[f"{key}, {name}"], found[f"{key}, {name}"] = row[name], None if math.isnan(value) else value
    return said, found


def _differences(facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    said, found = {}, {}
    pairs = [
        (row, "difference", (row["protocol"], row["arm"]), (row["protocol"], row["against"]))
        for row in facts["comparisons"]
    ]
    parts = {"total": ("pooled", "seed_aware")}
    pairs += [
        (row, "estimate", (parts[row["part"]][0], "imputed"), (parts[row["part"]][1], "imputed"))
        for row in facts["inflation"]
        if row["part"] in parts
    ]
    for row, field, one, other in pairs:
        if "holdout" in (one[0], other[0]):
            continue
        a, b = _cell(facts, *one), _cell(facts, *other)
        values = [
            _score(facts, a[place], row["metric"], row["class"]) - _score(facts, b[place], row["metric"], row["class"])
            for place in sorted(a.keys() & b.keys())
        ]
        there = [value for value in values if not math.isnan(value)]
        key = f"{'/'.join(one)} less {'/'.join(other)}, {row['metric']}, {row['class'] or 'macro'}"
        said[key], found[key] = row[field], sum(there) / len(there) if there else None
    return said, found


def _leaks(facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    said, found = {}, {}
    for protocol, totals in facts["leak_check"].items():
        fits = [fit for fit in facts["fits"] if fit["protocol"] == protocol]
        for name, total in totals.items():
            said[f"{protocol}, {name}"] = total
            found[f"{protocol}, {name}"] = len(fits) if name == "fits" else sum(fit["check"][name] for fit in fits)
    return said, found
