"""``downstream``: what a classifier's errors do to shares, trends and regressions, and what repairs them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from ..errors import PlanError
from ..estimation import (
    CATEGORY,
    METHODS,
    CodedCorpus,
    Estimate,
    coded_corpus,
    outcome_regression,
    prevalence,
    regressor_regression,
    trend,
)
from ..facts import MISSING, number, words
from ..figures import BLUE, GREEN, INK, VERMILLION, Drawing, blank, dot_interval, dot_rows, key_line
from ..predictions import read_predictions
from ..sheets import Sheet
from .base import Bench, Decimals, Experiment, Numbers, Run, Settings, Trial, Words, Writing, Written

__all__ = ["PLUGIN", "DownstreamExperiment", "DownstreamSettings"]

YEARS = 10
LEVEL = 0.95
REPAIRS = tuple(method for method in METHODS if method != "naive")
NAMES = {
    "naive": "naive",
    "adjusted_count": "adjusted count",
    "ppi": "PPI++",
    "dsl": "DSL",
    "coded_sample": "coded texts alone",
}
ESTIMANDS = {
    "prevalence": "share of the category",
    "trend": "trend of that share, a year",
    "outcome": "category as outcome: coefficient of a covariate",
    "regressor": "category as regressor: its coefficient",
}
STYLES = {"naive": (VERMILLION, "D"), "ppi": (BLUE, "o"), "adjusted_count": (GREEN, "s")}


@dataclass(frozen=True)
class DownstreamSettings(Settings):
    """Options of ``downstream``.

    Attributes:
        originals: numbers of originals that stay.
        samples: how often each number is drawn from all originals; each draw is a classifier of its own.
        arms: ways to train, with semicolons between.
        holdout: share of the originals set aside as the texts of the simulated corpora, above 0 and up to 0.5, where
            the command line names no test set.
        texts: of a simulated corpus.
        coded: texts of it with a true code, drawn at random.
        replicates: simulated corpora.
        prevalence: share of the category in them; in the course of ten years it trebles.
        effect: of the category on a numeric outcome with standard deviation 1 beside it.
        drifts: chances, in [0, 1], that in the last year another text is drawn from the half that the classifier
            finds most like the category; 0 in the first year. With 0, errors are the same in every year.
    """

    originals: Numbers = (50, 75, 100)
    samples: int = 1
    arms: Words = ("original", "class_weights", "imputed")
    holdout: float = 0.5
    texts: int = 2000
    coded: int = 200
    replicates: int = 500
    prevalence: float = 0.1
    effect: float = 0.5
    drifts: Decimals = (0.0, 0.5)


@dataclass(frozen=True)
class _Population:
    """The tested texts, and what one classifier says of them; ``of[1]`` are positions of the category's texts.

    Attributes:
        predicted: ``(n,)``, whether it takes them for the category.
        of: positions of the other texts, the most likely to be taken for the category last, and of the category's.
    """

    predicted: np.ndarray
    of: tuple[np.ndarray, np.ndarray]


class DownstreamExperiment(Experiment):
    """Trains on few originals, and describes simulated corpora of held-out texts, whose truth is known."""

    key = "downstream"
    question = (
        "What does the classifier's error do to shares, trends and regression coefficients, and what repairs them?"
    )
    settings_class = DownstreamSettings
    full = {"originals": (25, 50, 75, 100, 150), "samples": 5, "replicates": 2000}  # noqa: RUF012
    settings: DownstreamSettings

    def jobs(self, bench: Bench) -> list[Trial | Writing]:
        """One hold-out cross-validation a number of originals and sample."""
        said, given = self.settings, bench.settings.get("holdout")
        _check(said)
        holdout = said.holdout if given is None else given
        left = bench.originals if not isinstance(holdout, float) else int(bench.originals * (1 - holdout))
        numbers = [n for n in bench.possible(said.originals) if n <= left]
        if not numbers:
            raise PlanError(
                f"Besides the texts that are held out there are about {left} originals of {bench.category!r}: "
                f"expected some number up to that, got {', '.join(map(str, said.originals))}. Say --set originals=…"
            )
        settings = {"protocols": ("holdout",), "holdout": holdout, "repeats": 1, "full_test": False}
        return [
            Trial(f"originals-{n}-sample-{s}", said.arms, n, s, settings=settings, predictions=True)
            for n in numbers
            for s in range(said.samples)
        ]

    def analyse(self, bench: Bench, done: Sequence[Run | Written]) -> dict[str, Any]:
        """Simulate corpora with every classifier, and hold the estimates against the truth."""
        said, seed = self.settings, int(bench.settings.get("seed") or 0)
        classifiers, cells = [], []
        for run in (entry for entry in done if isinstance(entry, Run)):
            for arm in said.arms:
                found = _population(run, arm)
                about: dict[str, Any] = {"arm": arm, "originals": run.trial.keep, "sample": run.trial.keep_seed}
                classifiers.append({**about, **_errors(found)})
                for drift in said.drifts:
                    bench.tell(f"{arm}, {run.trial.keep} originals, drift {drift:g}: {said.replicates} corpora")
                    about["drift"] = drift
                    cells += [{**about, **cell} for cell in _simulate(found, said, drift, seed)]
        return {
            "category": bench.category,
            "truth": _truth(said),
            "texts": said.texts,
            "coded": said.coded,
            "replicates": said.replicates,
            "classifiers": classifiers,
            "cells": cells,
            "swing": {method: _swing(cells, method) for method in METHODS},
            "swings": {
                arm: {method: _swing([cell for cell in cells if cell["arm"] == arm], method) for method in METHODS}
                for arm in said.arms
            },
            "warnings": _warnings(classifiers, said),
        }

    @classmethod
    def answer(cls, result: Mapping[str, Any]) -> list[str]:
        """Say how far naive estimates swing with the training set, and what repairs them."""
        true, swing = result["truth"]["prevalence"], result["swing"]
        naive, best = swing["naive"], swing["ppi"]
        said = [
            f"The true share of {words(result['category'])} is {_percent(true)}. What the classifiers alone say of "
            f"it goes from {_percent(naive['low'])} to {_percent(naive['high'])} with the training set, a factor of "
            f"{_factor(naive)}. With {result['coded']} coded texts, PPI++ says {_percent(best['low'])} to "
            f"{_percent(best['high'])} on average, a factor of {_factor(best)}."
        ]
        for arm, swings in result["swings"].items():
            one, repaired = swings["naive"], swings["ppi"]
            said.append(
                f"By the number of originals alone, {words(arm)}: {_percent(one['low'])} to {_percent(one['high'])}, "
                f"a factor of {_factor(one)}; PPI++ {_factor(repaired)}."
            )
        for name, title in ESTIMANDS.items():
            covered = {method: _worst(result["cells"], name, method) for method in METHODS}
            parts = [f"{NAMES[m]} {number(100 * c, 0)} %" for m, c in covered.items() if m in REPAIRS and c is not None]
            said.append(
                f"{title[0].upper()}{title[1:]}: the naive 95 % intervals hold the truth in "
                f"{number(100 * (covered['naive'] or 0.0), 0)} % of the corpora in the worst case; "
                f"{', '.join(parts)}. The root mean square error of PPI++ is "
                f"{_precision(result['cells'], name, 'ppi')} times that of the coded texts alone, DSL's "
                f"{_precision(result['cells'], name, 'dsl')}."
            )
        return said

    @classmethod
    def sheets(cls, result: Mapping[str, Any]) -> list[Sheet]:
        """Return the classifiers, and each estimand by classifier and method."""
        return [_classifiers(result), *(_table(result, name) for name in ESTIMANDS)]

    @classmethod
    def drawings(cls, result: Mapping[str, Any]) -> list[Drawing]:
        """Draw the swing of the share, and the coverage."""
        return [_swings(result), _coverage(result)]


def _check(said: DownstreamSettings) -> None:
    if not 0 < said.prevalence <= 0.5:
        raise PlanError(f"prevalence={said.prevalence}: expected a share above 0 and up to 0.5.")
    if not 1 < said.coded < said.texts or said.replicates < 2:
        raise PlanError("Expected more than one coded text, fewer of them than texts, and two replicates or more.")
    if any(not 0 <= drift <= 1 for drift in said.drifts) or not said.drifts:
        raise PlanError(f"drifts={said.drifts}: expected chances from 0 to 1.")


def _population(run: Run, arm: str) -> _Population:
    """Read what an arm's classifier says of the texts that were set aside."""
    table = read_predictions(run.folder, "holdout", arm)
    order = np.argsort(table["row_id"].astype(str), kind="stable")
    true, said = (table[name][order] == run.category for name in ("label", "predicted"))
    score = table[f"p_{run.category}"][order]
    others = np.flatnonzero(~true)
    others = others[np.argsort(score[others], kind="stable")]
    if not true.any() or not len(others):
        raise PlanError(f"No text of {run.category!r}, or no other, was held out: take a larger holdout.")
    return _Population(said.astype(float), (others, np.flatnonzero(true)))


