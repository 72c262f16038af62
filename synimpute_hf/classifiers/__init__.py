"""Text classifiers, one file each: the file's name is the first word of ``--classifier``."""

from __future__ import annotations

from pathlib import Path

from ..errors import PlanError
from ..registry import make_plugin
from .base import Classifier, Features, Fit

__all__ = ["DEFAULT_CLASSIFIER", "Classifier", "Features", "Fit", "make_classifier"]

DEFAULT_CLASSIFIER = "linear"


def make_classifier(spec: str, cache: Path | None = None) -> Classifier:
    """Make the classifier that a spec names. No model is loaded yet.

    Args:
        spec: ``name:argument,key=value``, such as ``linear``, ``linear:sentence-transformers/all-mpnet-base-v2,C=10``
            or ``transformers:roberta-large,preset=paper-short``.
        cache: a folder for what is computed once, such as embeddings.

    Raises:
        PlanError: there is no such classifier, or it takes no such option.
    """
    classifier: Classifier = make_plugin("classifiers", spec, PlanError, {}, cache)
    return classifier
