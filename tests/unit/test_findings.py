"""What is said about scores: every mean, difference, interval and alarm, computed again from the fits."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from coded_texts import coded
from datasets import Dataset

from synimpute_hf import findings
from synimpute_hf.arms import parse_arm
from synimpute_hf.corpus import HOLDOUT, IMPUTED, Extra, read_corpus
from synimpute_hf.findings import FitRecord, find
from synimpute_hf.folds import check_no_leak, link, make_folds
from synimpute_hf.metrics import score
from synimpute_hf.stats import (
    bootstrap_interval,
    corrected_interval,
    correlated_bayes,
    equivalence,
    holm,
    same_rows,
    verdict,
)

pytest.importorskip("rapidfuzz")
ARMS = ("original", "class_weights", "imputed", "imputed:share=0.5")
MARGIN = 0.05
RESAMPLES = 100
SHIFT = {"original": 0.0, "class_weights": 0.3, "imputed": 0.6, "imputed:share=0.5": 0.3}


def make_corpus(**held_counts):
    """Ninety originals of which a fifth are rare, in groups; further ones held out; rows made of the rare ones."""
    rows = coded({"memory": 18, "transport": 30, "market": 42}, authors=40)
    corpus = read_corpus(Dataset.from_dict(rows), text="text", label="label", groups="author")
    held = coded(held_counts, seed=9)
    aside = [
        Extra(f"held {text}", corpus.names.index(label), HOLDOUT, (), f"h{k}", -1, f"held author {k // 2}")
        for k, (text, label) in enumerate(zip(held["text"], held["label"], strict=True))
    ]
    made = [Extra(f"made {k} {'xyz'[k % 3] * 20}", 1, IMPUTED, (k % 18,), "", k) for k in range(24)]
    return corpus.extended([*aside, *made])


@pytest.fixture(scope="module")
def corpus():
    return make_corpus(memory=11, transport=18, market=26)


def record(corpus, links, protocol, fold, arm, lift=1.0):
    """A fit whose probabilities are drawn, not learnt: an arm's shift moves the rare class up."""
    tested = np.concatenate([fold.test, fold.synthetic_test])
    generator = np.random.default_rng([len(protocol), len(arm), fold.repeat, fold.number])
    logits = generator.normal(0, 1, (len(tested), len(corpus.names)))
    logits[np.arange(len(tested)), corpus.labels[tested]] += 1.2
    logits[:, 1] += lift * SHIFT[arm]
    logits[len(fold.test) :, 1] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predictions = probabilities.argmax(1)
    labels, own = corpus.labels[tested], slice(len(fold.test))
    return FitRecord(
        protocol,
        parse_arm(arm),
        fold,
        f"{protocol}/{arm}/{fold.repeat}/{fold.number}",
        0.1,
        {"originals": len(fold.train), "made": 0},
        {},
        check_no_leak(corpus, links.near, fold, fold.train, protocol),
        {},
        tested,
        predictions,
        probabilities,
        score(labels, predictions, probabilities),
        score(labels[own], predictions[own], probabilities[own]) if len(fold.synthetic_test) else None,
    )


def make_records(corpus, protocols, folds=4, repeats=3, lift=1.0):
    links = link(corpus)
    records = []
    for protocol in protocols:
        arms = ARMS if protocol in ("seed_aware", "holdout") else ARMS[2:]
        for fold in make_folds(corpus, links, protocol=protocol, folds=folds, repeats=repeats, seed=1):
            records += [record(corpus, links, protocol, fold, arm, lift) for arm in arms]
    return links, records


