"""Validators: planted faults, false alarms on held-out originals, and time of the duplicate check.

    python benchmarks/quality.py planted
    python benchmarks/quality.py false-alarms FOLDER     (FOLDER/nostalgia600/data.parquet and so on)
    python benchmarks/quality.py linear

Each prints Markdown tables.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from synimpute_hf.seeding import derive_seed, text_code
from synimpute_hf.shingles import shingles_of
from synimpute_hf.validators import DEFAULTS, Case, Panel, Reference, make_validator

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

MORE = ("similarity", "label")
SETS = {
    "nostalgia600": ("1",),
    "vader_tweets": ("neutral", "negative"),
    "banking77": ("contactless_not_working", "exchange_rate", "lost_or_stolen_card", "card_arrival"),
}
COUNTS = (50, 75, 100)
SEEDS = 10


def read_set(folder: Path, name: str) -> tuple[list[str], list[str]]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(folder / name / "data.parquet")
    rows = zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)
    kept = {text_code(text): (text, str(label)) for text, label in rows if text.strip() != "#NAME?"}
    texts, labels = zip(*kept.values(), strict=True)
    return list(texts), list(labels)


def split(
    texts: Sequence[str], labels: Sequence[str], name: str, count: int, seed: int
) -> tuple[Reference, list[Case]]:
    """Keep so many originals of the class; the others are judged as if a model had written them."""
    order = sorted(range(len(texts)), key=lambda k: derive_seed("held out", seed, texts[k]))
    own = [texts[k] for k in order if labels[k] == name]
    kept, held = own[:count], own[count:]
    others = {other: [texts[k] for k in order if labels[k] == other] for other in sorted(set(labels)) if other != name}
    known = shingles_of([*kept, *(text for part in others.values() for text in part)])
    reference = Reference({name: kept, **others}, {}, {}, known)
    rng = random.Random(derive_seed("shown", seed, name))
    return reference, [Case(name, text, (), tuple(rng.sample(kept, 5))) for text in held]


def false_alarms(folder: Path, seeds: int, which: Sequence[str]) -> Iterator[str]:
    yield "| data, class | originals | judged | " + " | ".join(f"`{spec}`" for spec in which) + " | default panel |"
    yield "|---" * (4 + len(which)) + "|"
    for data in SETS:
        if not (folder / data).is_dir():
            continue
        texts, labels = read_set(folder, data)
        for name in SETS[data]:
            for count in COUNTS:
                wrong: Counter[str] = Counter()
                judged = 0
                for seed in range(seeds):
                    reference, cases = split(texts, labels, name, count, seed)
                    judged += len(cases)
                    for spec in which:
                        panel = Panel([make_validator(spec)], reference)
                        wrong[spec] += sum(bool(entry.reason) for entry in panel.judge(cases))
                    panel = Panel([make_validator(spec) for spec in DEFAULTS], reference)
                    wrong["all"] += sum(bool(entry.reason) for entry in panel.judge(cases))
                if judged:
                    cells = " | ".join(f"{100 * wrong[spec] / judged:.1f} %" for spec in (*which, "all"))
                    yield f"| {data}, `{name}` | {count} | {judged:,} | {cells} |"
