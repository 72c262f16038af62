"""Writes the pages of docs/results from stored results of experiments.

python benchmarks/results.py docs/results                    # the pages again, from docs/results/stored
python benchmarks/results.py docs/results --take OUTPUT      # first store what benchmarks/experiments.sh made
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from synimpute_hf.experiment_report import experiment_markdown, read_experiment
from synimpute_hf.experiments import load_experiment
from synimpute_hf.facts import in_line, number
from synimpute_hf.figures import save_drawing, style
from synimpute_hf.typeset import md, md_code, md_list

ORDER = (
    "threshold",
    "finegrained",
    "calibration",
    "ablation",
    "prompt",
    "generators",
    "multilingual",
    "semantics",
    "downstream",
)
DATA = {
    "nostalgia.parquet": "nostalgia (party manifestos)",
    "tweets.parquet": "negative tweets",
    "tweets_all.parquet": "negative tweets, all 4,200",
    "intents.parquet": "banking intents",
    "buergertelefon": "city hotline, in German",
}
OTHERS = (
    ("crossval.md", "the arms compared on data thinned before folding, and the speed of cross-validation"),
    ("quality.md", "validators, audits and acceptance"),
    ("hub.md", "pushes under faults"),
    ("generation.md", "speed, faults, budgets and kills of the generation engine"),
    ("local_generation.md", "the embedded model"),
    ("scale.md", "large data sets"),
)
HEADING = "# Does it work?"


def take(source: Path, stored: Path) -> None:
    """Store the facts of every experiment in a folder."""
    stored.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob("*/experiment.json")):
        facts = read_experiment(file)
        # Paths of the machine that it ran on say nothing to others.
        facts["command"] = re.sub(rf"(?<![\w/]){re.escape(str(source))}/?", "OUTPUT/", facts["command"])
        (stored / f"{file.parent.name}.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Store, and write every page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--take", type=Path)
    said = parser.parse_args()
    stored = said.folder / "stored"
    if said.take:
        take(said.take, stored)
    results = read(stored)
    for name, entries in results.items():
        (said.folder / f"{name}.md").write_text(page(name, entries, said.folder), encoding="utf-8")
    (said.folder / "README.md").write_text(overview(results), encoding="utf-8")
    print(f"{len(results)} experiments, {sum(map(len, results.values()))} results: {said.folder / 'README.md'}")


def read(stored: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the stored facts by experiment, with the answer in today's words."""
    results: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(stored.glob("*.json")):
        facts = read_experiment(file)
        facts["answer"] = load_experiment(facts["experiment"]).answer(facts["result"])
        results.setdefault(facts["experiment"], []).append(facts)
    return results


def named(facts: Mapping[str, Any]) -> str:
    """Return what the data are called."""
    return str(DATA.get(facts["source"], facts["source"]))


def titled(facts: Mapping[str, Any]) -> str:
    """Return what the data are called, with a capital letter."""
    name = named(facts)
    return name[0].upper() + name[1:]


