"""``calibration``: the score of the originals alone, by their number, and what more of them would be worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..facts import estimate, in_line, number, words
from ..figures import BLUE, GREY, VERMILLION, Drawing, blank, curve, key_line
from ..learning import fit_power_law
from ..sheets import Sheet
from .base import METRICS, Bench, Experiment, Numbers, Run, Settings, Trial, Writing, Written, mean_score

__all__ = ["PLUGIN", "CalibrationExperiment", "CalibrationSettings"]

BEYOND = (1.5, 2.0, 4.0)
MORE = 25


@dataclass(frozen=True)
class CalibrationSettings(Settings):
    """Options of ``calibration``.

    Attributes:
        originals: numbers of originals that train; all of them come besides.
        samples: how often each number is drawn from all originals.
    """

    originals: Numbers = (25, 50, 75, 100)
    samples: int = 5


class CalibrationExperiment(Experiment):
    """Trains with ever fewer originals of the category, and tests on all of them."""

    key = "calibration"
    question = "How good are the originals alone, and what would more of them be worth?"
    settings_class = CalibrationSettings
    full = {"originals": (10, 25, 50, 75, 100, 150, 200), "samples": 20}  # noqa: RUF012
    settings: CalibrationSettings

    def jobs(self, bench: Bench) -> list[Trial | Writing]:
        """One cross-validation a number of originals and sample; the last one trains on all, too."""
        numbers = bench.possible(self.settings.originals)
        trials = [
            Trial(f"originals-{n}-sample-{s}", ("original",), keep=n, keep_seed=s, target=bench.originals)
            for n in numbers
            for s in range(self.settings.samples)
        ]
        whole = Trial("all", ("original", "ceiling"), keep=numbers[-1], keep_seed=0, target=bench.originals)
        return [*trials, whole]

    def analyse(self, bench: Bench, done: Sequence[Run | Written]) -> dict[str, Any]:
        """Average over samples, and fit the curve to the folds' scores."""
        runs = [entry for entry in done if isinstance(entry, Run)]
        cells: dict[int, list[Run]] = {}
        for run in runs[:-1]:
            cells.setdefault(run.trial.keep or 0, []).append(run)
        numbers = [*sorted(cells), bench.originals]
        parts = [*((cells[n], "original") for n in sorted(cells)), ([runs[-1]], "ceiling")]
        points = [
            {"originals": n, **{metric: mean_score(rs, arm, metric) for metric in METRICS}}
            for n, (rs, arm) in zip(numbers, parts, strict=True)
        ]
        places = sorted(set.intersection(*(set(run.scores(arm)) for rs, arm in parts for run in rs)))
        scores = np.array([[np.mean([run.scores(arm)[p] for run in rs]) for p in places] for rs, arm in parts])
        result: dict[str, Any] = {
            "category": bench.category,
            "samples": self.settings.samples,
            "points": points,
            "curve": None,
        }
        result["warnings"] = []
        if len(numbers) < 3:
            result["warnings"].append("A learning curve needs 3 or more numbers of originals.")
            return result
        fitted = fit_power_law(numbers, scores, runs[-1].test_share, int(bench.settings.get("seed", 0)))
        grid = sorted({*np.linspace(numbers[0], 2 * numbers[-1], 40).round().astype(int).tolist(), *numbers})
        middle, low, high = fitted.at(grid)
        further = [*numbers, *(round(factor * numbers[-1]) for factor in BEYOND)]
        result["curve"] = {
            "ceiling": fitted.parameters[0],
            "loss": fitted.parameters[1],
            "rate": fitted.parameters[2],
            "p_fit": fitted.p_fit,
            "grid": [
                {"originals": n, "estimate": m, "low": a, "high": b}
                for n, m, a, b in zip(grid, middle.tolist(), low.tolist(), high.tolist(), strict=True)
            ],
            "worth": [_worth(fitted, n) for n in further],
        }
        result["warnings"] += [f"The learning curve should not be relied on: {doubt}." for doubt in fitted.doubts]
        return result

    @classmethod
    def answer(cls, result: Mapping[str, Any]) -> list[str]:
        """Say the scores, and what more originals would add."""
        first, last = result["points"][0], result["points"][-1]
        said = [
            f"With {first['originals']} originals of {words(result['category'])!r} F1 is {in_line(first['f1'])}, with "
            f"all {last['originals']} it is {in_line(last['f1'])}."
        ]
        if result["curve"]:
            here = next(entry for entry in result["curve"]["worth"] if entry["originals"] == last["originals"])
            double = next(entry for entry in result["curve"]["worth"] if entry["originals"] >= 2 * last["originals"])
            said.append(
                f"On the fitted curve {MORE} more than these would add {number(here['gain'], sign=True)} "
                f"[{number(here['gain_low'], sign=True)}, {number(here['gain_high'], sign=True)}], and twice as many "
                f"would come to {in_line(double)}."
            )
        return said

    @classmethod
    def sheets(cls, result: Mapping[str, Any]) -> list[Sheet]:
        """Return scores, and the curve beyond them."""
        samples = result["samples"]
        rows = [(str(p["originals"]), *(estimate(p[metric]) for metric in METRICS)) for p in result["points"]]
        caption = (
            f"Scores of {words(result['category'])}, originals alone, each number drawn {samples} times (all of them "
            "once), tested on all originals, on the same folds: mean and 95 % interval (corrected resampled t)."
        )
        made = [
            Sheet(
                "scores",
                "By number of originals",
                caption,
                ("originals", "F1", "average precision"),
                "rcc",
                tuple(rows),
            )
        ]
        if result["curve"]:
            c = result["curve"]
            rows = [
                (
                    f"{e['originals']:,}",
                    estimate(e),
                    f"{number(e['gain'], sign=True)}\n[{number(e['gain_low'], sign=True)}, "
                    f"{number(e['gain_high'], sign=True)}]",
                )
                for e in c["worth"]
            ]
            fit = "" if c["p_fit"] is None else f"; p of the fit {number(c['p_fit'])}"
            caption = (
                f"The curve F1 = {number(c['ceiling'])} \u2212 {number(c['loss'])} n^\u2212{number(c['rate'])}{fit}; "
                "beyond the largest measured number it is extrapolated. 95 % intervals from refitting."
            )
            columns = ("originals", "F1 on the curve", f"{MORE} more would add")
            made.append(Sheet("worth", "What more originals would be worth", caption, columns, "rcc", tuple(rows)))
        return made

    @classmethod
    def drawings(cls, result: Mapping[str, Any]) -> list[Drawing]:
        """Draw the measured scores and the curve with its band."""
        figure, grid = blank(1, 1, 3.0, 5.0)
        axes = grid[0][0]
        points = result["points"]
        if result["curve"]:
            line = result["curve"]["grid"]
            x = [e["originals"] for e in line]
            axes.fill_between(
                x, [e["low"] for e in line], [e["high"] for e in line], color=BLUE, alpha=0.15, linewidth=0
            )
            axes.plot(x, [e["estimate"] for e in line], color=BLUE, linestyle="--")
            axes.axvline(points[-1]["originals"], color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
        rows = [p["f1"] for p in points]
        curve(axes, [p["originals"] for p in points], rows, ("estimate", "low", "high"), VERMILLION, "o", "none")
        axes.set(xlabel=f"originals of {words(result['category'])}", ylabel="F1")
        axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.5)
        keys = [key_line("measured", VERMILLION, "o", "none"), key_line("inverse power law", BLUE, "", "--")]
        figure.legend(handles=keys[: 2 if result["curve"] else 1], loc="outside lower center", ncols=2)
        caption = (
            "F1 by the number of originals that train, all tested on the same texts: mean and 95 % interval; dashed, "
            "the fitted curve with its 95 % band. Right of the dotted line it is extrapolated."
        )
        return [Drawing("learning-curve", caption, figure)]


def _worth(fitted: Any, n: int) -> dict[str, Any]:
    """Return the curve at a number of originals, and what some more would add."""
    from ..learning import power_law

    middle, low, high = (float(part[0]) for part in fitted.at([n]))
    both = np.array([n, n + MORE], dtype=float)
    gains = np.diff(np.stack([power_law(both, *row) for row in fitted.draws]), axis=1)[:, 0]
    gain = float(np.diff(power_law(both, *fitted.parameters))[0])
    least, most = np.quantile(gains, [0.025, 0.975])
    return {
        "originals": n,
        "estimate": middle,
        "low": low,
        "high": high,
        "gain": gain,
        "gain_low": float(least),
        "gain_high": float(most),
    }


PLUGIN = CalibrationExperiment
