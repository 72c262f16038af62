"""How many synthetic texts are too many: the paper's overfitting over the share of texts that is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .crossval import CrossValidation, FitObserver
from .errors import PlanError
from .facts import ADVISED, write_facts
from .imputer import SyntheticImputer

__all__ = ["SHARES", "calibrate"]

SHARES = (0.25, 0.5, 0.75, 1.0)


def calibrate(
    dataset: Any,
    impute: SyntheticImputer | None = None,
    *,
    shares: Sequence[float] = SHARES,
    output: str | Path | None = None,
    observer: FitObserver | None = None,
    source: str = "",
    **settings: Any,
) -> dict[str, Any]:
    """Train with rising shares of the synthetic texts, and say which overfits by no more than the paper advises.

    Every share takes its texts from the front of the same draws: nothing is written that the largest share lacks.

    Args:
        dataset: originals, or an imputed dataset.
        impute: says how synthetic texts are written, and to what target.
        shares: of the texts that the target asks for, in (0, 1].
        output: see ``CrossValidation.run``.
        observer: likewise.
        source: likewise.
        **settings: of ``CrossValidation``, such as ``folds``, ``repeats``, ``classifier``.

    Returns:
        The facts of the cross-validation; ``calibration`` holds the curve, ``advice`` what follows from it.

    Raises:
        PlanError: a share outside (0, 1].
    """
    if not shares or not all(0 < share <= 1 for share in shares):
        raise PlanError(f"shares={list(shares)}: expected numbers above 0 and up to 1.")
    arms = ["original", *(_arm(share) for share in sorted({*shares, 1.0}))]
    facts = CrossValidation(arms=arms, **settings).run(dataset, impute, output, observer, source)
    facts["calibration"] = [
        _point(facts, share, entry["name"])
        for share in sorted({*shares, 1.0})
        for entry in facts["classes"]
        if entry["focus"]
    ]
    facts["advice"] = [_advice(facts, entry) for entry in facts["classes"] if entry["focus"]]
    if output is not None:
        write_facts(Path(output), facts)
    return facts


def _arm(share: float) -> str:
    return "imputed" if share == 1 else f"imputed:share={share:g}"


def _point(facts: Mapping[str, Any], share: float, name: str) -> dict[str, Any]:
    """Return one point of the curve of a class."""
    arm = _arm(share)
    gap = next(entry for entry in facts["overfitting"] if (entry["arm"], entry["class"]) == (arm, name))
    scores = {
        entry["protocol"]: entry
        for entry in facts["summary"]
        if (entry["arm"], entry["metric"], entry["class"]) == (arm, "f1", name)
    }
    true = scores[gap["against"]]
    return {
        "share": share,
        "class": name,
        "true": true["estimate"],
        "true_low": true["low"],
        "true_high": true["high"],
        "augmented": scores["pooled"]["estimate"],
        "overfitting": gap["estimate"],
        "low": gap["low"],
        "high": gap["high"],
    }


def _advice(facts: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Say what follows from the curve of a class."""
    name, points = entry["name"], [point for point in facts["calibration"] if point["class"] == entry["name"]]
    fine = [point for point in points if point["overfitting"] is not None and point["overfitting"] <= ADVISED]
    if points[-1] in fine:
        gap = 100 * points[-1]["overfitting"]
        return f"Class {name!r}: all synthetic texts together overfit by {gap:.1f} points, up to 4 are fine: keep all."
    if fine:
        best = fine[-1]
        rows = entry["originals"] + round(best["share"] * (entry["target"] - entry["originals"]))
        return (
            f"Class {name!r}: {best['share']:.0%} of the synthetic texts overfit by {100 * best['overfitting']:.1f} "
            f"points, more of them by more than 4. Take {rows} rows in all (--sampling-strategy {name}={rows}): these "
            "texts are in the journal already."
        )
    return (
        f"Class {name!r}: even {points[0]['share']:.0%} of the synthetic texts overfit by more than 4 points. Fewer do "
        "not help: try another prompt (--prompt, --category-description), a better generator, or more originals. "
        "Report the seed-aware score: this does not touch it."
    )
