"""Every exception and warning of the package, on one page.

    SynimputeError
    ├── DataError (ValueError)          the user's data are not what they should be
    │   ├── ColumnError                 a column is missing, mistyped or ambiguous
    │   └── LeakageError                a test text would have helped to make the training set
    ├── PlanError (ValueError)          the settings ask for something that cannot be planned
    │   └── TooFewOriginalsError        a short class has fewer originals than one prompt shows
    ├── PromptError (ValueError)        a prompt file is wrong
    ├── GeneratorError (RuntimeError)   a language model cannot be found, loaded or run
    │   └── MissingPackageError         an optional package is not installed
    ├── JournalError (RuntimeError)     the on-disk record cannot be read or written
    ├── GenerationError (RuntimeError)  requests failed; what was answered is in the journal
    ├── NotFittedError (RuntimeError)   an imputer was used before fit
    ├── OutputError (OSError)           the result folder cannot be written
    └── HubError (RuntimeError)         the Hub refused, or could not be reached

    SynimputeWarning (UserWarning)      advice that a user should read and may ignore
    ├── FewOriginalsWarning             a short class has fewer originals than the paper advises
    └── ShortfallWarning                a class ends below its target

Messages say what was expected, what came, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ColumnError",
    "DataError",
    "FewOriginalsWarning",
    "GenerationError",
    "GeneratorError",
    "HubError",
    "JournalError",
    "LeakageError",
    "MissingPackageError",
    "NotFittedError",
    "OutputError",
    "PlanError",
    "PromptError",
    "ShortfallWarning",
    "SynimputeError",
    "SynimputeWarning",
    "TooFewOriginalsError",
    "first_line",
    "nearest",
]


class SynimputeError(Exception):
    """Base of every error that this package raises on purpose."""


class DataError(SynimputeError, ValueError):
    """The user's data are not what they should be."""


class ColumnError(DataError):
    """A column is missing, mistyped or ambiguous."""


class LeakageError(DataError):
    """A test text would have helped to make the training set, or nothing shows that it did not."""


class PlanError(SynimputeError, ValueError):
    """The settings ask for something that cannot be planned."""


class TooFewOriginalsError(PlanError):
    """A short class has fewer originals than one prompt shows."""


class PromptError(SynimputeError, ValueError):
    """A prompt file is wrong."""


class GeneratorError(SynimputeError, RuntimeError):
    """A language model cannot be found, loaded or run."""


class MissingPackageError(GeneratorError):
    """An optional package is not installed; the message says what to type."""


class JournalError(SynimputeError, RuntimeError):
    """The on-disk record of paid answers cannot be read or written."""


class GenerationError(SynimputeError, RuntimeError):
    """Some requests failed. Every answer that came is in the journal; the same call goes on from there."""


class NotFittedError(SynimputeError, RuntimeError):
    """An imputer was used before ``fit``."""


class OutputError(SynimputeError, OSError):
    """The result folder cannot be written."""


class HubError(SynimputeError, RuntimeError):
    """The Hub refused something, or could not be reached; the message says whether anything was published."""


class SynimputeWarning(UserWarning):
    """Advice that a user should read and may ignore."""


class FewOriginalsWarning(SynimputeWarning):
    """A short class has fewer than 50 originals: scores on synthetic data will be inflated."""


class ShortfallWarning(SynimputeWarning):
    """A class ends below its target after every allowed attempt."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def nearest(word: str, choices: Iterable[str]) -> str:
    """Say which known word a user probably meant.

    Args:
        word: what the user wrote.
        choices: the words that would have been right.

    Returns:
        `` Did you mean 'x'?`` with a leading blank, or an empty string when nothing is close.
    """
    options = [str(choice) for choice in choices]
    lowered = {option.lower(): option for option in options}
    close = difflib.get_close_matches(str(word).lower(), list(lowered), n=1, cutoff=0.6)
    return f" Did you mean {lowered[close[0]]!r}?" if close else ""
