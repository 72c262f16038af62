"""What ratings say: do coders agree, can they tell synthetic texts from originals, do the texts belong to their class.

Shares of several coders are pooled, and their intervals are those of ``stats.share_interval``: the variance is taken
between texts, so that five coders' judgements of one text do not count as five texts. They speak of other texts of this
kind, judged by these coders; not of other coders.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import NormalDist
from typing import Any

from ..errors import MissingPackageError
from ..stats import Share, corrected_interval, share_difference, share_interval
from .base import ANSWERS, Coder, Item, Rating

__all__ = ["measure"]

Judgement = tuple[Item, Rating]


def measure(items: Mapping[str, Item], coders: Sequence[Coder]) -> dict[str, Any]:
    """Compute the figures of a review.

    Args:
        items: of the sheets, by id.
        coders: their ratings, of these items.

    Returns:
        ``texts`` (that were rated), ``agreement``, ``told_apart``, ``belongs`` and ``quality``: rows of plain numbers,
        None where there is none. A row's ``class`` of None stands for all classes, a ``coder`` of None for all coders.

    Raises:
        MissingPackageError: scipy or scikit-learn is not installed.
    """
    try:
        import scipy  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            'The figures of a review need scipy and scikit-learn: pip install "synimpute-hf[crossval]"'
        ) from error
    rated = {key for coder in coders for key in coder.ratings}
    kinds = Counter(_kind(items[key]) for key in rated)
    scopes = list(_scopes(items, coders))
    return {
        "texts": {kind: kinds[kind] for kind in ("original", "synthetic", "distractor")},
        "agreement": [_agreement(question, coders) for question in ANSWERS] if len(coders) > 1 else [],
        "told_apart": [{**scope, **_told_apart(judged)} for scope, judged in scopes],
        "belongs": [{**scope, **_belongs(judged)} for scope, judged in scopes],
        "quality": [{**scope, **_quality(judged)} for scope, judged in scopes if any(r.quality for _, r in judged)],
    }


def _kind(item: Item) -> str:
    if item.own != item.asked:
        return "distractor"
    return "synthetic" if item.synthetic else "original"


def _scopes(items: Mapping[str, Item], coders: Sequence[Coder]) -> Iterator[tuple[dict[str, Any], list[Judgement]]]:
    """Yield all judgements, those about each class, and those of each coder."""
    judged = [[(items[key], rating) for key, rating in coder.ratings.items()] for coder in coders]
    every = [pair for pairs in judged for pair in pairs]
    yield {"class": None, "coder": None}, every
    names = sorted({item.asked for item, _ in every})
    for name in names if len(names) > 1 else ():
        yield {"class": name, "coder": None}, [pair for pair in every if pair[0].asked == name]
    for coder, pairs in zip(coders, judged, strict=True):
        if len(coders) > 1:
            yield {"class": None, "coder": coder.name}, pairs


def _share(judged: Iterable[Judgement], hit: Callable[[Item, Rating], float | None]) -> Share:
    """Return a share of judgements; those of one text stay together, on whichever sheet it stands."""
    texts: dict[tuple[str, str], list[float]] = {}
    for item, rating in judged:
        value = hit(item, rating)
        if value is not None:
            texts.setdefault((item.row_id, item.asked), []).append(value)
    return share_interval([sum(values) for values in texts.values()], [len(values) for values in texts.values()])


def _right(item: Item, rating: Rating) -> float | None:
    """Return 1 where a text is told, 0 where it is mistaken, and 0.5, as of a coin, where the coder is unsure."""
    if rating.written_by in (None, "unsure"):
        return 0.5 if rating.written_by else None
    return float((rating.written_by == "machine") == item.synthetic)


def _told_apart(judged: Sequence[Judgement]) -> dict[str, Any]:
    """Return how often the two kinds of text are told apart; distractors don't count."""
    judged = [(item, rating) for item, rating in judged if _kind(item) != "distractor"]
    right = _share(judged, _right)
    synthetic = _share((pair for pair in judged if pair[0].synthetic), _right)
    originals = _share((pair for pair in judged if not pair[0].synthetic), _right)
    both = bool(synthetic.ratings and originals.ratings)
    word = "cannot tell"
    if right.ratings and (right.low > 0.5 or right.high < 0.5):
        word = "told apart" if right.low > 0.5 else "mistaken for each other"
    return {
        **_plain(right),
        "unsure": sum(rating.written_by == "unsure" for _, rating in judged),
        "synthetic": _plain(synthetic),
        "originals": _plain(originals),
        "balanced_accuracy": (synthetic.estimate + originals.estimate) / 2 if both else None,
        "d_prime": _d_prime(synthetic, originals) if both else None,
        "verdict": word,
    }