def _errors(found: _Population) -> dict[str, Any]:
    others, own = (found.predicted[rows] for rows in found.of)
    return {"tpr": float(own.mean()), "fpr": float(others.mean()), "own": len(own), "others": len(others)}


def _truth(said: DownstreamSettings) -> dict[str, float]:
    """Return the parameters from which corpora are drawn.

    The chance that a text is of the category is ``prevalence + trend (year - 4.5) + outcome covariate``, years 0 to 9
    and a covariate of -1 or 1; it stays within a quarter and seven quarters of the prevalence.
    """
    share = said.prevalence
    return {
        "prevalence": share,
        "trend": share / (YEARS - 1),
        "outcome": share / 4,
        "regressor": said.effect,
    }


def _draw(
    found: _Population, said: DownstreamSettings, drift: float, rng: np.random.Generator
) -> tuple[CodedCorpus, np.ndarray, np.ndarray, np.ndarray]:
    """Draw a corpus: truth by year and covariate, then for each text one of the population with that truth.

    Returns:
        The corpus, years, covariates and outcomes, ``(texts,)`` each.
    """
    n, truth = said.texts, _truth(said)
    year = rng.integers(0, YEARS, n).astype(float)
    covariate = rng.choice([-1.0, 1.0], n)
    chance = truth["prevalence"] + truth["trend"] * (year - (YEARS - 1) / 2) + truth["outcome"] * covariate
    true = rng.random(n) < chance
    place = rng.random(n)
    hard = rng.random(n) < drift * year / (YEARS - 1)
    place = np.where(hard & ~true, 0.5 + place / 2, place)  # the half most like the category
    others, own = found.of
    row = np.where(true, own[(place * len(own)).astype(int)], others[(place * len(others)).astype(int)])
    outcome = 1 + said.effect * true + 0.5 * covariate + rng.normal(size=n)
    codes = np.full(n, math.nan)
    chosen = rng.choice(n, said.coded, replace=False)
    codes[chosen] = true[chosen]
    return coded_corpus(found.predicted[row], codes), year, covariate, outcome


