"""Pushes through every fault at every request, one at a time, then through pairs at random; tables as Markdown.

``python benchmarks/push_faults.py [--pairs 200] [--route xet|lfs|both]``: some minutes.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from hub import HubServer  # noqa: E402
from push_sweep import FAULTS, Run, Sweep, single_faults  # noqa: E402


def make_results(folder: Path) -> tuple[Path, Path]:
    """Impute the demo corpus twice, to two targets."""
    import os

    environment = {**os.environ, "SYNIMPUTE_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "synimpute_hf.dataset_scripts.city_service_line", "--output", str(folder / "demo")]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    for target in (80, 95):
        command = [sys.executable, "-m", "synimpute_hf", "impute", str(folder / "demo"), "--target", str(target)]
        command += ["--generator", "echo", "--output", str(folder / str(target))]
        subprocess.run(command, check=True, capture_output=True, env=environment)
    return folder / "80", folder / "95"


def sweep(route: str, start: str, pairs: int, seed: int) -> str:
    """Run one route from one state of the repository."""
    with tempfile.TemporaryDirectory() as scratch, HubServer() as hub:
        old, new = make_results(Path(scratch))
        with hub.client(Path(scratch) / "hf", xet=route == "xet") as client:
            pushes = Sweep(hub, client, old, new, start)
            started = time.monotonic()
            runs = [pushes.run(faults) for faults in single_faults(len(pushes.requests))]
            rng = random.Random(seed)
            for _ in range(pairs):
                places = sorted(rng.sample(range(len(pushes.requests) + 4), 2))
                runs.append(pushes.run([(place, rng.choice(FAULTS)) for place in places]))
            took = time.monotonic() - started
    return table(route, start, runs, len(pushes.requests), took)


def table(route: str, start: str, runs: list[Run], requests: int, took: float) -> str:
    """Return what became of all runs, by kind of fault."""
    rows: dict[str, Counter[str]] = {}
    for run in runs:
        kind = run.faults[0][1] if len(run.faults) == 1 else "pairs at random"
        row = rows.setdefault(kind, Counter())
        row["runs"] += 1
        row["not struck"] += not run.struck
        row["success" if run.outcome["ok"] else "error"] += 1
        row["unknown"] += not run.outcome["ok"] and "not known" in run.outcome["said"]
        row["wrong"] += bool(run.problem)
    columns = ("runs", "success", "error", "unknown", "not struck", "wrong")
    lines = [f"## {route}, repository {start}", ""]
    lines += [f"{requests} requests in a push without faults; {len(runs)} pushes, {took:.0f} s.", ""]
    lines += [f"| fault | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    lines += [f"| {kind} | {' | '.join(str(row[name]) for name in columns)} |" for kind, row in rows.items()]
    for run in runs:
        if run.problem:
            lines.append(f"\n- {run.faults} struck {run.struck}: {run.problem}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print one table a route and state."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--route", choices=["xet", "lfs", "both"], default="both")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for route in ("xet", "lfs") if options.route == "both" else (options.route,):
        for start in ("full", "missing"):
            print(sweep(route, start, options.pairs if start == "full" else 0, options.seed), flush=True)


if __name__ == "__main__":
    main()
