"""Generation through ``openai:`` against a server on loopback: speed beside others, faults, limits, kills, budgets.

Run one part, or all of them:
    python benchmarks/generation.py throughput levels profile faults limit kill budget real
The server (``tests/fault_server.py``) is a process of its own; each client is one, too. CPU seconds are those of the
client. All figures of a table come from one run; where ours and another's are compared, their runs take turns.
Other tools are taken along where ``make peers`` has installed them (``benchmarks/peers.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
ROOT = HERE.parents[1]
PEERS = Path(os.environ.get("PEERS", ROOT / ".peers"))
ORIGINALS = 60
WORDS = ("the", "a", "of", "bus", "road", "lamp", "bin", "door", "street", "night", "week", "please", "nobody", "since")


class Server:
    """A fault server in a process of its own."""

    def __init__(self, **behaviour: Any) -> None:
        command = [sys.executable, str(ROOT / "tests/fault_server.py"), "--behaviour", json.dumps(behaviour)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url.replace("/v1", "/_stats")) as answer:
            return json.load(answer)  # type: ignore[no-any-return]


class Peak(threading.Thread):
    """Samples this process's anonymous memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self.start()

    def run(self) -> None:
        while True:
            line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("RssAnon"))
            self.peak = max(self.peak, int(line.split()[1]) / 1024)
            time.sleep(0.05)


