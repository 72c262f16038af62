"""Augmenters, one file each: ways to make texts from one original, to compare imputation with."""

from __future__ import annotations

from ..errors import PlanError
from ..registry import make_plugin
from .base import Augmenter

__all__ = ["Augmenter", "make_augmenter"]


def make_augmenter(spec: str, **options: object) -> Augmenter:
    """Make the augmenter that a spec names. Nothing is loaded yet.

    Args:
        spec: ``name:argument,key=value``, such as ``oversample``, ``eda:alpha=0.1`` or
            ``ssmba:roberta-large,noise=0.15``.
        **options: further options; those that are None are left out.

    Raises:
        PlanError: there is no such augmenter, or it takes no such option.
    """
    augmenter: Augmenter = make_plugin("augmenters", spec, PlanError, options)
    return augmenter
