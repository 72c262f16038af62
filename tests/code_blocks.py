"""What stands in the code blocks of a page, and how its command lines run: README's and the guide's."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "code_blocks", "command_lines", "run_command"]

FENCE = re.compile(r"(?m)^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*\Z")
OURS = ("synimpute ", "python -m synimpute_hf")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: as written behind the fence.
        title: of the block: the name of the file that it is, or empty.
        code: what it holds.
        not_run: why it is not run, from the comment before it, or empty.
    """

    language: str
    title: str
    code: str
    not_run: str


def code_blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a Markdown page, in order."""
    found = []
    for match in FENCE.finditer(page):
        why = NOT_RUN.search(page[: match.start()])
        found.append(Block(match[1], match[2] or "", match[3], why[1] if why else ""))
    return found


def command_lines(code: str) -> list[list[str]]:
    """Return the words of each of our command lines in a block of shell; continued lines are one, comments none."""
    lines = code.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith(OURS)]


def run_command(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], more: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run one of our command lines by this Python; it must not fail.

    Args:
        words: as ``command_lines`` gives them.
        folder: to run in.
        environment: of the process.
        more: options that are added.
    """
    module = words[2] if words[0] == "python" else "synimpute_hf"
    rest = words[3:] if words[0] == "python" else words[1:]
    command = [sys.executable, "-m", module, *rest, *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=dict(environment))
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done
