"""Gathers the rows of a cross-validation: originals, folds, and every text that an arm needs, each with its sources."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .arms import Arm, Quota, kind_in
from .augmenters import make_augmenter
from .corpus import CEILING, CONTRAST, IMPUTED, ORIGINAL, Corpus, Extra
from .errors import FewOriginalsWarning, GenerationError, PlanError
from .fitstore import FitStore
from .folds import PROTOCOLS, Fold, Links, link, make_folds, usable_rows
from .imputer import SyntheticImputer
from .records import Estimate, Outcome
from .sample import Sample
from .seeding import digest
from .validators import choose_validators

__all__ = ["Amounts", "Assembly", "assemble", "plan_amounts"]

ROUNDS = 4


@dataclass
class Assembly:
    """All that the fits need.

    Attributes:
        corpus: all rows.
        folds: by protocol.
        quota: how many rows each class lacks.
        generation: an account of what was written, or None.
        notes: what was noticed, in plain words.
    """

    corpus: Corpus
    folds: dict[str, list[Fold]]
    quota: Quota
    generation: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    _linked: tuple[Corpus, Links] | None = None

    @property
    def links(self) -> Links:
        """What must not be torn apart in the corpus as it is; looked up anew only where that has changed."""
        if self._linked is None or self._linked[0] is not self.corpus:
            self._linked = (self.corpus, link(self.corpus))
        return self._linked[1]


@dataclass(frozen=True)
class Amounts:
    """Texts to write, by class; arrays of shape ``(classes,)``.

    Attributes:
        names: the classes.
        planned: what the arms need when all originals train.
        enough: what lets every fold reach its target.
        nested: what ``nested`` writes besides, over all folds.
        estimate: calls, tokens, time and cost of ``enough`` and ``nested`` together.
    """

    names: tuple[str, ...]
    planned: np.ndarray
    enough: np.ndarray
    nested: np.ndarray
    estimate: Estimate


def assemble(
    sample: Sample,
    arms: Sequence[Arm],
    protocols: Sequence[str],
    impute: SyntheticImputer | None,
    *,
    folds: int,
    repeats: int,
    seed: int,
    enough: bool,
    store: FitStore,
) -> Assembly:
    """Make the folds, and write what the arms need.

    Args:
        sample: from ``take_sample``.
        arms: ways to train.
        protocols: ways to measure.
        impute: says how synthetic texts are written, and to what target; not looked at for data that was imputed.
        folds: parts of a repeat.
        repeats: how often the originals are split anew.
        seed: of the splits and of augmenters.
        enough: whether to write so many texts that every fold reaches its target.
        store: keeps what augmenters make.

    Raises:
        PlanError: an arm needs texts that are not there.
        GenerationError: requests failed; the same call asks for the rest.
    """
    _check_judges(impute, protocols)
    whole, writer = _begin(sample, arms, protocols, impute, folds, repeats, seed)
    if writer is not None and any(arm.made == IMPUTED for arm in arms):
        if set(whole.folds) != {"nested"}:
            _write(whole, arms, writer, enough)
        if "nested" in whole.folds:
            _write_nested(whole, arms, writer)
    for spec in dict.fromkeys(arm.augmenter for arm in arms if arm.augmenter):
        _augment(whole, spec, seed, store)
    if "pooled" in whole.folds:  # its test parts hold synthetic rows, too
        split = {"folds": folds, "repeats": repeats, "seed": seed}
        whole.folds["pooled"] = make_folds(whole.corpus, whole.links, protocol="pooled", **split)
    return whole


def plan_amounts(
    sample: Sample,
    arms: Sequence[Arm],
    protocols: Sequence[str],
    impute: SyntheticImputer | None,
    *,
    folds: int,
    repeats: int,
    seed: int,
) -> Amounts:
    """Return how many texts ``assemble`` would write, and what that takes; nothing is called. Arguments as there."""
    whole, writer = _begin(sample, arms, protocols, impute, folds, repeats, seed)
    none = np.zeros_like(whole.quota.wanted)
    if writer is None:
        return Amounts(whole.corpus.names, none, none, none, Estimate(0, 0, 0, 0.0, "", 0.0))
    planned, enough, nested = none, none, none
    if set(whole.folds) != {"nested"}:
        planned = _needs(arms, whole.quota, whole.quota.originals)
        enough = _enough(whole, arms, writer)
    for fold in whole.folds.get("nested", ()):
        nested = nested + _needs(arms, whole.quota, _by_class(whole.corpus, fold.train))
    estimate = writer.fitted(_by_name(whole.corpus, enough + nested)).plan.estimate
    return Amounts(whole.corpus.names, planned, enough, nested, estimate)


def _begin(
    sample: Sample,
    arms: Sequence[Arm],
    protocols: Sequence[str],
    impute: SyntheticImputer | None,
    folds: int,
    repeats: int,
    seed: int,
) -> tuple[Assembly, _Writer | None]:
    """Make the folds; returns with them who writes, where there is something to write."""
    corpus = sample.corpus
    links = link(corpus)
    split = {"folds": folds, "repeats": repeats, "seed": seed}
    parts = {name: make_folds(corpus, links, protocol=name, **split) for name in protocols}
    writer = None if sample.imputed else _Writer(impute or SyntheticImputer(), sample)
    wanted = corpus.counts(IMPUTED) if writer is None else writer.wanted
    whole = Assembly(corpus, parts, Quota(wanted, corpus.counts(ORIGINAL)), _linked=(corpus, links))
    _check(whole, arms, sample.imputed)
    return whole, writer


def _check(whole: Assembly, arms: Sequence[Arm], imputed: bool) -> None:
    """Refuse arms that have nothing to train on."""
    if not len(whole.quota.focus):
        raise PlanError(
            "No class is short of its target, so that there is nothing to compare. Raise the target, or thin a class "
            "to see what imputation would have done: keep={'class': 50}, --keep CLASS=50."
        )
    if any(arm.made == CEILING for arm in arms) and not len(whole.corpus.of_kind(CEILING)):
        raise PlanError(
            "The arm 'ceiling' trains on originals that the other arms do not have, and there are none. Thin a rare "
            "class with keep={'class': 50} (--keep CLASS=50): the others then make the ceiling."
        )
    contrast = [arm.name for arm in arms if arm.contrast]
    if contrast and imputed and not len(whole.corpus.of_kind(CONTRAST)):
        raise PlanError(
            f"The arm {contrast[0]!r} needs synthetic texts in every class, and this imputed dataset has them in the "
            "rare ones only. Give the originals: then they are written."
        )
    if "nested" in whole.folds and imputed:
        raise PlanError("The protocol 'nested' writes texts anew for each fold: give the originals.")


def _check_judges(impute: SyntheticImputer | None, protocols: Sequence[str]) -> None:
    """Refuse a validator that learns from tested originals."""
    learning = [] if impute is None else [v.key for v in choose_validators(impute.validators)[0] if v.learns]
    if learning and set(protocols) - {"nested"}:
        raise PlanError(
            f"The validator {learning[0]!r} learns from all originals, tested ones too: no fold is clean of a text "
            "that it let pass. Leave it out, or take the protocol nested alone (with inflation=False, --no-inflation), "
            "where each fold's texts are judged by a classifier of its training part."
        )


def _by_class(corpus: Corpus, rows: np.ndarray) -> np.ndarray:
    return np.bincount(corpus.labels[rows], minlength=len(corpus.names))


def _by_name(corpus: Corpus, amounts: np.ndarray) -> dict[str, int]:
    return {corpus.names[code]: int(amounts[code]) for code in np.flatnonzero(amounts)}


# -- synthetic texts ----------------------------------------------------------------------------------------------


class _Writer:
    """Writes synthetic texts for a sample, in any amounts; what the journal holds is not asked for again."""

    def __init__(self, impute: SyntheticImputer, sample: Sample) -> None:
        given = {name: value for name, value in sample.columns.items() if value is not None}
        self._settings = {**impute.get_params(), **given, "contrast": False}  # that is for arms to say
        self._dataset = sample.originals
        self._corpus = sample.corpus
        self._plan = SyntheticImputer(**self._settings).fit(sample.originals).plan
        self._place = {sample.corpus.ids[k]: int(k) for k in sample.corpus.originals}
        self._names = {entry.label: entry.name for entry in self._plan.classes}

    @cached_property
    def wanted(self) -> np.ndarray:
        """The rows that each class lacks by the user's plan, shape ``(classes,)``."""
        wanted = np.zeros(len(self._corpus.names), dtype=np.int64)
        for entry in self._plan.short:
            wanted[self._corpus.names.index(entry.name)] = entry.to_write
        return wanted

    def fitted(self, amounts: Mapping[str, int], rows: np.ndarray | None = None) -> SyntheticImputer:
        """Return an imputer for some amounts, by class, from all originals or from some rows of the corpus."""
        dataset, chosen = self._dataset, self._corpus.originals
        if rows is not None:
            dataset, chosen = dataset.select(self._corpus.rows[rows].tolist()), rows
        counts = _by_class(self._corpus, chosen)
        goals = {name: int(counts[self._corpus.names.index(name)]) + amount for name, amount in amounts.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewOriginalsWarning)  # told once, by the plan
            settings = {**self._settings, "target": None, "sampling_strategy": goals}
            return SyntheticImputer(**settings).fit(dataset)

    def sources(self, amounts: Mapping[str, int]) -> dict[str, list[list[int]]]:
        """Return the positions of the originals that first attempts would show, by class; nothing is called."""
        drawer = self.fitted(amounts)
        drawn = {name: drawer.first_sources(name, amount) for name, amount in amounts.items()}
        return {name: [[self._place[source] for source in ids] for ids in rows] for name, rows in drawn.items()}

    def write(self, imputer: SyntheticImputer) -> tuple[Outcome, list[Extra]]:
        """Write what an imputer's plan lacks; returns the account, and the rows with their sources."""
        outcome = imputer.generate()
        if outcome.failed:
            raise GenerationError(
                f"{outcome.failed} requests failed. Every answer that came is in {imputer.journal_path}; the same call "
                "asks only for the rest."
            )
        extras = []
        for row in outcome.rows:
            code = self._corpus.names.index(self._names[row.label])
            sources = tuple(dict.fromkeys(self._place[source] for source in row.source_ids))
            extras.append(Extra(row.text, code, self.kind(code), sources, row.row_id, row.draw))
        return outcome, extras

    def kind(self, code: int) -> str:
        """Return what a synthetic row of a class is: one of a rare class is imputed, another is contrast."""
        return IMPUTED if self.wanted[code] else CONTRAST


