"""The audit of a result: are the synthetic texts of each class like its originals, and not too like them?

Every figure of the synthetic texts stands beside the same figure of the originals, and is judged against it. The facts
hold ids and numbers, and phrases that several synthetic texts share; no original's text.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .audit_facts import AUDIT_FORMAT, BOUNDS, NEAR
from .columns import guess, is_blank
from .corpus import ORIGINAL, Corpus, read_corpus
from .diversity import distinct, longest_runs, self_bleu, shared_phrases, unique_ngrams
from .encoder import Encoder
from .errors import DataError, MissingPackageError
from .outputs import MANIFEST, read_manifest, read_split
from .provenance import rows_digest
from .seeding import derive_seed, normalise
from .stats import bootstrap_interval, share_difference, share_interval
from .two_sample import FOLDS, Told, on_characters, on_vectors, together, told_apart
from .validators import Case, Reference, make_validator
from .version import versions

__all__ = ["Audited", "audit", "closest_texts", "preview_figures", "text_figures"]

MOST = 1000
"""Texts of a class, originals and synthetic ones each, that are looked at."""
MOST_BLEU = 100
MOST_JUDGED = 200
MOST_TRAINED = 2000
PAIRS = 10
LONG_RUN = 8
RESAMPLES = 1000
LIBRARIES = ("numpy", "scikit-learn", "scipy", "rapidfuzz", "sacrebleu", "torch", "transformers", "py3langid")


@dataclass(frozen=True)
class Audited:
    """The rows that an audit looks at.

    Attributes:
        corpus: originals and synthetic texts of the imputed split.
        elsewhere: originals of other splits.
        digest: of the imputed split's rows.
        told: the content of ``synimpute.json``, or nothing.
        split: the name of the imputed split.
    """

    corpus: Corpus
    elsewhere: tuple[str, ...]
    digest: str
    told: Mapping[str, Any]
    split: str

    @classmethod
    def of(cls, source: Any, text: str | None = None, label: str | None = None) -> Audited:
        """Read a result folder, or an imputed Dataset.

        Args:
            source: a folder that ``synimpute impute`` has written, or the rows themselves.
            text: the text column of rows; None guesses it.
            label: their label column; None guesses it.

        Raises:
            DataError: there is no result, it is another than its facts say, or its originals are not there.
        """
        told, splits, split = ({}, {"train": source}, "train") if hasattr(source, "features") else _read(Path(source))
        said: Any = told["plan"]["settings"] if told else {"text": text, "label": label, "missing_label": -1}
        rows = splits[split]
        columns, _ = guess(rows.features, {}, said["text"], said["label"], None)
        digest = rows_digest(rows, columns.text, columns.label) if "draw" in rows.column_names else ""
        if told and digest != told["splits"][split]["digest"]:
            raise DataError(
                f"The rows in {source} are not those that its {MANIFEST} is about. See what differs with: synimpute "
                f"verify {source}"
            )
        corpus = read_corpus(
            rows, text=columns.text, label=columns.label, contrast=(), missing_label=said["missing_label"]
        )
        others = [part for name, part in splits.items() if name != split and columns.text in part.column_names]
        elsewhere = (value for part in others for value in part.with_format(None)[columns.text])
        return cls(corpus, tuple(value for value in elsewhere if not is_blank(value)), digest, told, split)

    @property
    def names(self) -> list[str]:
        """The classes that have synthetic texts."""
        made = self.corpus.kinds != ORIGINAL
        return [name for code, name in enumerate(self.corpus.names) if (made & (self.corpus.labels == code)).any()]

    def chosen(self, name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the originals of a class without twins, and its synthetic texts, in random order: positions."""
        corpus = self.corpus
        here = corpus.labels == corpus.names.index(name)
        _, first = np.unique(np.array(corpus.forms, dtype=object)[here], return_index=True)
        kept = np.flatnonzero(here)[np.sort(first)]
        parts = (kept[corpus.kinds[kept] == ORIGINAL], np.flatnonzero(here & (corpus.kinds != ORIGINAL)))
        draws = np.random.default_rng(derive_seed("audit", seed, name))
        first_part, second_part = (draws.permutation(part)[:MOST] for part in parts)
        return first_part, second_part


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any], str]:
    told = read_manifest(folder)
    if not told.get("published", {}).get("originals", True):
        raise DataError(
            f"{folder} holds no originals to compare the synthetic texts with. Audit the folder that `synimpute "
            "impute` wrote, before it is published without them."
        )
    splits = {name: read_split(folder, told, name) for name in told["splits"]}
    return told, splits, str(told["split"])


