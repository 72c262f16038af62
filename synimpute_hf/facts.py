"""The facts of a cross-validation, read: how they are asked for numbers, and the answer that they give in words.

Those of a review are read here, too.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from .errors import DataError

__all__ = [
    "ADVISED",
    "ALARMING",
    "FACTS",
    "FORMAT",
    "LEAKY",
    "MISSING",
    "MODEL_FORMAT",
    "PREVALENCE_NOTE",
    "PROTOCOLS",
    "REVIEW",
    "REVIEW_FORMAT",
    "Answer",
    "Findings",
    "about_these_rows",
    "estimate",
    "in_line",
    "load_facts",
    "made_in_folds",
    "number",
    "p_value",
    "read_facts",
    "read_review",
    "run_labels",
    "words",
    "write_facts",
]

FACTS = "crossval.json"
FORMAT = 1
REVIEW = "review.json"
REVIEW_FORMAT = 1
MODEL_FORMAT = 2
"""Of a classifier's facts."""
ADVISED = 0.04
ALARMING = 0.05
"""The paper's bounds of overfitting: above the first it advises fewer synthetic texts or another prompt."""
MISSING = "\u2013"  # an en dash is what a table shows where there is no number
MINUS = "\u2212"
# In the order in which a reader should see them. The last two leak on purpose.
PROTOCOLS = {
    "seed_aware": "tested on originals alone, and no training text was written from a test text",
    "nested": "tested on originals alone, and each fold's synthetic texts were written from its training part",
    "holdout": "tested on originals that were set apart",
    "real_test": "tested on originals alone, but texts written from a test text train too: a leak, for comparison only",
    "pooled": "synthetic texts are tested too, as in the paper's code: a leak, for comparison only",
}
LEAKY = ("real_test", "pooled")
PREVALENCE_NOTE = "F1 depends on prevalence: compare arms within a table, not across."


@dataclass(frozen=True)
class Answer:
    """What a reader wants to know first.

    Attributes:
        warnings: what keeps the numbers from being final or honest.
        lead: sentences: the score, and how far another protocol would have been off.
        verdicts: (verdict, arm and class, sentence) of every arm against ``original``, by F1.
        ranking: sentences: does an arm rank better, or does it only move the threshold.
        overfitting: sentences.
        alarms: (name, sentence, advice).
    """

    warnings: tuple[str, ...]
    lead: tuple[str, ...]
    verdicts: tuple[tuple[str, str, str], ...]
    ranking: tuple[str, ...]
    overfitting: tuple[str, ...]
    alarms: tuple[tuple[str, str, str], ...]


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts of a cross-validation into its folder."""
    (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_facts(path: Path) -> dict[str, Any]:
    """Read the facts of a cross-validation.

    Args:
        path: its folder, or the file itself.

    Raises:
        DataError: there are none, or they are of another make.
    """
    return load_facts(
        path / FACTS if path.is_dir() else path,
        FORMAT,
        "summary",
        what="a cross-validation",
        again="Run `synimpute crossval` again with this version.",
        absent=f"No cross-validation at {path}",
        expected=f"Name a folder that holds a {FACTS}, as `synimpute crossval DATA --output FOLDER` makes it.",
    )


def load_facts(
    file: Path, form: int, key: str, *, what: str, again: str, absent: str = "", expected: str = ""
) -> dict[str, Any]:
    """Read a file of facts, and refuse one of another make.

    Args:
        file: JSON.
        form: the format that is read here.
        key: an entry that such facts have.
        what: they are about, such as ``a cross-validation``.
        again: what to do about facts of another make.
        absent: what to say of a file that is not there; empty says it plainly.
        expected: what to do then; empty is ``again``.

    Raises:
        DataError: it cannot be read, or is of another make.
    """
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{absent or f'{file} cannot be read'}: {error.strerror or error}. {expected or again}"
        ) from error
    except ValueError as error:
        raise DataError(f"{file} cannot be read: it is no JSON ({error}). {again}") from error
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != form or key not in facts:
        raise DataError(f"{file} is not the facts of {what} in format {form} (its format is {found!r}). {again}")
    return dict(facts)


def about_these_rows(digest: str, result: Mapping[str, Any]) -> bool:
    """Say whether facts are about the rows that a result has now.

    Args:
        digest: of the rows that they are about.
        result: the content of ``synimpute.json``. Where the originals are not published, the rows' digest is another
            one, and the facts are taken at their word.
    """
    whole = result.get("published", {}).get("originals", True)
    return not whole or bool(digest == result["splits"][result["split"]]["digest"])


def read_review(folder: Path, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read what coders found in a result's texts, where that was looked at and is about the rows that it has now.

    Args:
        folder: which holds ``review.json``, or none.
        result: the content of ``synimpute.json``.

    Raises:
        DataError: the file is of another make.
    """
    file = folder / REVIEW
    if not file.is_file():
        return None
    again = f"Run `synimpute review {folder} --read` again with this version, or take the file out."
    review = load_facts(file, REVIEW_FORMAT, "told_apart", what="a review", again=again)
    return review if about_these_rows(review["rows"], result) else None


