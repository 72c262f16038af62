"""Pushes through every fault at every request: what the repository ends with, and whether the push told the truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub import Client, HubServer

FAULTS = (
    *("401", "403", "409", "412", "429", "500", "502", "503", "504"),
    *("reset", "close", "lost-reset", "lost-close", "cut-close", "cut-reset"),
)
SETUP = """
from pathlib import Path
import datasets, shutil
from huggingface_hub.constants import HF_XET_CACHE
datasets.disable_progress_bars()
from synimpute_hf.errors import HubError
from synimpute_hf.hub import Publication, Retry, push

def go(folder, repo_id, **options):
    # hf_xet notes in a cache what is stored where, and would not send the same bytes again.
    shutil.rmtree(HF_XET_CACHE, ignore_errors=True)
    how = Publication(license="mit", journal="answers", largest_mb=options.pop("largest_mb", 500.0))
    try:
        done = push(folder, repo_id, how=how, retry=Retry(tries=4, first_wait=0.01), **options)
        return {"ok": True, "changed": done.changed, "commit": done.commit, "pr": done.pull_request}
    except HubError as error:
        return {"ok": False, "said": str(error)}
"""
OWNER = "ada"


@dataclass(frozen=True)
class Run:
    """One push under faults.

    Attributes:
        faults: (number of the request, kind) of each fault.
        struck: the requests that were struck, as ``METHOD path``.
        outcome: what the push said.
        state: ``old``, ``new``, or ``broken``.
        commits: new commits.
        again: what the same push said when it was made again without faults.
        in_the_end: new commits after that.
        problem: what is wrong with it, or empty.
    """

    faults: tuple[tuple[int, str], ...]
    struck: tuple[str, ...]
    outcome: dict[str, Any]
    state: str
    commits: int
    again: dict[str, Any]
    in_the_end: int
    problem: str


class Sweep:
    """Pushes one result over another again and again, each time in a repository of its own.

    Args:
        hub: the server.
        client: a process of its own, whose uploads go by Xet or by LFS.
        old: the result that is there.
        new: the result that is pushed.
        start: state of the repository before: ``full`` (with the old result), ``missing`` (there is none).
    """

    def __init__(self, hub: HubServer, client: Client, old: Path, new: Path, start: str = "full") -> None:
        self.hub, self.client, self.new, self.start = hub, client, new, start
        self.count = 0
        client.check(SETUP)
        first = self._name()
        assert client.check(f"result = go({str(old)!r}, {first!r}, largest_mb=0.01)")["ok"]
        self.old_files = dict(hub.repo(first).files)
        clean = self._repo()
        hub.reset()
        said = self._push(clean)
        assert said["ok"], said
        self.requests = [f"{r.method} {r.path.split('?')[0]}" for r in hub.requests]
        self.new_files = dict(hub.repo(clean).files)
        assert self.new_files != self.old_files
        assert any(path not in self.new_files for path in self.old_files), "no shard becomes superfluous"

    def _name(self) -> str:
        self.count += 1
        return f"{OWNER}/letters-{self.count}"

    def _repo(self) -> str:
        """Make a repository in the old state."""
        name = self._name()
        if self.start == "full":
            self.hub.create_repo(name, "dataset", files=self.old_files)
        return name

    def _push(self, name: str) -> dict[str, Any]:
        said = self.client.check(f"result = go({str(self.new)!r}, {name!r})", timeout=240)
        assert isinstance(said, dict)
        return said

    def _state(self, name: str) -> str:
        try:
            files = dict(self.hub.repo(name).files)
        except KeyError:
            return "old"
        if files == self.new_files or {**files, ".gitattributes": b""} == {**self.new_files, ".gitattributes": b""}:
            return "new"
        empty = self.start == "missing" and set(files) <= {".gitattributes"}
        return "old" if files == self.old_files or empty else "broken"

    def _commits(self, name: str) -> int:
        try:
            return len(self.hub.repo(name).commits)
        except KeyError:
            return 0

    def run(self, faults: Sequence[tuple[int, str]]) -> Run:
        """Push with faults, look, and push again without."""
        name = self._repo()
        before = self._commits(name) or 1
        self.hub.reset()
        rules = [self.hub.faults.at(number, kind) for number, kind in faults]
        outcome = self._push(name)
        log = list(self.hub.requests)
        numbers = {number for rule in rules for number in rule.struck}
        struck = tuple(f"{r.method} {r.path.split('?')[0]}" for r in log if r.number in numbers)
        self.hub.faults.clear()
        state, commits = self._state(name), max(0, self._commits(name) - before)
        again = self._push(name)
        in_the_end = self._commits(name) - before
        problem = _problem(outcome, state, commits, again, self._state(name), in_the_end)
        if self.hub.leaks:
            problem = problem or "a token went to another origin"
        return Run(tuple(faults), struck, outcome, state, commits, again, in_the_end, problem)


def _problem(
    outcome: dict[str, Any], state: str, commits: int, again: dict[str, Any], end: str, in_the_end: int
) -> str:
    """Say what is wrong with a push: a half state, a second commit, or words that are not true."""
    if state == "broken":
        return "the repository is in neither state"
    if commits > 1 or in_the_end != 1:
        return f"{commits} commits, {in_the_end} in the end"
    if outcome["ok"] and (state, commits) != ("new", 1):
        return f"it claims success, and the state is {state} after {commits} commits"
    if not outcome["ok"]:
        known = "not known" not in outcome["said"]
        if known and state == "new":
            return f"it says that nothing was published, and the commit is there: {outcome['said']}"
        if "Nothing was published" not in outcome["said"] and known:
            return f"it does not say what is there: {outcome['said']}"
    if not again["ok"] or end != "new":
        return f"the second push does not get there: {again}"
    return ""


def single_faults(requests: int, kinds: Iterable[str] = FAULTS) -> list[tuple[tuple[int, str], ...]]:
    """Return every kind of fault at every request, one at a time."""
    return [((number, kind),) for kind in kinds for number in range(requests)]