def _d_prime(synthetic: Share, originals: Share) -> float:
    """Return d', the distance of the two kinds of text in a coder's eye, in standard deviations; 0 is guessing.

    With half a judgement added to each cell, so that perfect ones give a finite number: Hautus, M. J. (1995).
    Corrections for extreme proportions and their biasing effects on estimated values of d'. Behavior Research Methods,
    Instruments, and Computers 27, 46-51.
    """
    hits = (synthetic.estimate * synthetic.ratings + 0.5) / (synthetic.ratings + 1)
    false_alarms = ((1 - originals.estimate) * originals.ratings + 0.5) / (originals.ratings + 1)
    return NormalDist().inv_cdf(hits) - NormalDist().inv_cdf(false_alarms)


def _belongs(judged: Sequence[Judgement]) -> dict[str, Any]:
    """Return the share of each kind of text that is judged to belong to the class; "unsure" is no yes."""

    def yes(item: Item, rating: Rating) -> float | None:
        """Return 1 where the text was said to belong, else 0; None where nothing was said."""
        return None if rating.belongs is None else float(rating.belongs == "yes")

    kinds: dict[str, list[Judgement]] = {"synthetic": [], "original": [], "distractor": []}
    for pair in judged:
        kinds[_kind(pair[0])].append(pair)
    synthetic, originals, distractors = (_share(pairs, yes) for pairs in kinds.values())
    difference, low, high = share_difference(synthetic, originals)
    return {
        "unsure": sum(rating.belongs == "unsure" for _, rating in judged),
        "synthetic": _plain(synthetic),
        "originals": _plain(originals),
        "distractors": _plain(distractors),
        "difference": {"estimate": _finite(difference), "low": _finite(low), "high": _finite(high)},
    }


def _quality(judged: Sequence[Judgement]) -> dict[str, Any]:
    """Return the mean quality of each kind of text with a t interval, from the means of single texts."""
    found = {}
    for name, kind in (("synthetic", "synthetic"), ("originals", "original")):
        texts: dict[tuple[str, str], list[int]] = {}
        for item, rating in judged:
            if _kind(item) == kind and rating.quality is not None:
                texts.setdefault((item.row_id, item.asked), []).append(rating.quality)
        mean = corrected_interval([sum(values) / len(values) for values in texts.values()], 0)
        found[name] = {
            "texts": len(texts),
            "estimate": _finite(mean.estimate),
            "low": _finite(max(mean.low, 1.0)),
            "high": _finite(min(mean.high, 5.0)),
        }
    return found


def _agreement(question: str, coders: Sequence[Coder]) -> dict[str, Any]:
    """Return how far coders agree, over all texts that two or more have judged; "unsure" is an answer of its own."""
    from sklearn.metrics import cohen_kappa_score

    from synimpute_hf.dataset_scripts.coders import agreement

    keys = sorted({key for coder in coders for key in coder.ratings})
    blank = Rating("")
    codes = [[getattr(coder.ratings.get(key, blank), question) for coder in coders] for key in keys]
    found = agreement(codes)
    kappa = None
    if len(coders) == 2 and (both := [pair for pair in codes if None not in pair]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where both gave one answer throughout, there is no kappa
            kappa = _finite(cohen_kappa_score(*zip(*both, strict=True)))
    return {
        "question": question,
        "coders": len(coders),
        "texts": found.texts,
        "percent": found.percent,
        "cohens_kappa": kappa,
        "krippendorffs_alpha": found.alpha,
    }


def _plain(share: Share) -> dict[str, Any]:
    numbers = {name: _finite(value) if isinstance(value, float) else value for name, value in asdict(share).items()}
    del numbers["level"]
    return numbers


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
