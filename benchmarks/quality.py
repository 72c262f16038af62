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
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from synimpute_hf.encoder import Encoder
from synimpute_hf.seeding import derive_seed, text_code
from synimpute_hf.shingles import shingles_of
from synimpute_hf.validators import DEFAULTS, Case, Panel, Reference, label, make_validator, similarity

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


def without_twins(texts: Sequence[str], labels: Sequence[str], name: str) -> tuple[list[str], list[str], int]:
    """Leave out each text of the class that is a near-twin of another one of it: to reject that is no false alarm."""
    from synimpute_hf.folds import near_twins

    own = [text for text, label in zip(texts, labels, strict=True) if label == name]
    twins = {own[place] for place in near_twins(own).ravel()}
    kept = [(text, label) for text, label in zip(texts, labels, strict=True) if label != name or text not in twins]
    return [text for text, _ in kept], [label for _, label in kept], len(twins)


def rejects(spec: str, reference: Reference, cases: Sequence[Case]) -> np.ndarray:
    panel = Panel([make_validator(spec)], reference)
    return np.array([bool(entry.reason) for entry in panel.judge(cases)])


def false_alarms(folder: Path, seeds: int, dear_seeds: int) -> Iterator[str]:
    """Yield a table of rejected held-out originals, in percent; dear validators on fewer seeds."""
    yield f"{seeds} random splits a line, {dear_seeds} for `similarity` and `label`; %, and how many were judged."
    yield ""
    columns = [f"`{spec}`" for spec in (*DEFAULTS, "together", *MORE)]
    yield f"| data, class | near-twins left out | originals | judged | {' | '.join(columns)} |"
    yield "|---|---:|---:|---:" + "|---:" * len(columns) + "|"
    for data, names in SETS.items():
        if not (folder / data).is_dir():
            continue
        texts, labels = read_set(folder, data)
        if data == "banking77":  # the texts of some intents, so that it does not take hours
            some = {*names, *sorted(set(labels))[::9]}
            rows = [(text, label) for text, label in zip(texts, labels, strict=True) if label in some]
            texts, labels = [text for text, _ in rows], [label for _, label in rows]
        for name in names:
            kept, kept_labels, twins = without_twins(texts, labels, name)
            for count in COUNTS:
                wrong: dict[str, list[np.ndarray]] = {spec: [] for spec in (*DEFAULTS, "together", *MORE)}
                for seed in range(seeds):
                    reference, cases = split(kept, kept_labels, name, count, seed)
                    if not cases:
                        continue
                    found = {spec: rejects(spec, reference, cases) for spec in DEFAULTS}
                    found["together"] = np.any(list(found.values()), axis=0)
                    found |= {spec: rejects(spec, reference, cases) for spec in MORE if seed < dear_seeds}
                    for spec, part in found.items():
                        wrong[spec].append(part)
                judged = sum(map(len, wrong["together"]))
                if judged:
                    cells = [f"{100 * np.concatenate(part).mean():.1f}" if part else "-" for part in wrong.values()]
                    yield f"| {data}, `{name}` | {twins} | {count} | {judged:,} | {' | '.join(cells)} |"


def planted(seed: int) -> Iterator[str]:
    """Yield tables of planted faults by what found them."""
    from planted_faults import ENGLISH, FAULTS, GERMAN, RARE, answers, reference

    from synimpute_hf.answers import read_answer

    whole = ["reading", *(f"`{spec}`" for spec in (*DEFAULTS, *MORE))]
    for language, texts, other in (("English", ENGLISH, GERMAN), ("German", GERMAN, ENGLISH)):
        asked = answers(texts, other, seed)
        known = reference(texts)
        readings = [read_answer(entry.answer, "stop", entry.shown) for entry in asked]
        cases = [Case(RARE, r.text, (), entry.shown) for entry, r in zip(asked, readings, strict=True)]
        unread = np.array([bool(reading.reason) for reading in readings])
        alone = {"reading": unread}
        for spec in (*DEFAULTS, *MORE):
            alone[spec] = np.zeros(len(asked), bool)
            alone[spec][~unread] = rejects(spec, known, [cases[k] for k in np.flatnonzero(~unread)])
        usual = np.any([alone[spec] for spec in ("reading", *DEFAULTS)], axis=0)
        yield f"{language}: {len(asked)} answers, {sum(map(len, known.texts.values()))} originals."
        yield ""
        yield f"| planted | answers | {' | '.join(whole)} | reading and default panel | with `label` |"
        yield "|---|---:" + "|---:" * (len(whole) + 2) + "|"
        for fault in (*FAULTS, ""):
            own = np.array([entry.fault == fault for entry in asked])
            cells = [*alone.values(), usual, usual | alone["label"]]
            counts = " | ".join(str(int(part[own].sum())) for part in cells)
            yield f"| {fault or 'none: a good text'} | {own.sum()} | {counts} |"
        yield ""


def linear(sizes: Sequence[int]) -> Iterator[str]:
    """Yield seconds of the duplicate check: half of the texts are originals, half candidates that are accepted."""
    rng = random.Random(0)
    words = ["".join(rng.choices("aeioubcdfghlmnprst", k=rng.randint(2, 9))) for _ in range(5_000)]
    yield "| texts | near-copies among them | found | CPU seconds | microseconds a text |"
    yield "|---:" * 5 + "|"
    for size in sizes:
        # Words as frequent as in a language: the k-th a k-th part as often as the first.
        weights = [1 / (place + 1) for place in range(len(words))]
        texts = [" ".join(rng.choices(words, weights, k=rng.randint(8, 24))) for _ in range(size)]
        half = size // 2
        for place in range(half, size, 20):
            parts = texts[rng.randrange(half)].split()
            parts[rng.randrange(len(parts))] = rng.choice(words)
            texts[place] = " ".join(parts)
        validator = make_validator("duplicate")
        begun = time.process_time()
        validator.prepare(Reference({"class": texts[:half]}, {}, {}, shingles_of([])))
        found = 0
        for place in range(half, size):
            case = Case("class", texts[place], (), ())
            if validator.judge([case])[0].reason:
                found += (place - half) % 20 == 0
            else:
                validator.accept(case)
        seconds = time.process_time() - begun
        copies = len(range(half, size, 20))
        yield f"| {size:,} | {copies:,} | {found:,} | {seconds:.2f} | {1e6 * seconds / size:.0f} |"


def keep_vectors() -> None:
    """Encode each text once in this process, whatever the validator, the split and the number of originals."""
    cache = Path(tempfile.mkdtemp()) / "vectors.sqlite"
    for room in (similarity, label):
        room.Encoder = partial(Encoder, cache=cache)  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["planted", "false-alarms", "linear"])
    parser.add_argument("folder", nargs="?", type=Path, help="false-alarms: where the data sets lie")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--dear-seeds", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    given = parser.parse_args()
    keep_vectors()
    if given.what == "false-alarms":
        if given.folder is None:
            parser.error("false-alarms: expected the folder that holds nostalgia600/data.parquet and so on")
        lines = false_alarms(given.folder, given.seeds, given.dear_seeds)
    else:
        lines = planted(0) if given.what == "planted" else linear(given.sizes)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
