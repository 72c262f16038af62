"""Arms: ways to train in a comparison, and the rows that each trains on in a fold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .augmenters import make_augmenter
from .corpus import CEILING, CONTRAST, IMPUTED, Corpus
from .errors import PlanError, nearest
from .folds import Fold, Links, usable_rows
from .registry import parse_spec, plugin_names

__all__ = ["DEFAULT_ARMS", "Arm", "Quota", "TrainingRows", "choose_rows", "parse_arm"]

DEFAULT_ARMS = ("original", "threshold", "class_weights", "oversample", "eda", "imputed", "imputed+class_weights")
BASES = ("original", "threshold", "class_weights", IMPUTED, CEILING)
MODIFIERS = ("class_weights", "contrast")


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: as the user wrote it.
        made: what fills up the rare classes: ``imputed``, ``ceiling``, an augmenter's spec, or nothing.
        share: share of the missing rows that is filled up, in (0, 1].
        weight: what a made row weighs in the loss; an original weighs 1.
        contrast: ``share``: as large a share of synthetic texts in every other class; ``number``: as many in each;
            or empty.
        class_weights: whether classes weigh the same in the loss.
        threshold: whether a decision threshold is chosen inside the training part.
    """

    name: str
    made: str = ""
    share: float = 1.0
    weight: float = 1.0
    contrast: str = ""
    class_weights: bool = False
    threshold: bool = False

    @property
    def augmenter(self) -> str:
        """The spec of the augmenter that makes its rows, or an empty string."""
        return "" if self.made in ("", IMPUTED, CEILING) else self.made


def parse_arm(text: str) -> Arm:
    """Read an arm.

    Args:
        text: ``original``, ``threshold``, ``class_weights``, ``imputed``, ``ceiling`` or an augmenter (``oversample``,
            ``eda:alpha=0.2``, ``ssmba:roberta-base``), and after a plus ``class_weights`` or ``contrast``:
            ``imputed:weight=0.5+class_weights``, ``imputed+contrast:match=number``.

    Raises:
        PlanError: it is none of these.
    """
    base, *modifiers = text.strip().split("+")
    name, argument, options = parse_spec(base)
    known = sorted({*BASES, *plugin_names("augmenters")})
    if name not in known:
        raise PlanError(f"There is no arm {name!r}. There are: {', '.join(known)}.{nearest(name, known)}")
    settings: dict[str, float] = {}
    if name in (IMPUTED, CEILING):
        if argument:
            raise PlanError(f"The arm {text!r}: expected {name} or {name}:weight=0.5,share=0.75, got {argument!r}.")
        settings = {key: _number(text, key, value) for key, value in options.items()}
    elif name in BASES and (argument or options):
        raise PlanError(f"The arm {text!r}: {name} takes no options.")
    elif name not in BASES:
        make_augmenter(base)  # tells now what is wrong with it
    contrast = ""
    for modifier in modifiers:
        what, more, given = parse_spec(modifier)
        if what not in MODIFIERS:
            raise PlanError(
                f"The arm {text!r}: after a plus expected one of {', '.join(MODIFIERS)}, got {modifier!r}."
                f"{nearest(what, MODIFIERS)}"
            )
        if what == "contrast":
            contrast = given.get("match", "share")
            if name != IMPUTED or contrast not in ("share", "number") or more or set(given) - {"match"}:
                raise PlanError(
                    f"The arm {text!r}: contrast stands with imputed, as imputed+contrast (the same share of synthetic "
                    "texts in every class) or imputed+contrast:match=number (the same number)."
                )
        elif more or given:
            raise PlanError(f"The arm {text!r}: class_weights takes no options.")
    weighted = name == "class_weights" or any(modifier.startswith("class_weights") for modifier in modifiers)
    made = "" if name in ("original", "threshold", "class_weights") else name if name in BASES else base
    return Arm(text.strip(), made, **settings, contrast=contrast, class_weights=weighted, threshold=name == "threshold")


