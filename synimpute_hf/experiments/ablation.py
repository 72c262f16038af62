"""``ablation``: which part of the method matters: how examples are drawn, how many, how many texts, temperature."""

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
    Decimals,
    Experiment,
    Numbers,
    Run,
    Settings,
    Trial,
    Words,
    Writing,
    Written,
    compare_all,
    mean_score,
)

__all__ = ["PLUGIN", "AblationExperiment", "AblationSettings"]

BASE = "the method as it is"


@dataclass(frozen=True)
class AblationSettings(Settings):
    """Options of ``ablation``. Each is varied alone, the others stay as they are by default.

    Attributes:
        keep: originals that stay.
        examples: originals shown in one prompt.
        replacement: how they are drawn, see ``drawing.DrawSettings``.
        temperatures: sampling temperatures.
        shares: synthetic rows in a hundred rows of the category, from 0 to 90.
    """

    keep: int = 50
    examples: Numbers = (1, 3, 5, 10)
    replacement: Words = ("across", "within", "fixed")
    temperatures: Decimals = (0.3, 0.7, 1.0)
    shares: Numbers = (0, 20, 40, 60, 80)


class AblationExperiment(Experiment):
    """Varies one thing at a time, with the same originals, folds and draws."""

    key = "ablation"
    question = (
        "Which part of the method matters: fresh examples, their number, the share of synthetic rows, temperature?"
    )
    settings_class = AblationSettings
    full = {"temperatures": (0.3, 0.5, 0.7, 1.0, 1.3), "shares": (0, 10, 20, 30, 40, 50, 60, 70, 80)}  # noqa: RUF012
    settings: AblationSettings

    def jobs(self, bench: Bench) -> list[Trial | Writing]:
        """The method as it is, and one cross-validation for each thing that is varied."""
        said, base = self.settings, bench.imputer
        (keep,) = bench.possible([said.keep])
        heat = float((base.generator_options or {}).get("temperature") or 0.7)
        target = bench.target if bench.target > keep and bench.target < bench.originals else 2 * keep
        # Said also where it is the default, so that a replayed journal of several temperatures is told which.
        usual = {"generator_options": {"temperature": heat}} if said.temperatures else {}
        trials = [Trial("base", ("original", "imputed", "ceiling"), keep, target=target, impute=usual)]

        def add(name: str, **impute: Any) -> None:
            """Add a trial with some settings changed."""
            trials.append(Trial(name, ("imputed",), keep, target=target, impute={**usual, **impute}))

        for count in said.examples:
            if count != base.n_examples:
                add(f"examples-{count}", n_examples=count)
        for how in said.replacement:
            if how != base.replacement:
                add(f"replacement-{how}", replacement=how)
        for other in said.temperatures:
            if other != heat:
                add(f"temperature-{other:g}", generator_options={"temperature": other})
        trials += self._shares(keep, usual)
        return list(trials)

    def _shares(self, keep: int, usual: Mapping[str, Any]) -> list[Trial]:
        shares = sorted({share for share in self.settings.shares if share})
        if not shares:
            return []
        if shares[-1] > 90 or shares[0] < 0:
            raise PlanError(f"shares={shares}: expected synthetic rows in a hundred, from 0 to 90.")
        needed = [keep * share / (100 - share) for share in shares]
        arms = tuple(f"imputed:share={rows / needed[-1]:.6g}" if rows < needed[-1] else "imputed" for rows in needed)
        return [Trial("shares", ("original", *arms), keep, target=keep + round(needed[-1]), impute=usual)]

    def analyse(self, bench: Bench, done: Sequence[Run | Written]) -> dict[str, Any]:
        """Compare every variant with the method as it is, on the same folds."""
        runs = {run.trial.name: run for run in done if isinstance(run, Run)}
        base, margin = runs["base"], bench.settings.get("margin", 0.02)
        varied = [("originals alone", base, "original"), ("all originals", base, "ceiling")]
        varied += [(n.replace("-", " ", 1), run, "imputed") for n, run in runs.items() if n not in ("base", "shares")]
        compared = compare_all([([(run, base)], arm, "imputed") for _, run, arm in varied], margin)
        variants = [_variant(BASE, base, "imputed", None)]
        variants += [_variant(*entry, found) for entry, found in zip(varied, compared, strict=True)]
        shares = []
        if "shares" in runs:
            run = runs["shares"]
            kept = sorted({0, *self.settings.shares})
            for share, arm in zip(kept, run.trial.arms, strict=True):
                shares.append({"share": share, **_variant(f"{share} % synthetic", run, arm, None)})
        notes = sorted({f"{name}: {note}" for name, run in runs.items() for note in run.facts["notes"]})
        return {
            "category": bench.category,
            "keep": self.settings.keep,
            "margin": margin,
            "variants": variants,
            "shares": shares,
            "warnings": notes,
        }

    @classmethod
    def answer(cls, result: Mapping[str, Any]) -> list[str]:
        """Say what differs from the method as it is."""
        base = result["variants"][0]
        others = [entry for entry in result["variants"][3:] if entry["comparison"]]
        told = [e for e in others if e["comparison"]["p_holm"] < 0.05]
        same = [e for e in others if e["comparison"]["verdict"] == "equivalent"]
        said = [f"With {result['keep']} originals the method as it is has F1 {in_line(base['f1'])}."]
        for entry in told:
            said.append(
                f"{entry['name'].capitalize()} changes it by {in_line(entry['comparison'], 'difference', sign=True)}."
            )
        if not told:
            said.append(f"None of the {len(others)} variants can be told apart from it in F1, after Holm's correction.")
        if same:
            said.append(f"Equivalent within the margin: {', '.join(entry['name'] for entry in same)}.")
        if result["shares"]:
            best = max(result["shares"], key=lambda entry: entry["f1"]["estimate"])
            none = result["shares"][0]
            said.append(
                f"By the share of synthetic rows F1 goes from {in_line(none['f1'])} with none to its highest, "
                f"{in_line(best['f1'])}, with {best['share']} %."
            )
        return said

    @classmethod
    def sheets(cls, result: Mapping[str, Any]) -> list[Sheet]:
        """Return the variants, and the shares."""
        rows = []
        for entry in result["variants"]:
            found = entry["comparison"]
            cells = ("", "", "reference") if not found else (
                estimate(found, "difference", sign=True), p_value(found["p_holm"]), found["verdict"]
            )  # fmt: skip
            scores = [estimate(entry[metric]) for metric in METRICS]
            rows.append(
                (entry["name"], f"{entry['made']:.0f}", f"{entry['short']:.1f}", entry["acceptance"], *scores, *cells)
            )
        caption = (
            f"{words(result['category'])} with {result['keep']} originals, each thing varied alone, on the same "
            "folds: mean and 95 % interval; the difference in F1 to the method as it is, its p-value after Holm's "
            f"correction, and the verdict by it, with a margin of {number(result['margin'], 2)}. Synthetic rows that "
            "trained a fold, and that a fold lacked, on average; texts accepted."
        )
        columns = (
            "variant",
            "rows a fold",
            "lacking",
            "accepted",
            "F1",
            "average precision",
            "difference",
            "p",
            "verdict",
        )
        made = [Sheet("variants", "Variants", caption, columns, "lrrrcccrl", tuple(rows))]
        shares = [
            (f"{e['share']} %", f"{e['made']:.0f}", f"{e['short']:.1f}", *(estimate(e[m]) for m in METRICS))
            for e in result["shares"]
        ]
        caption = (
            "By the share of synthetic rows among the rows of the category: all take the first texts of the same draws."
        )
        heads = ("synthetic", "rows a fold", "lacking", "F1", "average precision")
        return [
            *made,
            *([Sheet("shares", "Share of synthetic rows", caption, heads, "rrrcc", tuple(shares))] if shares else []),
        ]

    @classmethod
    def drawings(cls, result: Mapping[str, Any]) -> list[Drawing]:
        """Draw the differences to the method as it is, and the scores by share."""
        drawings = [_forest(result)]
        if result["shares"]:
            drawings.append(_shares(result))
        return drawings


