"""Validators: one file each. A panel of them judges every candidate, the cheap ones first."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from ..errors import PlanError
from ..registry import make_plugin
from .base import Case, Finding, Reference, Validator

__all__ = [
    "DEFAULTS",
    "Case",
    "Finding",
    "Judged",
    "Panel",
    "Reference",
    "Validator",
    "choose_validators",
    "make_validator",
]

DEFAULTS = ("length", "refusal", "overlap", "language", "duplicate")
"""What judges unless others are named; a validator whose package is not installed is left out, and that is told."""


def make_validator(spec: str, **options: Any) -> Validator:
    """Make the validator that a spec names, such as ``overlap`` or ``similarity:highest=0.9``.

    Args:
        spec: ``name`` or ``name:key=value,…``.
        **options: further options, which those of the spec go before.

    Raises:
        PlanError: there is no such validator, or it takes no such option.
    """
    validator: Validator = make_plugin("validators", spec, PlanError, options)
    return validator


def choose_validators(specs: Sequence[str] | None) -> tuple[list[Validator], list[str]]:
    """Return the validators that are named, or the default ones, and a note for each that had to be left out.

    Args:
        specs: such as ``["overlap", "similarity:highest=0.9"]``; an empty list is none; None takes ``DEFAULTS``.

    Raises:
        PlanError: there is no such validator, it takes no such option, or one is named twice.
    """
    made = [make_validator(spec) for spec in (DEFAULTS if specs is None else specs)]
    names = [validator.key for validator in made]
    if len(set(names)) < len(names):
        raise PlanError(f"A validator is named twice: {', '.join(names)}. Name each once.")
    if specs is not None:
        return made, []
    missing = [validator for validator in made if validator.needs and find_spec(validator.needs) is None]
    notes = [
        f"{validator.key.capitalize()} is not checked: its package {validator.needs!r} is not installed "
        '(pip install "synimpute-hf[quality]").'
        for validator in missing
    ]
    return [validator for validator in made if validator not in missing], notes


class Judged(dict[str, float]):
    """The figures of one case by validator, and why it is rejected.

    Attributes:
        reason: empty when every validator let it pass.
        by: the validator that rejected it.
        case: what was judged, or None where no validator saw it.
    """

    reason: str = ""
    by: str = ""
    case: Case | None = None


class Panel:
    """Several validators, in the order of their cost.

    Args:
        validators: which.
        reference: what they may know of the originals.
    """

    def __init__(self, validators: Sequence[Validator], reference: Reference) -> None:
        self.validators = sorted(validators, key=lambda validator: (validator.in_order, validator.cost))
        for validator in self.validators:
            validator.prepare(reference)
        self._found: dict[tuple[str, Case], Finding] = {}

    def look(self, cases: Sequence[Case]) -> None:
        """Let the validators that need no order look at many cases at once; ``find`` then knows their findings.

        Args:
            cases: candidates of one wave.
        """
        rest = list(dict.fromkeys(cases))
        for validator in self.validators:
            if validator.in_order:
                continue
            unknown = [case for case in rest if (validator.key, case) not in self._found]
            for case, finding in zip(unknown, validator.judge(unknown) if unknown else (), strict=True):
                self._found[validator.key, case] = finding
            rest = [case for case in rest if not self._found[validator.key, case].reason]

    def find(self, case: Case) -> Judged:
        """Judge one case after those that were accepted; each figure is kept, up to the one that rejects it."""
        judged = Judged()
        judged.case = case
        for validator in self.validators:
            finding = self._found.pop((validator.key, case), None)
            if finding is None:
                (finding,) = validator.judge([case])
            if finding.figure is not None:
                judged[validator.key] = finding.figure
            if finding.reason:
                judged.reason, judged.by = finding.reason, validator.key
                break
        return judged

    def accept(self, case: Case) -> None:
        """A case has become a row: those after it must differ from it."""
        for validator in self.validators:
            if validator.in_order:
                validator.accept(case)

    def judge(self, cases: Sequence[Case]) -> list[Judged]:
        """Judge cases in their order; those that pass count as accepted for the cases after them.

        Args:
            cases: candidates.

        Returns:
            One entry a case.
        """
        self.look(cases)
        judged = []
        for case in cases:
            judged.append(self.find(case))
            if not judged[-1].reason:
                self.accept(case)
        return judged