def cpu_seconds() -> float:
    """Return what this process used, and its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@contextmanager
def measured(report: dict[str, Any]) -> Iterator[None]:
    """Fill in wall and CPU seconds, and memory above what it was before."""
    peak = Peak()
    time.sleep(0.1)
    before = peak.peak
    used = cpu_seconds()
    started = time.perf_counter()
    yield
    report["seconds"] = time.perf_counter() - started
    report["cpu"] = cpu_seconds() - used
    time.sleep(0.1)
    report["peak_mb"] = peak.peak - before


def make_rows(calls: int) -> dict[str, list[str]]:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=20)) + f" {i}." for i in range(2 * ORIGINALS + calls)]
    return {"text": texts, "label": ["rare"] * ORIGINALS + ["common"] * (ORIGINALS + calls)}


def imputer(url: str, calls: int, folder: Path, **options: Any) -> Any:
    from datasets import Dataset

    from synimpute_hf import SyntheticImputer

    arguments = {name: options.pop(name) for name in ("seed", "budget_usd", "max_calls") if name in options}
    return SyntheticImputer(
        validators=[],
        text="text",
        label="label",
        target=ORIGINALS + calls,
        generator="openai:m",
        generator_options={"base_url": url, **options},
        journal=folder / "journal.sqlite",
        **arguments,
    ).fit(Dataset.from_dict(make_rows(calls)))


# -- clients, each in a process of its own --------------------------------------------------------------


def client_ours(url: str, calls: int, in_flight: int) -> dict[str, Any]:
    import openai  # noqa: F401  (its import is no part of a call, here and below)
    from rich.console import Console

    from synimpute_hf.progress import ProgressBar

    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        impute = imputer(url, calls, Path(folder), concurrency=in_flight)
        impute.plan  # noqa: B018
        bar = ProgressBar(Console(file=nowhere, force_terminal=True))
        with measured(report):
            outcome = impute.generate(bar)
    report["texts"] = len(outcome.rows)
    return report


def bodies(calls: int) -> list[list[dict[str, str]]]:
    """The same prompts that our client sends."""
    with tempfile.TemporaryDirectory() as folder:
        impute = imputer("http://127.0.0.1:9/v1", calls, Path(folder))
        example = impute.plan.example
        messages = [{"role": m.role, "content": m.content} for m in example.messages]
    return [[*messages[:-1], {**messages[-1], "content": f"{messages[-1]['content']} {i}"}] for i in range(calls)]


def client_bare(url: str, calls: int, in_flight: int) -> dict[str, Any]:
    import openai

    report: dict[str, Any] = {}
    prompts = bodies(calls)

    async def main() -> list[str]:
        limit = asyncio.Semaphore(in_flight)
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

            async def ask(messages: Any, seed: int) -> str:
                async with limit:
                    answer = await client.chat.completions.create(
                        model="m", messages=messages, temperature=0.7, max_tokens=100, seed=seed
                    )
                    return answer.choices[0].message.content or ""

            return await asyncio.gather(*(ask(messages, i) for i, messages in enumerate(prompts)))

    with measured(report):
        texts = asyncio.run(main())
    report["texts"] = len(set(texts))
    return report


def client_sequential(url: str, calls: int, in_flight: int) -> dict[str, Any]:
    import openai

    report: dict[str, Any] = {}
    prompts = bodies(calls)
    client = openai.OpenAI(base_url=url, api_key="none")
    with measured(report):
        for i, messages in enumerate(prompts):
            client.chat.completions.create(
                model="m",
                messages=messages,  # type: ignore[arg-type]
                temperature=0.7,
                max_tokens=100,
                seed=i,
            )
    report["texts"] = calls
    return report


CLIENTS = {"ours": client_ours, "bare": client_bare, "sequential": client_sequential}


def installed_peers(*names: str) -> list[str]:
    return [name for name in names if (PEERS / name.partition(":")[0] / "bin/python").is_file()]


def peer_job(name: str, url: str, calls: int, in_flight: int, folder: Path) -> dict[str, Any]:
    """Return how to run a peer; what it keeps stays in the folder, so that the same job again is a restart.

    ``data-designer:50`` has row groups of 50, where its default is 1,000.
    """
    import peers

    name, _, row_group = name.partition(":")
    prompts = folder / "prompts.json"
    prompts.write_text(json.dumps(bodies(calls)))
    command = [str(PEERS / name / "bin/python"), str(HERE.with_name("peers.py")), name, url, str(prompts)]
    env = {**os.environ, **peers.QUIET, **({"ROW_GROUP": row_group} if row_group else {})}
    return {"args": [*command, str(in_flight), str(folder / "kept")], "env": env}


def run_client(name: str, url: str, calls: int, in_flight: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        job = {"args": [sys.executable, str(HERE), "client", name, url, str(calls), str(in_flight)]}
        if name not in CLIENTS:
            job = peer_job(name, url, calls, in_flight, Path(folder))
        done = subprocess.run(**job, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


# -- parts ----------------------------------------------------------------------------------------------


def table(header: str, rows: list[list[str]]) -> str:
    columns = header.split("|")
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" + "---:|" * (len(columns) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def throughput(options: argparse.Namespace) -> str:
    calls, in_flight, latency = options.calls, 50, 0.2
    names = ["bare", "ours", *installed_peers("curator", "data-designer", "distilabel")]
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in [*names, "sequential"]}
    for _ in range(options.repeats):
        for name in names:
            with Server(latency=latency) as server:
                seen[name].append(run_client(name, server.url, calls, in_flight))
            assert seen[name][-1]["texts"] == calls, seen[name]
            print(name, seen[name][-1], file=sys.stderr)
    with Server(latency=latency) as server:
        seen["sequential"].append(run_client("sequential", server.url, 50, 1) | {"calls": 50})
    rows = []
    for name, reports in seen.items():
        done = reports[0].get("calls", calls)
        seconds = statistics.median(r["seconds"] for r in reports)
        cpu = statistics.median(r["cpu"] for r in reports) / done * 1e3
        rate = done / seconds
        # Each run against the bare client's of the same turn: what else the machine does changes slowly.
        ratios = [b["seconds"] / calls * done / r["seconds"] for b, r in zip(seen["bare"], reports, strict=False)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        rows.append([name, f"{rate:.0f}", spread, f"{rate * latency / in_flight:.2f}", f"{cpu:.2f}"])
    head = "client|calls/s|of the bare client's|of the latency's bound|CPU ms a call"
    note = f"{calls:,} calls, {in_flight} in flight, latency {latency:g} s, median (and range) of {options.repeats} "
    note += f"runs in turn (sequential: one run of 50 calls). The bound is {in_flight / latency:.0f} calls/s.\n\n"
    return "## Throughput\n\n" + note + table(head, rows)


def levels(options: argparse.Namespace) -> str:
    rows = []
    for in_flight in (1, 10, 50, 200, 500):
        latency = 0.2
        calls = min(20_000, max(100, in_flight * 100))
        with Server(latency=latency) as server:
            report = run_client("ours", server.url, calls, in_flight)
            stats = server.stats()
        assert report["texts"] == calls == stats["calls"], (report, stats)
        rate, bound = calls / report["seconds"], in_flight / latency
        rows.append(
            [
                str(in_flight),
                f"{calls:,}",
                f"{rate:.0f}",
                f"{rate / bound:.2f}",
                f"{report['cpu'] / calls * 1e3:.2f}",
                f"{report['peak_mb']:.0f}",
            ]
        )
    memory = []
    for calls in (2_000, 20_000):
        with Server(latency=0.01) as server:
            report = run_client("ours", server.url, calls, 50)
        memory.append([f"{calls:,}", f"{report['peak_mb']:.0f}"])
    return (
        "## From 1 to 500 in flight\n\nLatency 0.2 s.\n\n"
        + table("in flight|calls|calls/s|of the latency's bound|CPU ms a call|peak MB above the start", rows)
        + "\nMemory over the number of calls (50 in flight, latency 0.01 s):\n\n"
        + table("calls|peak MB above the start", memory)
    )


def profile(options: argparse.Namespace) -> str:
    """Where the CPU goes, by the sampling of both threads' stacks."""
    import collections

    counts: collections.Counter[str] = collections.Counter()
    with Server(latency=0.05) as server, tempfile.TemporaryDirectory() as folder:
        impute = imputer(server.url, 3_000, Path(folder), concurrency=50)
        impute.plan  # noqa: B018
        done = threading.Event()

        def sample() -> None:
            while not done.wait(0.002):
                for ident, frame in sys._current_frames().items():
                    if ident == threading.get_ident():
                        continue
                    stack = []
                    top: Any = frame
                    while top:
                        stack.append(top.f_code.co_filename)
                        top = top.f_back
                    places = [part_of(name) for name in stack]
                    counts[next((p for p in places if p), "other")] += 1

        thread = threading.Thread(target=sample)
        thread.start()
        impute.generate()
        done.set()
        thread.join()
    total = sum(counts.values())
    rows = [[name, f"{100 * count / total:.0f} %"] for name, count in counts.most_common(12)]
    return "## Profile\n\nSamples of all threads by the innermost known package, waiting included.\n\n" + table(
        "where|share", rows
    )


