"""``semantics``: do synthetic texts keep the meaning of their class?

Zhang, T., Kishore, V., Wu, F., Weinberger, K. Q. and Artzi, Y. (2020). BERTScore: evaluating text generation with BERT.
ICLR 2020 (F1 of greedily matched tokens, without idf weights and without rescaling, by the library bert-score).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ..audit import Audited
from ..corpus import ORIGINAL
from ..encoder import Encoder
from ..errors import DataError, MissingPackageError
from ..facts import estimate, flat, number, percent, words
from ..figures import CYCLE, WIDTH, Drawing, blank, key_line
from ..pretrained import load_model, resolve_model
from ..seeding import derive_seed
from ..sheets import Sheet
from ..stats import bootstrap_interval, share_interval
from .base import Bench, Experiment, Run, Settings, Trial, Writing, Written

__all__ = ["PLUGIN", "Semantics", "SemanticsSettings", "bert_scores", "summarise"]

MOST_TOKENS = 256
BATCH = 64
RESAMPLES = 1000
Scores = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Originals among each other and to others, synthetic texts to originals and to others: see ``summarise``."""
MEASURES = {"bertscore": "BERTScore F1", "cosine": "cosine of the vectors"}
MEANS = {"mean": "mean", "best": "best"}
KINDS = {
    "originals": "original",
    "synthetic": "synthetic",
    "unsourced": "synthetic, own sources left out",
    "sources": "synthetic, own sources only",
}


@dataclass(frozen=True)
class SemanticsSettings(Settings):
    """Options.

    Attributes:
        texts: synthetic texts to write; 0 as many as the category lacks, or 100 where it lacks none.
        most: texts of a kind that are looked at: originals of the category, originals of others, synthetic ones.
        encoder: Hub id or path of an encoder; empty for the embedded one.
        layers: of the encoder that count; 0 takes those that bert-score recommends for it, or all.
    """

    texts: Annotated[int, Field(ge=0)] = 0
    most: Annotated[int, Field(ge=10, le=1000)] = 150
    encoder: str = ""
    layers: Annotated[int, Field(ge=0)] = 0


class Semantics(Experiment):
    """Nearness of synthetic texts to originals, beside that of originals to each other."""

    key = "semantics"
    question = "Are synthetic texts as near to their class as originals are to each other, and nearer than to others?"
    settings_class = SemanticsSettings
    full: ClassVar[Mapping[str, Any]] = {"texts": 200, "most": 300, "encoder": "roberta-large"}
    settings: SemanticsSettings

    def jobs(self, bench: Bench) -> list[Trial | Writing]:
        """Return one writing: the journal pays nothing anew that stands in it."""
        short = bench.target - bench.originals
        return [Writing("texts", self.settings.texts or (short if short > 0 else 100))]

    def analyse(self, bench: Bench, done: Sequence[Run | Written]) -> dict[str, Any]:
        """Return the distributions of both measures, what they say, and the settings of the encoder."""
        (written,) = done
        assert isinstance(written, Written)
        if not written.texts:
            raise DataError(f"No synthetic text of {bench.category!r} was accepted: there is nothing to compare.")
        seed = int(bench.settings.get("seed") or 0)
        rows = Audited.of(written.rows, bench.settings.get("text"), bench.settings.get("label"))
        corpus, most = rows.corpus, self.settings.most
        originals, made = (part[:most] for part in rows.chosen(bench.category, seed))
        pool = np.flatnonzero((corpus.kinds == ORIGINAL) & (corpus.labels != corpus.names.index(bench.category)))
        draws = np.random.default_rng(derive_seed("semantics", seed))
        others = draws.permutation(pool)[: len(originals)]  # as many: the best of more would be better
        if len(originals) < 2 or not len(others):
            raise DataError(f"Class {bench.category!r} and the others need two originals or more, and one.")
        own, new, rest = ([corpus.texts[k] for k in part] for part in (originals, made, others))
        shown = np.array([np.isin(originals, corpus.sources[k]) for k in made])
        encoder, layers = self.settings.encoder, self.settings.layers
        near = {
            "bertscore": bert_scores(own, new, rest, encoder, layers),
            "cosine": _cosines(own, new, rest, encoder),
        }
        return {
            "counts": {"originals": len(originals), "synthetic": len(made), "others": len(others)},
            "encoder": Encoder(encoder).identity["encoder"],
            "measures": {name: summarise(scores, shown, seed) for name, scores in near.items()},
            "warnings": ["Fewer than 30 synthetic texts were looked at."] if len(made) < 30 else [],
        }

    @classmethod
    def answer(cls, result: Mapping[str, Any]) -> list[str]:
        """Say how near the texts are to their class, and whether they are nearer to it than to others."""
        counts = result["counts"]
        found = [
            f"{counts['synthetic']:,} synthetic texts were compared with {counts['originals']:,} originals of their "
            f"class and {counts['others']:,} of other classes, each text's own sources left out; as a yardstick, "
            "originals were compared with each other."
        ]
        for name, title in MEASURES.items():
            entry = result["measures"][name]
            apart, own = entry["against_originals"]["mean"], entry["own_class"]
            found.append(
                f"By {title}, synthetic texts are {_nearness(apart)} (mean {_value(entry, 'unsourced')} against "
                f"{_value(entry, 'originals')}; a synthetic text is the nearer one in {flat(percent(apart['auc']))} of "
                f"pairs, 50 % is alike), and {flat(percent(own['synthetic']))} of them are nearer to their own class "
                f"than to the others on average; of the originals {flat(percent(own['originals']))} are."
            )
        return found

    @classmethod
    def sheets(cls, result: Mapping[str, Any]) -> list[Sheet]:
        """Return the distributions, and what is said of them."""
        return [_distribution_sheet(result), _comparison_sheet(result)]

    @classmethod
    def drawings(cls, result: Mapping[str, Any]) -> list[Drawing]:
        """Return a figure a measure."""
        return [_drawing(name, result["measures"][name]) for name in MEASURES]


