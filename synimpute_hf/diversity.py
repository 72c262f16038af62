"""How much texts repeat each other, and how much they repeat others: counts of words in a row, texts in, numbers out.

Li, J., Galley, M., Brockett, C., Gao, J. and Dolan, B. (2016). A diversity-promoting objective function for neural
conversation models. NAACL 2016 (distinct-n).
Zhu, Y., Lu, S., Zheng, L., Guo, J., Zhang, W., Wang, J. and Yu, Y. (2018). Texygen: a benchmarking platform for text
generation models. SIGIR 2018 (self-BLEU).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from .errors import MissingPackageError
from .shingles import tokens_of

__all__ = ["Phrase", "distinct", "longest_runs", "self_bleu", "shared_phrases", "unique_ngrams"]

PHRASE = (3, 8)
"""Words in a row that make a phrase, from and to."""
SHARED = 0.05
"""Share of the texts in which a phrase must stand, and 3 texts at least."""
TIMES = 3.0
"""How many times as often as in the originals."""
ALPHA = 0.05
MOST_PHRASES = 20


@dataclass(frozen=True)
class Phrase:
    """Words in a row that many texts share.

    Attributes:
        words: the phrase, in normal form.
        texts: positions of the texts that hold it.
        others: how many of the other texts hold it.
    """

    words: str
    texts: tuple[int, ...]
    others: int


def _ngrams(tokens: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(tokens[k : k + size]) for k in range(len(tokens) - size + 1))


def distinct(texts: Sequence[str], size: int, budget: int | None = None) -> float | None:
    """Return distinct-n: different n-grams for each n-gram (Li et al. 2016).

    It falls with the number of words; two sets of texts are compared at one budget.

    Args:
        texts: in random order.
        size: words of an n-gram.
        budget: words that count, from the first text on; None counts all.

    Returns:
        A share in (0, 1], or None where there is no n-gram.
    """
    left = float("inf") if budget is None else budget
    seen: list[tuple[str, ...]] = []
    for text in texts:
        tokens = tokens_of(text)[: None if budget is None else max(0, int(left))]
        left -= len(tokens)
        seen += _ngrams(tokens, size)
    return len(set(seen)) / len(seen) if seen else None


def unique_ngrams(texts: Sequence[str], others: Sequence[str] = (), size: int = 3) -> list[float | None]:
    """Return for each text the share of its different n-grams that stand in no other text.

    Args:
        texts: compared with each other and with the others.
        others: further texts to compare with.
        size: words of an n-gram.

    Returns:
        One share in [0, 1] a text; None for a text that is too short to have an n-gram.
    """
    grams = [set(_ngrams(tokens_of(text), size)) for text in texts]
    counts = Counter(gram for own in grams for gram in own)
    known = {gram for text in others for gram in _ngrams(tokens_of(text), size)}
    return [sum(counts[gram] == 1 and gram not in known for gram in own) / len(own) if own else None for own in grams]


def self_bleu(texts: Sequence[str]) -> float | None:
    """Return self-BLEU: the mean BLEU of each text against all others as references (Zhu et al. 2018).

    It grows with the number of texts: compare sets of one size. By sacrebleu, with its tokenizer ``13a``, exponential
    smoothing and effective order, on case-folded normal forms.

    Args:
        texts: two or more.

    Returns:
        From 0 (no two share a word) to 100 (all alike); None for fewer than two texts.

    Raises:
        MissingPackageError: sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise MissingPackageError('Self-BLEU needs sacrebleu: pip install "synimpute-hf[quality]"') from error
    if len(texts) < 2:
        return None
    forms = [" ".join(tokens_of(text)) for text in texts]
    bleu = BLEU(effective_order=True)
    return fmean(bleu.sentence_score(form, forms[:k] + forms[k + 1 :]).score for k, form in enumerate(forms))


def shared_phrases(texts: Sequence[str], others: Sequence[str]) -> list[Phrase]:
    """Find phrases that many of the texts share and that are rare among the others.

    A phrase is 3 to 8 words in a row in 5 % of the texts, and in 3 texts, at least, three times as often as in the
    others, and more often than chance makes it (Fisher's exact test, with Bonferroni's correction for all such runs of
    words). Where a longer one stands in the same texts, only the longer one is named.

    Args:
        texts: synthetic texts of a class.
        others: originals of the class.

    Returns:
        Phrases, those of most texts first, 20 at most.
    """
    from scipy.stats import hypergeom

    found: dict[tuple[str, ...], list[int]] = {}
    for place, text in enumerate(texts):
        tokens = tokens_of(text)
        for gram in {gram for size in range(PHRASE[0], PHRASE[1] + 1) for gram in _ngrams(tokens, size)}:
            found.setdefault(gram, []).append(place)
    found = {gram: places for gram, places in found.items() if len(places) >= max(3, SHARED * len(texts))}
    rare: Counter[tuple[str, ...]] = Counter()
    for text in others:
        tokens = tokens_of(text)
        own = {gram for size in range(PHRASE[0], PHRASE[1] + 1) for gram in _ngrams(tokens, size)}
        rare.update(own & found.keys())
    kept: list[Phrase] = []
    for gram in sorted(found, key=lambda gram: (-len(gram), gram)):
        share, usual = len(found[gram]) / len(texts), rare[gram] / max(1, len(others))
        phrase = Phrase(" ".join(gram), tuple(found[gram]), rare[gram])
        both = len(found[gram]) + rare[gram]
        chance = hypergeom.sf(len(found[gram]) - 1, len(texts) + len(others), both, len(texts)) * len(found)
        inside = any(f" {phrase.words} " in f" {longer.words} " and longer.texts == phrase.texts for longer in kept)
        if share >= TIMES * usual and chance < ALPHA and not inside:
            kept.append(phrase)
    return sorted(kept, key=lambda phrase: (-len(phrase.texts), phrase.words))[:MOST_PHRASES]


def longest_runs(texts: Sequence[str], others: Sequence[str], *, within: bool = False) -> np.ndarray:
    """Return for each text its longest run of words that stands verbatim in one of the others.

    Args:
        texts: which.
        others: which may be many: each is read once for every length of a run that it still holds.
        within: ``texts`` are the first of ``others``, and a text is not compared with itself.

    Returns:
        Words, shape ``(n,)``; characters in scripts that write no blanks.
    """
    own, pool = [tokens_of(text) for text in texts], [tokens_of(text) for text in others]
    runs = np.zeros(len(own), dtype=np.int64)
    alive, there, size = list(range(len(own))), list(range(len(pool))), 1
    while alive and there:
        wanted = {gram for k in alive for gram in _ngrams(own[k], size)}
        holders: dict[tuple[str, ...], int | None] = {}  # the text that holds it, -1 for several
        left = []
        for k in there:
            hits = wanted.intersection(_ngrams(pool[k], size))
            left += [k] if hits else []
            for gram in hits:
                holders[gram] = k if holders.get(gram, k) == k else -1
        there = left
        nobody = [k if within else None for k in range(len(own))]  # holds what does not count
        alive = [k for k in alive if any(holders.get(g, nobody[k]) != nobody[k] for g in _ngrams(own[k], size))]
        runs[alive] = size
        size += 1
    return runs
