"""Generation on several Ray workers, each with a model of its own.

Run: python examples/ray_transformers.py [--model transformers:Qwen/Qwen3-0.6B] [--workers 2] [--gpus-per-worker 1]
Without --model, the embedded one. With RAY_ADDRESS set, on that cluster.
"""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from datasets import load_dataset
from synimpute_hf.dataset_scripts.city_service_line import write_folder

from synimpute_hf import SyntheticImputer

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="local", help="transformers:MODEL, or local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus-per-worker", type=float, default=0)
    parser.add_argument("--texts", type=int, default=24)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder))
        ds = load_dataset(folder, split="train", cache_dir=f"{folder}/cache")
        impute = SyntheticImputer(
            id="id",
            sampling_strategy={"accessibility": 60 + arguments.texts},
            prompt="messages",
            generator=f"ray:{arguments.model}",
            generator_options={
                "workers": arguments.workers,
                "gpus_per_worker": arguments.gpus_per_worker,
                "chunk": max(1, arguments.texts // (2 * arguments.workers)),
            },
            journal=f"{folder}/journal.sqlite",
        ).fit(ds)
        started = time.perf_counter()
        outcome = impute.generate()
        minutes = (time.perf_counter() - started) / 60
        augmented = impute(ds)
    print(f"{len(outcome.rows)} texts by {impute.plan.generator} in {minutes:.1f} minutes")
    print(Counter(augmented.features["label"].int2str(augmented["label"])))
    assert outcome.missing == 0