def _estimate(
    corpus: CodedCorpus, year: np.ndarray, covariate: np.ndarray, outcome: np.ndarray
) -> Iterator[tuple[str, Estimate]]:
    """Yield the estimates of each estimand by every method."""
    columns, names = np.column_stack([covariate, year - year.mean()]), ("covariate", "year")
    for entry in prevalence(corpus, level=LEVEL):
        yield "prevalence", entry
    for entry in trend(corpus, year, level=LEVEL):
        yield "trend", entry
    for entry in outcome_regression(corpus, columns, names, level=LEVEL):
        if entry.term == "covariate":
            yield "outcome", entry
    for entry in regressor_regression(corpus, outcome, covariate, ("covariate",), level=LEVEL):
        if entry.term == CATEGORY:
            yield "regressor", entry


def _simulate(found: _Population, said: DownstreamSettings, drift: float, seed: int) -> list[dict[str, Any]]:
    """Return bias, RMSE and coverage of every method; corpora are drawn alike for every classifier."""
    values: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for replicate in range(said.replicates):
        corpus = _draw(found, said, drift, np.random.default_rng([seed, replicate]))
        for name, entry in _estimate(*corpus):
            values.setdefault((name, entry.method), []).append((entry.estimate, entry.low, entry.high))
    truth = _truth(said)
    return [
        {"estimand": name, "method": method, **_performance(np.array(rows), truth[name])}
        for (name, method), rows in values.items()
    ]


def _performance(values: np.ndarray, true: float) -> dict[str, Any]:
    """Return how estimates and intervals do, each figure with its Monte Carlo standard error.

    Morris, T. P., White, I. R. and Crowther, M. J. (2019). Using simulation studies to evaluate statistical methods.
    Statistics in Medicine 38, 2074-2102 (table 6).

    Args:
        values: shape ``(r, 3)``: estimates, lower and upper ends; nan where a method could not tell.
        true: the parameter.
    """
    told = values[~np.isnan(values).any(axis=1)]
    found: dict[str, Any] = {"failed": 1 - len(told) / len(values)}
    if len(told) < 2:
        return {**found, "mean": None, "bias": None, "rmse": None, "coverage": None}
    error, root = told[:, 0] - true, math.sqrt(len(told))
    rmse = math.sqrt(float((error**2).mean()))
    covered = float(((told[:, 1] <= true) & (true <= told[:, 2])).mean())
    low, high = np.quantile(told[:, 0], [0.025, 0.975])
    return {
        **found,
        "mean": float(told[:, 0].mean()),
        "low": float(low),
        "high": float(high),
        "bias": float(error.mean()),
        "bias_se": float(error.std(ddof=1)) / root,
        "rmse": rmse,
        "rmse_se": float((error**2).std(ddof=1)) / (2 * rmse * root) if rmse else 0.0,
        "coverage": covered,
        "coverage_se": math.sqrt(covered * (1 - covered) / len(told)),
        "width": float((told[:, 2] - told[:, 1]).mean()),
    }