def _needs(arms: Sequence[Arm], quota: Quota, train: np.ndarray) -> np.ndarray:
    """Return the synthetic rows that some arm trains on, by class, shape ``(classes,)``."""
    needs = np.zeros_like(quota.wanted)
    for arm in arms:
        if arm.made == IMPUTED:
            needs = np.maximum(needs, quota.in_fold(train, arm.share))
        if arm.contrast:
            needs = np.maximum(needs, quota.contrast(train, arm.contrast, arm.share))
    return needs


def _clean_folds(whole: Assembly) -> list[Fold]:
    """Return the folds in which sources are looked at, and for which nothing is written apart."""
    names = [name for name in whole.folds if not PROTOCOLS[name].leaky and name != "nested"]
    return [fold for name in names for fold in whole.folds[name]]


def _enough(whole: Assembly, arms: Sequence[Arm], writer: _Writer) -> np.ndarray:
    """Return how many texts let every fold reach its target, shape ``(classes,)``.

    With k folds and five sources each, a fold may train on about ((k - 1) / k)^5 of the texts, and needs (k - 1) / k
    of the plan's number. Which draws those are is known before they are paid, but for rejected answers.
    """
    corpus, quota, group = whole.corpus, whole.quota, whole.links.group
    amounts = _needs(arms, quota, quota.originals)
    needed = amounts
    ahead = {name: 6 * amount + 60 for name, amount in _by_name(corpus, needed).items()}
    for _ in range(ROUNDS):
        drawn = writer.sources(ahead)
        amounts, scarce = needed.copy(), set()
        for fold in _clean_folds(whole):
            needs = _needs(arms, quota, _by_class(corpus, fold.train))
            tested = set(group[fold.test].tolist())
            for code in np.flatnonzero(needs):
                sources = drawn[corpus.names[code]]
                clean = np.cumsum([tested.isdisjoint(group[rows].tolist()) for rows in sources])
                if not clean[-1]:  # no number of texts fills this fold, as where all show the same originals
                    continue
                enough = int(np.searchsorted(clean, needs[code])) + 1
                amounts[code] = max(amounts[code], min(enough, len(sources)))
                if enough > len(sources):
                    scarce.add(corpus.names[code])
        if not scarce:
            break
        ahead |= {name: 3 * ahead[name] for name in scarce}  # few folds: hardly a draw is clean of a whole test part
    return amounts


