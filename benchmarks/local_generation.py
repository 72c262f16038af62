"""Accepted texts a minute: ``local`` against the same model called one prompt at a time with transformers' pipeline.

Both get prompts of the demo corpus and the same sampling settings, in turns within one run. ``local`` goes the whole
way (draws, prompts, journal, verdicts, loading the model); the pipeline's loading is not counted. An accepted text is
not empty, not cut off at the length limit and no copy.

Run: python benchmarks/local_generation.py [--rounds 2] [--output docs/results/local_generation.md]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import torch
import transformers
from datasets import Dataset
from synimpute_hf.dataset_scripts.city_service_line import CityServiceLine

from synimpute_hf import SyntheticImputer
from synimpute_hf.causal_lm import best_dtype
from synimpute_hf.drawing import draw
from synimpute_hf.generators import local
from synimpute_hf.prompts import Renderer, load_prompt
from synimpute_hf.seeding import text_code

OURS, ONE_BY_ONE = 64, 12


def fitted(ds: Dataset, seed: int, count: int, folder: str) -> SyntheticImputer:
    have = 60
    return SyntheticImputer(
        text="text", label="label", id="id", sampling_strategy={"accessibility": have + count}, prompt="messages",
        generator="local", seed=seed, journal=Path(folder) / f"{seed}.sqlite", progress=False,
    ).fit(ds)  # fmt: skip


def ours(ds: Dataset, seed: int, folder: str) -> tuple[int, float]:
    impute = fitted(ds, seed, OURS, folder)
    start = time.perf_counter()
    outcome = impute.generate()
    return len(outcome.rows), time.perf_counter() - start


def one_by_one(pipe: transformers.Pipeline, ds: Dataset, seed: int, folder: str) -> tuple[int, float]:
    impute = fitted(ds, seed, ONE_BY_ONE, folder)
    state = impute._state
    pool = state.originals.pools["accessibility"]
    renderer = Renderer(load_prompt("messages"), "continuation", "benchmark")
    known = set(state.originals.known.tolist())
    accepted = 0
    start = time.perf_counter()
    for number in range(ONE_BY_ONE):
        prompt = renderer.render(draw(pool, number, 0, state.settings))
        out = pipe(
            prompt.text, max_new_tokens=prompt.max_tokens, do_sample=True, temperature=0.7, top_p=1.0, top_k=0,
            stop_strings=list(prompt.stop), tokenizer=pipe.tokenizer, return_full_text=False,
        )[0]["generated_text"]  # fmt: skip
        ended = any(mark in out for mark in prompt.stop)
        text = out.strip()
        accepted += bool(text) and ended and text_code(text) not in known
    return accepted, time.perf_counter() - start


def main(rounds: int, output: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SYNIMPUTE_HOME"] = folder
        builder = CityServiceLine(cache_dir=folder)
        builder.download_and_prepare()
        ds = builder.as_dataset(split="train")
        model, tokenizer = local._load(local.find_weights())
        pipe = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
        pipe("Warm up", max_new_tokens=4)
        totals = {"local": [0, 0.0], "pipeline, one prompt at a time": [0, 0.0]}
        for turn in range(rounds):
            for name, (kept, seconds) in (
                ("local", ours(ds, 2 * turn, folder)),
                ("pipeline, one prompt at a time", one_by_one(pipe, ds, 2 * turn + 1, folder)),
            ):
                totals[name][0] += kept
                totals[name][1] += seconds
                print(f"round {turn + 1}: {name}: {kept} accepted in {seconds:.1f} s", flush=True)
    rates = {name: 60 * kept / seconds for name, (kept, seconds) in totals.items()}
    ratio = rates["local"] / rates["pipeline, one prompt at a time"]
    lines = ["| way | accepted texts a minute |", "|---|---:|"]
    lines += [f"| {name} | {rate:.0f} |" for name, rate in rates.items()]
    report = "\n".join(lines) + f"\n\n`local` writes {ratio:.1f} times as many.\n"
    print(report)
    if output:
        output.write_text(
            "# Local generation\n\nMade by `python benchmarks/local_generation.py --output "
            f"docs/results/local_generation.md`: demo corpus,\nprompt `messages`, {rounds} rounds in turns of "
            f"{OURS} texts by `local` (with its loading)\nand {ONE_BY_ONE} by the pipeline, "
            f"{torch.get_num_threads()} threads, "
            f"{str(best_dtype()).removeprefix('torch.')}, torch {torch.__version__}, transformers "
            f"{transformers.__version__}, Python {platform.python_version()}.\n\n{report}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    main(arguments.rounds, arguments.output)
