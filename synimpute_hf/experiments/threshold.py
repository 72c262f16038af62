"""``threshold``: how many originals, filled up with synthetic texts, are as good as a full sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import PlanError
from ..facts import MISSING, estimate, in_line, number, p_value, words
from ..figures import BLUE, GREEN, GREY, INK, VERMILLION, Drawing, blank, curve, dot_interval, dot_rows, key_line
from ..sheets import Sheet
from .base import (
    METRICS,
    Bench,
    Experiment,
    Numbers,
    Run,
    Settings,
    Trial,
    Words,
    Writing,
    Written,
    compare,
    mean_score,
)

__all__ = ["PLUGIN", "ThresholdExperiment", "ThresholdSettings"]

NEEDED = ("original", "imputed", "ceiling")
UNLIKELY, SURE = 0.05, 0.95
COLOURS = {"original": (GREY, "o", "-"), "imputed": (VERMILLION, "D", "-"), "class_weights": (BLUE, "s", "--")}
OTHER = (GREEN, "^", "-.")


@dataclass(frozen=True)
class ThresholdSettings(Settings):
    """Options of ``threshold``.

    Attributes:
        originals: numbers of originals that stay.
        samples: how often each number is drawn from all originals; each draw has its own synthetic texts.
        arms: ways to train, with semicolons between; ``original``, ``imputed`` and ``ceiling`` are always there.
    """

    originals: Numbers = (50, 75, 100)
    samples: int = 1
    arms: Words = ("class_weights",)


class ThresholdExperiment(Experiment):
    """Thins the category, imputes it, and compares with the full sample on the same folds."""

    key = "threshold"
    question = "How many originals with synthetic texts are as good as the full sample of originals?"
    settings_class = ThresholdSettings
    full = {"originals": (25, 50, 75, 100, 150), "samples": 5}  # noqa: RUF012
    settings: ThresholdSettings

    def jobs(self, bench: Bench) -> list[Trial | Writing]:
        """One cross-validation a number of originals and sample."""
        others = [arm for arm in self.settings.arms if arm not in NEEDED]
        arms = ("original", *others, "imputed", "ceiling")
        numbers = [n for n in bench.possible(self.settings.originals) if n < bench.target]
        if not numbers:
            raise PlanError(
                f"The target is {bench.target} rows: expected some number of originals below it, got "
                f"{', '.join(map(str, self.settings.originals))}. Say --set originals=… or --target."
            )
        trials = [
            Trial(f"originals-{n}-sample-{s}", arms, keep=n, keep_seed=s)
            for n in numbers
            for s in range(self.settings.samples)
        ]
        # The paper tests the originals that stay, and synthetic texts with them.
        papers = {"inflation": True, "full_test": False}
        trials += [Trial(f"paper-{n}", ("original", "imputed"), keep=n, keep_seed=0, settings=papers) for n in numbers]
        return list(trials)

    def analyse(self, bench: Bench, done: Sequence[Run | Written]) -> dict[str, Any]:
        """Compare with the ceiling, and find the smallest number that is on a par."""
        cells: dict[int, list[Run]] = {}
        for run in done:
            if isinstance(run, Run) and not run.trial.name.startswith("paper-"):
                cells.setdefault(run.trial.keep or 0, []).append(run)
        margin = bench.settings.get("margin", 0.02)
        papers = {run.trial.keep: run for run in done if isinstance(run, Run) and run.trial.name.startswith("paper-")}
        levels = [{**_level(n, cells[n], margin), **_paper(papers[n])} for n in sorted(cells)]
        short = sorted({note for runs in cells.values() for run in runs for note in run.facts["notes"]})
        return {
            "category": bench.category,
            "full": min(bench.target, bench.originals),
            "target": bench.target,
            "margin": margin,
            "samples": self.settings.samples,
            "levels": levels,
            "smallest": {arm: _smallest(levels, arm) for arm in levels[0]["scores"] if arm != "ceiling"},
            "warnings": short,
        }

    @classmethod
    def answer(cls, result: Mapping[str, Any]) -> list[str]:
        """Say which number of originals is enough."""
        tried = ", ".join(str(level["originals"]) for level in result["levels"])
        said = [
            f"Numbers of originals tried: {tried}. The smallest shown to be as good as {result['full']} (equivalent "
            f"or better in F1, margin {number(result['margin'], 2)}) is "
            + "; ".join(f"for {words(arm)} {_enough(found)}" for arm, found in result["smallest"].items())
            + "."
        ]
        for level in result["levels"]:
            found = level["comparisons"]
            gain, rank, left = (
                in_line(found[f"imputed_{what}"], "difference", sign=True)
                for what in ("original", "original_ap", "ceiling")
            )
            said.append(
                f"With {level['originals']} originals synthetic texts change F1 by {gain} "
                f"({found['imputed_original']['verdict']}), average precision by {rank}; the difference to the full "
                f"sample is {left}."
            )
        return said

    @classmethod
    def sheets(cls, result: Mapping[str, Any]) -> list[Sheet]:
        """Return scores, comparisons, and what the paper's protocol would have said."""
        return [sheet for sheet in (_scores(result), _differences(result), _inflation(result)) if sheet.rows]

    @classmethod
    def drawings(cls, result: Mapping[str, Any]) -> list[Drawing]:
        """Draw scores by number of originals, and the differences to the full sample."""
        return [_curves(result), _forest(result)]