def _lacking(whole: Assembly, arms: Sequence[Arm], fillable: bool = False) -> np.ndarray:
    """Return how many synthetic rows the worst fold lacks, by class, shape ``(classes,)``.

    Args:
        whole: with all rows that were written.
        arms: ways to train.
        fillable: leave out folds of which no row at all is clean: more of them would not help.
    """
    corpus = whole.corpus
    worst = np.zeros_like(whole.quota.wanted)
    for fold in _clean_folds(whole):
        rows = usable_rows(corpus, whole.links, fold, "seed_aware", IMPUTED, CONTRAST)
        needs = _needs(arms, whole.quota, _by_class(corpus, fold.train))
        there = _by_class(corpus, rows)
        worst = np.maximum(worst, np.where(fillable & (there == 0), 0, needs - there))
    return worst


def _write(whole: Assembly, arms: Sequence[Arm], writer: _Writer, enough: bool) -> None:
    """Write the synthetic texts of the whole data, and more of them until every fold has enough."""
    base, quota = whole.corpus, whole.quota
    planned = _needs(arms, quota, quota.originals)
    amounts = _enough(whole, arms, writer) if enough else planned
    for _ in range(ROUNDS):
        imputer = writer.fitted(_by_name(base, amounts))
        outcome, extras = writer.write(imputer)
        whole.corpus = base.extended(extras)
        lacking = _lacking(whole, arms, fillable=True)
        if not enough or not lacking.any() or outcome.missing:
            break
        amounts = amounts + 2 * lacking  # rejected answers were drawn again, with other sources
    lacking = _lacking(whole, arms)
    written = whole.corpus.counts(IMPUTED) + whole.corpus.counts(CONTRAST)
    whole.generation = {
        "generator": imputer.plan.generator,
        "needed": int(quota.wanted.sum()),
        "written": int(written.sum()),
        "generated": sum(entry.generated for entry in outcome.classes),
        "rejected": dict(sum((Counter(dict(entry.rejected)) for entry in outcome.classes), Counter())),
        "extra_for_folds": int((amounts - planned).sum()),
        "contrast": int(planned[quota.wanted == 0].sum()),
        "written_by_class": _by_name(base, written),
        "cost_usd": outcome.cost_usd,
        "stopped": outcome.stopped,
        "settings": {**imputer.settings(), "generator": imputer.generator_identity()},
    }
    if lacking.any():
        short = ", ".join(f"{count} of class {name!r}" for name, count in _by_name(base, lacking).items())
        why = "" if enough else " Texts for whole folds were not asked for."
        whole.notes.append(
            f"Some folds train on fewer synthetic rows than their target: up to {short} are missing.{why}"
        )
    if outcome.missing:
        whole.notes.append(
            f"{outcome.missing} synthetic texts are missing: {outcome.stopped or 'attempts are used up'}."
        )