def part_of(name: str) -> str:
    for mark in ("openai", "httpx", "httpcore", "anyio", "h11", "asyncio", "sqlite", "synimpute_hf", "rich", "json"):
        if f"/{mark}" in name:
            return mark
    return ""


def faults(options: argparse.Namespace) -> str:
    mixed = dict.fromkeys(["429", "500", "drop", "malformed", "timeout"], 0.1)
    seconds, needless, calls = [], 0, []
    for seed in range(options.seeds):
        with (
            Server(latency=0.02, faults=mixed, seed=seed, hang=5) as server,
            tempfile.TemporaryDirectory() as folder,
        ):
            started = time.perf_counter()
            outcome = imputer(server.url, 500, Path(folder), seed=seed, concurrency=50, timeout=0.5).generate()
            seconds.append(time.perf_counter() - started)
            stats = server.stats()
        assert outcome.missing == outcome.failed == 0
        assert len({row.text for row in outcome.rows}) == 500
        failed = sum(stats["faults"].values())
        calls.append(stats["calls"])
        needless += stats["calls"] - outcome.asked - failed
        print(f"seed {seed}: {stats['calls']} calls, {failed} failed, {seconds[-1]:.1f} s", file=sys.stderr)
    return (
        "## Faults\n\n10 % each of 429, 500, dropped, malformed and timed-out calls; 500 texts; time-out 0.5 s; "
        f"{options.seeds} seeds. Every run reached 500 different texts. Calls beyond one an answer and one a failure: "
        f"{needless}. Calls a run: {min(calls)} to {max(calls)}; seconds: median {statistics.median(seconds):.0f}, "
        f"at most {max(seconds):.0f}.\n"
    )