def _number(arm: str, key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if key not in ("weight", "share") or not 0 < number < math.inf or (key == "share" and number > 1):
        raise PlanError(f"The arm {arm!r}: expected weight=λ above 0 or share=s in (0, 1], got {key}={value}.")
    return number


@dataclass(frozen=True)
class Quota:
    """How many rows fill up each class.

    Attributes:
        wanted: ``(classes,)`` rows that the whole data lack; above 0 in the rare classes.
        originals: ``(classes,)`` originals of each class.
    """

    wanted: np.ndarray
    originals: np.ndarray

    @property
    def focus(self) -> np.ndarray:
        """The rare classes, shape ``(f,)``."""
        return np.asarray(np.flatnonzero(self.wanted))

    def in_fold(self, train: np.ndarray, share: float = 1.0) -> np.ndarray:
        """Return the rows that fill up a training part, in proportion to its originals, shape ``(classes,)``.

        Args:
            train: ``(classes,)`` originals that train.
            share: of what is missing.
        """
        return np.asarray(np.rint(share * self.wanted * train / np.maximum(self.originals, 1)), dtype=np.int64)

    def contrast(self, train: np.ndarray, match: str, share: float = 1.0) -> np.ndarray:
        """Return the synthetic rows that every other class gets against the style shortcut, shape ``(classes,)``.

        Args:
            train: ``(classes,)`` originals that train.
            match: ``share`` or ``number``, see ``Arm``.
            share: of what is missing in the rare classes.
        """
        if not len(self.focus):
            return np.zeros_like(self.wanted)
        made = self.in_fold(train, share)[self.focus]
        each = np.full(len(train), made.mean())
        if match == "share":
            each = train * made.sum() / max(1, train[self.focus].sum())
        each[self.focus] = 0
        return np.asarray(np.rint(each), dtype=np.int64)


@dataclass(frozen=True)
class TrainingRows:
    """What an arm trains on in a fold.

    Attributes:
        rows: ``(n,)`` positions in the corpus, originals first.
        weights: ``(n,)`` weights in the loss.
        short: made rows that are missing from the fold's target, by class.
    """

    rows: np.ndarray
    weights: np.ndarray
    short: dict[int, int]


def choose_rows(arm: Arm, corpus: Corpus, links: Links, fold: Fold, protocol: str, quota: Quota) -> TrainingRows:
    """Return what an arm trains on: the fold's originals, and the first usable rows made for it.

    Args:
        arm: the way to train.
        corpus: all rows.
        links: from ``folds.link``.
        fold: the fold.
        protocol: says which made rows are usable.
        quota: how many rows each class lacks.
    """
    train = np.bincount(corpus.labels[fold.train], minlength=len(corpus.names))
    parts, short = [fold.train], {}
    needs = [(arm.made, quota.in_fold(train, arm.share))] if arm.made else []
    needs += [(CONTRAST, quota.contrast(train, arm.contrast, arm.share))] if arm.contrast else []
    for kind, needed in needs:
        rows = usable_rows(corpus, links, fold, protocol, kind_in(kind, protocol, fold))
        for code in np.flatnonzero(needed):
            chosen = rows[corpus.labels[rows] == code][: needed[code]]
            parts.append(chosen)
            if len(chosen) < needed[code]:
                short[int(code)] = int(needed[code] - len(chosen))
    rows = np.concatenate(parts)
    weights = np.ones(len(rows))
    weights[len(fold.train) :] = arm.weight
    if arm.class_weights:
        labels = corpus.labels[rows]
        totals = np.bincount(labels, weights, minlength=len(corpus.names))
        weights = weights * (weights.sum() / (np.count_nonzero(totals) * totals[labels]))
    return TrainingRows(rows, weights, short)


def kind_in(kind: str, protocol: str, fold: Fold) -> str:
    """Return the kind of rows that serve a fold: in ``nested``, synthetic rows are written for one fold alone."""
    alone = protocol == "nested" and kind in (IMPUTED, CONTRAST)
    return f"{kind}@{fold.repeat}.{fold.number}" if alone else kind