@pytest.fixture(scope="module")
def ready(corpus):
    links, records = make_records(corpus, ("seed_aware", "real_test", "pooled", "holdout"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "RESAMPLES", RESAMPLES)
        yield links, records, find(records, corpus, links, [1], MARGIN, 7)


def cell(records, protocol, arm):
    return {(r.fold.repeat, r.fold.number): r for r in records if (r.protocol, r.arm.name) == (protocol, arm)}


def value(fit, metric, code):
    if code is None:
        return fit.scores.get(f"{metric}_macro", fit.scores[metric])
    return fit.scores[metric][code]


def differences(records, one, other, metric, code):
    a, b = cell(records, *one), cell(records, *other)
    assert a.keys() == b.keys()
    pairs = [value(a[place], metric, code) - value(b[place], metric, code) for place in a]
    return np.array([x for x in pairs if not math.isnan(x)])


def share_of(records, protocol):
    folds = {(r.fold.repeat, r.fold.number): r.fold for r in records if r.protocol == protocol}.values()
    return float(np.mean([len(fold.test) / len(fold.train) for fold in folds]))


def test_test_shares(ready):
    _, records, found = ready
    assert found["test_share"] == {name: pytest.approx(share_of(records, name)) for name in found["test_share"]}
    assert found["test_share"]["seed_aware"] == pytest.approx(1 / 3, abs=0.01)


def test_every_mean(ready, corpus):
    _, records, found = ready
    seen = Counter()
    for row in found["summary"]:
        code = None if row["class"] is None else corpus.names.index(row["class"])
        fits = cell(records, row["protocol"], row["arm"]).values()
        values = np.array([value(fit, row["metric"], code) for fit in fits])
        values = values[~np.isnan(values)]
        assert row["estimate"] == pytest.approx(values.mean())
        seen[row["protocol"], row["arm"]] += 1
        if row["protocol"] == "holdout":
            continue
        interval = corrected_interval(values, share_of(records, row["protocol"]))
        low, high = max(interval.low, -1.0 if row["metric"] == "mcc" else 0.0), min(interval.high, 1.0)
        assert [row[name] for name in ("low", "high", "sd", "n")] == pytest.approx([low, high, interval.sd, 12])
    assert set(seen.values()) == {4 * 3 + 6, 3}  # every number of the folds; what is compared, of the hold-out set
    assert len(seen) == 4 + 2 + 2 + 4


def test_every_comparison(ready, corpus):
    _, records, found = ready
    rows = [row for row in found["comparisons"] if row["protocol"] == "seed_aware"]
    assert [(row["metric"], row["class"]) for row in rows[::3]] == [
        ("f1", corpus.names[1]),
        ("average_precision", corpus.names[1]),
        ("f1", None),
    ]
    share = share_of(records, "seed_aware")
    for metric, name in {(row["metric"], row["class"]): None for row in rows}:
        family = [row for row in rows if (row["metric"], row["class"]) == (metric, name)]
        assert [row["arm"] for row in family] == list(ARMS[1:])
        code = None if name is None else corpus.names.index(name)
        every = [
            differences(records, ("seed_aware", arm), ("seed_aware", "original"), metric, code) for arm in ARMS[1:]
        ]
        adjusted = holm([corrected_interval(values, share).p for values in every])
        for row, values, p_holm in zip(family, every, adjusted, strict=True):
            interval, equal = corrected_interval(values, share), equivalence(values, share, MARGIN)
            posterior = correlated_bayes(values, share / (1 + share), MARGIN)
            said = verdict(interval, equal, p_holm, share)
            assert row["difference"] == pytest.approx(values.mean())
            assert (row["low"], row["high"], row["p"]) == pytest.approx((interval.low, interval.high, interval.p))
            assert row["p_holm"] == pytest.approx(p_holm)
            assert row["p_equivalence"] == pytest.approx(equal.p)
            assert (row["prob_worse"], row["prob_equivalent"], row["prob_better"]) == pytest.approx(
                (posterior.worse, posterior.equivalent, posterior.better)
            )
            assert (row["verdict"], row["sentence"]) == (said.word, said.sentence)
            assert row["against"] == "original"
    assert {row["protocol"] for row in found["comparisons"]} == {"seed_aware", "holdout"}  # never those that leak


def test_the_hold_out_set_is_drawn_anew_by_its_groups(ready, corpus):
    links, records, found = ready
    code = 1
    for arm in ARMS[1:]:
        row = next(
            r
            for r in found["comparisons"]
            if (r["protocol"], r["arm"], r["metric"], r["class"]) == ("holdout", arm, "f1", corpus.names[code])
        )
        both = [list(cell(records, "holdout", name).values()) for name in (arm, "original")]
        tested = both[0][0].tested
        assert all(np.array_equal(fit.tested, tested) for fits in both for fit in fits)

        def statistic(rows, both=both, tested=tested):
            means = [
                np.mean(
                    [
                        score(corpus.labels[tested[rows]], fit.predictions[rows], fit.probabilities[rows])["f1"][code]
                        for fit in fits
                    ]
                )
                for fits in both
            ]
            return float(means[0] - means[1])

        interval = bootstrap_interval(statistic, len(tested), RESAMPLES, 0.95, 7, links.group[tested])
        assert interval.n == len(np.unique(links.group[tested])) < len(tested)
        assert [row[name] for name in ("difference", "low", "high", "p", "n")] == pytest.approx(
            [interval.estimate, interval.low, interval.high, interval.p, interval.n]
        )
        mean = next(
            r
            for r in found["summary"]
            if (r["protocol"], r["arm"], r["metric"], r["class"]) == ("holdout", arm, "f1", corpus.names[code])
        )
        assert mean["low"] < mean["estimate"] < mean["high"]
        assert row["p_equivalence"] is None or math.isnan(row["p_equivalence"])
        assert row["prob_better"] is None
        assert "repeats" not in row["sentence"]  # of which more would not help


def test_inflation_in_its_parts(ready, corpus):
    _, records, found = ready
    parts = {row["part"]: row for row in found["inflation"]}
    pairs = {
        "total": ("pooled", "seed_aware"),
        "synthetic texts in the test folds": ("pooled", "real_test"),
        "shared sources": ("real_test", "seed_aware"),
    }
    by_fold = {
        part: differences(records, (one, "imputed"), (other, "imputed"), "f1", 1)
        for part, (one, other) in pairs.items()
    }
    assert np.allclose(by_fold["total"], by_fold["synthetic texts in the test folds"] + by_fold["shared sources"])
    share = share_of(records, "seed_aware")
    for part, values in by_fold.items():
        interval = corrected_interval(values, share)
        row = parts[part]
        assert (row["estimate"], row["low"], row["high"], row["p"]) == pytest.approx(
            (interval.estimate, interval.low, interval.high, interval.p)
        )
        assert f"{interval.estimate:+.3f}" in row["sentence"]
        assert row["class"] == corpus.names[1]
    assert parts["total"]["estimate"] == pytest.approx(
        parts["synthetic texts in the test folds"]["estimate"] + parts["shared sources"]["estimate"]
    )


def test_overfitting_is_measured_on_the_hold_out_set_where_there_is_one(ready, corpus):
    _, records, found = ready
    f1 = {
        (row["protocol"], row["arm"]): row
        for row in found["summary"]
        if (row["metric"], row["class"]) == ("f1", corpus.names[1])
    }
    assert [row["arm"] for row in found["overfitting"]] == ["imputed", "imputed:share=0.5"]
    for row in found["overfitting"]:
        own, true = f1["pooled", row["arm"]], f1["holdout", row["arm"]]
        assert row["against"] == "holdout"
        assert row["estimate"] == pytest.approx(own["estimate"] - true["estimate"])
        assert row["high"] - row["low"] == pytest.approx(
            math.hypot(own["high"] - own["low"], true["high"] - true["low"])
        )
        assert (row["p"] < 0.05) == (row["low"] > 0 or row["high"] < 0)
    without = [r for r in records if r.protocol != "holdout"]
    rows = find(without, corpus, link(corpus), [1], MARGIN, 7)["overfitting"]
    assert_against_the_folds(rows, records)


def assert_against_the_folds(rows, records):
    assert len(rows) == 2
    for row in rows:
        values = differences(records, ("pooled", row["arm"]), ("seed_aware", row["arm"]), "f1", 1)
        assert row["against"] == "seed_aware"
        assert row["estimate"] == pytest.approx(values.mean())
        assert row["low"] == pytest.approx(corrected_interval(values, share_of(records, "seed_aware")).low)


def test_overfitting_is_not_measured_on_a_hold_out_set_of_another_prevalence(monkeypatch):
    monkeypatch.setattr(findings, "RESAMPLES", 10)
    corpus = make_corpus(memory=30, transport=20, market=5)
    links, records = make_records(corpus, ("seed_aware", "pooled", "real_test", "holdout"), repeats=1)
    assert_against_the_folds(find(records, corpus, links, [1], MARGIN, 7)["overfitting"], records)


def test_counts_of_checks_confusion_and_reliability(ready, corpus):
    _, records, found = ready
    for protocol, totals in found["leak_check"].items():
        checks = [r.check for r in records if r.protocol == protocol]
        assert totals["fits"] == len(checks)
        assert totals["test"] == sum(check.test for check in checks)
        assert totals["synthetic_test"] == sum(len(r.fold.synthetic_test) for r in records if r.protocol == protocol)
    assert found["leak_check"]["pooled"]["synthetic_test"] == 24 * 3 * 2
    for row in found["confusion"]:
        fits = cell(records, row["protocol"], row["arm"]).values()
        matrix = np.zeros((3, 3), int)
        for fit in fits:
            for position, said in zip(fit.fold.test, fit.predictions, strict=False):
                matrix[corpus.labels[position], said] += 1
        assert row["matrix"] == matrix.tolist()
    for row in found["reliability"]:
        fits = list(cell(records, row["protocol"], row["arm"]).values())
        chances = np.concatenate([fit.probabilities[: len(fit.fold.test), 1] for fit in fits])
        truth = np.concatenate([corpus.labels[fit.fold.test] == 1 for fit in fits])
        assert sum(part["n"] for part in row["bins"]) == len(chances)
        for part in row["bins"]:
            inside = (chances >= part["low"]) & (chances < part["high"] + 1e-9 * (part["high"] == 1))
            assert abs(int(inside.sum()) - part["n"]) <= 1  # 0.3 is no binary number
            if part["n"] > 1:
                assert part["low"] <= part["confidence"] <= part["high"]
                assert part["observed"] == pytest.approx(truth[inside].mean(), abs=1.01 / part["n"])


def test_a_fold_without_a_tested_row_of_a_class_counts_in_no_mean(ready, corpus):
    links, records, _ = ready
    fits = [r for r in records if r.protocol == "seed_aware"]
    first = fits[0].fold
    fewer = []
    for fit in fits:
        if (fit.fold.repeat, fit.fold.number) == (first.repeat, first.number):
            kept = corpus.labels[fit.tested] != 1
            labels = corpus.labels[fit.tested[kept]]
            fit = replace(
                fit,
                fold=replace(fit.fold, test=fit.fold.test[kept]),
                tested=fit.tested[kept],
                predictions=fit.predictions[kept],
                probabilities=fit.probabilities[kept],
                scores=score(labels, fit.predictions[kept], fit.probabilities[kept]),
            )
        fewer.append(fit)
    found = find(fewer, corpus, links, [1], MARGIN, 7)
    rows = {(row["metric"], row["class"]): row for row in found["summary"] if row["arm"] == "original"}
    assert rows["f1", corpus.names[1]]["n"] == 11
    assert rows["f1", corpus.names[0]]["n"] == 12
    assert rows["f1", None]["n"] == 12
    assert all(math.isfinite(row["difference"]) and math.isfinite(row["p"]) for row in found["comparisons"])
    assert {row["n"] for row in found["comparisons"] if row["class"] == corpus.names[1]} == {11}


def shaped(corpus, f1, average_precision):
    """Records of two arms whose scores of the rare class differ by given amounts, with a little noise."""
    links, records = make_records(corpus, ("seed_aware",))
    generator = np.random.default_rng(0)
    made = []
    for fit in records:
        if fit.arm.name not in ("original", "imputed"):
            continue
        noise = generator.normal(0, 0.005, 2)
        more = np.array([f1, average_precision]) * (fit.arm.name == "imputed") + noise + 0.7
        scores = {**fit.scores, "f1": [0.8, more[0], 0.8], "average_precision": [0.8, more[1], 0.8]}
        made.append(replace(fit, scores=scores))
    return find(made, corpus, links, [1], 0.02, 0)


@pytest.mark.parametrize(
    ("f1", "average_precision", "verdict_f1", "said"),
    [
        (0.1, 0.1, "better", "ranks texts better, and its F1 is higher"),
        (0.0, 0.1, "equivalent", "ranks texts better, though its F1 is not higher"),
        (0.1, 0.0, "better", "only moves the threshold as far as can be told"),
        (0.1, -0.1, "better", "ranks texts worse: its higher F1 comes from a moved threshold alone"),
        (-0.1, -0.1, "worse", "ranks texts worse ("),
        (0.0, 0.0, "equivalent", "neither ranks better nor scores higher"),
    ],
)
def test_ranks_better_or_only_moves_the_threshold(corpus, f1, average_precision, verdict_f1, said):
    found = shaped(corpus, f1, average_precision)
    (row,) = found["ranking"]
    assert row["sentence"].startswith(said)
    assert (row["arm"], row["class"], row["protocol"]) == ("imputed", corpus.names[1], "seed_aware")
    assert found["comparisons"][0]["verdict"] == verdict_f1


@pytest.mark.parametrize(("gap", "said"), [(0.02, None), (0.045, "advises to stay below 4"), (0.08, "over 5 points")])
def test_alarms(corpus, gap, said):
    links, records = make_records(corpus, ("seed_aware", "pooled", "real_test"))
    flat = []
    for fit in records:
        f1 = 0.65 + gap * (fit.protocol == "pooled")
        flat.append(replace(fit, scores={**fit.scores, "f1": [0.8, f1, 0.8]}))
    alarms = find(flat, corpus, links, [1], 0.02, 0)["alarms"]
    assert [alarm["name"] for alarm in alarms] == (["overfitting"] if said else [])
    if said:
        assert said in alarms[0]["sentence"]
        assert "synimpute calibrate" in alarms[0]["advice"]
    low = [replace(fit, scores={**fit.scores, "f1": [0.8, 0.4, 0.8]}) for fit in flat]
    assert [alarm["name"] for alarm in find(low, corpus, links, [1], 0.02, 0)["alarms"]] == ["low F1"]


def test_two_arms_that_train_on_the_same_rows_are_not_called_equivalent(corpus):
    """Where no synthetic text may train a fold, imputed is original; its equal scores show nothing."""
    links, records = make_records(corpus, ("seed_aware",))
    originals = {(r.fold.repeat, r.fold.number): r for r in records if r.arm.name == "original"}
    poor = [
        replace(originals[r.fold.repeat, r.fold.number], arm=r.arm) if r.arm.name == "imputed" else r for r in records
    ]
    found = find(poor, corpus, links, [1], MARGIN, 7)
    (entry,) = (
        e for e in found["comparisons"] if (e["arm"], e["metric"], e["class"]) == ("imputed", "f1", corpus.names[1])
    )
    assert entry["difference"] == 0
    assert entry["verdict"] == "cannot tell"
    assert "in 12 of 12 fits both train on the same rows" in entry["sentence"]
    assert same_rows(6, 12) is None
