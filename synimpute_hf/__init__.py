"""The Synthetic Imputation Approach for underrepresented classes, as a Hugging Face Datasets plugin."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .callback import SyntheticImputationCallback
    from .crossval import CrossValidation
    from .imputer import SyntheticImputer
    from .journal import Journal
    from .mapping import explode
    from .prompts import load_prompt
    from .records import Outcome, Plan

__all__ = [
    "CrossValidation",
    "Journal",
    "Outcome",
    "Plan",
    "SyntheticImputationCallback",
    "SyntheticImputer",
    "__version__",
    "explode",
    "load_prompt",
]

_HOMES = {
    "CrossValidation": "crossval",
    "Journal": "journal",
    "Outcome": "records",
    "Plan": "records",
    "SyntheticImputationCallback": "callback",
    "SyntheticImputer": "imputer",
    "explode": "mapping",
    "load_prompt": "prompts",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package stays quick."""
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