def limit(options: argparse.Namespace) -> str:
    rows = []
    texts, rate, size = 900, 300, 5
    for style in ("seconds", "ms", "none"):
        with (
            Server(latency=0.2, bucket_per_minute=rate, bucket_size=size, retry_after_style=style) as server,
            tempfile.TemporaryDirectory() as folder,
        ):
            started = time.perf_counter()
            outcome = imputer(server.url, texts, Path(folder), concurrency=50).generate()
            took = time.perf_counter() - started
            stats = server.stats()
        assert outcome.missing == 0
        least = (texts - size) * 60 / rate
        told = {"seconds": "Retry-After", "ms": "retry-after-ms", "none": "not told"}[style]
        refused = stats["statuses"].get("429", 0)
        rows.append([told, f"{took:.0f}", f"{took / least:.3f}", str(refused)])
    return f"## A limit of {rate} requests a minute\n\n{texts} texts, 50 in flight allowed.\n\n" + table(
        "pause|seconds|of the limit's own minimum|429s", rows
    )


def kill(options: argparse.Namespace) -> str:
    calls, in_flight = 500, 50
    rows = []
    for name in options.kill or ["ours", *installed_peers("curator", "data-designer", "data-designer:50")]:
        rng = random.Random(1)
        seen = [kill_once(name, calls, in_flight, rng.randint(1, calls - 10)) for _ in range(options.kills)]
        repeated = [count for count, _ in seen]
        complete = f"{sum(done for _, done in seen)} of {options.kills}"
        rows.append([name, f"{statistics.mean(repeated):.1f}", str(max(repeated)), complete])
    return (
        f"## kill -9\n\n{calls} calls, {in_flight} in flight, killed at {options.kills} random moments, started again; "
        "latency 0.2 s, log-normal with sigma 0.3. data-designer keeps whole row groups: 1,000 rows by default, 50 as "
        "data-designer:50.\n\n" + table("client|repeated calls, mean|most|complete after the restart", rows)
    )


def kill_once(name: str, calls: int, in_flight: int, goal: int) -> tuple[int, bool]:
    """Kill a client when the server has seen so many calls, start it again; returns calls repeated, and whether all
    texts are there in the end."""
    with Server(latency=0.2, jitter=0.3) as server, tempfile.TemporaryDirectory() as folder:
        job = {"args": [sys.executable, str(HERE), "resume", server.url, str(calls), folder]}
        if name != "ours":
            job = peer_job(name, server.url, calls, in_flight, Path(folder))
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(**job, **nowhere, start_new_session=True)
        while server.stats()["calls"] < goal and process.poll() is None:
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        try:
            done = subprocess.run(**job, capture_output=True, text=True, check=False, timeout=120)
            last = (done.stdout.splitlines() or [""])[-1]
            complete = done.returncode == 0 and json.loads(last)["texts"] == calls
        except subprocess.TimeoutExpired:
            complete = False
        stats = server.stats()
    distinct = sum(stats["by_key"].values())
    # One prompt too many: what a peer asks at each of its two starts, before any of ours.
    repeated = stats["calls"] - distinct - (distinct > calls)
    print(f"{name}: killed after {goal} calls, {repeated} repeated, complete: {complete}", file=sys.stderr)
    return repeated, complete