def _level(n: int, runs: Sequence[Run], margin: float) -> dict[str, Any]:
    """Return all about one number of originals."""
    arms = runs[0].trial.arms
    pairs = [(run, run) for run in runs]
    trained = [arm for arm in arms if arm != "ceiling"]
    found = {f"{arm}_ceiling": compare(pairs, arm, "ceiling", margin) for arm in trained}
    for arm in trained[1:]:
        found[f"{arm}_original"] = compare(pairs, arm, "original", margin)
        found[f"{arm}_original_ap"] = compare(pairs, arm, "original", margin, "average_precision")
    first = runs[0].facts
    return {
        "originals": n,
        "scores": {arm: {metric: mean_score(runs, arm, metric) for metric in METRICS} for arm in arms},
        "comparisons": found,
        "made": runs[0].made("imputed"),
        "written": sum(run.facts["generation"]["written"] for run in runs),
        "generated": sum(run.facts["generation"]["generated"] for run in runs),
        "sources": sum(run.facts["leak_check"]["seed_aware"]["sources"] for run in runs),
        "shared_sources": sum(run.facts["leak_check"]["seed_aware"]["shared_sources"] for run in runs),
        "cost_usd": first["generation"]["cost_usd"],
    }


def _paper(run: Run) -> dict[str, Any]:
    """Return what the paper's protocol would have reported, and by how much that is too high."""
    return {
        "inflation": [entry for entry in run.facts["inflation"] if entry["class"] == run.category],
        "pooled": run.summary("imputed", protocol="pooled"),
        "thinned": run.summary("imputed"),
    }


def _smallest(levels: Sequence[Mapping[str, Any]], arm: str) -> dict[str, Any]:
    """Return the smallest number of originals from which an arm is on a par with all of them.

    The uncertainty is read from the posterior probability that the arm is equivalent or better: from the first number
    at which that is not unlikely (0.05) to the first from which on it is nearly sure (0.95).
    """
    chances = []
    for level in levels:
        found = level["comparisons"][f"{arm}_ceiling"]
        chances.append((level["originals"], found["prob_equivalent"] + found["prob_better"], found))
    shown = [n for n, _, found in chances if found["verdict"] in ("equivalent", "better")]
    possible = [n for n, chance, _ in chances if chance > UNLIKELY]
    sure = [n for k, (n, _, _) in enumerate(chances) if all(chance >= SURE for _, chance, _ in chances[k:])]
    return {
        "estimate": shown[0] if shown else None,
        "low": possible[0] if possible else None,
        "high": sure[0] if sure else None,
        "chances": {str(n): chance for n, chance, _ in chances},
    }


def _enough(found: Mapping[str, Any]) -> str:
    """Return the smallest number and how sure that is."""
    what = f"{found['estimate']}" if found["estimate"] else "none"
    low = f"from {found['low']} it is possible" if found["low"] else "not even possible"
    high = f"from {found['high']} nearly sure" if found["high"] else "nowhere nearly sure"
    return f"{what} ({low}, {high})" if found["low"] else f"{what} ({low})"


def _scores(result: Mapping[str, Any]) -> Sheet:
    rows = []
    for level in result["levels"]:
        for arm, scores in level["scores"].items():
            made = f"{level['made']:.0f}" if arm == "imputed" else MISSING
            rows.append((str(level["originals"]), arm, made, *(estimate(scores[metric]) for metric in METRICS)))
    caption = (
        f"Scores of {words(result['category'])} on the same folds and tested texts for every number of originals, at "
        f"the prevalence of the whole data: mean and 95 % interval (corrected resampled t). `ceiling` trains on "
        f"{result['full']} originals. No training text was written from a test text."
    )
    columns = ("originals", "arm", "synthetic rows a fold", "F1", "average precision")
    return Sheet("scores", "Scores", caption, columns, "rlrcc", tuple(rows), heads=2)


