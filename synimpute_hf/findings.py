"""What a cross-validation found, in numbers and words: means, comparisons, inflation, overfitting, alarms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .arms import Arm
from .corpus import IMPUTED, Corpus
from .facts import ADVISED, ALARMING
from .folds import PROTOCOLS, Fold, LeakCheck, Links
from .metrics import score
from .stats import (
    Equivalence,
    Interval,
    Verdict,
    bootstrap_interval,
    corrected_interval,
    correlated_bayes,
    equivalence,
    holm,
    same_rows,
    verdict,
)

__all__ = ["FitRecord", "find"]

BINS = 10
RESAMPLES = 1000
LOW_F1 = 0.6
SAME_PREVALENCE = 0.1
COMPARED = ("f1", "average_precision")


@dataclass(frozen=True)
class FitRecord:
    """One finished fit with its scores.

    Attributes:
        protocol: how it was measured.
        arm: how it was trained.
        fold: where.
        key: its key among the finished fits.
        seconds: time that it took.
        train: originals and made rows that trained.
        short: made rows that are missing from the fold's target, by class.
        check: what the leak check looked at.
        thresholds: decision thresholds, by class.
        tested: ``(m,)`` positions of the tested rows, originals first.
        predictions: ``(m,)`` classes.
        probabilities: ``(m, classes)``.
        scores: over all tested rows.
        scores_originals: over the tested originals, where synthetic rows are tested, too.
    """

    protocol: str
    arm: Arm
    fold: Fold
    key: str
    seconds: float
    train: dict[str, int]
    short: dict[int, int]
    check: LeakCheck
    thresholds: dict[int, float]
    tested: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray
    scores: dict[str, Any]
    scores_originals: dict[str, Any] | None


@dataclass(frozen=True)
class _Measure:
    """One number of a fit: a metric, of a class or over all."""

    metric: str
    code: int | None
    name: str | None

    def of(self, scores: dict[str, Any]) -> float:
        """Return the number; nan where a fold has no row of the class."""
        if self.code is not None:
            return float(scores[self.metric][self.code])
        key = f"{self.metric}_macro"
        return float(scores[key if key in scores else self.metric])


class _Table:
    """Fits by protocol and arm, and the intervals of what they measured."""

    def __init__(self, records: Sequence[FitRecord], corpus: Corpus, links: Links, seed: int) -> None:
        self.corpus = corpus
        self.links = links
        self.seed = seed
        self.cells: dict[tuple[str, str], dict[tuple[int, int], FitRecord]] = {}
        for record in records:
            cell = self.cells.setdefault((record.protocol, record.arm.name), {})
            cell[record.fold.repeat, record.fold.number] = record
        self.protocols = list(dict.fromkeys(protocol for protocol, _ in self.cells))
        self._drawn: dict[tuple[str, _Measure, int], float] = {}

    def _folds(self, protocol: str) -> list[Fold]:
        return [r.fold for (p, _), cell in self.cells.items() if p == protocol for r in cell.values()]

    def test_share(self, protocol: str) -> float:
        """Return the mean number of tested originals for each original that trains."""
        return float(np.mean([len(fold.test) / len(fold.train) for fold in self._folds(protocol)]))

    def prevalence(self, protocol: str, code: int | None) -> float:
        """Return the share of a class among the tested originals."""
        return float(np.mean(np.concatenate([self.corpus.labels[fold.test] == code for fold in self._folds(protocol)])))

    def paired(self, measure: _Measure, one: tuple[str, str], other: tuple[str, str]) -> np.ndarray:
        """Return the differences of two cells, fold by fold, without folds that lack either score, shape ``(n,)``."""
        a, b = self.cells[one], self.cells[other]
        both = [(measure.of(a[place].scores), measure.of(b[place].scores)) for place in sorted(a.keys() & b.keys())]
        differences = np.array([x - y for x, y in both])
        there: np.ndarray = differences[~np.isnan(differences)]
        return there

    def same(self, protocol: str, arm: str, against: str) -> Verdict | None:
        """Return the verdict on two arms that train on the same rows in most folds, else None."""
        a, b = self.cells[protocol, arm], self.cells[protocol, against]
        both = a.keys() & b.keys()
        return same_rows(sum(a[place].key == b[place].key for place in both), len(both))

    def interval(self, measure: _Measure, protocol: str, arm: str) -> Interval:
        """Return a cell's mean with its interval."""
        if protocol == "holdout":
            return self.resampled(measure, [(1.0, (protocol, arm))])
        values = np.array([measure.of(record.scores) for record in self.cells[protocol, arm].values()])
        return corrected_interval(values[~np.isnan(values)], self.test_share(protocol))

    def resampled(
        self, measure: _Measure, parts: Sequence[tuple[float, tuple[str, str]]], level: float = 0.95
    ) -> Interval:
        """Return a sum of hold-out cells with signs, each a mean over its repeats, with a bootstrap interval.

        The tested rows are the same in every repeat; they are drawn anew by their groups.
        """
        # Repeats that draw nothing at random give the same predictions: one of them says it all.
        cells = ((sign, self.cells[cell].values()) for sign, cell in parts)
        fits = [
            (sign, list({(r.probabilities.tobytes(), r.predictions.tobytes()): r for r in cell}.values()))
            for sign, cell in cells
        ]
        tested = fits[0][1][0].tested

        def statistic(rows: np.ndarray) -> float:
            return sum(
                sign * float(np.mean([self._drawn_score(measure, record, rows) for record in records]))
                for sign, records in fits
            )

        return bootstrap_interval(statistic, len(tested), RESAMPLES, level, self.seed, self.links.group[tested])

    def _drawn_score(self, measure: _Measure, record: FitRecord, rows: np.ndarray) -> float:
        """Return a score on some of the tested rows; every bootstrap draws the same ones, so that most are known."""
        place = (record.key, measure, hash(rows.tobytes()))
        if place not in self._drawn:
            labels = self.corpus.labels[record.tested[rows]]
            scores = score(labels, record.predictions[rows], record.probabilities[rows], [measure.metric])
            self._drawn[place] = measure.of(scores)
        return self._drawn[place]