def budget(options: argparse.Namespace) -> str:
    """Dollars are those of the server's own books."""
    overshot, shares, partial = 0, [], 0
    from datasets import load_from_disk

    for seed in range(options.runs):
        rng = random.Random(seed)
        usd = rng.uniform(0.2, 30)
        mixed = {"timeout": 0.05, "drop-mid": 0.05, "500": 0.1, "malformed": 0.05}
        behaviour = {"latency": 0.01, "jitter": 0.5, "faults": mixed, "seed": seed, "usage": "random", "hang": 3}
        with Server(**behaviour) as server, tempfile.TemporaryDirectory() as folder:
            prices = Path(folder) / "prices.yaml"
            host = json.dumps(server.url.split("/")[2])
            prices.write_text("date: 2026-11-01\nhosts: {%s: {m: {input: 1000, output: 3000}}}\n" % host)  # noqa: UP031
            impute = imputer(
                server.url,
                120,
                Path(folder),
                seed=seed,
                budget_usd=usd,
                prices=str(prices),
                timeout=0.3,
                concurrency=rng.choice([1, 8, 50]),
            )
            outcome = impute.generate()
            from datasets import Dataset

            # The second pass may place a few calls more, where bounds of the first one's calls in flight came free.
            impute(Dataset.from_dict(make_rows(120))).save_to_disk(f"{folder}/out")
            _, sent, written = server.stats()["billed"]
            loaded = load_from_disk(f"{folder}/out")
            assert len(outcome.rows) <= sum(loaded["is_synthetic"]) <= 120
        billed = sent * 1e-3 + written * 3e-3
        overshot += billed > usd
        partial += outcome.missing > 0
        if outcome.missing:
            shares.append(billed / usd)
    return (
        f"## Budget\n\n{options.runs} random budgets, 1 to 50 in flight, with faults; usage at random up to what the "
        f"request allows. Overshot by the server's own books: {overshot}. Stopped with a partial result that loads: "
        f"{partial}; these had used {100 * statistics.median(shares):.0f} % of the budget (median), "
        f"{100 * min(shares):.0f} % at least: what is left is less than the upper bounds of the calls that failed "
        "without an answer, and of one more call.\n"
    )


def real(options: argparse.Namespace) -> str:
    """The embedded model behind a server; each run has a server of its own, as a warm one has read the prompts."""
    data = ROOT.parent / "shared/data/nostalgia600/data.parquet"
    if not data.is_file():
        return "## A real model\n\nNot run: the texts are not there.\n"
    rows = []
    for in_flight in (1, 8):
        command = [sys.executable, str(ROOT / "tests/llm_server.py"), "--slots", "8"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout
        url = process.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            job = [
                sys.executable,
                "-m",
                "synimpute_hf",
                "impute",
                str(data),
                "--target",
                "200",
                "--prompt",
                "sentences",
            ]
            job += ["--generator", "openai:smollm2,form=continuation", "--concurrency", str(in_flight)]
            started = time.perf_counter()
            subprocess.run([*job, "--base-url", url, "--output", f"{folder}/out"], check=True, capture_output=True)
            took = time.perf_counter() - started
            from datasets import load_dataset

            texts = sum(load_dataset(f"{folder}/out", split="train", cache_dir=folder)["is_synthetic"])
        process.kill()
        process.wait()
        rows.append([str(in_flight), str(texts), f"{took:.0f}", f"{texts / took * 60:.0f}"])
    return (
        "## A real model on loopback\n\nThe embedded model behind llama.cpp's server, nostalgia600 to 200.\n\n"
        + table("in flight|texts|seconds, start-up included|texts a minute", rows)
    )


PARTS = {
    "throughput": throughput,
    "levels": levels,
    "profile": profile,
    "faults": faults,
    "limit": limit,
    "kill": kill,
    "budget": budget,
    "real": real,
}


def main() -> None:
    if sys.argv[1:2] == ["client"]:
        name, url, calls, in_flight = sys.argv[2:6]
        print(json.dumps(CLIENTS[name](url, int(calls), int(in_flight))))
        return
    if sys.argv[1:2] == ["resume"]:
        outcome = imputer(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), concurrency=50).generate()
        print(json.dumps({"texts": len(outcome.rows)}))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "all"])
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kill", action="append", help="kill this client alone, such as data-designer:50")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}", file=sys.stderr)
    for name in PARTS if "all" in options.parts else options.parts:
        print(PARTS[name](options), flush=True)


if __name__ == "__main__":
    main()