def made_in_folds(fits: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return, by protocol and arm, the made rows that trained a fold, on average, and how many were missing.

    Args:
        fits: of a cross-validation's facts.
    """
    cells: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for fit in fits:
        cells.setdefault((fit["protocol"], fit["arm"]), []).append(fit)
    return [
        {
            "protocol": protocol,
            "arm": arm,
            "made": fmean(fit["train"]["made"] for fit in cell),
            "short": fmean(sum(fit["short"].values()) for fit in cell),
        }
        for (protocol, arm), cell in cells.items()
    ]


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """Return a number as a table shows it: a true minus sign, no negative zero, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    if not float(text):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def estimate(entry: Mapping[str, Any] | None, key: str = "estimate", sign: bool = False) -> str:
    """Return a mean, a line break and its interval; a dash where there is no mean.

    Args:
        entry: with ``low`` and ``high``.
        key: where the mean stands.
        sign: write a plus sign, as for differences.
    """
    if entry is None or number(entry.get(key)) == MISSING:
        return MISSING
    middle = number(entry[key], sign=sign)
    low, high = number(entry.get("low"), sign=sign), number(entry.get("high"), sign=sign)
    return f"{middle}\n[{low}, {high}]" if MISSING not in (low, high) else middle


def in_line(entry: Mapping[str, Any] | None, key: str = "estimate", sign: bool = False) -> str:
    """Return a mean and its interval on one line; arguments as of ``estimate``."""
    return flat(estimate(entry, key, sign))


def percent(entry: Mapping[str, Any] | None) -> str:
    """Return a share in per cent, a line break and its interval; a dash where there is none.

    Args:
        entry: ``estimate``, ``low`` and ``high``, from 0 to 1.
    """
    if not entry or entry["estimate"] is None:
        return MISSING
    shares = (entry.get(key) for key in ("estimate", "low", "high"))
    middle, low, high = (number(None if share is None else 100 * share, 0) for share in shares)
    return f"{middle} %\n[{low}, {high}]" if MISSING not in (low, high) else f"{middle} %"


def p_value(value: float | None) -> str:
    """Return a p-value; very small ones as a bound."""
    return "<0.001" if value is not None and value < 0.001 else number(value)


def words(value: Any) -> str:
    """Return a user's name or sentence on one line."""
    return re.sub(r"\s+", " ", str(value)).strip()


def flat(cell: str) -> str:
    """Return a table's cell on one line."""
    return cell.replace("\n", " ")


class Findings:
    """The facts of one cross-validation, ready to be asked.

    Args:
        facts: the content of ``crossval.json``.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts
        self._scores = {(e["protocol"], e["arm"], e["metric"], e["class"]): e for e in facts["summary"]}
        self._comparisons = {(e["protocol"], e["arm"], e["metric"], e["class"]): e for e in facts["comparisons"]}
        self.fits = Counter((fit["protocol"], fit["arm"]) for fit in facts.get("fits") or ())

    @property
    def arms(self) -> list[str]:
        """The arms that have a score, in the order of the settings."""
        seen = {key[1]: None for key in self._scores}
        planned = self.facts["settings"]["arms"]
        return [arm for arm in planned if arm in seen] + [arm for arm in seen if arm not in planned]

    @property
    def protocols(self) -> list[str]:
        """The protocols that have a score, the honest ones first."""
        seen = {key[0]: None for key in self._scores}
        return [name for name in PROTOCOLS if name in seen] + [name for name in seen if name not in PROTOCOLS]

    @property
    def main(self) -> str | None:
        """The protocol to be believed, or None where only leaking ones were run."""
        return next((name for name in self.protocols if name not in LEAKY), None)

    @property
    def shown(self) -> str | None:
        """The protocol of the figures: the one to be believed, else the first."""
        return self.main or next(iter(self.protocols), None)

    @property
    def focus(self) -> list[str]:
        """The names of the classes that are imputed; all classes where none is."""
        classes = self.facts["classes"]
        return [e["name"] for e in classes if e.get("focus")] or [e["name"] for e in classes]

    @property
    def imputed(self) -> str | None:
        """The arm that stands for the method: ``imputed``, else the first of its kind."""
        arms = self.arms
        return "imputed" if "imputed" in arms else next((arm for arm in arms if arm.startswith("imputed")), None)

    @property
    def margin(self) -> float:
        """The equivalence margin, in units of F1."""
        return float(self.facts["settings"].get("margin") or 0.02)

    def score(self, protocol: str, arm: str, metric: str, name: str | None) -> Mapping[str, Any] | None:
        """Return a summary figure, or None; a class of None means the macro mean, or a metric without classes."""
        found = self._scores.get((protocol, arm, metric, name))
        return found or (self._scores.get((protocol, arm, f"{metric}_macro", None)) if name is None else None)

    def comparison(self, protocol: str, arm: str, metric: str, name: str | None) -> Mapping[str, Any] | None:
        """Return an arm's paired difference to ``original``, or None."""
        return self._comparisons.get((protocol, arm, metric, name))

    def comparisons(self, protocol: str) -> Iterator[Mapping[str, Any]]:
        """Yield the paired differences of a protocol in the order of the facts."""
        return (entry for key, entry in self._comparisons.items() if key[0] == protocol)

    def arms_of(self, protocol: str) -> list[str]:
        """Return the arms with a score under one protocol."""
        seen = {key[1] for key in self._scores if key[0] == protocol}
        return [arm for arm in self.arms if arm in seen]

    def originals(self, name: str) -> int | None:
        """Return how many originals a class has."""
        return next((int(e["originals"]) for e in self.facts["classes"] if e["name"] == name), None)

    def size(self, protocol: str) -> str:
        """Return how often was measured, in words."""
        settings = self.facts["settings"]
        counts = {count for (name, _), count in self.fits.items() if name == protocol}
        text = f"{settings['repeats']} repeats of {settings['folds']} folds"
        if protocol == "holdout":
            text = "One test set"
        if counts:
            span = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
            text += f", {span} fit{'s' if max(counts) > 1 else ''} an arm"
        return text

    def prevalence(self, protocol: str) -> str:
        """Return the share of each focus class in the test part, in words; empty when the facts don't say."""
        data = self.facts["data"]
        shares = data.get("holdout_prevalence" if protocol == "holdout" else "prevalence") or {}
        known = [f"{number(shares[name])} for {words(name)}" for name in self.focus if name in shares]
        if not known:
            return ""
        text = f"Prevalence in the test part: {', '.join(known)}"
        counts = {
            e["name"]: e.get("target") or e["originals"] for e in self.facts["classes"]
        }  # extra ones aren't tested
        if protocol == "pooled" and sum(counts.values()):
            mixed = [f"{number(counts[name] / sum(counts.values()))} for {words(name)}" for name in self.focus]
            text += f" among originals, with the synthetic texts that are tested along {', '.join(mixed)}"
        return text + "."

    def prevalence_differs(self) -> bool:
        """Return whether the hold-out set has another prevalence than the folds, by a hundredth or more."""
        data = self.facts["data"]
        here, there = data.get("prevalence") or {}, data.get("holdout_prevalence") or {}
        return any(abs(there[name] - here[name]) >= 0.01 for name in there if name in here)

    def inflation(self, name: str, part: str = "total", metric: str = "f1") -> Mapping[str, Any] | None:
        """Return a part of the inflation of a class, or None."""
        entries = self.facts.get("inflation") or ()
        return next((e for e in entries if (e["class"], e["part"], e["metric"]) == (name, part, metric)), None)

    def answer(self) -> Answer:
        """Return what a reader wants to know first."""
        facts = self.facts
        warnings = [f"This run is incomplete: {words(facts['incomplete'])}"] if facts.get("incomplete") else []
        if self.main is None:
            warnings.append("Only protocols that leak were run: the scores below are too good. Add seed_aware.")
        order = sorted(self.arms, key=lambda arm: (arm != self.imputed, not arm.startswith("imputed")))
        verdicts = [
            (entry["verdict"], self._subject(entry), words(entry["sentence"]).removeprefix(f"{entry['verdict']}: "))
            for name in self.focus
            for arm in order
            if self.main and (entry := self.comparison(self.main, arm, "f1", name))
        ]
        lead = [text for name in self.focus for text in self._lead(name)]
        if lead and self.main:
            lead.append(f"Measured under {self.main}: {PROTOCOLS.get(self.main, 'no leak')}; {self.size(self.main)}.")
        return Answer(
            warnings=tuple(warnings),
            lead=tuple(lead),
            verdicts=tuple(verdicts),
            ranking=tuple(
                f"{self._subject(e)}: {words(e['sentence'])}"
                for e in sorted(facts.get("ranking") or (), key=lambda e: e["arm"] != self.imputed)
                if e["protocol"] == self.main
            ),
            overfitting=tuple(f"{self._subject(e)}: {words(e['sentence'])}" for e in facts.get("overfitting") or ()),
            alarms=tuple(
                (words(e["name"]), words(e["sentence"]), words(e.get("advice") or ""))
                for e in facts.get("alarms") or ()
            ),
        )

    def _subject(self, entry: Mapping[str, Any]) -> str:
        """Return the arm of a sentence, with the class where several are imputed."""
        arm = words(entry.get("arm") or self.imputed or "imputed")
        return f"{arm}, {words(entry['class'])}" if len(self.focus) > 1 else arm

    def _lead(self, name: str) -> Iterator[str]:
        """Yield, for one class, the score to be believed and what the paper's protocol would have said."""
        protocol, arm = self.main, self.imputed
        found = self.score(protocol, arm, "f1", name) if protocol and arm else None
        if protocol is None or arm is None or found is None:
            return
        text = f"Class {words(name)}: with synthetic texts ({arm}), F1 is {flat(estimate(found))}"
        base = self.score(protocol, "original", "f1", name)
        text += f", with the originals alone {flat(estimate(base))}" if base else ""
        precision = self.score(protocol, arm, "average_precision", name)
        if precision:
            text += f". Average precision is {flat(estimate(precision))}"
            base = self.score(protocol, "original", "average_precision", name)
            text += f", with the originals alone {flat(estimate(base))}" if base else ""
        yield f"{text}."
        total, pooled = self.inflation(name), self.score("pooled", arm, "f1", name)
        if total and pooled and number(total["estimate"]) != MISSING:
            start = f"Class {words(name)}: the paper's pooled protocol would have reported F1 {flat(estimate(pooled))} "
            start += f"for the same texts and classifier: {number(abs(total['estimate']))} "
            start += "more" if total["estimate"] >= 0 else "less"
            low, high = sorted((abs(total["low"]), abs(total["high"])))
            sure = total["low"] * total["high"] > 0
            yield start + (f" [{number(low)}, {number(high)}]." if sure else ", within what chance explains.")


def run_labels(facts_list: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each run: its title, with its originals or its number where titles are alike."""
    titles = [words(facts["title"]) for facts in facts_list]
    if len(set(titles)) == len(titles):
        return titles
    counts = [", ".join(f"{f.originals(n)} {words(n)}" for n in f.focus) for f in map(Findings, facts_list)]
    labels = [f"{title} ({count})" for title, count in zip(titles, counts, strict=True)]
    if len(set(labels)) == len(labels):
        return labels
    return [f"{label} #{i}" for i, label in enumerate(labels, start=1)]