def _swing(cells: Sequence[Mapping[str, Any]], method: str) -> dict[str, Any]:
    """Return the lowest and highest mean share over the classifiers, without drift where that was simulated."""
    calm = min(cell["drift"] for cell in cells)
    means = [
        cell["mean"]
        for cell in cells
        if (cell["estimand"], cell["method"], cell["drift"]) == ("prevalence", method, calm)
        and cell["mean"] is not None
    ]
    if not means:
        return {"low": None, "high": None, "factor": None}
    low, high = min(means), max(means)
    return {"low": low, "high": high, "factor": high / low if low > 0 else None}


def _warnings(classifiers: Sequence[Mapping[str, Any]], said: DownstreamSettings) -> list[str]:
    found, least = [], min(min(entry["own"], entry["others"]) for entry in classifiers)
    if least < 100:
        found.append(
            f"Corpora are drawn from few texts ({least} of one kind): each stands in them many times. The truth is "
            "that of the drawing, so that bias and coverage are right, but the error rates are those on these few."
        )
    if said.replicates < 500:
        found.append(f"Only {said.replicates} corpora were drawn: look at the Monte Carlo errors.")
    return found


def _worst(cells: Sequence[Mapping[str, Any]], name: str, method: str) -> float | None:
    """Return the lowest coverage of a method over classifiers and drifts, where it mostly gave an estimate."""
    kept = [c["coverage"] for c in cells if (c["estimand"], c["method"]) == (name, method) and c["failed"] < 0.5]
    return min((value for value in kept if value is not None), default=None)


def _precision(cells: Sequence[Mapping[str, Any]], name: str, method: str) -> str:
    """Return the range of a method's root mean square errors over those of the coded texts alone."""
    errors: dict[tuple[Any, ...], dict[str, float | None]] = {}
    for cell in cells:
        if cell["estimand"] == name:
            place = tuple(cell[key] for key in ("arm", "originals", "sample", "drift"))
            errors.setdefault(place, {})[cell["method"]] = cell["rmse"]
    pairs = [(found.get(method), found.get("coded_sample")) for found in errors.values()]
    ratios = [one / alone for one, alone in pairs if one is not None and alone]
    return f"{number(min(ratios), 2)} to {number(max(ratios), 2)}" if ratios else MISSING


def _percent(value: float | None) -> str:
    return f"{number(None if value is None else 100 * value, 1)} %"


def _factor(swing: Mapping[str, Any]) -> str:
    return number(swing["factor"], 2)


def _several(result: Mapping[str, Any]) -> bool:
    return len({entry["sample"] for entry in result["classifiers"]}) > 1


def _who(entry: Mapping[str, Any], several: bool) -> str:
    sample = f", sample {entry['sample']}" if several else ""
    return f"{entry['originals']} originals, {words(entry['arm'])}{sample}"


def _classifiers(result: Mapping[str, Any]) -> Sheet:
    several = _several(result)
    rows = [
        (
            _who(entry, several),
            number(100 * entry["tpr"], 1),
            number(100 * entry["fpr"], 1),
            f"{entry['own']:,}",
            f"{entry['others']:,}",
        )
        for entry in result["classifiers"]
    ]
    caption = (
        f"Held-out texts that each classifier takes for {words(result['category'])}, per cent of those that are and "
        "of those that are not, and how many there are. Corpora are drawn from them."
    )
    columns = ("classifier", "true positives, %", "false positives, %", "texts of the category", "others")
    return Sheet("classifiers", "Classifiers", caption, columns, "lrrrr", tuple(rows))


def _figure(cell: Mapping[str, Any], key: str, scale: float, digits: int) -> str:
    """Return a figure and its Monte Carlo error, in brackets."""
    if cell[key] is None:
        return number(None)
    error = number(scale * cell[f"{key}_se"], digits)
    return f"{number(scale * cell[key], digits)} ({error})"