def _differences(result: Mapping[str, Any]) -> Sheet:
    rows = []
    for level in result["levels"]:
        for found in level["comparisons"].values():
            title = f"{found['arm']} less {found['against'].replace('ceiling', 'the full sample')}"
            title += ", average precision" if found["metric"] == "average_precision" else ""
            chance = number(found["prob_equivalent"] + found["prob_better"], 2)
            cells = (estimate(found, "difference", sign=True), p_value(found["p"]), p_value(found["p_equivalence"]))
            rows.append((str(level["originals"]), title, *cells, chance, found["verdict"]))
    caption = (
        "Paired differences, in F1 unless said otherwise, with 95 % intervals and p-values of the corrected "
        f"resampled t-test and of the two one-sided tests of equivalence (margin {number(result['margin'], 2)}; not "
        "adjusted for their number); probability of being equivalent or better by the Bayesian correlated t-test."
    )
    columns = ("originals", "difference of", "difference", "p", "p of equivalence", "on a par, probability", "verdict")
    return Sheet("differences", "Comparisons", caption, columns, "rlcrrrl", tuple(rows), heads=2)


def _inflation(result: Mapping[str, Any]) -> Sheet:
    rows = []
    for level in result["levels"]:
        parts = {entry["part"]: estimate(entry, sign=True) for entry in level["inflation"]}
        both = (estimate(level["pooled"]), estimate(level["thinned"]))
        rows.append((str(level["originals"]), *both, *parts.values()))
    names = [entry["part"] for entry in result["levels"][0]["inflation"]] if result["levels"] else []
    caption = (
        "What the paper's protocol (synthetic texts in the test folds, shared sources; only the originals that stay "
        "are tested, at their prevalence) would have reported for `imputed`, the same without a leak, and the "
        "difference: F1 and 95 % intervals."
    )
    columns = ("originals", "F1, pooled", "F1, seed-aware", *names)
    return Sheet(
        "inflation", "Inflation of the paper's protocol", caption, columns, "r" + "c" * (2 + len(names)), tuple(rows)
    )


def _curves(result: Mapping[str, Any]) -> Drawing:
    figure, grid = blank(1, 2, 2.9)
    levels = result["levels"]
    x = [level["originals"] for level in levels]
    arms = [arm for arm in levels[0]["scores"] if arm != "ceiling"]
    step = 0.03 * max(1, x[-1] - x[0])
    styles = {arm: COLOURS.get(arm, OTHER) for arm in arms}
    for axes, (metric, title) in zip(grid[0], METRICS.items(), strict=True):
        for place, arm in enumerate(arms):
            rows = [level["scores"][arm][metric] for level in levels]
            curve(axes, x, rows, ("estimate", "low", "high"), *styles[arm], shift=step * (place - (len(arms) - 1) / 2))
        top = levels[-1]["scores"]["ceiling"][metric]
        axes.axhline(top["estimate"], color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.axhspan(top["low"], top["high"], color=INK, alpha=0.06, linewidth=0)
        axes.set(xlabel=f"originals of {words(result['category'])}", ylabel=title, xticks=x)
        axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.5)
    handles = [key_line(arm, *styles[arm]) for arm in arms] + [key_line(f"{result['full']} originals", INK, "", "--")]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, handlelength=3.0)
    caption = (
        f"Scores of {words(result['category'])} by the number of originals, on the same tested texts: mean and 95 % "
        "interval. Dashed with its band: the full sample."
    )
    return Drawing("scores", caption, figure)


def _forest(result: Mapping[str, Any]) -> Drawing:
    arms = [arm for arm in result["levels"][0]["scores"] if arm != "ceiling"]
    names = [f"{level['originals']}: {arm}" for level in result["levels"] for arm in arms]
    figure, grid = blank(1, 1, 0.8 + 0.24 * len(names), 5.4)
    axes = grid[0][0]
    dot_rows(axes, names)
    margin = result["margin"]
    axes.axvspan(-margin, margin, color=GREEN, alpha=0.15, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.6)
    for place, (level, arm) in enumerate((level, arm) for level in result["levels"] for arm in arms):
        color, marker, _ = COLOURS.get(arm, OTHER)
        found = level["comparisons"][f"{arm}_ceiling"]
        dot_interval(axes, place, found, "difference", color=color, marker=marker)
    axes.set(xlabel=f"F1 less that of {result['full']} originals")
    caption = (
        "Difference in F1 to the full sample of originals, paired by fold, with 95 % intervals, by the number of "
        "originals. Green: the equivalence margin."
    )
    return Drawing("differences", caption, figure)


PLUGIN = ThresholdExperiment
