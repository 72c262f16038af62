"""What the default validators make of the embedded model's texts: the acceptance table of docs/results/quality.md.

    python benchmarks/quality_acceptance.py FOLDER_WITH_DATA OUTPUT [--show 10]

FOLDER_WITH_DATA holds nostalgia600 and banking77, each with a data.parquet (columns text, label). Rows that hold
'#NAME?' (what a spreadsheet program makes of a text that begins like a formula) are left out; of two banking77 intents
60 originals stay, of the other 75 all. With --show, accepted and rejected texts are printed, drawn at random. Run
again, and it goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, disable_progress_bars

from synimpute_hf.journal import Journal
from synimpute_hf.outputs import JOURNAL, read_manifest

INTENTS = ("card_arrival", "lost_or_stolen_card")
KEPT = 60
RUNS = {
    "nostalgia600": [
        *("--sampling-strategy", "1=200", "--prompt", "sentences"),
        *("--category-description", "1=nostalgia: longing for the past, its traditions and values"),
    ],
    "banking77": ["--sampling-strategy", ",".join(f"{name}=100" for name in INTENTS), "--prompt", "messages"],
}


def prepared(source: Path, name: str) -> Dataset:
    """Return the rows that are imputed."""
    rows = Dataset.from_parquet(str(source / name / "data.parquet")).select_columns(["text", "label"])
    rows = rows.filter(lambda row: row["text"] is not None and "#NAME?" not in row["text"])
    if name == "banking77":
        labels, out = np.array(rows["label"]), set()
        for intent in INTENTS:
            out |= set(np.random.default_rng(0).permutation(np.flatnonzero(labels == intent))[KEPT:].tolist())
        rows = rows.select([k for k in range(len(rows)) if k not in out])
    return rows


def table(facts: dict[str, Any]) -> list[str]:
    """Return the account of a run as the rows of a Markdown table."""
    rows = []
    for entry in facts["outcome"]["classes"]:
        rejected = sorted(entry["rejected"].items(), key=lambda pair: -pair[1])
        reasons = "; ".join(f"{count} {reason}" for reason, count in rejected)
        share = entry["kept"] / max(1, entry["generated"])
        cells = (entry["name"], entry["needed"], entry["generated"], entry["kept"], f"{share:.0%}", reasons)
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return rows


def show(folder: Path, facts: dict[str, Any], count: int) -> None:
    """Print some accepted and rejected answers."""
    with Journal(folder / JOURNAL, create=False) as journal:
        verdicts = journal.verdicts(facts["outcome"]["run"])
        answers = journal.get(list(verdicts))
    rng = random.Random(0)
    for accepted in (True, False):
        chosen = [key for key, verdict in verdicts.items() if verdict.accepted == accepted]
        for key in rng.sample(sorted(chosen), min(count, len(chosen))):
            print(json.dumps([verdicts[key].reason or "accepted", answers[key].text], ensure_ascii=False))


def main() -> None:
    """Impute each data set, and print what was accepted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--show", type=int, default=0)
    options = parser.parse_args()
    disable_progress_bars()
    lines = ["| class | needed | generated | kept | acceptance | rejected |", "|---|---:|---:|---:|---:|---|"]
    for name, more in RUNS.items():
        folder = options.output / name
        folder.mkdir(parents=True, exist_ok=True)
        data = options.output / f"{name}.parquet"
        prepared(options.source, name).to_parquet(str(data))
        command = [sys.executable, "-m", "synimpute_hf", "impute", str(data), "--text", "text", "--label", "label"]
        done = subprocess.run([*command, "--generator", "local", *more, "--output", str(folder)], capture_output=True)
        if done.returncode not in (0, 1):  # 1: a class ended short
            sys.exit(done.stderr.decode())
        facts = read_manifest(folder)
        lines += table(facts)
        if options.show:
            show(folder, facts, options.show)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
