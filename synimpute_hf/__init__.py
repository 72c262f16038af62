"""The Synthetic Imputation Approach for underrepresented classes, as a Hugging Face Datasets plugin."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .callback import SyntheticImputationCallback
    from .crossval import CrossValidation
    from .hub import push as push_to_hub
    from .imputer import SyntheticImputer
    from .journal import Journal
    from .mapping import explode
    from .outputs import save
    from .prompts import load_prompt
    from .records import Outcome, Plan
    from .verification import verify

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
    "push_to_hub",
    "save",
    "verify",
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
    "push_to_hub": "hub",
    "save": "outputs",
    "verify": "verification",
}
_NAMES = {"push_to_hub": "push"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package stays quick."""
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), _NAMES.get(name, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
