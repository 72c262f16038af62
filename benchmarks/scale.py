"""Scale: plan, draws, generation with ``echo`` and ``map``, from 10,000 to 1,000,000 rows.

Each size has 1,000 rows a class and 100 texts to write for each class, and runs in a process of its own. Memory is
anonymous resident memory above that of the same process with the dataset open (the dataset itself is memory-mapped).

Run: python benchmarks/scale.py [--output docs/results/scale.md]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
ROWS_A_CLASS = 1_000
TO_WRITE_A_CLASS = 100


def anonymous_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon in /proc/self/status: this benchmark needs Linux")


class Peak(threading.Thread):
    """Samples memory while the work goes on."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self.done = False

    def run(self) -> None:
        while not self.done:
            self.peak = max(self.peak, anonymous_mb())
            time.sleep(0.02)


def make_dataset(rows: int, folder: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    classes = rows // ROWS_A_CLASS
    rng = random.Random(rows)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(5_000)]
    features = Features({"text": Value("string"), "label": ClassLabel(names=[f"class {i}" for i in range(classes)])})

    def read() -> Iterator[dict[str, object]]:
        for row in range(rows):
            yield {"text": " ".join(rng.choices(words, k=rng.randint(6, 24))), "label": row % classes}

    with tempfile.TemporaryDirectory() as cache:
        Dataset.from_generator(read, features=features, cache_dir=cache).save_to_disk(str(folder))


def measure(folder: Path) -> dict[str, float]:
    import datasets

    from synimpute_hf import SyntheticImputer

    datasets.disable_progress_bars()
    ds = datasets.load_from_disk(str(folder))
    base = anonymous_mb()
    watch = Peak()
    watch.start()
    start = time.perf_counter()
    impute = SyntheticImputer(target=ROWS_A_CLASS + TO_WRITE_A_CLASS, generator="echo", progress=False).fit(ds)
    to_write = impute.plan.to_write
    planned = time.perf_counter()
    impute.generate()
    generated = time.perf_counter()
    out = ds.map(impute, batched=True)
    end = time.perf_counter()
    watch.done = True
    assert out.num_rows == ds.num_rows + to_write
    return {
        "rows": ds.num_rows,
        "classes": len(impute.plan.classes),
        "to_write": to_write,
        "plan": planned - start,
        "generate": generated - planned,
        "map": end - generated,
        "total": end - start,
        "peak_mb": watch.peak - base,
    }


def run_all(output: Path | None) -> None:
    lines = [
        "| rows | classes | to write | plan s | generate s | map s | total s | peak MB above the dataset |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for size in SIZES:
        with tempfile.TemporaryDirectory() as scratch:
            make_dataset(size, Path(scratch) / "ds")
            command = [sys.executable, __file__, "--measure", str(Path(scratch) / "ds")]
            environment = {**os.environ, "SYNIMPUTE_HOME": scratch, "HF_HUB_OFFLINE": "1"}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        facts = json.loads(done.stdout.splitlines()[-1])
        lines.append(
            "| {rows:,} | {classes:,} | {to_write:,} | {plan:.1f} | {generate:.1f} | {map:.1f} | {total:.1f} | "
            "{peak_mb:.0f} |".format(**facts)
        )
        print(lines[-1], flush=True)
    if output:
        head = (
            "# Scale\n\nMade by `python benchmarks/scale.py --output docs/results/scale.md`: 1,000 rows and 100 texts\n"
            f"to write a class, generator `echo`, {os.cpu_count()} cores, Python {platform.python_version()}.\n"
            "'generate' is draws, prompts, answers, journal and verdicts.\n"
            "Seconds depend on the machine; how they grow does not.\n\n"
        )
        output.write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
    else:
        run_all(arguments.output)