def find(
    records: Sequence[FitRecord], corpus: Corpus, links: Links, focus: Sequence[int], margin: float, seed: int
) -> dict[str, Any]:
    """Return the findings as JSON-able parts of a report.

    Args:
        records: every fit.
        corpus: the rows.
        links: groups of tested rows, which a bootstrap draws together.
        focus: the rare classes.
        margin: the largest difference of a score that does not matter.
        seed: of the bootstrap.
    """
    table = _Table(records, corpus, links, seed)
    names = corpus.names
    compared = [_Measure(metric, code, names[code]) for code in focus for metric in COMPARED]
    compared.append(_Measure("f1", None, None))
    comparisons = list(_comparisons(table, compared, margin))
    inflation = list(_inflation(table, [_Measure("f1", code, names[code]) for code in focus]))
    overfitting = list(_overfitting(table, [_Measure("f1", code, names[code]) for code in focus]))
    summary = list(_summary(table, names, compared))
    return {
        "test_share": {protocol: table.test_share(protocol) for protocol in table.protocols},
        "summary": summary,
        "comparisons": comparisons,
        "inflation": inflation,
        "overfitting": overfitting,
        "ranking": list(_ranking(comparisons)),
        "alarms": list(_alarms(summary, overfitting, [names[code] for code in focus])),
        "leak_check": {protocol: _checks(records, protocol) for protocol in table.protocols},
        "reliability": list(_reliability(table, focus)),
        "confusion": [
            {"protocol": protocol, "arm": arm, "matrix": _confusion(cell.values(), corpus)}
            for (protocol, arm), cell in table.cells.items()
        ],
    }


def _summary(table: _Table, names: Sequence[str], compared: Sequence[_Measure]) -> Iterable[dict[str, Any]]:
    by_class = ("f1", "precision", "recall", "average_precision")
    every = [_Measure(metric, code, name) for metric in by_class for code, name in enumerate(names)]
    every += [_Measure(metric, None, None) for metric in (*by_class, "mcc", "calibration_error")]
    for protocol, arm in table.cells:
        # A bootstrap of every number would take minutes and serve nobody.
        for measure in compared if protocol == "holdout" else every:
            interval = table.interval(measure, protocol, arm)
            least = -1.0 if measure.metric == "mcc" else 0.0
            yield {
                "protocol": protocol,
                "arm": arm,
                "metric": measure.metric,
                "class": measure.name,
                **_numbers(interval, "estimate", "sd", "n"),
                # A t interval knows no bounds; a score does.
                "low": max(interval.low, least),
                "high": min(interval.high, 1.0),
            }


def _numbers(interval: Interval, *fields: str) -> dict[str, Any]:
    return {name: getattr(interval, name) for name in fields}


