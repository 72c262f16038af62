"""Validators: one file each. A panel of them judges every candidate, the cheap ones first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import PlanError
from ..registry import make_plugin
from .base import Case, Finding, Reference, Validator

__all__ = ["Case", "Finding", "Judged", "Panel", "Reference", "Validator", "make_validator"]


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


class Judged(dict[str, float]):
    """The figures of one case by validator, and why it is rejected.

    Attributes:
        reason: empty when every validator let it pass.
        by: the validator that rejected it.
    """

    reason: str = ""
    by: str = ""


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

    def judge(self, cases: Sequence[Case]) -> list[Judged]:
        """Judge cases in their order; those that pass count as accepted for the cases after them.

        Args:
            cases: candidates of one wave.

        Returns:
            One entry a case.
        """
        judged = [Judged() for _ in cases]
        for validator in self.validators:
            open_cases = [place for place, entry in enumerate(judged) if not entry.reason]
            if validator.in_order:
                continue
            unknown = [cases[place] for place in open_cases if (validator.key, cases[place]) not in self._found]
            for case, finding in zip(unknown, validator.judge(unknown) if unknown else (), strict=True):
                self._found[validator.key, case] = finding
            for place in open_cases:
                _note(judged[place], validator.key, self._found[validator.key, cases[place]])
        ordered = [validator for validator in self.validators if validator.in_order]
        for case, entry in zip(cases, judged, strict=True):
            for validator in ordered:
                if not entry.reason:
                    _note(entry, validator.key, validator.judge([case])[0])
            if not entry.reason:
                for validator in ordered:
                    validator.accept(case)
        return judged


def _note(entry: Judged, key: str, finding: Finding) -> None:
    if finding.figure is not None:
        entry[key] = finding.figure
    if finding.reason:
        entry.reason, entry.by = finding.reason, key