def _table(result: Mapping[str, Any], name: str) -> Sheet:
    digits = {"prevalence": 1, "regressor": 3}.get(name, 2)
    scale = 1 if name == "regressor" else 100
    several = _several(result)
    rows = []
    for cell in result["cells"]:
        if cell["estimand"] == name:
            who = (str(cell["originals"]), words(cell["arm"]), *((str(cell["sample"]),) if several else ()))
            figures = [_figure(cell, key, scale, digits) for key in ("bias", "rmse")]
            cover, failed = _figure(cell, "coverage", 100, 1), number(100 * cell["failed"], 0)
            rows.append((*who, f"{cell['drift']:g}", NAMES[cell["method"]], *figures, cover, failed))
    unit = "" if name == "regressor" else ", in percentage points"
    true = number(scale * result["truth"][name], max(digits, 2))
    caption = (
        f"Truth: {true}{unit}. {result['replicates']} corpora of {result['texts']:,} texts, {result['coded']} of "
        "them coded; in brackets the Monte Carlo standard error. Drift: see the settings; with 0, errors are alike "
        "in every year. Corpora in which a method gave no estimate (none) are left out of its figures."
    )
    first = ("originals", "arm", *(("sample",) if several else ()), "drift", "method")
    columns = (*first, "bias", "RMSE", "coverage, %", "none, %")
    title, align = ESTIMANDS[name], "rl" + "r" * several + "rlrrrr"
    return Sheet(name, f"{title[0].upper()}{title[1:]}", caption, columns, align, tuple(rows), heads=len(first))


def _swings(result: Mapping[str, Any]) -> Drawing:
    """Draw the share that each classifier leads to."""
    several, calm = _several(result), min(cell["drift"] for cell in result["cells"])
    kept = [c for c in result["cells"] if c["estimand"] == "prevalence" and c["drift"] == calm]
    names = list(dict.fromkeys(_who(cell, several) for cell in kept))
    figure, grid = blank(1, 1, 1.0 + 0.42 * len(names), 6.4)
    axes = grid[0][0]
    dot_rows(axes, names)
    axes.axvline(100 * result["truth"]["prevalence"], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    shift = {"naive": -0.22, "adjusted_count": 0.0, "ppi": 0.22}
    for cell in kept:
        if cell["method"] in shift and cell["mean"] is not None:
            color, marker = STYLES[cell["method"]]
            entry = {key: 100 * cell[key] for key in ("mean", "low", "high")}
            place = names.index(_who(cell, several)) + shift[cell["method"]]
            dot_interval(axes, place, entry, "mean", color=color, marker=marker)
    axes.set(xlabel=f"estimated share of {words(result['category'])}, %")
    axes.set_xlim(left=0)
    handles = [key_line(NAMES[method], *STYLES[method], "-") for method in shift]
    figure.legend(handles=[*handles, key_line("truth", INK, "", "--")], loc="outside lower center", ncols=4)
    caption = (
        f"Estimated share of {words(result['category'])} by training set: mean over {result['replicates']} simulated "
        f"corpora and the range of 95 % of them; {result['coded']} coded texts for the corrected ones."
    )
    return Drawing("swing", caption, figure)


def _coverage(result: Mapping[str, Any]) -> Drawing:
    """Draw the coverage of each method, one dot a classifier and drift."""
    figure, grid = blank(2, 2, 4.2, sharex=True)
    drifts = sorted({cell["drift"] for cell in result["cells"]})
    for axes, (name, title) in zip([a for row in grid for a in row], ESTIMANDS.items(), strict=True):
        dot_rows(axes, [NAMES[method] for method in METHODS])
        axes.axvline(100 * LEVEL, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        for cell in result["cells"]:
            if cell["estimand"] == name and cell["coverage"] is not None:
                calm = cell["drift"] == drifts[0]
                place = METHODS.index(cell["method"]) + (-0.15 if calm else 0.15)
                style = {"color": BLUE if calm else VERMILLION, "marker": "o" if calm else "D"}
                axes.plot(100 * cell["coverage"], place, linestyle="none", alpha=0.7, **style)
        axes.set(title=title.split(":")[0], xlim=(-3, 103))
    for axes in grid[-1]:
        axes.set(xlabel="coverage, %")
    handles = [key_line(f"drift {drifts[0]:g}", BLUE, "o", "none")]
    if len(drifts) > 1:
        handles.append(key_line(f"drift {', '.join(f'{d:g}' for d in drifts[1:])}", VERMILLION, "D", "none"))
    figure.legend(handles=[*handles, key_line("95 %", INK, "", "--")], loc="outside lower center", ncols=3)
    mean = fmean(c["coverage"] for c in result["cells"] if c["method"] == "ppi" and c["coverage"] is not None)
    caption = (
        "Share of simulated corpora whose 95 % interval holds the truth, one dot for each classifier; "
        f"of PPI++ over all, {100 * mean:.1f} %."
    )
    return Drawing("coverage", caption, figure)


PLUGIN = DownstreamExperiment
