"""Experiments: one file a question. Each runs through the same cross-validation and journal as everything else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from ..crossval import plain_json
from ..errors import PlanError
from ..experiment_report import EXPERIMENT_FORMAT
from ..registry import load_plugin, make_plugin
from ..version import versions
from .base import Bench, Experiment, Run, Trial, Writing, Written

__all__ = ["Bench", "Experiment", "Run", "Trial", "Writing", "Written", "load_experiment", "make_experiment", "run"]

LIBRARIES = ("numpy", "scikit-learn", "scipy", "torch", "transformers")


def load_experiment(name: str) -> type[Experiment]:
    """Return the class of an experiment.

    Raises:
        PlanError: there is none of that name.
    """
    found: type[Experiment] = load_plugin("experiments", name, PlanError)
    return found


def make_experiment(name: str, options: Mapping[str, str], full: bool = False) -> Experiment:
    """Make an experiment.

    Args:
        name: its file name.
        options: by name, see its ``settings_class``.
        full: whether what is not given is that of the full setting.

    Raises:
        PlanError: there is no such experiment, or it takes no such option.
    """
    made: Experiment = make_plugin("experiments", name, PlanError, options, full)
    return made


def run(experiment: Experiment, bench: Bench) -> dict[str, Any]:
    """Make every run of an experiment that is not yet made, and return its facts.

    Args:
        experiment: from ``make_experiment``.
        bench: what it works with.

    Returns:
        The content of ``experiment.json``.
    """
    started = time.monotonic()
    bench = experiment.prepare(bench)
    done = [bench.run(job) if isinstance(job, Trial) else bench.write(job) for job in experiment.jobs(bench)]
    result = experiment.analyse(bench, done)
    facts = {
        "format": EXPERIMENT_FORMAT,
        "experiment": experiment.key,
        "question": experiment.question,
        "title": f"{experiment.key.capitalize()}: {bench.source or 'a dataset'}",
        "source": bench.source,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": time.monotonic() - started,
        "versions": versions(LIBRARIES),
        "settings": _settings(experiment, bench),
        "category": bench.category,
        "counts": bench.counts,
        "generation": _generation(done),
        "result": result,
        "answer": experiment.answer(result),
        "warnings": experiment.warnings(result),
    }
    return {key: plain_json(value) for key, value in facts.items()}


def _settings(experiment: Experiment, bench: Bench) -> dict[str, Any]:
    said = {key: value for key, value in bench.settings.items() if isinstance(value, (int, float, str, type(None)))}
    writer = bench.writer({}, max(bench.target, bench.originals + 1))
    params = writer.get_params()
    kept = ("generator", "prompt", "language", "n_examples", "replacement", "validators")
    return {
        **asdict(experiment.settings),
        **said,
        "target": bench.target,
        **{key: str(params[key]) for key in kept if params[key] is not None},
    }


def _generation(done: list[Run | Written]) -> dict[str, Any]:
    """Add up what was written; texts that several runs share stand in the journal once, and are counted there once."""
    trials = [entry.facts["generation"] for entry in done if isinstance(entry, Run) and entry.facts["generation"]]
    accounts = [entry.account for entry in done if isinstance(entry, Written)]
    names = {entry["generator"] for entry in (*trials, *accounts) if "generator" in entry}
    costs = [entry["cost_usd"] for entry in (*trials, *accounts)]
    return {
        "generators": sorted(names),
        "texts_used": sum(entry.get("written", entry.get("nested", 0)) for entry in trials)
        + sum(entry["kept"] for entry in accounts),
        "cost_usd": None if None in costs else sum(costs),
    }
