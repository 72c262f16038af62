"""Folds: no test text helps to make a training set, and a planted leak is caught."""

import time
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synimpute_hf import SyntheticImputer
from synimpute_hf.corpus import CONTRAST, HOLDOUT, IMPUTED, Extra, read_corpus
from synimpute_hf.errors import DataError, LeakageError
from synimpute_hf.folds import PROTOCOLS, check_no_leak, link, make_folds, near_twins, usable_rows
from synimpute_hf.seeding import normalise

pytest.importorskip("rapidfuzz")
CLEAN = [name for name, protocol in PROTOCOLS.items() if not protocol.leaky]
WORDS = [
    "harbour",
    "lantern",
    "meadow",
    "copper",
    "violin",
    "saddle",
    "thunder",
    "pepper",
    "ribbon",
    "glacier",
    "orchard",
    "magnet",
    "canyon",
    "walnut",
]


def sentence(number):
    """Return a text that is far from every other."""
    generator = np.random.default_rng(number)
    return " ".join([*generator.choice(WORDS, 8), str(number)])


def originals(rare, common, group_size=0):
    rows = rare + common
    columns = {"text": [sentence(k) for k in range(rows)], "label": ["rare"] * rare + ["common"] * common}
    if group_size:
        columns["author"] = [f"author {k // group_size}" for k in range(rows)]
    return Dataset.from_dict(columns)


def synthetic(corpus, sources, text="new", label=None, kind=IMPUTED):
    label = corpus.names.index("rare") if label is None else label
    return Extra(text, label, kind, tuple(sources), draw=0)


@st.composite
def corpora(draw):
    """A corpus with twins, near-twins, groups, and made rows of one to five sources."""
    rows = originals(draw(st.integers(8, 30)), draw(st.integers(8, 40)), draw(st.sampled_from([0, 1, 2])))
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    texts = list(rows["text"])
    for _ in range(draw(st.integers(0, 4))):
        a, b = generator.integers(0, len(texts), 2)
        texts[a] = draw(st.sampled_from([texts[b], texts[b].upper() + " ", texts[b] + "!"]))
    rows = rows.remove_columns("text").add_column("text", texts)
    grouped = "author" if "author" in rows.column_names else None
    corpus = read_corpus(rows, text="text", label="label", groups=grouped)
    made = []
    for number in range(draw(st.integers(1, 40))):
        pool = np.flatnonzero(corpus.labels == number % 2)
        sources = generator.choice(pool, min(len(pool), draw(st.integers(1, 5))), replace=False)
        copied = draw(st.booleans()) and number % 7 == 0
        text = corpus.texts[int(generator.integers(len(corpus)))] if copied else f"{sentence(1000 + number)} x"
        made.append(Extra(text, number % 2, IMPUTED, tuple(map(int, sources)), f"s{number}", number))
    return corpus.extended(made)