def _comparisons(table: _Table, measures: Sequence[_Measure], margin: float) -> Iterable[dict[str, Any]]:
    """Compare every arm with the originals alone, in every protocol that does not leak."""
    against = "original"
    unknown = {"worse": None, "equivalent": None, "better": None}
    for protocol in table.protocols:
        arms = [arm for p, arm in table.cells if p == protocol and arm != against]
        if PROTOCOLS[protocol].leaky or (protocol, against) not in table.cells:
            continue
        share = table.test_share(protocol)
        for measure in measures:
            found: list[tuple[str, Interval, Equivalence, dict[str, Any]]] = []
            for arm in arms:
                cells = ((protocol, arm), (protocol, against))
                if protocol == "holdout":
                    signed = list(zip((1.0, -1.0), cells, strict=True))
                    difference = table.resampled(measure, signed)
                    inner = table.resampled(measure, signed, 0.9)
                    inside = -margin < inner.low and inner.high < margin
                    found.append((arm, difference, Equivalence(math.nan, math.nan, math.nan, inside, margin), unknown))
                    continue
                values = table.paired(measure, *cells)
                posterior = asdict(correlated_bayes(values, share / (1 + share), margin))
                found.append((arm, corrected_interval(values, share), equivalence(values, share, margin), posterior))
            adjusted = holm([difference.p for _, difference, _, _ in found])
            for (arm, difference, equal, posterior), p_holm in zip(found, adjusted, strict=True):
                fixed = protocol == "holdout"
                # A bootstrap's spread is that of the mean itself; the verdict wants that of one row.
                spread = replace(difference, sd=difference.sd * math.sqrt(difference.n)) if fixed else difference
                said = table.same(protocol, arm, against) or verdict(
                    spread, equal, float(p_holm), 0.0 if fixed else share, repeatable=not fixed
                )
                yield {
                    "protocol": protocol,
                    "arm": arm,
                    "against": against,
                    "metric": measure.metric,
                    "class": measure.name,
                    "difference": difference.estimate,
                    **_numbers(difference, "low", "high", "p", "n"),
                    "p_holm": float(p_holm),
                    "p_equivalence": equal.p,
                    **{f"prob_{name}": value for name, value in posterior.items()},
                    "verdict": said.word,
                    "sentence": said.sentence,
                }


PARTS = (
    ("total", "pooled", "seed_aware"),
    ("synthetic texts in the test folds", "pooled", "real_test"),
    ("shared sources", "real_test", "seed_aware"),
)


def _inflation(table: _Table, measures: Sequence[_Measure]) -> Iterable[dict[str, Any]]:
    """Take the paper's protocol apart: what its score owes to synthetic test texts, and what to shared sources."""
    if any((protocol, IMPUTED) not in table.cells for protocol in ("pooled", "real_test", "seed_aware")):
        return
    share = table.test_share("seed_aware")
    for measure in measures:
        for part, one, other in PARTS:
            interval = corrected_interval(table.paired(measure, (one, IMPUTED), (other, IMPUTED)), share)
            yield {
                "class": measure.name,
                "metric": measure.metric,
                "part": part,
                **_numbers(interval, "estimate", "low", "high", "p"),
                "sentence": f"{part}: {_signed(interval)}",
            }


def _overfitting(table: _Table, measures: Sequence[_Measure]) -> Iterable[dict[str, Any]]:
    """Compare the score on the augmented data's own folds with the one on true texts, for every amount of texts.

    True texts are those of the hold-out set where it has the prevalence of the folds: F1 depends on it.
    """
    for arm in [arm for protocol, arm in table.cells if protocol == "pooled"]:
        for measure in measures:
            true = "seed_aware"
            if ("holdout", arm) in table.cells:
                shares = [table.prevalence(protocol, measure.code) for protocol in ("holdout", true)]
                true = "holdout" if abs(shares[0] - shares[1]) <= SAME_PREVALENCE * shares[1] else true
            if true == "seed_aware":
                values = table.paired(measure, ("pooled", arm), (true, arm))
                interval = corrected_interval(values, table.test_share(true))
            else:
                interval = _apart(table.interval(measure, "pooled", arm), table.interval(measure, true, arm))
            yield {
                "arm": arm,
                "class": measure.name,
                **_numbers(interval, "estimate", "low", "high", "p"),
                "against": true,
                "sentence": f"F1 on its own folds less F1 on true texts ({true}): {_signed(interval)}",
            }


def _apart(one: Interval, other: Interval) -> Interval:
    """Return the difference of two means from different rows, with a normal interval of their joint error."""
    from scipy.special import ndtr

    estimate = one.estimate - other.estimate
    error = math.hypot(one.high - one.low, other.high - other.low) / 2 / 1.96
    p = 2 * float(ndtr(-abs(estimate) / error)) if error > 0 else float(estimate == 0)
    return Interval(
        estimate, estimate - 1.96 * error, estimate + 1.96 * error, math.nan, min(one.n, other.n), 0, 0.95, p
    )


def _signed(interval: Interval) -> str:
    return f"{interval.estimate:+.3f} (95 % interval {interval.low:+.3f} to {interval.high:+.3f})"