def audit(
    source: Any,
    *,
    encoder: str = "",
    seed: int = 0,
    text: str | None = None,
    label: str | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Audit the synthetic texts of a result, class by class.

    Args:
        source: a folder that ``synimpute impute`` has written, or an imputed Dataset.
        encoder: Hub id or path of an encoder; empty for the embedded one.
        seed: seed of folds, samples and bootstraps.
        text: the text column of a Dataset; None guesses it.
        label: its label column; None guesses it.
        cache: an SQLite file of vectors, for those who audit the same texts again.

    Returns:
        The facts: the content of ``audit.json``. The same rows, seed and versions give the same facts.

    Raises:
        DataError: there is no result, its originals are not there, or it has no synthetic text.
        MissingPackageError: a package is missing; says what to type.
    """
    from threadpoolctl import threadpool_limits

    rows = Audited.of(source, text, label)
    if not rows.names:
        raise DataError(f"{source} holds no synthetic text: there is nothing to audit.")
    notes: list[str] = []
    model = Encoder(encoder, cache=cache)
    with threadpool_limits(1):  # see two_sample
        classes = [_class(rows, name, model, seed, notes) for name in rows.names]
    return {
        "format": AUDIT_FORMAT,
        "title": rows.told.get("title", "A dataset, imputed"),
        "split": rows.split,
        "digest": rows.digest,
        "settings": {"encoder": model.identity, "seed": seed, "folds": FOLDS, "most": MOST, "bounds": BOUNDS},
        "versions": versions(LIBRARIES),
        "classes": classes,
        "alarms": [alarm for entry in classes for alarm in _alarms(entry)],
        "notes": list(dict.fromkeys(notes)),
    }


def _class(rows: Audited, name: str, model: Encoder, seed: int, notes: list[str]) -> dict[str, Any]:
    """Return everything about one class."""
    corpus = rows.corpus
    originals, made = rows.chosen(name, seed)
    if len(originals) < 2:
        raise DataError(f"Class {name!r} has {len(originals)} originals: an audit compares with two or more.")
    for part, kind in ((originals, "originals"), (made, "synthetic texts")):
        if len(part) == MOST:
            notes.append(f"Of {name}, {MOST:,} {kind} were looked at, drawn at random")
    pool = np.flatnonzero((corpus.kinds == ORIGINAL) & (corpus.labels != corpus.names.index(name)))
    draws = np.random.default_rng(derive_seed("others", seed, name))
    others = draws.permutation(pool)[: max(MOST, MOST_TRAINED - len(originals))]
    every = np.concatenate([originals, made, others])
    vectors = _placed(corpus, model, every)
    entry: dict[str, Any] = {"name": name}
    entry |= {"originals": len(originals), "synthetic": len(made), "counts": _counts(rows.told, name)}
    texts, details = text_figures(rows, name, seed, notes)
    near, pairs, nearest = _nearest(corpus, vectors, originals, made, seed)
    details["synthetic"] |= nearest.pop("synthetic")
    details["originals"] |= nearest
    entry |= texts | {
        "told_apart": _told_apart(corpus, vectors, originals, made, others, seed),
        "nearest": near,
        "class_drift": _class_drift(corpus, vectors, originals, made, others, seed),
        "language": _language(corpus, name, originals, made, notes),
        "closest": pairs,
    }
    runs = dict(zip(details["synthetic"]["row_id"], details["synthetic"]["run"], strict=True))
    for pair in entry["closest"]:
        pair["run"] = runs[pair["row_id"]]
    return entry | {"rows": details}


def _placed(corpus: Corpus, model: Encoder, rows: np.ndarray) -> np.ndarray:
    found = model.encode([corpus.texts[k] for k in rows]).astype(np.float64)
    vectors = np.zeros((len(corpus), found.shape[1]))
    vectors[rows] = found
    return vectors


def _counts(told: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    for entry in told["outcome"]["classes"] if told else ():
        if entry["name"] == name:
            return {key: entry[key] for key in ("needed", "generated", "kept", "missing", "rejected")}
    return None


def text_figures(
    rows: Audited, name: str, seed: int, notes: list[str]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return what can be said of a class's texts without a model: length, verbatim overlap, diversity, phrases.

    Args:
        rows: of the result.
        name: the class.
        seed: of the audit.
        notes: gets what could not be measured.

    Returns:
        The figures, and those of each text: of synthetic ones with their ids, of originals sorted and without.
    """
    corpus = rows.corpus
    originals, made = rows.chosen(name, seed)
    own, new = ([corpus.texts[k] for k in part] for part in (originals, made))
    chosen = set(originals.tolist())
    pool = [corpus.texts[k] for k in corpus.originals if k not in chosen] + list(rows.elsewhere)
    # Twins of an original would make its run as long as itself.
    forms = {normalise(text) for text in own}
    pool = [text for text in pool if normalise(text) not in forms]
    runs = {
        "synthetic": longest_runs(new, own + pool),
        "originals": longest_runs(own, own + pool, within=True),
    }
    words = {"synthetic": _words(new), "originals": _words(own)}
    ratio = _two(lambda a, b: a.mean() / b.mean(), words["synthetic"], words["originals"], seed)
    phrases = shared_phrases(new, own)
    figures = {
        "length": {**{kind: _spread(values) for kind, values in words.items()}, "ratio": ratio},
        "overlap": {kind: {**_spread(v), "long": int((v >= LONG_RUN).sum())} for kind, v in runs.items()},
        "diversity": _diversity(new, own, notes),
        "phrases": [{"phrase": p.words, "synthetic": len(p.texts), "originals": p.others} for p in phrases],
        "with_phrases": _share(len({k for phrase in phrases for k in phrase.texts}), len(new)),
    }
    details = {
        "synthetic": {
            "row_id": [corpus.ids[k] for k in made],
            "words": words["synthetic"].tolist(),
            "run": runs["synthetic"].tolist(),
        },
        "originals": {"words": sorted(words["originals"].tolist()), "run": sorted(runs["originals"].tolist())},
    }
    return figures, details


def _words(texts: Sequence[str]) -> np.ndarray:
    return np.array([len(text.split()) for text in texts])


def _spread(values: np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    found = {"mean": values.mean(), "low": low, "median": middle, "high": high, "largest": values.max()}
    return {key: round(float(value), 4) for key, value in found.items()}


def _share(hits: int, count: int) -> dict[str, float]:
    found = share_interval([float(k < hits) for k in range(count)], np.ones(count))
    return {"count": hits, "estimate": found.estimate, "low": found.low, "high": found.high}


def _two(
    statistic: Callable[[np.ndarray, np.ndarray], float], first: np.ndarray, second: np.ndarray, seed: int
) -> dict[str, float]:
    """Give a statistic of two samples its bootstrap interval."""
    values, kinds = np.concatenate([first, second]), np.arange(len(first) + len(second)) < len(first)

    def drawn(rows: np.ndarray) -> float:
        """Return the statistic of one draw; nan where it has one sample only."""
        a, b = values[rows[kinds[rows]]], values[rows[~kinds[rows]]]
        return float(statistic(a, b)) if len(a) and len(b) else float("nan")

    found = bootstrap_interval(drawn, len(values), RESAMPLES, seed=derive_seed("bootstrap", seed) % 2**32)
    return {"estimate": found.estimate, "low": found.low, "high": found.high}


def _diversity(new: Sequence[str], own: Sequence[str], notes: list[str]) -> dict[str, Any]:
    """Return measures of repetition at one number of texts and words, for they depend on both."""
    count = min(len(new), len(own))
    parts = {"synthetic": list(new[:count]), "originals": list(own[:count])}
    budget = min(sum(len(text.split()) for text in part) for part in parts.values())
    found: dict[str, Any] = {"texts": count, "words": budget, "bleu_texts": min(count, MOST_BLEU)}
    for kind, texts in parts.items():
        shares = [share for share in unique_ngrams(texts) if share is not None]
        found[kind] = {
            **{f"distinct_{size}": distinct(texts, size, budget) for size in (1, 2, 3)},
            "unique_ngrams": float(np.mean(shares)) if shares else None,
            "self_bleu": None,
        }
        try:
            found[kind]["self_bleu"] = self_bleu(texts[:MOST_BLEU])
        except MissingPackageError as error:
            notes.append(str(error))
    return found


def _nearest(
    corpus: Corpus, vectors: np.ndarray, originals: np.ndarray, made: np.ndarray, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """Compare each synthetic text's nearest original with each original's nearest other one."""
    cosines = vectors[made] @ vectors[originals].T
    among = vectors[originals] @ vectors[originals].T
    np.fill_diagonal(among, -1.0)
    near, usual = cosines.max(axis=1), among.max(axis=1)
    found: dict[str, Any] = {
        kind: {**_spread(values), "above": {f"{bound:.2f}": int((values > bound).sum()) for bound in NEAR}}
        for kind, values in (("synthetic", near), ("originals", usual))
    }
    limit = float(np.quantile(usual, 0.95))
    found["difference"] = _two(lambda a, b: np.median(a) - np.median(b), near, usual, seed)
    found["beyond"] = {**_share(int((near > limit).sum()), len(near)), "limit": limit}
    best = originals[cosines.argmax(axis=1)]
    order = np.argsort(-near, kind="stable")[:PAIRS]
    pairs = [
        {"row_id": corpus.ids[made[k]], "original": corpus.ids[best[k]], "cosine": round(float(near[k]), 4)}
        for k in order
    ]
    details = {"nearest": sorted(np.round(usual, 4).tolist())}
    new = {"nearest": np.round(near, 4).tolist(), "original": [corpus.ids[k] for k in best]}
    return found, pairs, {"synthetic": new, **details}


def _told_apart(
    corpus: Corpus, vectors: np.ndarray, originals: np.ndarray, made: np.ndarray, others: np.ndarray, seed: int
) -> dict[str, Any]:
    """Tell synthetic texts from originals in two views; beside it, originals of the class from those of the others."""
    both, classes = np.concatenate([originals, made]), np.concatenate([originals, others[:MOST]])
    texts = np.array([corpus.texts[k] for k in both], dtype=object)
    groups, second = together(texts.tolist()), np.arange(len(both)) >= len(originals)
    apart = np.arange(len(classes)) >= len(originals)
    state = derive_seed("folds", seed)
    found = {
        "embeddings": told_apart(vectors[both], second, groups, on_vectors, state),
        "characters": told_apart(texts, second, groups, on_characters, state),
        "classes": told_apart(vectors[classes], apart, together([corpus.texts[k] for k in classes]), on_vectors, state),
    }
    return {
        view: {key: None if value != value else value for key, value in asdict(told).items()}
        for view, told in found.items()
    }


def _class_drift(
    corpus: Corpus, vectors: np.ndarray, originals: np.ndarray, made: np.ndarray, others: np.ndarray, seed: int
) -> dict[str, Any] | None:
    """Return the shares of synthetic texts and of originals that a classifier of originals assigns to the class.

    Neither is judged by a classifier that has seen it: an original by one of other folds, a synthetic text by one that
    was trained without its sources.
    """
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    known = np.concatenate([originals, others])
    labels, code = corpus.labels[known], corpus.labels[originals[0]]
    if len(np.unique(labels)) < 2 or len(originals) < FOLDS:
        return None
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=derive_seed("folds", seed) % 2**32)
    groups = together([corpus.texts[k] for k in known])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        given = cross_val_predict(on_vectors(), vectors[known], labels, groups=groups, cv=folds)
    judge, hits = on_vectors().set_params(warm_start=True).fit(vectors[known], labels), 0
    for k in made[:MOST_JUDGED]:
        rows = known[~np.isin(known, corpus.sources[k])]
        if len(np.unique(corpus.labels[rows])) == len(judge.classes_):
            judge.fit(vectors[rows], corpus.labels[rows])
        hits += int(judge.predict(vectors[[k]])[0] == code)
    mine = given[: len(originals)] == code
    count = len(made[:MOST_JUDGED])
    shares = [share_interval(np.arange(n) < h, np.ones(n)) for h, n in ((hits, count), (mine.sum(), len(mine)))]
    difference = dict(zip(("estimate", "low", "high"), share_difference(*shares), strict=True))
    return {
        "synthetic": _share(hits, count),
        "originals": _share(int(mine.sum()), len(mine)),
        "judged": count,
        "difference": difference,
    }


def _language(
    corpus: Corpus, name: str, originals: np.ndarray, made: np.ndarray, notes: list[str]
) -> dict[str, Any] | None:
    """Return the shares of texts that are in another language than the originals, where a detector is installed."""
    own, ids = ([str(part[k]) for k in originals] for part in (corpus.texts, corpus.ids))
    validator = make_validator("language")
    try:
        validator.prepare(Reference({name: own}, {name: ids}, {}, np.zeros(0, dtype=np.uint32)))
    except MissingPackageError as error:
        notes.append(f"The language was not looked at: {error}")
        return None
    other = {
        kind: sum(
            bool(finding.reason) for finding in validator.judge([Case(name, corpus.texts[k], (), ()) for k in part])
        )
        for kind, part in (("synthetic", made), ("originals", originals))
    }
    return {
        "detector": validator.identity["parameters"],
        "synthetic": _share(other["synthetic"], len(made)),
        "originals": _share(other["originals"], len(originals)),
    }


def _alarms(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the alarms of a class: name, class, sentence, advice."""
    return [
        {"name": name, "class": entry["name"], "sentence": sentence, "advice": advice}
        for name, sentence, advice in (alarm for find in ALARMS for alarm in find(entry))
    ]


Alarm = list[tuple[str, str, str]]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _style(entry: Mapping[str, Any]) -> Alarm:
    views = {view: entry["told_apart"][view] for view in ("embeddings", "characters")}
    high = {v: f for v, f in views.items() if f["low"] is not None and f["low"] > BOUNDS["told_apart"]}
    if not high:
        return []
    view = max(high, key=lambda name: high[name]["auc"])
    found, classes = high[view], entry["told_apart"]["classes"]["auc"]
    easier = classes is not None and found["low"] > classes
    sentence = (
        f"A classifier tells the synthetic texts of {entry['name']!r} from its originals by their {view}, AUC "
        f"{found['auc']:.2f} ({found['low']:.2f} to {found['high']:.2f}; chance is 0.50)"
        + (f", which is easier than to tell the class from others ({classes:.2f})." if easier else ".")
    )
    return [("style shortcut", sentence, STYLE_ADVICE)]


STYLE_ADVICE = (
    "A classifier may learn 'written by a model' instead of the class: write synthetic texts for the other classes, "
    "too (--contrast), take a better model or another prompt, and believe only scores on originals (synimpute "
    "crossval)."
)


def _phrases(entry: Mapping[str, Any]) -> Alarm:
    found = entry["with_phrases"]
    if not entry["phrases"] or found["low"] <= BOUNDS["shared_phrases"]:
        return []
    first = "; ".join(f"'{p['phrase']}' ({p['synthetic']} texts)" for p in entry["phrases"][:3])
    sentence = (
        f"{_percent(found['estimate'])} of the synthetic texts of {entry['name']!r} share phrases that are rare in its "
        f"originals: {first}."
    )
    return [("shared phrases", sentence, "Raise the temperature, take another prompt, or write fewer texts.")]


def _acceptance(entry: Mapping[str, Any]) -> Alarm:
    counts = entry["counts"]
    if not counts or not counts["generated"] or counts["kept"] >= BOUNDS["acceptance"] * counts["generated"]:
        return []
    reason = max(counts["rejected"], key=counts["rejected"].get, default="none")
    sentence = (
        f"Of {counts['generated']} answers for {entry['name']!r}, {counts['kept']} were kept "
        f"({_percent(counts['kept'] / counts['generated'])}); most were rejected as {reason}."
    )
    return [("low acceptance", sentence, "Look at rejected texts (synimpute preview); take another prompt or model.")]


def _closeness(entry: Mapping[str, Any]) -> Alarm:
    near = entry["nearest"]
    if near["difference"]["low"] <= 0 and near["beyond"]["low"] <= BOUNDS["beyond_originals"]:
        return []
    sentence = (
        f"Synthetic texts of {entry['name']!r} are closer to one original than originals are to each other: cosine to "
        f"the nearest {near['synthetic']['median']:.2f} against {near['originals']['median']:.2f} (medians), and "
        f"{_percent(near['beyond']['estimate'])} of them are closer than 95 % of the originals are."
    )
    advice = "Look at the closest pairs; ask for more difference in the prompt, or add the validator similarity."
    return [("close to one original", sentence, advice)]


def _drift(entry: Mapping[str, Any]) -> Alarm:
    found: Alarm = []
    length = entry["length"]
    if length["ratio"]["low"] > BOUNDS["length"] or length["ratio"]["high"] < 1 / BOUNDS["length"]:
        sentence = (
            f"Synthetic texts of {entry['name']!r} have {length['synthetic']['mean']:.1f} words on average, "
            "its originals "
            f"{length['originals']['mean']:.1f}."
        )
        found.append(("length drift", sentence, "Name the length in the prompt, or take one that does (--prompt)."))
    language = entry["language"]
    if language and language["synthetic"]["low"] > BOUNDS["language"]:
        sentence = (
            f"{_percent(language['synthetic']['estimate'])} of the synthetic texts of {entry['name']!r} are in another "
            "language than its originals."
        )
        found.append(("language drift", sentence, "Name the language (--language), or take a model that knows it."))
    drift = entry["class_drift"]
    if drift and drift["difference"]["high"] < -BOUNDS["class"]:
        sentence = (
            f"A classifier of originals takes {_percent(drift['synthetic']['estimate'])} of the synthetic texts of "
            f"{entry['name']!r} for that class, and {_percent(drift['originals']['estimate'])} of its originals."
        )
        found.append(
            ("class drift", sentence, "Say what the class is (--category-description), or take a better model.")
        )
    return found


def closest_texts(source: Any, facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of the closest pairs by row id, for the page; the facts hold none.

    Args:
        source: see ``audit``.
        facts: of its audit.
    """
    corpus = Audited.of(source).corpus
    wanted = {pair[key] for entry in facts["classes"] for pair in entry["closest"] for key in ("row_id", "original")}
    return {row_id: text for row_id, text in zip(corpus.ids, corpus.texts, strict=True) if row_id in wanted}


ALARMS = (_style, _phrases, _acceptance, _closeness, _drift)


def preview_figures(
    texts: Sequence[str], names: Sequence[str], originals: Mapping[str, Sequence[str]], encoder: str = ""
) -> tuple[list[dict[str, float | None]], dict[str, Told]]:
    """Return two figures of each previewed text, and how well the texts of a class are told from its originals.

    Args:
        texts: new texts.
        names: the class of each.
        originals: their originals by class; the first 1,000 count.
        encoder: see ``audit``.

    Returns:
        For each text ``unique_ngrams``, the share of its runs of three words that stand in no other new text and no
        original of its class, and ``nearest``, the cosine to its nearest original; and by class the two-sample test on
        embeddings, where there are 10 texts or more. The last two need an encoder and scikit-learn, and are left out
        where those are not installed.
    """
    found: list[dict[str, float | None]] = [{"unique_ngrams": None, "nearest": None} for _ in texts]
    told: dict[str, Told] = {}
    for name in dict.fromkeys(names):
        places, own = [k for k, other in enumerate(names) if other == name], list(originals[name][:MOST])
        new = [texts[k] for k in places]
        for place, share in zip(places, unique_ngrams(new, own), strict=True):
            found[place]["unique_ngrams"] = share
        try:
            vectors = Encoder(encoder).encode([*own, *new]).astype(np.float64)
            second = np.arange(len(vectors)) >= len(own)
            for place, cosine in zip(places, (vectors[second] @ vectors[~second].T).max(axis=1).tolist(), strict=True):
                found[place]["nearest"] = cosine
            test = told_apart(vectors, second, together([*own, *new]))
        except (MissingPackageError, ImportError):  # a preview does without
            continue
        if test.folds:
            told[name] = test
    return found, told