def page(name: str, entries: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Return the page of an experiment, a section for each data set."""
    kind = load_experiment(name)
    (folder / "figures").mkdir(exist_ok=True)
    parts = [f"# {name.capitalize()}", kind.question, NOTE]
    for facts in entries:
        with style():
            drawings = kind.drawings(facts["result"])
            stem = f"{name}-{re.sub(r'[^a-z0-9]+', '-', Path(facts['source']).stem)}"
            for drawing in drawings:
                save_drawing(drawing, folder / "figures" / f"{stem}-{drawing.name}.svg")
        figures = [(drawing, f"figures/{stem}-{drawing.name}.svg") for drawing in drawings]
        body = {**facts, "title": titled(facts), "question": ""}
        parts.append(experiment_markdown(body, kind.sheets(facts["result"]), figures, "##").strip())
    return "\n\n".join(parts) + "\n"


NOTE = (
    "Written by `python benchmarks/results.py docs/results` from the stored results; `benchmarks/experiments.sh` "
    "makes them anew. The texts are by small language models on a machine without a GPU: they show what the tool "
    "does, and not what a large model's texts are worth."
)


def drawn(levels: Sequence[Mapping[str, Any]]) -> str:
    """Say how often each number of originals was drawn, and its texts were written."""
    times = {named(facts): facts["result"]["samples"] for facts in levels}
    listed = "; ".join(f"{name}: {count} x" for name, count in times.items())
    return (
        f"So often was each number of originals drawn, and its texts written: {listed}. Where that is once, the "
        "intervals do not hold what other originals, or texts written anew, would change (`--set samples=5` does)."
    )


def overview(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the page that answers whether it works."""
    levels = [facts for name in ("threshold", "finegrained") for facts in results.get(name, ())]
    parts = [HEADING, " ".join(short_answer(levels)), NOTE]
    parts += ["## Data sets, originals, ways to train", *scores(levels)]
    parts += ["## What the paper's protocol would have said", *inflation(levels)]
    parts.append("## The experiments")
    for name in ORDER:
        entries = results.get(name, ())
        if entries:
            parts += [f"### {name.capitalize()}", f"{md(entries[0]['question'])} [The page]({name}.md)."]
        for facts in entries:
            parts += [f"**{md(titled(facts))}**", md_list(facts["answer"])]
    parts += ["## What it cost", costs(results), "## What could not be tested here", *untested(levels)]
    parts += ["## Other measurements", "\n".join(f"- [{page}]({page}): {what}" for page, what in OTHERS)]
    return "\n\n".join(part for part in parts if part) + "\n"


def short_answer(levels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Count the verdicts."""
    every = [level["comparisons"] for facts in levels for level in facts["result"]["levels"]]
    if not every:
        yield "No experiment is stored yet."
        return
    gains = [entry["imputed_original"]["verdict"] for entry in every]
    ranks = [entry["imputed_original_ap"]["verdict"] for entry in every]
    par = [entry["imputed_ceiling"]["verdict"] for entry in every]
    names = sorted({name for facts in levels for name in facts["generation"]["generators"]})
    classes = [entry["class_weights_original"]["verdict"] for entry in every if "class_weights_original" in entry]
    yield (
        f"With texts by {', '.join(names)}, on {len(levels)} data sets with several numbers of originals, "
        f"{len(every)} comparisons in all: imputed texts have a better F1 than the originals alone in "
        f"{gains.count('better')}, a worse one in {gains.count('worse')}, an equivalent one in "
        f"{gains.count('equivalent')}, and cannot be told apart in {gains.count('cannot tell')}. Class weights, "
        f"which cost nothing, are better than the originals alone in {classes.count('better')} of {len(classes)}. In "
        "average precision, which a moved threshold does not change, imputed texts are better in "
        f"{ranks.count('better')} and worse in {ranks.count('worse')}. They are shown to be on a par with the full "
        f"sample of originals in {par.count('equivalent') + par.count('better')}, and to be worse in "
        f"{par.count('worse')}."
    )


def scores(levels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the table of data sets, originals and arms."""
    names = ("data", "originals", "arm", "F1", "average precision", "F1 less original", "verdict")
    lines = table_head((*names, "F1 less full sample", "verdict"), "lrlccclcl")
    for facts in levels:
        for level in facts["result"]["levels"]:
            for arm, found in level["scores"].items():
                cells = [cell(level["comparisons"].get(f"{arm}_{other}")) for other in ("original", "ceiling")]
                marks = [*cells[0], *cells[1]]
                shown = [in_line(found[metric]) for metric in ("f1", "average_precision")]
                name = f"full sample, {facts['result']['full']} originals" if arm == "ceiling" else f"`{arm}`"
                kept = "" if arm == "ceiling" else str(level["originals"])
                row = [named(facts), kept, name, *shown, *marks]
                if arm != "ceiling" or level is facts["result"]["levels"][-1]:
                    lines.append("| " + " | ".join(md(part) if "`" not in part else part for part in row) + " |")
    yield "\n".join(lines)
    if levels:
        said = levels[0]["settings"]
        name = said["classifier"]
        yield (
            f"{said['repeats']} x {said['folds']} folds, classifier `{name}`, margin "
            f"{number(levels[0]['result']['margin'], 2)}; 95 % intervals of the corrected resampled t-test, paired "
            "by fold for differences. Every number of originals is tested on the same folds of all originals; no "
            "training text was written from a test text "
            f"({sum(level['sources'] for f in levels for level in f['result']['levels']):,} sources were looked up, "
            f"{sum(level['shared_sources'] for f in levels for level in f['result']['levels'])} were tested). "
            f"{drawn(levels)}"
        )


def table_head(names: Sequence[str], align: str) -> list[str]:
    """Return the first two lines of a Markdown table."""
    marks = {"l": "---", "c": ":---:", "r": "---:"}
    return ["| " + " | ".join(names) + " |", "|" + "|".join(marks[letter] for letter in align) + "|"]


def cell(found: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return a difference and its verdict."""
    return ("", "") if not found else (in_line(found, "difference", sign=True), found["verdict"])


def inflation(levels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the table of the paper's protocol."""
    names = ("data", "originals", "F1, `pooled`", "F1, seed-aware", "inflation", "of it: synthetic test texts")
    lines = table_head((*names, "shared sources"), "lrccccc")
    for facts in levels:
        for level in facts["result"]["levels"]:
            parts = [in_line(entry, sign=True) for entry in level["inflation"]]
            both = [in_line(found) for found in (level["pooled"], level["thinned"])]
            name = named(facts)
            lines.append("| " + " | ".join([name, str(level["originals"]), *both, *parts]) + " |")
    yield "\n".join(lines)
    yield (
        "The arm `imputed`, measured as the paper's code does: synthetic texts are tested with the originals that "
        "stay. Beside it the same without a leak, on those originals alone. The prevalence is that of the thinned "
        "data: not to be compared with the table above."
    )


def costs(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return what the stored results took."""
    names = ("experiment", "data", "generator", "synthetic texts", "cost", "time of the last run")
    lines = table_head(names, "lllrrr")
    for name in ORDER:
        for facts in results.get(name, ()):
            made = facts["generation"]
            cost = "unknown" if made["cost_usd"] is None else f"${made['cost_usd']:.2f}"
            data = named(facts)
            row = [name, data, ", ".join(made["generators"]) or "none", f"{made['texts_used']:,}", cost]
            lines.append("| " + " | ".join([*row, f"{facts['seconds']:.0f} s"]) + " |")
    return "\n".join(lines)


def untested(levels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say what was not run, with the commands that would."""
    yield (
        "GPT-4o and RoBERTa-large, the paper's own models: no key and no GPU were at hand. The same experiments with "
        "them, `--plan` first, which says what it costs and calls nothing:"
    )
    lines = []
    for facts in levels:
        command = re.sub(r"--generator \S+", "--generator openai:gpt-4o", facts["command"])
        command = re.sub(r" --journal \S+", "", command)
        command = re.sub(r"--output (\S+)", r"--output \1-gpt-4o", command)
        lines.append(f"{command} --classifier transformers:roberta-large,preset=paper-short --full")
    yield md_code("\n".join(lines))
    yield "A folder written with a key is repeated by anyone without one: `--generator replay:FOLDER/journal.sqlite`."


if __name__ == "__main__":
    main()
