"""Speed of cross-validation: our fits beside the author's way and beside a Trainer a fold, on the same folds.

Run one part, or all of them:
    python benchmarks/crossval.py finetune floor linear gpu
In ``finetune`` the ways take turns, so that what else the machine does hits all alike; each row of a table is made of
the same fits. Seconds are wall time; CPU seconds are those of all processes of a way. Real texts are read from
``shared/data/nostalgia600`` beside the repository (``--data``).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LENGTH = 84
"""Tokens to which the author's code pads the sentences of its comparison."""


@dataclass
class Tally:
    """What one way took, turn by turn, and what it predicted."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    probabilities: list[np.ndarray] = field(default_factory=list)


def table(header: str, rows: Sequence[Sequence[str]]) -> str:
    names = header.split("|")
    return "\n".join(
        ["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *("| " + " | ".join(row) + " |" for row in rows)]
    )


def cpu_seconds() -> float:
    """CPU seconds of this process and of those it started."""
    import psutil

    here = psutil.Process()
    used = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return float(sum(times.user + times.system for times in used))


@contextmanager
def clocked(tally: Tally, fits: int) -> Any:
    cpu, started = cpu_seconds(), time.perf_counter()
    yield
    tally.seconds.append((time.perf_counter() - started) / fits)
    tally.cpu.append((cpu_seconds() - cpu) / fits)


def read_texts(options: argparse.Namespace) -> Any:
    from datasets import load_dataset

    return load_dataset("parquet", data_files=str(options.data), split="train")


def planned_fits(options: argparse.Namespace, classifier: Any) -> tuple[list[str], np.ndarray, list[Any]]:
    """Return texts, labels and the first fits of a 10-fold cross-validation of the originals."""
    from synimpute_hf import CrossValidation
    from synimpute_hf.assembly import assemble
    from synimpute_hf.fitstore import FitStore

    validation = CrossValidation(arms=["original"], folds=10, repeats=1, text="text", label="label")
    store = FitStore(None)
    sample = validation._sample(read_texts(options))
    whole = assemble(
        sample, validation.arms, validation.protocols, None, **validation._split(), enough=True, store=store
    )
    store.close()
    tasks = [entry.task for entry in validation._planned(whole, classifier)]
    return whole.corpus.texts, whole.corpus.labels, tasks[: options.fits]


# -- the ways; each takes tasks and returns probabilities of their tested rows --------------------------


class Ours:
    """The path of ``CrossValidation``: joblib, a process a core."""

    def __init__(self, classifier: Any, texts: list[str], jobs: int) -> None:
        self.classifier, self.jobs = classifier, jobs
        started = time.perf_counter()
        self.features = classifier.prepare(texts)
        self.prepared = time.perf_counter() - started

    def __call__(self, tasks: Sequence[Any]) -> list[np.ndarray]:
        from synimpute_hf.crossval import _in_parallel

        made: dict[str, Any] = {}
        for group in _in_parallel(self.classifier, self.features, tasks, self.jobs):
            made.update(group)
        return [made[task.key].probabilities for task in tasks]

    def warm_up(self, tasks: Sequence[Any]) -> float:
        """Start the processes, and let each load the model, as it does once for all its fits."""
        few = np.concatenate([np.flatnonzero(tasks[0].fit.labels == code)[:4] for code in (0, 1)])
        fit = tasks[0].fit
        short = replace(fit, train=fit.train[few], labels=fit.labels[few], weights=fit.weights[few], test=fit.test[:2])
        started = time.perf_counter()
        self([replace(tasks[0], key=str(k), fit=short) for k in range(2 * self.jobs)])
        return time.perf_counter() - started


@dataclass
class Author:
    """A fresh model a fold, every text padded to a fixed length, a loop of one's own, PyTorch's own threads."""

    source: str
    texts: list[str]
    settings: dict[str, Any]
    device: str = "cpu"

    def __call__(self, tasks: Sequence[Any]) -> list[np.ndarray]:
        return [self.fit_predict(task.fit) for task in tasks]

    def encode(self, rows: np.ndarray, labels: np.ndarray | None = None) -> Any:
        import torch
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.source)
        encoded = tokenizer(
            [self.texts[row] for row in rows],
            padding="max_length",
            truncation=True,
            max_length=LENGTH,
            return_tensors="pt",
        )
        parts = [encoded["input_ids"], encoded["attention_mask"]]
        return torch.utils.data.TensorDataset(*parts, *([] if labels is None else [torch.tensor(labels)]))

    def fit_predict(self, fit: Any) -> np.ndarray:
        import torch
        from transformers import get_linear_schedule_with_warmup, set_seed

        set_seed(fit.seed % 2**32)
        model = load_fresh(self.source, fit.classes).to(self.device)
        size, epochs = self.settings["batch_size"], self.settings["epochs"]
        loader = torch.utils.data.DataLoader(self.encode(fit.train, fit.labels), batch_size=size, shuffle=True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.settings["learning_rate"], eps=1e-6, weight_decay=0.0)
        schedule = get_linear_schedule_with_warmup(optimizer, 0, int(len(loader) * epochs))
        for _ in range(int(epochs)):
            model.train()
            for batch in loader:
                ids, mask, labels = (part.to(self.device) for part in batch)
                model.zero_grad()
                loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
        model.eval()
        out = []
        with torch.no_grad():
            for ids, mask in torch.utils.data.DataLoader(self.encode(fit.test), batch_size=size):
                logits = model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).logits
                out.append(torch.softmax(logits.double(), -1).cpu().numpy())
        return np.concatenate(out)


@dataclass
class TrainerAFold:
    """A fresh model and a fresh ``Trainer`` a fold, padded batch by batch, settings otherwise as they come."""

    source: str
    texts: list[str]
    settings: dict[str, Any]

    def __call__(self, tasks: Sequence[Any]) -> list[np.ndarray]:
        return [self.fit_predict(task.fit) for task in tasks]

    def fit_predict(self, fit: Any) -> np.ndarray:
        import scipy.special
        from datasets import Dataset
        from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

        tokenizer = AutoTokenizer.from_pretrained(self.source)

        def rows(positions: np.ndarray, **columns: Any) -> Any:
            data = Dataset.from_dict({"text": [self.texts[row] for row in positions], **columns})
            return data.map(lambda batch: tokenizer(batch["text"], truncation=True, max_length=LENGTH), batched=True)

        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                model=load_fresh(self.source, fit.classes),
                args=TrainingArguments(
                    output_dir=folder,
                    per_device_train_batch_size=self.settings["batch_size"],
                    learning_rate=self.settings["learning_rate"],
                    num_train_epochs=self.settings["epochs"],
                    seed=fit.seed % 2**32,
                    disable_tqdm=True,
                ),
                train_dataset=rows(fit.train, label=fit.labels.tolist()),
                data_collator=DataCollatorWithPadding(tokenizer),
            )
            trainer.train()
            logits = trainer.predict(rows(fit.test)).predictions
        return np.asarray(scipy.special.softmax(logits.astype(np.float64), 1))


def load_fresh(source: str, classes: int) -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(source, num_labels=classes)


# -- parts ----------------------------------------------------------------------------------------------


def finetune(options: argparse.Namespace) -> str:
    if not options.data.is_file():
        return f"## Fine-tuning\n\nNot run: no texts at {options.data.name}.\n"
    import joblib
    import torch

    from synimpute_hf.classifiers import make_classifier
    from synimpute_hf.pretrained import embedded_encoder

    jobs, source = joblib.cpu_count(), str(embedded_encoder())
    settings = {"batch_size": 32, "learning_rate": options.rate, "epochs": options.epochs}
    spec = "transformers:," + ",".join(f"{name}={value:g}" for name, value in settings.items())
    classifier = make_classifier(f"{spec},max_length={LENGTH}")
    texts, labels, tasks = planned_fits(options, classifier)
    ours = Ours(classifier, texts, jobs)
    ways: dict[str, Callable[[Sequence[Any]], list[np.ndarray]]] = {
        "(a) the author's way": Author(source, texts, settings),
        "(b) a Trainer a fold": TrainerAFold(source, texts, settings),
        "ours": ours,
    }
    for layers in (2, 1):
        other = make_classifier(f"{spec},max_length={LENGTH},train_layers={layers}")
        ways[f"another model: ours, train_layers={layers}"] = Ours(other, texts, jobs)
    tallies = {name: Tally() for name in ways}
    starts = []
    for start in range(0, len(tasks), jobs):
        turn = tasks[start : start + jobs]
        for name, way in ways.items():
            if isinstance(way, Ours):
                starts.append(way.warm_up(turn))
            with clocked(tallies[name], len(turn)):
                tallies[name].probabilities += way(turn)
            print(f"{name}: {tallies[name].seconds[-1]:.1f} s a fit, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    rows = [finetune_row(name, tallies, tasks, labels) for name in ways]
    return (
        f"## Fine-tuning: all-MiniLM-L6-v2, {len(tasks[0].fit.train)} texts, {options.epochs:g} epoch, batch 32\n\n"
        f"{len(tasks)} fits a way, {jobs} fits of each way in turn; {jobs} cores; (a) and (b) with PyTorch's own "
        f"{torch.get_num_threads()} threads, ours as {jobs} processes of one thread. Once for all fits, and not in the "
        f"table: tokenising {ours.prepared:.2f} s, starting the processes up to {max(starts):.1f} s. Times faster: "
        "median of the turns' ratios.\n\n"
        + table(
            "way|seconds a fit, each turn|CPU seconds a fit|times faster than (a)|than (b)"
            "|F1 (macro)|average precision (macro)|log loss",
            rows,
        )
        + "\n"
    )


def finetune_row(name: str, tallies: dict[str, Tally], tasks: Sequence[Any], labels: np.ndarray) -> list[str]:
    from synimpute_hf.metrics import score

    tally = tallies[name]
    references = [tallies[other].seconds for other in list(tallies)[:2]]
    ratios = [statistics.median(a / b for a, b in zip(other, tally.seconds, strict=True)) for other in references]
    scores = []
    for task, probabilities in zip(tasks, tally.probabilities, strict=True):
        true = labels[task.fit.test]
        found = score(true, probabilities.argmax(1), probabilities)
        loss = -np.log(probabilities[np.arange(len(true)), true]).mean()
        scores.append([found["f1_macro"], found["average_precision_macro"], loss])
    return [
        name,
        ", ".join(f"{value:.1f}" for value in tally.seconds),
        f"{statistics.mean(tally.cpu):.1f}",
        *(f"{ratio:.1f}" for ratio in ratios),
        *(f"{value:.3f}" for value in np.mean(scores, axis=0)),
    ]


def floor(options: argparse.Namespace) -> str:
    """How far one fit is from the arithmetic it does, on one core."""
    if not options.data.is_file():
        return f"## The arithmetic floor\n\nNot run: no texts at {options.data.name}.\n"
    import torch
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    from synimpute_hf.classifiers import make_classifier

    classifier = make_classifier(f"transformers:,epochs={options.epochs:g},max_length={LENGTH}")
    texts, _, tasks = planned_fits(options, classifier)
    features, fit = classifier.prepare(texts), tasks[0].fit
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    speed = max(matmul_speed(*shape) for shape in ((1024, 1024, 1024), (512, 384, 1536), (512, 1536, 384)))
    classifier.fit_predict(features, fit)
    with FlopCounterMode(display=False) as counter:
        classifier.fit_predict(features, fit)
    times = []
    for _ in range(3):
        started = time.process_time()
        classifier.fit_predict(features, fit)
        times.append(time.process_time() - started)
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        classifier.fit_predict(features, fit)
    torch.set_num_threads(threads)
    took, least = statistics.median(times), counter.get_total_flops() / speed / 1e9
    averages = sorted(watched.key_averages(), key=lambda event: -event.self_cpu_time_total)
    whole = sum(event.self_cpu_time_total for event in averages)
    rows = [[event.key, f"{100 * event.self_cpu_time_total / whole:.1f} %"] for event in averages[:12]]
    return (
        "## The arithmetic floor\n\n"
        f"One fit as above, one core, CPU seconds. Matrix products run at {speed:.0f} GFLOP a second at best; the fit "
        f"does {counter.get_total_flops() / 1e12:.2f} TFLOP, which takes {least:.1f} s at least. Measured: {took:.1f} "
        f"s, {took / least:.2f} times the floor. Where they go:\n\n" + table("operation|share", rows) + "\n"
    )


def matmul_speed(m: int, k: int, n: int) -> float:
    """Return GFLOP a second of one product, the best of 20 by CPU time."""
    import torch

    a, b = torch.randn(m, k), torch.randn(k, n)
    best = float("inf")
    for _ in range(20):
        started = time.process_time()
        torch.mm(a, b)
        best = min(best, time.process_time() - started)
    return 2 * m * k * n / best / 1e9


def linear(options: argparse.Namespace) -> str:
    if not options.data.is_file():
        return f"## Linear\n\nNot run: no texts at {options.data.name}.\n"
    from synimpute_hf import CrossValidation, SyntheticImputer
    from synimpute_hf.crossval import FITS

    arms = ["original", "class_weights", "oversample", "eda:synonyms=none", "imputed"]
    data, rows = read_texts(options), []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("from nothing", "after embedding"):
            (Path(folder) / FITS).unlink(missing_ok=True)
            impute = SyntheticImputer(
                text="text", label="label", target=151, generator="echo", journal=Path(folder) / "journal.sqlite"
            )
            validation = CrossValidation(arms=arms, inflation=False, keep={"1": 75}, text="text", label="label")
            tally = Tally()
            with clocked(tally, 1):
                facts = validation.run(data, impute, folder)
            rows.append([name, str(len(facts["fits"])), f"{tally.seconds[0]:.0f}", f"{tally.cpu[0]:.0f}"])
    return (
        f"## Linear: 10 x 10 folds, {len(arms)} arms\n\n75 originals of the rare class kept, texts by `echo`; all of "
        "`CrossValidation.run`: folds, check for leaks, fits, statistics.\n\n"
        + table("run|fits|seconds|CPU seconds", rows)
        + "\n"
    )


def gpu(options: argparse.Namespace) -> str:
    """A model of RoBERTa-large's size with weights drawn at random: only its speed is looked at."""
    import torch

    if not torch.cuda.is_available():
        return "## RoBERTa-large on a GPU\n\nNo GPU here: not run.\n"
    from synimpute_hf.classifiers import make_classifier

    with tempfile.TemporaryDirectory() as folder:
        save_large(Path(folder))
        settings = {"batch_size": 32, "learning_rate": 3e-5, "epochs": options.epochs}
        spec = f"transformers:{folder}," + ",".join(f"{name}={value:g}" for name, value in settings.items())
        classifier = make_classifier(f"{spec},max_length={LENGTH}")
        texts, _, tasks = planned_fits(options, classifier)
        ways = {
            "(a) the author's way": Author(folder, texts, settings, "cuda"),
            "ours, one fit at a time": Ours(classifier, texts, 1),
            "ours, two fits side by side": Ours(classifier, texts, 2),
        }
        tallies = {name: Tally() for name in ways}
        for start in range(0, len(tasks), 2):
            for name, way in ways.items():
                if isinstance(way, Ours):
                    way.warm_up(tasks[start : start + 2])
                with clocked(tallies[name], len(tasks[start : start + 2])):
                    way(tasks[start : start + 2])
    first = tallies["(a) the author's way"].seconds
    rows = [
        [
            name,
            ", ".join(f"{value:.2f}" for value in tally.seconds),
            f"{statistics.median(a / b for a, b in zip(first, tally.seconds, strict=True)):.1f}",
        ]
        for name, tally in tallies.items()
    ]
    return (
        f"## RoBERTa-large on a GPU\n\n{torch.cuda.get_device_name()}, weights drawn at random.\n\n"
        + table("way|seconds a fit, each turn|times faster than (a)", rows)
        + "\n"
    )


def save_large(folder: Path) -> None:
    """Write a RoBERTa-large from its sizes, with the embedded encoder's tokenizer: nothing is downloaded."""
    from transformers import AutoTokenizer, RobertaConfig, RobertaModel

    from synimpute_hf.pretrained import embedded_encoder

    tokenizer = AutoTokenizer.from_pretrained(str(embedded_encoder()))
    sizes = {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
    }
    config = RobertaConfig(vocab_size=50265, pad_token_id=tokenizer.pad_token_id, **sizes)
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


PARTS = {"finetune": finetune, "floor": floor, "linear": linear, "gpu": gpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "all"])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/nostalgia600/data.parquet")
    parser.add_argument("--fits", type=int, default=4, help="of each way")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate; one epoch learns little at 3e-5")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        if name in os.environ:
            parser.error(f"unset {name}: the other ways run with PyTorch's own number of threads")
    os.environ["HF_HUB_OFFLINE"] = "1"
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before, Python {platform.python_version()}", file=sys.stderr)
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for name in PARTS if "all" in options.parts else options.parts:
        print(PARTS[name](options), flush=True)


if __name__ == "__main__":
    main()