def _ranking(comparisons: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Say whether an arm ranks texts better, or only moves the line between the classes."""
    found = {(c["protocol"], c["arm"], c["class"], c["metric"]): c for c in comparisons if c["class"] is not None}
    for (protocol, arm, name, metric), f1 in found.items():
        if metric != "f1":
            continue
        ap = found[protocol, arm, name, "average_precision"]
        higher, lower = (ap["p_holm"] < 0.05 and sign * ap["difference"] > 0 for sign in (1, -1))
        gains = f1["p_holm"] < 0.05 and f1["difference"] > 0
        if higher:
            said = "ranks texts better" + (", and its F1 is higher" if gains else ", though its F1 is not higher")
        elif lower:
            said = "ranks texts worse" + (": its higher F1 comes from a moved threshold alone" if gains else "")
        elif gains:
            said = "only moves the threshold as far as can be told: its F1 is higher, its average precision is not"
        else:
            said = "neither ranks better nor scores higher, as far as can be told"
        numbers = f"F1 {f1['difference']:+.3f}, average precision {ap['difference']:+.3f}"
        yield {"protocol": protocol, "arm": arm, "class": name, "sentence": f"{said} ({numbers})"}


def _alarms(
    summary: Sequence[dict[str, Any]], overfitting: Sequence[dict[str, Any]], focus: Sequence[str]
) -> Iterable[dict[str, Any]]:
    """The paper's alarm signs, and what to do."""
    for entry in overfitting:
        if entry["arm"] != IMPUTED or not entry["estimate"] > ADVISED:
            continue
        points = f"{100 * entry['estimate']:.1f} points"
        alarming = entry["estimate"] > ALARMING
        yield {
            "name": "overfitting",
            "class": entry["class"],
            "sentence": f"F1 of {entry['class']!r} is {points} higher on the augmented data's own folds than on true "
            f"texts; the paper {'takes over 5 points for an alarm' if alarming else 'advises to stay below 4'}.",
            "advice": "Run 'synimpute calibrate': it finds how many synthetic texts are too many. Else change the "
            "prompt, or take a better generator. Report the seed-aware score, not the pooled one.",
        }
    for name in focus:
        rows = [s for s in summary if (s["arm"], s["metric"], s["class"]) == (IMPUTED, "f1", name)]
        row = next((s for s in rows if s["protocol"] == "seed_aware"), None)
        if row and row["estimate"] < LOW_F1:
            yield {
                "name": "low F1",
                "class": name,
                "sentence": f"F1 of {name!r} is {row['estimate']:.2f} with synthetic texts, under {LOW_F1}.",
                "advice": "Read some of the synthetic texts. Describe the category better (--category-description), "
                "take a better generator, or code more originals.",
            }


def _checks(records: Sequence[FitRecord], protocol: str) -> dict[str, int]:
    """Add up what the leak checks of a protocol looked at."""
    checks = [record.check for record in records if record.protocol == protocol]
    totals = {name: sum(getattr(check, name) for check in checks) for name in LeakCheck.__dataclass_fields__}
    return {"fits": len(checks), **totals}


def _originals(record: FitRecord) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = len(record.fold.test)
    return record.tested[:count], record.predictions[:count], record.probabilities[:count]


def _confusion(records: Iterable[FitRecord], corpus: Corpus) -> list[list[int]]:
    """Count tested originals by true class (down) and predicted class (across)."""
    size = len(corpus.names)
    cells = np.zeros(size * size, dtype=np.int64)
    for record in records:
        tested, predictions, _ = _originals(record)
        cells += np.bincount(corpus.labels[tested] * size + predictions, minlength=size * size)
    return cells.reshape(size, size).tolist()


def _reliability(table: _Table, focus: Sequence[int]) -> Iterable[dict[str, Any]]:
    """Put the tested originals into bins of predicted probability, with the share that belongs to the class."""
    edges = np.linspace(0, 1, BINS + 1)
    for (protocol, arm), cell in table.cells.items():
        parts = [_originals(record) for record in cell.values()]
        labels = table.corpus.labels[np.concatenate([tested for tested, _, _ in parts])]
        probabilities = np.concatenate([part for _, _, part in parts])
        for code in focus:
            confidence, truth = probabilities[:, code], labels == code
            places = np.clip(np.digitize(confidence, edges) - 1, 0, BINS - 1)
            bins = [
                {
                    "low": float(edges[b]),
                    "high": float(edges[b + 1]),
                    "n": int((places == b).sum()),
                    "confidence": _mean(confidence[places == b]),
                    "observed": _mean(truth[places == b]),
                }
                for b in range(BINS)
            ]
            yield {"protocol": protocol, "arm": arm, "class": table.corpus.names[code], "bins": bins}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
