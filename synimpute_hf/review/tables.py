"""The figures of a review as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..facts import MISSING, estimate, number
from ..sheets import Sheet

__all__ = ["review_sheets"]

QUESTIONS = {"belongs": "belongs to the class", "written_by": "who wrote it"}


def review_sheets(facts: Mapping[str, Any]) -> list[Sheet]:
    """Return every table of a review.

    Args:
        facts: the content of ``review.json``.
    """
    made = [_told_apart(facts), _belongs(facts), _quality(facts["quality"]), _agreement(facts["agreement"])]
    return [sheet for sheet in made if sheet.rows]


def _scope(row: Mapping[str, Any]) -> str:
    return str(row["class"] or row["coder"] or "all")


def _told_apart(facts: Mapping[str, Any]) -> Sheet:
    rows = [
        (
            _scope(row),
            str(row["texts"]),
            estimate(row),
            estimate(row["synthetic"]),
            estimate(row["originals"]),
            number(row["d_prime"], 2, sign=True),
            row["verdict"] if row["ratings"] else MISSING,
        )
        for row in facts["told_apart"]
    ]
    return Sheet(
        "told-apart",
        "Is a synthetic text told from an original?",
        "Share of right answers, of all, of synthetic texts and of originals, with its 95 % interval; guessing gives "
        "0.500. An unsure answer counts half. d' is 0 where the two kinds look alike. Distractors don't count.",
        ("", "texts", "right", "synthetic", "originals", "d'", "verdict"),
        "lrcccrl",
        tuple(rows),
    )


def _belongs(facts: Mapping[str, Any]) -> Sheet:
    rows = [
        (
            _scope(row),
            estimate(row["synthetic"]),
            estimate(row["originals"]),
            estimate(row["difference"], sign=True),
            estimate(row["distractors"]),
        )
        for row in facts["belongs"]
    ]
    return Sheet(
        "belongs",
        "Does it belong to the class?",
        "Share of texts judged to belong to the class with its 95 % interval; unsure is no yes. Distractors are texts "
        "of other classes.",
        ("", "synthetic", "originals", "difference", "distractors"),
        "lcccc",
        tuple(rows),
    )


def _quality(found: Sequence[Mapping[str, Any]]) -> Sheet:
    rows = tuple((_scope(row), estimate(row["synthetic"]), estimate(row["originals"])) for row in found)
    return Sheet(
        "quality",
        "How well is it written?",
        "Mean from 1 (poor) to 5 (good) with its 95 % interval.",
        ("", "synthetic", "originals"),
        "lcc",
        rows,
    )


def _agreement(found: Sequence[Mapping[str, Any]]) -> Sheet:
    rows = tuple(
        (
            QUESTIONS[row["question"]],
            str(row["coders"]),
            str(row["texts"]),
            number(row["percent"], 1),
            number(row["cohens_kappa"]),
            number(row["krippendorffs_alpha"]),
        )
        for row in found
    )
    return Sheet(
        "agreement",
        "Do the coders agree?",
        "Percent of pairs of answers; Cohen's kappa for two coders; Krippendorff's alpha (nominal).",
        ("question", "coders", "texts", "percent", "kappa", "alpha"),
        "lrrrrr",
        rows,
    )
