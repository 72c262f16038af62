"""Arms: what a user may write, how many rows each gets, which rows and weights, and where a threshold falls."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from synimpute_hf.arms import DEFAULT_ARMS, Arm, Quota, choose_rows, kind_in, parse_arm
from synimpute_hf.corpus import CEILING, CONTRAST, IMPUTED, Extra, read_corpus
from synimpute_hf.errors import PlanError, SynimputeWarning
from synimpute_hf.folds import PROTOCOLS, link, make_folds
from synimpute_hf.registry import parse_spec
from synimpute_hf.training import _best_threshold, decide

RARE, COMMON = 0, 1


@pytest.mark.parametrize(
    ("text", "arm"),
    [
        ("original", Arm("original")),
        (" original ", Arm("original")),
        ("threshold", Arm("threshold", threshold=True)),
        ("class_weights", Arm("class_weights", class_weights=True)),
        ("original+class_weights", Arm("original+class_weights", class_weights=True)),
        ("threshold+class_weights", Arm("threshold+class_weights", threshold=True, class_weights=True)),
        ("oversample", Arm("oversample", "oversample")),
        ("eda:synonyms=none", Arm("eda:synonyms=none", "eda:synonyms=none")),
        ("oversample+class_weights", Arm("oversample+class_weights", "oversample", class_weights=True)),
        ("ssmba:roberta-base", Arm("ssmba:roberta-base", "ssmba:roberta-base")),
        ("ssmba:org/name,noise=0.2", Arm("ssmba:org/name,noise=0.2", "ssmba:org/name,noise=0.2")),
        ("ceiling", Arm("ceiling", "ceiling")),
        ("imputed", Arm("imputed", "imputed")),
        ("imputed:share=1", Arm("imputed:share=1", "imputed")),
        ("imputed:weight=0.5", Arm("imputed:weight=0.5", "imputed", weight=0.5)),
        ("imputed:weight=3,share=0.25", Arm("imputed:weight=3,share=0.25", "imputed", share=0.25, weight=3)),
        ("imputed+class_weights", Arm("imputed+class_weights", "imputed", class_weights=True)),
        ("imputed+contrast", Arm("imputed+contrast", "imputed", contrast="share")),
        ("imputed+contrast:match=share", Arm("imputed+contrast:match=share", "imputed", contrast="share")),
        ("imputed+contrast:match=number", Arm("imputed+contrast:match=number", "imputed", contrast="number")),
        (
            "imputed:share=0.5+contrast+class_weights",
            Arm("imputed:share=0.5+contrast+class_weights", "imputed", 0.5, contrast="share", class_weights=True),
        ),
    ],
)
def test_every_form(text, arm):
    assert parse_arm(text) == arm


def test_only_augmenters_have_a_spec():
    with pytest.warns(SynimputeWarning, match="eda has no synonyms"):
        assert [parse_arm(arm).augmenter for arm in DEFAULT_ARMS] == ["", "", "", "oversample", "eda", "", ""]
    assert parse_arm("eda:synonyms=none,alpha=0.2+class_weights").augmenter == "eda:synonyms=none,alpha=0.2"
    assert parse_arm("ceiling").augmenter == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("imputd", "There is no arm 'imputd'. There are: .*original.*Did you mean 'imputed'?"),
        ("", "There is no arm ''. There are: "),
        ("original:5", "original takes no options"),
        ("class_weights:power=2", "class_weights takes no options"),
        ("imputed:gpt-4o", "expected imputed or imputed:weight=0.5,share=0.75, got 'gpt-4o'"),
        ("ceiling:all", "expected ceiling or ceiling:weight=0.5"),
        ("imputed:weight=0", r"expected weight=λ above 0 or share=s in \(0, 1\], got weight=0"),
        ("imputed:weight=nan", "expected weight=λ above 0"),
        ("imputed:weight=inf", "expected weight=λ above 0"),
        ("imputed:share=1.5", r"share=s in \(0, 1\], got share=1.5"),
        ("imputed:share=half", r"share=s in \(0, 1\], got share=half"),
        ("imputed:wait=0.5", "expected weight=λ above 0 or share=s .*, got wait=0.5"),
        ("imputed+contrat", "after a plus expected one of class_weights, contrast, got 'contrat'. Did you mean"),
        ("imputed+", "after a plus expected one of class_weights, contrast, got ''"),
        ("imputed+class_weights:2", "class_weights takes no options"),
        ("oversample+contrast", "contrast stands with imputed, as imputed"),
        ("imputed+contrast:match=all", r"imputed\+contrast:match=number"),
        ("imputed+contrast:number", r"imputed\+contrast:match=number"),
        ("imputed+contrast:numbers=2", r"imputed\+contrast:match=number"),
        ("eda:alfa=0.2", "takes no option 'alfa'. It takes: alpha.* Did you mean 'alpha'"),
        ("eda:alpha=much", "alpha: .*number"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(text, said):
    with pytest.raises(PlanError, match=said):
        parse_arm(text)


def test_quota_by_hand():
    # 20 rare rows lack 30; 10 of a second rare class lack 40; 100 common ones lack none.
    quota = Quota(np.array([30, 40, 0]), np.array([20, 10, 100]))
    assert quota.focus.tolist() == [0, 1]
    train = np.array([16, 9, 90])
    assert quota.in_fold(train).tolist() == [24, 36, 0]  # 30 * 16 / 20, 40 * 9 / 10
    assert quota.in_fold(train, 0.5).tolist() == [12, 18, 0]
    assert quota.in_fold(np.array([0, 9, 90])).tolist() == [0, 36, 0]
    # 60 made rows for 25 originals: 2.4 for each of 90.
    assert quota.contrast(train, "share").tolist() == [0, 0, 216]
    assert quota.contrast(train, "share", 0.5).tolist() == [0, 0, 108]
    assert quota.contrast(train, "number").tolist() == [0, 0, 30]  # the mean of 24 and 36
    assert quota.in_fold(quota.originals).tolist() == [30, 40, 0]


def test_quota_of_nothing_short():
    quota = Quota(np.array([0, 0]), np.array([20, 0]))
    assert quota.focus.tolist() == []
    assert quota.in_fold(np.array([10, 0])).tolist() == [0, 0]
    assert quota.contrast(np.array([10, 0]), "share").tolist() == [0, 0]


def small_corpus(imputed=60, contrast=60):
    """Ten rare and 40 common originals; rare rows made of two each, in the order of draws; ceiling rows; copies."""
    texts = [f"row {'abcdefghij'[k % 10] * 5} {'klmnopqrst'[k // 10] * 7} {k * 7919}" for k in range(50)]
    columns = {"text": texts, "label": ["a rare"] * 10 + ["common"] * 40}
    corpus = read_corpus(Dataset.from_dict(columns), text="text", label="label")
    generator = np.random.default_rng(0)
    made = []
    for kind, label, low, high, count in ((IMPUTED, RARE, 0, 10, imputed), (CONTRAST, COMMON, 10, 50, contrast)):
        for draw in range(count):
            sources = tuple(map(int, generator.choice(np.arange(low, high), 2, replace=False)))
            made.append(Extra(f"{kind} number {draw} {'xyzuvw'[draw % 6] * 9}", label, kind, sources, "", draw))
    made += [Extra(f"further {'ghijk'[k] * 12}", RARE, CEILING, (), f"c{k}", -1) for k in range(5)]
    for draw in range(40):
        source = draw % 10
        made.append(Extra(f"{texts[source]} copied", RARE, "eda:synonyms=none", (source,), "", draw))
    return corpus.extended(made[::-1])  # the order in the table is not the order of draws


@pytest.fixture(scope="module")
def ready():
    corpus = small_corpus()
    links = link(corpus)
    folds = {
        name: make_folds(corpus, links, protocol=name, folds=5, repeats=2, seed=3)
        for name in PROTOCOLS
        if name != "nested"
    }
    return corpus, links, folds, Quota(np.array([20, 0]), np.array([10, 40]))


@pytest.mark.parametrize("protocol", ["seed_aware", "real_test", "pooled", "holdout"])
@pytest.mark.parametrize(
    ("spec", "rare", "common"),
    [
        ("original", 8, 32),
        ("threshold", 8, 32),
        ("class_weights", 8, 32),
        ("imputed", 8 + 16, 32),
        ("imputed:share=0.5", 8 + 8, 32),
        ("imputed+contrast", 8 + 16, 32 + 64),
        ("imputed+contrast:match=number", 8 + 16, 32 + 16),
        ("eda:synonyms=none", 8 + 16, 32),
    ],
)
def test_how_many_rows_train(ready, protocol, spec, rare, common):
    corpus, links, folds, quota = ready
    for fold in folds[protocol]:
        chosen = choose_rows(parse_arm(spec), corpus, links, fold, protocol, quota)
        counts = np.bincount(corpus.labels[chosen.rows])
        missing = np.array([chosen.short.get(code, 0) for code in (RARE, COMMON)])
        assert (counts + missing).tolist() == [rare, common]
        assert np.array_equal(chosen.rows[: len(fold.train)], fold.train)
        assert len(set(chosen.rows.tolist())) == len(chosen.rows)
        assert not set(chosen.rows.tolist()) & {*fold.test.tolist(), *fold.synthetic_test.tolist()}


def test_the_first_usable_draws_train(ready):
    corpus, links, folds, quota = ready
    imputed = corpus.of_kind(IMPUTED)
    imputed = imputed[np.argsort(corpus.draws[imputed])]
    for fold in folds["seed_aware"]:
        clean = [k for k in imputed if not set(corpus.sources[k]) & set(fold.test.tolist())]
        rows = choose_rows(parse_arm("imputed"), corpus, links, fold, "seed_aware", quota).rows
        assert rows[len(fold.train) :].tolist() == clean[:16]
        every = choose_rows(parse_arm("imputed"), corpus, links, fold, "real_test", quota).rows
        assert every[len(fold.train) :].tolist() == imputed[:16].tolist()
    for fold in folds["pooled"]:
        rest = [k for k in imputed if k not in set(fold.synthetic_test.tolist())]
        rows = choose_rows(parse_arm("imputed"), corpus, links, fold, "pooled", quota).rows
        assert rows[len(fold.train) :].tolist() == rest[:16]


def test_a_larger_share_keeps_the_rows_of_a_smaller_one(ready):
    corpus, links, folds, quota = ready
    for fold in folds["seed_aware"]:
        rows = [
            choose_rows(parse_arm(arm), corpus, links, fold, "seed_aware", quota).rows.tolist()
            for arm in ("imputed:share=0.25", "imputed:share=0.75", "imputed")
        ]
        assert set(rows[0]) < set(rows[1]) < set(rows[2])


def test_what_is_missing_is_counted():
    corpus = small_corpus(imputed=4, contrast=3)
    links = link(corpus)
    quota = Quota(np.array([20, 0]), np.array([10, 40]))
    for fold in make_folds(corpus, links, protocol="seed_aware", folds=5, repeats=1):
        tested = set(fold.test.tolist())
        there = {
            kind: sum(not tested & set(corpus.sources[k]) for k in corpus.of_kind(kind)) for kind in (IMPUTED, CONTRAST)
        }
        chosen = choose_rows(parse_arm("imputed+contrast"), corpus, links, fold, "seed_aware", quota)
        assert chosen.short == {RARE: 16 - there[IMPUTED], COMMON: 64 - there[CONTRAST]}
        ceiling = choose_rows(parse_arm("ceiling"), corpus, links, fold, "seed_aware", quota)
        assert ceiling.short == {RARE: 16 - 5}
        assert set(corpus.of_kind(CEILING)) <= set(ceiling.rows.tolist())


@pytest.mark.parametrize("spec", ["class_weights", "imputed+class_weights", "imputed:weight=0.25+class_weights"])
def test_with_class_weights_every_class_weighs_the_same(ready, spec):
    corpus, links, folds, quota = ready
    for fold in folds["seed_aware"]:
        chosen = choose_rows(parse_arm(spec), corpus, links, fold, "seed_aware", quota)
        labels = corpus.labels[chosen.rows]
        sums = [chosen.weights[labels == code].sum() for code in (RARE, COMMON)]
        assert sums[0] == pytest.approx(sums[1])
        assert (chosen.weights > 0).all()
        # The loss as a whole keeps its size, so that a penalty weighs what it weighed.
        plain = choose_rows(parse_arm(spec.removesuffix("+class_weights")), corpus, links, fold, "seed_aware", quota)
        assert chosen.weights.sum() == pytest.approx(plain.weights.sum())


@pytest.mark.parametrize("weight", [0.25, 3.0])
def test_a_made_row_weighs_what_was_asked_for(ready, weight):
    corpus, links, folds, quota = ready
    fold = folds["seed_aware"][0]
    chosen = choose_rows(parse_arm(f"imputed:weight={weight}"), corpus, links, fold, "seed_aware", quota)
    made = np.array([bool(corpus.sources[k]) for k in chosen.rows])
    assert set(chosen.weights[made]) == {weight}
    assert set(chosen.weights[~made]) == {1.0}
    balanced = choose_rows(
        parse_arm(f"imputed:weight={weight}+class_weights"), corpus, links, fold, "seed_aware", quota
    )
    rare = corpus.labels[balanced.rows] == RARE
    assert np.allclose(balanced.weights[rare & made] / balanced.weights[rare & ~made][0], weight)


def test_in_nested_each_fold_has_rows_of_its_own(ready):
    corpus, _, folds, quota = ready
    one, other = folds["seed_aware"][:2]
    assert kind_in(IMPUTED, "nested", one) != kind_in(IMPUTED, "nested", other)
    assert kind_in(CEILING, "nested", one) == CEILING
    assert kind_in(IMPUTED, "seed_aware", one) == IMPUTED
    sources = tuple(int(k) for k in one.train if corpus.labels[k] == RARE)[:2]
    own = [Extra(f"own {draw}", RARE, kind_in(IMPUTED, "nested", one), sources, "", draw) for draw in range(16)]
    wider = corpus.extended(own)
    chosen = choose_rows(parse_arm("imputed"), wider, link(wider), one, "nested", quota)
    assert chosen.rows[len(one.train) :].tolist() == list(range(len(corpus), len(wider)))
    assert chosen.short == {}
    assert choose_rows(parse_arm("imputed"), wider, link(wider), other, "nested", quota).short == {RARE: 16}


# -- thresholds -----------------------------------------------------------------------------------------------------

chances = st.lists(st.integers(0, 8), min_size=2, max_size=4).filter(any).map(lambda v: [x / sum(v) for x in v])


@given(st.lists(chances, min_size=1, max_size=8), st.data())
def test_decide_by_its_definition(rows, data):
    width = min(len(row) for row in rows)
    table = np.array([row[:width] for row in rows])
    codes = data.draw(st.sets(st.integers(0, width - 1), max_size=width))
    thresholds = {code: data.draw(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9])) for code in codes}
    decided = decide(table, thresholds)
    for row, got in zip(table, decided, strict=True):
        passing = {code: row[code] / max(line, 1e-12) for code, line in thresholds.items() if row[code] >= line > 0}
        passing |= {code: row[code] / 1e-12 for code, line in thresholds.items() if line == 0 and row[code] >= 1e-12}
        others = [code for code in range(width) if code not in thresholds]
        if passing:
            assert passing[got] == max(passing.values())
        elif others:
            assert got in others
            assert row[got] == max(row[other] for other in others)
        else:
            assert 0 <= got < width
    assert decide(table, {}).tolist() == table.argmax(1).tolist()


def f1_above(scores, positive, line):
    said = scores >= line
    hits = (said & positive).sum()
    return 2 * hits / (said.sum() + positive.sum())


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=12).filter(
        lambda v: any(p for _, p in v)
    )
)
def test_no_threshold_has_a_higher_f1(rows):
    scores = np.array([score / 7 for score, _ in rows])
    positive = np.array([truth for _, truth in rows])
    best = _best_threshold(scores, positive)
    brute = max(f1_above(scores, positive, line) for line in scores)
    assert f1_above(scores, positive, best) == pytest.approx(brute)
    assert best <= scores.max()


def test_a_threshold_lies_half_way():
    assert _best_threshold(np.array([0.9, 0.6, 0.4, 0.1]), np.array([True, True, False, False])) == pytest.approx(0.5)
    assert _best_threshold(np.array([0.9, 0.6]), np.array([True, True])) == pytest.approx(0.3)


def test_options_of_a_spec_may_have_digits_and_capitals_in_their_names():
    assert parse_spec("transformers:X,bf16=True,epochs=2") == ("transformers", "X", {"bf16": "True", "epochs": "2"})
    assert parse_spec("linear,C=1.5") == ("linear", "", {"C": "1.5"})
