"""A progress bar: texts, rejects, texts a minute, time left."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .tables import dollars

__all__ = ["FitBar", "ProgressBar", "show_progress"]


def show_progress(wanted: bool | None) -> bool:
    """Say whether to show a bar: as wanted, else where a person watches, in a terminal or a notebook."""
    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter if wanted is None else wanted


class ProgressBar:
    """Shows a run on standard error; an ``Observer`` of ``Generation``."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("writing"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} texts"),
            TextColumn("{task.fields[rejected]} rejected"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[cost]}"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._task: Any = None
        self._rejected = 0
        self._new = 0
        self._started = 0.0

    def begin(self, needed: int) -> None:
        """Open the bar."""
        self._task = self._progress.add_task("writing", total=needed, rejected=0, rate="", cost="")
        self._started = time.monotonic()
        self._progress.start()

    def answered(self, new: int, known: int, usd: float | None) -> None:
        """Count answers; those from the journal say nothing about speed."""
        self._new += new
        minutes = (time.monotonic() - self._started) / 60
        rate = f"{self._new / minutes:.0f} texts/min" if self._new and minutes else "from the journal"
        self._progress.update(self._task, advance=new + known, rate=rate)
        task = self._progress.tasks[self._task]
        if usd and task.completed:
            whole = usd * (task.total or 0) / task.completed
            self._progress.update(self._task, cost=f"{dollars(usd)} of about {dollars(max(usd, whole))}")

    def judged(self, accepted: int, rejected: int) -> None:
        """Take back what was rejected: those texts are drawn again."""
        self._progress.update(self._task, completed=accepted, rejected=rejected)

    def end(self) -> None:
        """Close the bar."""
        self._progress.stop()


class FitBar:
    """Shows a cross-validation on standard error; a ``FitObserver``."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} fits"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._task: Any = None

    def begin(self, fits: int, known: int) -> None:
        """Open the bar; fits of earlier runs say nothing about speed."""
        self._task = self._progress.add_task("training", total=fits, completed=known)
        self._progress.start()

    def finished(self, fits: int) -> None:
        """Count fits."""
        self._progress.advance(self._task, fits)

    def end(self) -> None:
        """Close the bar."""
        self._progress.stop()