def _write_nested(whole: Assembly, arms: Sequence[Arm], writer: _Writer) -> None:
    """Write texts anew from each fold's training part, all through the same journal."""
    corpus = whole.corpus
    made: list[Extra] = []
    costs = [whole.generation["cost_usd"]] if whole.generation else []
    for fold in whole.folds["nested"]:
        needs = _needs(arms, whole.quota, _by_class(corpus, fold.train))
        imputer = writer.fitted(_by_name(corpus, needs), fold.train)
        outcome, extras = writer.write(imputer)
        costs.append(outcome.cost_usd)
        for row in extras:
            kind = kind_in(row.kind, "nested", fold)
            made.append(
                Extra(row.text, row.label, kind, row.sources, f"{row.row_id}@{fold.repeat}.{fold.number}", row.draw)
            )
    whole.corpus = corpus.extended(made)
    whole.generation = {
        "generator": imputer.plan.generator,
        "needed": int(whole.quota.wanted.sum()),
        "settings": {**imputer.settings(), "generator": imputer.generator_identity()},
        **(whole.generation or {}),
        "nested": len(made),
        "cost_usd": None if None in costs else sum(costs),
    }


# -- texts of augmenters --------------------------------------------------------------------------------------------


def _augment(whole: Assembly, spec: str, seed: int, store: FitStore) -> None:
    """Make the texts of an augmenter from every original of the rare classes, enough for every fold."""
    corpus, quota = whole.corpus, whole.quota
    augmenter = make_augmenter(spec)
    made: list[Extra] = []
    for code in quota.focus:
        rows = corpus.originals[corpus.labels[corpus.originals] == code]
        copies = 1 + max(
            -(-int(quota.in_fold(train)[code]) // max(1, int(train[code])))
            for train in (_by_class(corpus, fold.train) for parts in whole.folds.values() for fold in parts)
        )
        texts = [corpus.texts[k] for k in rows]
        for copy_texts, (position, k) in zip(
            _kept_copies(augmenter, texts, copies, seed, store), enumerate(rows), strict=True
        ):
            for number, text in enumerate(copy_texts):
                draw = number * len(rows) + position  # the first copy of every text, then the second, ...
                made.append(Extra(text, int(code), spec, (int(k),), f"{spec}-{corpus.ids[k]}-{number}", draw))
    augmenter.close()
    whole.corpus = corpus.extended(made)


def _kept_copies(augmenter: Any, texts: Sequence[str], copies: int, seed: int, store: FitStore) -> list[list[str]]:
    """Return what an augmenter makes of each text; what it made before is not made again."""
    keys = [digest("augmented", augmenter.identity, seed, text) for text in texts]
    known = {key: made for key, made in store.get_texts(keys).items() if len(made) >= copies}
    missing = dict.fromkeys(text for key, text in zip(keys, texts, strict=True) if key not in known)
    fresh = dict(zip(missing, augmenter.augment(list(missing), copies, seed), strict=True)) if missing else {}
    store.add_texts((key, fresh[text]) for key, text in zip(keys, texts, strict=True) if text in fresh)
    return [(known.get(key) or fresh[text])[:copies] for key, text in zip(keys, texts, strict=True)]
