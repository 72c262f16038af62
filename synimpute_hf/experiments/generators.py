"""``generators``: several language models on the same draws: what they accept, cost, and are good for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import PlanError
from ..facts import estimate, in_line, number, p_value, words
from ..figures import GREEN, GREY, INK, VERMILLION, Drawing, blank, dot_interval, dot_rows
from ..sheets import Sheet
from .base import (
    METRICS,
    Bench,
    Experiment,
    Run,
    Settings,
    Trial,
    Words,
    Writing,
    Written,
    compare,
    mean_score,
    rejected_sheet,
)

__all__ = ["PLUGIN", "GeneratorsExperiment", "GeneratorsSettings"]


@dataclass(frozen=True)
class GeneratorsSettings(Settings):
    """Options of ``generators``.

    Attributes:
        generators: specs with semicolons between, such as ``local;openai:gpt-4o;transformers:Qwen/Qwen3-4B``. Options
            that differ, such as ``base_url``, stand in the spec.
        keep: originals that stay.
    """

    generators: Words = ()
    keep: int = 50


class GeneratorsExperiment(Experiment):
    """Lets every generator write from the same originals, and trains on each one's texts on the same folds."""

    key = "generators"
    question = "Which language model writes texts that help, and at what cost?"
    settings_class = GeneratorsSettings
    settings: GeneratorsSettings

    def jobs(self, bench: Bench) -> list[Trial | Writing]:
        """One cross-validation a generator.

        Raises:
            PlanError: fewer than two generators.
        """
        specs = self.settings.generators
        if len(set(specs)) < 2:
            raise PlanError(
                "Expected two generators or more to compare: --set 'generators=local;openai:gpt-4o', got "
                f"{'; '.join(specs) or 'none'}."
            )
        (keep,) = bench.possible([self.settings.keep])
        target = bench.target if keep < bench.target < bench.originals else 2 * keep
        arms = ("original", "imputed", "ceiling")
        return [
            Trial(f"generator-{place}", arms, keep, target=target, impute={"generator": spec})
            for place, spec in enumerate(dict.fromkeys(specs), start=1)
        ]

    def analyse(self, bench: Bench, done: Sequence[Run | Written]) -> dict[str, Any]:
        """Compare each with the originals alone, and with the first."""
        runs = [entry for entry in done if isinstance(entry, Run)]
        margin, first = bench.settings.get("margin", 0.02), runs[0]
        entries = []
        for run in runs:
            made = run.facts["generation"]
            entries.append(
                {
                    "name": made["generator"],
                    "spec": str(run.trial.impute["generator"]),
                    "written": made["written"],
                    "generated": made["generated"],
                    "rejected": made["rejected"],
                    "cost_usd": made["cost_usd"],
                    **{metric: mean_score([run], "imputed", metric) for metric in METRICS},
                    "gain": compare([(run, run)], "imputed", "original", margin),
                    "gain_ap": compare([(run, run)], "imputed", "original", margin, "average_precision"),
                    "against_first": None if run is first else compare([(run, first)], "imputed", "imputed", margin),
                }
            )
        return {
            "category": bench.category,
            "keep": first.trial.keep,
            "margin": margin,
            "generators": entries,
            "references": {
                arm: {metric: mean_score([first], arm, metric) for metric in METRICS} for arm in ("original", "ceiling")
            },
            "warnings": sorted(
                {f"{run.facts['generation']['generator']}: {n}" for run in runs for n in run.facts["notes"]}
            ),
        }

    @classmethod
    def answer(cls, result: Mapping[str, Any]) -> list[str]:
        """Say what each generator's texts do."""
        said = [f"With {result['keep']} originals alone F1 is {in_line(result['references']['original']['f1'])}."]
        for entry in result["generators"]:
            share = 100 * entry["written"] / max(1, entry["generated"])
            gain = in_line(entry["gain"], "difference", sign=True)
            said.append(
                f"Texts by {entry['name']} ({share:.0f} % accepted, {_cost(entry)}) change it by {gain} "
                f"({entry['gain']['verdict']})."
            )
        return said

    @classmethod
    def sheets(cls, result: Mapping[str, Any]) -> list[Sheet]:
        """Return scores and cost, and why texts were rejected."""
        alone, every = (
            (f"none: {what}", "", "", *(estimate(result["references"][arm][m]) for m in METRICS), "", "", "")
            for what, arm in (("originals alone", "original"), ("all originals", "ceiling"))
        )
        rows: list[tuple[str, ...]] = [alone]
        for entry in result["generators"]:
            share = f"{100 * entry['written'] / max(1, entry['generated']):.0f} %"
            gain, other = entry["gain"], entry["against_first"]
            rows.append(
                (
                    entry["name"],
                    share,
                    _cost(entry),
                    *(estimate(entry[m]) for m in METRICS),
                    estimate(gain, "difference", sign=True),
                    gain["verdict"],
                    p_value(other["p"]) if other else "",
                )
            )
        rows.append(every)
        caption = (
            f"{words(result['category'])} with {result['keep']} originals, the same draws of examples and the same "
            "folds for every generator: texts accepted, cost of all texts, mean and 95 % interval; the difference in "
            f"F1 to the originals alone with its verdict (margin {number(result['margin'], 2)}), and p of the "
            "difference to the first generator. Each verdict and p is of its comparison alone."
        )
        columns = (
            "generator",
            "accepted",
            "cost",
            "F1",
            "average precision",
            "F1 less original",
            "verdict",
            "p to first",
        )
        made = Sheet("generators", "Generators", caption, columns, "lrrccclr", tuple(rows))
        rejected = rejected_sheet("generator", [(entry["name"], entry) for entry in result["generators"]])
        return [made, rejected] if rejected.rows else [made]

    @classmethod
    def drawings(cls, result: Mapping[str, Any]) -> list[Drawing]:
        """Draw F1 and average precision by generator."""
        entries = [("original", result["references"]["original"], GREY, "o")]
        entries += [(e["name"], e, VERMILLION, "D") for e in result["generators"]]
        entries += [("all originals", result["references"]["ceiling"], INK, "s")]
        figure, grid = blank(1, 2, 0.9 + 0.28 * len(entries), 7.0, sharey=True)
        for axes, (metric, title) in zip(grid[0], METRICS.items(), strict=True):
            dot_rows(axes, [words(name) for name, _, _, _ in entries])
            for place, (_, entry, color, marker) in enumerate(entries):
                dot_interval(axes, place, entry[metric], "estimate", color=color, marker=marker)
            axes.set(xlabel=title)
            axes.axvline(entries[0][1][metric]["estimate"], color=GREEN, linewidth=0.8, linestyle=(0, (1, 2)))
        caption = "Scores by the generator of the synthetic texts: mean and 95 % interval. Dotted: originals alone."
        return [Drawing("generators", caption, figure)]


def _cost(entry: Mapping[str, Any]) -> str:
    if entry["cost_usd"] is None:
        return "cost unknown"
    return f"${entry['cost_usd']:.2f}" if entry["cost_usd"] else "no cost"


PLUGIN = GeneratorsExperiment
