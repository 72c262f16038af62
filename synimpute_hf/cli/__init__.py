"""The command line. Thin: everything is done elsewhere."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import typer

from ..errors import FewOriginalsWarning, SynimputeError, SynimputeWarning
from . import auditing, estimating, evaluating, experimenting, imputing, reviewing, sharing, training
from .base import INTERRUPTED, WRONG, app

__all__ = [
    "app",
    "auditing",
    "estimating",
    "evaluating",
    "experimenting",
    "imputing",
    "main",
    "reviewing",
    "sharing",
    "training",
]

_SHOWN: set[str] = set()


def _show_warning(message: Warning | str, category: type[Warning], *rest: Any) -> None:
    if issubclass(category, SynimputeWarning) and str(message) not in _SHOWN:
        _SHOWN.add(str(message))
        typer.echo(f"Note: {message}", err=True)


def main() -> None:
    """Run the command line; the package's own errors become a message and exit status 2."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    warnings.simplefilter("always", SynimputeWarning)
    log = logging.getLogger("synimpute_hf")  # what a batch at a server is doing
    log.addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)
    warnings.simplefilter("ignore", FewOriginalsWarning)  # the plan's table says it
    try:
        app()
    except SynimputeError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(WRONG)
    except KeyboardInterrupt:
        typer.echo(
            "Interrupted. All that was answered and trained so far is kept: run the same command again to go on.",
            err=True,
        )
        sys.exit(INTERRUPTED)
