"""The audit figures of docs/results/quality.md: texts by the embedded language model, and what `synimpute audit` says.

    python benchmarks/quality_audit.py FOLDER_WITH_DATA OUTPUT           # two results and their audits
    python benchmarks/quality_audit.py FOLDER_WITH_DATA OUTPUT --chance   # the two-sample test with nothing to tell

FOLDER_WITH_DATA holds nostalgia600 and vader_tweets, each with a data.parquet (columns text, label). Rows that hold
'#NAME?' (what a spreadsheet program makes of a text that begins like a formula) are left out, and of the tweets all
but 150 negative ones, so that both classes double: as many synthetic texts as originals. No validator is used: the
audit is of what the model writes. What is interrupted goes on where it stopped: run the same command again.
``--chance`` splits originals of one class at random, 200 times, and plants a word before each text of one side.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from datasets import Dataset, disable_progress_bars

from synimpute_hf.encoder import Encoder
from synimpute_hf.two_sample import together, told_apart

KEPT = 150
DESCRIPTION = "1=nostalgia: longing for the past, its traditions and values"
RUNS = {
    "nostalgia600": ["--sampling-strategy", "1=302", "--prompt", "sentences", "--category-description", DESCRIPTION],
    "vader_tweets": ["--sampling-strategy", f"negative={2 * KEPT}", "--prompt", "messages"],
}


def prepared(source: Path, name: str) -> Dataset:
    """Return the rows of a data set that are imputed, texts and labels alone."""
    rows = Dataset.from_parquet(str(source / name / "data.parquet")).select_columns(["text", "label"])
    broken = sum("#NAME?" in str(text) for text in rows["text"])
    rows = rows.filter(lambda row: row["text"] is not None and "#NAME?" not in row["text"])
    print(f"{name}: {broken} rows with #NAME? left out, {len(rows)} rows stay")
    if name == "vader_tweets":
        rare = np.flatnonzero(np.array(rows["label"]) == "negative")
        out = set(np.random.default_rng(0).permutation(rare)[KEPT:].tolist())
        rows = rows.select([k for k in range(len(rows)) if k not in out])
    return rows


def chance(source: Path, output: Path, times: int = 200) -> None:
    """Print how often the interval holds 0.5 where two random halves of the originals are told apart."""
    encoder = Encoder(cache=output / "vectors.sqlite")
    for name, label in (("nostalgia600", 0), ("vader_tweets", "negative")):
        rows = Dataset.from_parquet(str(source / name / "data.parquet"))
        texts = [text for text, own in zip(rows["text"], rows["label"], strict=True) if own == label][:600]
        vectors, groups = encoder.encode(texts).astype(float), together(texts)
        planted = encoder.encode([f"Certainly! {text}" for text in texts]).astype(float)
        for sizes in ((150, 150), (50, 100)):
            draws, found = np.random.default_rng(0), []
            for seed in range(times):
                rows = draws.permutation(len(texts))[: sum(sizes)]
                second = np.arange(len(rows)) >= sizes[0]
                found.append(told_apart(vectors[rows], second, groups[rows], seed=seed))
            covered = np.mean([told.low <= 0.5 <= told.high for told in found])
            mean, width = (np.mean(values) for values in zip(*((t.auc, t.high - t.low) for t in found), strict=True))
            above = max(told.low for told in found)
            easy = told_apart(np.where(second[:, None], planted[rows], vectors[rows]), second, groups[rows])
            print(
                f"{name}, {sizes[0]} and {sizes[1]} of {len(texts)}: mean AUC {mean:.3f}, interval holds 0.5 in "
                f"{covered:.1%} of {times}, mean width {width:.3f}, highest lower end {above:.3f}; planted "
                f"{easy.auc:.3f} ({easy.low:.3f} to {easy.high:.3f})",
                flush=True,
            )


def main() -> None:
    """Impute, then audit, each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--chance", action="store_true")
    args = parser.parse_args()
    disable_progress_bars()
    if args.chance:
        chance(args.source, args.output)
        return
    for name, options in RUNS.items():
        folder = args.output / name
        folder.mkdir(parents=True, exist_ok=True)
        data = args.output / f"{name}.parquet"
        prepared(args.source, name).to_parquet(str(data))
        command = [sys.executable, "-m", "synimpute_hf"]
        made = subprocess.run(
            [*command, "impute", str(data), "--text", "text", "--label", "label", "--generator", "local",
             *options, "--validator", "none",
             "--output", str(folder)]
        )  # fmt: skip
        if made.returncode not in (0, 1):  # 1: a class ended short, which the audit says, too
            sys.exit(made.returncode)
        subprocess.run([*command, "audit", str(folder)], check=True)


if __name__ == "__main__":
    main()