def _variant(name: str, run: Run, arm: str, comparison: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return scores, rows and comparison of a variant."""
    made = run.facts["generation"] or {}
    cell = [fit for fit in run.facts["fits"] if (fit["protocol"], fit["arm"]) == ("seed_aware", arm)]
    short = sum(sum(fit["short"].values()) for fit in cell) / len(cell)
    share = made["written"] / made["generated"] if made.get("generated") and arm.startswith("imputed") else None
    return {
        "name": name,
        **{metric: mean_score([run], arm, metric) for metric in METRICS},
        "made": run.made(arm),
        "short": short,
        "acceptance": "" if share is None else f"{100 * share:.0f} %",
        "comparison": comparison,
    }


def _forest(result: Mapping[str, Any]) -> Drawing:
    entries = [entry for entry in result["variants"] if entry["comparison"]]
    figure, grid = blank(1, 1, 0.8 + 0.24 * len(entries), 5.8)
    axes = grid[0][0]
    dot_rows(axes, [entry["name"] for entry in entries])
    axes.axvspan(-result["margin"], result["margin"], color=GREEN, alpha=0.15, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.6)
    for place, entry in enumerate(entries):
        plain = place < 2
        color, marker = (GREY, "o") if plain else (VERMILLION, "D")
        dot_interval(axes, place, entry["comparison"], "difference", color=color, marker=marker)
    axes.set(xlabel="F1 less that of the method as it is")
    caption = (
        "Difference in F1 to the method as it is (five examples, drawn anew for each text), paired by fold, with 95 "
        "% intervals. Green: the equivalence margin. Circles: without synthetic texts."
    )
    return Drawing("variants", caption, figure)


def _shares(result: Mapping[str, Any]) -> Drawing:
    from ..figures import curve

    figure, grid = blank(1, 2, 2.4)
    x = [entry["share"] for entry in result["shares"]]
    for axes, (metric, title) in zip(grid[0], METRICS.items(), strict=True):
        curve(axes, x, [e[metric] for e in result["shares"]], ("estimate", "low", "high"), VERMILLION, "D", "-")
        axes.set(xlabel="synthetic rows among those of the category, %", ylabel=title, xticks=x)
        axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.5)
    caption = "Scores by the share of synthetic rows, on the same folds: mean and 95 % interval."
    return Drawing("shares", caption, figure)


PLUGIN = AblationExperiment