def bert_scores(
    originals: Sequence[str], made: Sequence[str], others: Sequence[str], encoder: str = "", layers: int = 0
) -> Scores:
    """Return BERTScore F1 of originals among each other, and to others; of made texts to originals, and to others.

    The model is loaded here, and not by bert-score, which takes every path with "t5" in it for a T5 model, and a
    tokenizer that knows no longest text for one of unlimited length.

    Args:
        originals: ``n`` texts, none blank.
        made: ``m`` texts.
        others: ``k`` texts.
        encoder: see ``SemanticsSettings``.
        layers: see there.

    Returns:
        F1, from about 0 to 1, see ``summarise``.

    Raises:
        MissingPackageError: bert-score is not installed; says what to type.
    """
    try:
        import torch
        from bert_score.utils import bert_cos_score_idf, model2layers
    except ImportError as error:
        raise MissingPackageError('BERTScore needs bert-score: pip install "synimpute-hf[evidence]"') from error
    _, source = resolve_model(encoder)
    layers = layers or model2layers.get(encoder, 0)
    model = load_model("AutoModel", source, **({"num_hidden_layers": layers} if layers else {})).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    tokenizer = load_model("AutoTokenizer", source)
    tokenizer.model_max_length = min(tokenizer.model_max_length, MOST_TOKENS)
    weights: defaultdict[int, float] = defaultdict(lambda: 1.0)  # every token counts once, the two at the ends never
    weights |= {tokenizer.sep_token_id: 0.0, tokenizer.cls_token_id: 0.0}

    def scores(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Return F1 of each of the first with each of the second."""
        hypotheses = [text for text in first for _ in second]
        found = bert_cos_score_idf(
            model, [*second] * len(first), hypotheses, tokenizer, weights, batch_size=BATCH, device=device
        )
        return np.asarray(found[..., 2], dtype=float).reshape(len(first), len(second))

    return scores(originals, originals), scores(originals, others), scores(made, originals), scores(made, others)


def _cosines(originals: Sequence[str], made: Sequence[str], others: Sequence[str], encoder: str) -> Scores:
    """Return cosines as ``bert_scores`` returns its scores."""
    model = Encoder(encoder)
    a, b, c = (model.encode(part).astype(float) for part in (originals, made, others))
    return a @ a.T, a @ c.T, b @ a.T, b @ c.T


def summarise(scores: Scores, shown: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Turn scores of pairs into one mean and one best a text, their distributions, and comparisons.

    Args:
        scores: ``(n, n)``, originals of the class to each other, where the diagonal does not count; ``(n, k)``, those
            to originals of other classes; ``(m, n)``, synthetic texts to originals of the class; ``(m, k)``, those to
            originals of other classes.
        shown: ``(m, n)`` booleans: which originals are a text's sources.
        seed: of the bootstrap.

    Returns:
        ``values`` (``to_own`` and ``to_others``, by kind, by ``mean`` and ``best``: one number a text), ``spread``
        (their quartiles), ``against_originals`` (by ``mean`` and ``best``: ``difference`` of the medians, ``auc``,
        ``inside``, the share of synthetic texts within the middle nine tenths of the originals) and ``own_class``
        (shares of texts that are nearer to their class than to others on average, and ``auc`` of both distances).
    """
    among, across, own, other = scores
    n = len(among)
    masks = {
        "originals": (among, ~np.eye(n, dtype=bool)),
        "synthetic": (own, np.ones_like(shown)),
        "unsourced": (own, ~shown),
        "sources": (own, shown),
    }
    to_own = {kind: _each(matrix, mask) for kind, (matrix, mask) in masks.items()}
    everything = {"originals": across, "synthetic": other}
    to_others = {kind: _each(matrix, np.ones(matrix.shape, dtype=bool)) for kind, matrix in everything.items()}
    values = {"to_own": to_own, "to_others": to_others}
    against = {
        mean: _against(_finite(to_own["unsourced"][mean]), _finite(to_own["originals"][mean]), seed) for mean in MEANS
    }
    nearer = {}
    for kind, place in (("synthetic", "unsourced"), ("originals", "originals")):
        gap = _finite(to_own[place]["mean"] - to_others[kind]["mean"])
        nearer[kind] = _share(gap > 0)
    return {
        "values": {
            side: {kind: {mean: np.round(v, 4).tolist() for mean, v in both.items()} for kind, both in kinds.items()}
            for side, kinds in values.items()
        },
        "spread": {
            side: {kind: {mean: _spread(v) for mean, v in both.items()} for kind, both in kinds.items()}
            for side, kinds in values.items()
        },
        "against_originals": against,
        "own_class": nearer,
    }


def _each(scores: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mean and the best score of each row over the columns that count; nan where none does."""
    count = mask.sum(axis=1)
    total = np.where(mask, scores, 0.0).sum(axis=1)
    best = np.where(mask, scores, -np.inf).max(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"mean": total / count, "best": np.where(count > 0, best, np.nan)}


def _finite(values: np.ndarray) -> np.ndarray:
    known: np.ndarray = values[np.isfinite(values)]
    return known


def _spread(values: np.ndarray) -> dict[str, float] | None:
    known = _finite(values)
    if not len(known):
        return None
    low, lower, middle, upper, high = (float(v) for v in np.quantile(known, [0.05, 0.25, 0.5, 0.75, 0.95]))
    return {"mean": float(known.mean()), "low": low, "lower": lower, "median": middle, "upper": upper, "high": high}


def _share(hits: np.ndarray) -> dict[str, float]:
    found = share_interval(hits.astype(float), np.ones(len(hits)))
    return {"estimate": found.estimate, "low": found.low, "high": found.high}


def _against(new: np.ndarray, usual: np.ndarray, seed: int) -> dict[str, Any]:
    """Compare two samples; the intervals are those of other texts against the same originals."""
    if not len(new):
        missing = {"estimate": None, "low": None, "high": None}
        return {"difference": missing, "auc": missing, "inside": missing}
    values, first = np.concatenate([new, usual]), np.arange(len(new) + len(usual)) < len(new)

    def interval(statistic: Callable[[np.ndarray, np.ndarray], float]) -> dict[str, float]:
        """Return a statistic of both samples with its bootstrap interval."""

        def drawn(rows: np.ndarray) -> float:
            """Return it for one draw; nan where that has one sample only."""
            a, b = values[rows[first[rows]]], values[rows[~first[rows]]]
            return float(statistic(a, b)) if len(a) and len(b) else float("nan")

        found = bootstrap_interval(drawn, len(values), RESAMPLES, seed=derive_seed("semantics", seed) % 2**32)
        return {"estimate": found.estimate, "low": found.low, "high": found.high}

    low, high = np.quantile(usual, [0.05, 0.95])
    return {
        "difference": interval(lambda a, b: float(np.median(a) - np.median(b))),
        "auc": interval(_auc),
        "inside": _share((new >= low) & (new <= high)),
    }


def _auc(first: np.ndarray, second: np.ndarray) -> float:
    """Return how often a value of the first sample is above one of the second; ties count half."""
    ordered = np.sort(second)
    below, upto = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    return float((below + upto).mean() / (2 * len(second)))


def _nearness(apart: Mapping[str, Any]) -> str:
    low, high = apart["auc"]["low"], apart["auc"]["high"]
    if low is None or not np.isfinite([low, high]).all():
        return "too few to tell whether they are as near to their class as originals are to each other"
    if low > 0.5:
        return "nearer to their class than originals are to each other"
    if high < 0.5:
        return "less near to their class than originals are to each other"
    return "as near to their class as originals are to each other, as far as so many texts can tell"


def _value(entry: Mapping[str, Any], kind: str) -> str:
    spread = entry["spread"]["to_own"][kind]["mean"]
    return number(spread and spread["mean"])


def _distribution_sheet(result: Mapping[str, Any]) -> Sheet:
    rows = []
    for name, title in MEASURES.items():
        for side, whom in (("to_own", "its class"), ("to_others", "other classes")):
            for kind, both in result["measures"][name]["spread"][side].items():
                for mean, word in MEANS.items():
                    found = both[mean] or {}
                    cells = [number(found.get(key)) for key in ("low", "lower", "median", "upper", "high")]
                    rows.append((title, KINDS[kind], whom, word, *cells))
    caption = (
        "Of each text its mean and its best score against originals of its class (an original: against the other "
        f"ones) and against as many of other classes. Encoder: {words(result['encoder'])}."
    )
    columns = ("measure", "texts", "against", "score", "5 %", "25 %", "median", "75 %", "95 %")
    return Sheet("distributions", "Distributions", caption, columns, "llll" + "r" * 5, tuple(rows), heads=4)


def _comparison_sheet(result: Mapping[str, Any]) -> Sheet:
    rows = []
    for name, title in MEASURES.items():
        entry = result["measures"][name]
        for mean, word in MEANS.items():
            found = entry["against_originals"][mean]
            own = [estimate(entry["own_class"][kind]) if mean == "mean" else "" for kind in ("synthetic", "originals")]
            difference = estimate(found["difference"], sign=True)
            rows.append((title, word, difference, estimate(found["auc"]), estimate(found["inside"]), *own))
    caption = (
        "Synthetic texts, own sources left out, beside originals: difference of the medians; AUC, the share of pairs "
        "in which the synthetic text is the nearer one (0.5: alike); share of synthetic texts within the middle nine "
        "tenths of originals; shares of texts that are nearer to their own class than to others, on average. Intervals "
        "of 95 % over texts, by bootstrap and by Wilson's formula; the originals compared with stay the same."
    )
    columns = ("measure", "score", "difference", "AUC", "inside", "own class: synthetic", "own class: originals")
    return Sheet("nearness", "Nearness to the class", caption, columns, "ll" + "c" * 5, tuple(rows), heads=2)


def _drawing(name: str, entry: Mapping[str, Any]) -> Drawing:
    """Return step histograms: originals to each other, synthetic ones to their class, and both to other classes."""
    figure, grid = blank(1, 2, 2.5, WIDTH)
    grey, new, others, made = (colour for colour, _, _ in CYCLE[:4])
    lines = (
        ("to_own", "originals", "originals to each other", grey, "-"),
        ("to_own", "unsourced", "synthetic to their class", new, "-"),
        ("to_others", "originals", "originals to other classes", others, "--"),
        ("to_others", "synthetic", "synthetic to other classes", made, ":"),
    )
    for axes, (mean, word) in zip(grid[0], MEANS.items(), strict=True):
        values = [_finite(np.array(entry["values"][side][kind][mean], dtype=float)) for side, kind, _, _, _ in lines]
        both = np.concatenate(values)
        edges = np.linspace(both.min(), both.max() + 1e-9, 13)
        for found, (_, kind, _, colour, line) in zip(values, lines, strict=True):
            shares = 100 * np.histogram(found, edges)[0] / max(1, len(found))
            axes.stairs(shares, edges, color=colour, linestyle=line, linewidth=1.3, fill=False)
            if kind == "originals" and colour == grey:
                axes.stairs(shares, edges, color=colour, alpha=0.25, fill=True)
        axes.set(xlabel=f"{word} {MEASURES[name]}", ylabel="texts, %" if mean == "mean" else "")
        axes.grid(axis="y", color=grey, alpha=0.25, linewidth=0.5)
    handles = [key_line(title, colour, "", line) for _, _, title, colour, line in lines]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    caption = (
        f"{MEASURES[name]} of each text against originals of its class (synthetic texts: without their own sources; "
        "originals: without themselves) and against originals of other classes: the mean, and the best."
    )
    return Drawing(name, caption, figure)


PLUGIN = Semantics