def family(corpus, links, k):
    """Rows that stand or fall with an original, found by comparing everything with everything."""
    near = {tuple(pair) for pair in links.near.tolist()}
    return {
        int(o)
        for o in corpus.originals
        if o == k
        or normalise(corpus.texts[o]) == normalise(corpus.texts[k])
        or (corpus.groups[o] is not None and corpus.groups[o] == corpus.groups[k])
        or (min(o, k), max(o, k)) in near
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(corpora(), st.sampled_from(CLEAN), st.integers(2, 4), st.integers(0, 99))
def test_nothing_tested_helps_to_train(corpus, protocol, folds, seed):
    links = link(corpus)
    try:
        parts = make_folds(corpus, links, protocol=protocol, folds=folds, repeats=2, seed=seed)
    except DataError:
        return  # groups so large that a class does not spread over the folds
    for fold in parts:
        rows = usable_rows(corpus, links, fold, protocol, IMPUTED)
        relatives = set().union(*(family(corpus, links, int(k)) for k in fold.test))
        assert not relatives & set(fold.train.tolist())
        for row in rows:
            assert not relatives & set(corpus.sources[row])
            assert normalise(corpus.texts[row]) not in {normalise(corpus.texts[k]) for k in relatives}
        check = check_no_leak(corpus, links.near, fold, np.concatenate([fold.train, rows]), protocol)
        assert check.shared_sources == 0
        assert check.synthetic == len(rows)
        assert check.synthetic_test == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(corpora(), st.integers(0, 99))
def test_protocols_share_the_folds_of_originals(corpus, seed):
    links = link(corpus)
    try:
        folds = {name: make_folds(corpus, links, protocol=name, folds=3, repeats=2, seed=seed) for name in PROTOCOLS}
    except DataError:
        return
    for name in ("nested", "real_test", "pooled"):
        for one, other in zip(folds["seed_aware"], folds[name], strict=True):
            assert np.array_equal(one.test, other.test)
            assert np.array_equal(one.train, other.train)
    tested = np.concatenate([fold.synthetic_test for fold in folds["pooled"][:3]])
    assert np.array_equal(np.sort(tested), corpus.of_kind(IMPUTED))
    everything = np.concatenate([fold.test for fold in folds["seed_aware"][:3]])
    assert np.array_equal(np.sort(everything), corpus.originals)


def simple(groups=False):
    rows = originals(20, 30, 2 if groups else 0)
    return read_corpus(rows, text="text", label="label", groups="author" if groups else None)


def leak(corpus, fold, extra=(), train=None, threshold=90.0):
    """Check a fold whose training part holds the last ``extra`` rows, too."""
    links = link(corpus, threshold)
    rows = fold.train if train is None else train
    return check_no_leak(corpus, links.near, fold, np.concatenate([rows, list(extra)]).astype(int), "seed_aware")


def first_fold(corpus):
    return make_folds(corpus, link(corpus), protocol="seed_aware", folds=5, repeats=1)[0]


def test_a_tested_source_is_caught():
    corpus = simple()
    fold = first_fold(corpus)
    corpus = corpus.extended([synthetic(corpus, [fold.train[0], fold.test[0]])])
    with pytest.raises(LeakageError, match="one of its sources"):
        leak(corpus, fold, [len(corpus) - 1])


def test_a_test_row_that_trains_is_caught():
    corpus = simple()
    fold = first_fold(corpus)
    with pytest.raises(LeakageError, match="both trains and is tested"):
        leak(corpus, fold, [fold.test[0]])


@pytest.mark.parametrize(("change", "said"), [(str.upper, "has the text"), (lambda text: text + "!", "nearly equal")])
def test_a_twin_and_a_near_twin_are_caught(change, said):
    corpus = simple()
    fold = first_fold(corpus)
    texts = list(corpus.texts)
    texts[fold.train[3]] = change(texts[fold.test[0]])
    with pytest.raises(LeakageError, match=said):
        leak(replace(corpus, texts=tuple(texts)), fold)


def test_a_synthetic_copy_of_a_tested_text_is_caught():
    corpus = simple()
    fold = first_fold(corpus)
    copy = synthetic(corpus, [fold.train[0]], text=corpus.texts[fold.test[0]] + ".")
    corpus = corpus.extended([copy])
    with pytest.raises(LeakageError, match="nearly equal"):
        leak(corpus, fold, [len(corpus) - 1])
    assert len(usable_rows(corpus, link(corpus), fold, "seed_aware", IMPUTED)) == 0


def test_a_torn_group_is_caught():
    corpus = simple(groups=True)
    plain = replace(corpus, groups=(None,) * len(corpus))
    fold = next(
        f
        for f in make_folds(plain, link(plain), protocol="seed_aware", folds=5, repeats=1)
        if {corpus.groups[k] for k in f.test} & {corpus.groups[k] for k in f.train}
    )
    with pytest.raises(LeakageError, match="group 'author"):
        leak(corpus, fold)


def test_a_judge_that_saw_a_test_text_is_caught():
    # What a judge was shown or trained on counts as a source.
    rows = SyntheticImputer(text="text", label="label", target=30, generator="echo", journal=None)
    data = rows.fit(originals(20, 30))(originals(20, 30))
    ids = dict(zip(data["text"], data["row_id"], strict=True))
    seen = [[ids[sentence(0)]] if made else [] for made in data["is_synthetic"]]
    corpus = read_corpus(data.add_column("judge_source_ids", seen), text="text", label="label")
    judged = corpus.texts.index(sentence(0))
    assert all(judged in corpus.sources[k] for k in corpus.of_kind(IMPUTED))
    links = link(corpus)
    for fold in make_folds(corpus, links, protocol="seed_aware", folds=5, repeats=1):
        rows = usable_rows(corpus, links, fold, "seed_aware", IMPUTED)
        assert (judged not in fold.test) or len(rows) == 0
        if judged in fold.test:
            with pytest.raises(LeakageError, match="one of its sources"):
                leak(corpus, fold, corpus.of_kind(IMPUTED)[:1])


def test_provenance_must_be_there():
    data = SyntheticImputer(text="text", label="label", target=30, generator="echo").fit(originals(20, 30))
    imputed = data(originals(20, 30))
    with pytest.raises(LeakageError, match="source_ids"):
        read_corpus(imputed.remove_columns("source_ids"), text="text", label="label")
    with pytest.raises(LeakageError, match="is_synthetic"):
        read_corpus(imputed.remove_columns("is_synthetic"), text="text", label="label")
    fewer = imputed.select([k for k, row in enumerate(imputed) if row["is_synthetic"] or k % 7])
    with pytest.raises(LeakageError, match="not among the originals"):
        read_corpus(fewer, text="text", label="label")


def test_kinds_and_order():
    strategy = {"rare": 30, "common": 35}
    impute = SyntheticImputer(text="text", label="label", sampling_strategy=strategy, generator="echo")
    corpus = read_corpus(impute.fit(originals(20, 30))(originals(20, 30)), text="text", label="label")
    assert corpus.counts(IMPUTED).tolist() == [0, 10]
    assert corpus.counts(CONTRAST).tolist() == [5, 0]
    assert corpus.originals.tolist() == list(range(50))
    assert all(corpus.labels[s] == corpus.labels[k] for k in corpus.of_kind(IMPUTED) for s in corpus.sources[k])


def test_a_given_hold_out_set_is_tested_and_its_twins_do_not_train():
    corpus = simple()
    rare = corpus.names.index("rare")
    held = [Extra(corpus.texts[0] + "!", rare, HOLDOUT), Extra(sentence(777), rare, HOLDOUT)]
    corpus = corpus.extended([*held, synthetic(corpus, [0, 1], text="made"), synthetic(corpus, [2, 3], text="other")])
    folds = make_folds(corpus, links := link(corpus), protocol="holdout", folds=5, repeats=3)
    assert [fold.test.tolist() for fold in folds] == [corpus.of_kind(HOLDOUT).tolist()] * 3
    assert 0 not in folds[0].train
    assert 1 in folds[0].train
    assert [corpus.texts[k] for k in usable_rows(corpus, links, folds[0], "holdout", IMPUTED)] == ["other"]


def near_texts():
    """Return texts of which some are pieces of others."""
    generator = np.random.default_rng(0)
    texts = [sentence(k) for k in range(120)]
    texts += [" ".join(generator.permutation(text.split())[: generator.integers(6, 10)]) for text in texts[:60]]
    return texts + [text[: -int(generator.integers(1, 6))] for text in texts[:60]]


def is_near(one, other):
    from rapidfuzz import fuzz

    return round(fuzz.ratio(normalise(one), normalise(other), score_cutoff=90)) >= 90


def test_near_twins_are_those_that_comparing_all_pairs_finds():
    texts = near_texts()
    found = {tuple(pair) for pair in near_twins(texts, 130).tolist()}
    truth = {(i, j) for i in range(130) for j in range(i + 1, len(texts)) if is_near(texts[i], texts[j])}
    assert found == truth
    assert len(truth) > 30
    assert found == {tuple(pair) for pair in near_twins(texts).tolist() if min(pair) < 130}


def test_near_twins_among_others_are_those_that_comparing_all_pairs_finds():
    texts = near_texts()
    tests, others = texts[40:140], [*texts[140:], *texts[:40], texts[40].upper()]
    found = {tuple(pair) for pair in near_twins(tests, others=others).tolist()}
    truth = {(i, j) for i, one in enumerate(tests) for j, other in enumerate(others) if is_near(one, other)}
    assert found == truth
    assert len(truth) > 20
    assert near_twins(tests, others=[]).shape == near_twins([], others=others).shape == (0, 2)


def test_near_twins_of_a_test_set_in_a_large_training_set_take_seconds():
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz      "))
    texts = ["".join(generator.choice(letters, generator.integers(40, 240))) for _ in range(20_500)]
    started = time.perf_counter()
    found = near_twins([*texts[:500], texts[600] + "x"], others=texts[500:])
    assert found.tolist() == [[500, 100]]
    assert time.perf_counter() - started < 30
