"""The model card: its whole text from committed facts, metadata that the Hub's own library reads, a person's text."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from hub.cards import find_problems
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

from synimpute_hf.cards import metadata_of, model_card, section_of, unlike_training

EXAMPLES = Path(__file__).parents[2] / "model_cards" / "examples"


@pytest.fixture
def known():
    """Facts of a classifier and of a cross-validation, both of real runs."""
    found = json.loads((EXAMPLES / "model_card.json").read_text(encoding="utf-8"))
    return found["facts"], found["crossval"]


def scores_of(crossval, arm="imputed"):
    rows = crossval["summary"]
    return {
        row["class"]: row["estimate"]
        for row in rows
        if (row["protocol"], row["arm"], row["metric"]) == ("seed_aware", arm, "f1")
    }


def test_the_example_is_what_the_facts_give(known):
    facts, crossval = known
    assert model_card(facts, "", crossval) == (EXAMPLES / "model_card.md").read_text(encoding="utf-8")


def test_the_hubs_library_reads_the_metadata(known):
    facts, crossval = known
    text = model_card(facts, "", crossval)
    assert find_problems(text, "model") == ([], [])
    card = ModelCard(text)
    index = metadata_of(text)["model-index"]
    name, results = model_index_to_eval_results(index)
    assert eval_results_to_model_index(name, results) == index
    assert card.data.model_name == name == "memories"
    assert card.data.eval_results == results
    said = {result.metric_name: result.metric_value for result in results}
    assert said == {
        "F1, class memory, seed-aware 2 x 3 cross-validation": scores_of(crossval)["memory"],
        "F1, macro mean, seed-aware 2 x 3 cross-validation": scores_of(crossval)[None],
    }
    assert all(result.verified is None for result in results)
    assert {result.dataset_type for result in results} == {"ada/memories"}
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.datasets == ["ada/memories"]
    assert card.data.base_model is None  # a folder of a pip package, not a repository


def test_a_base_model_on_the_hub_is_named(known):
    facts, crossval = known
    facts["base_model"] = {"name": "FacebookAI/roberta-base", "hub_id": "FacebookAI/roberta-base", "weights": "0" * 16}
    facts["metadata"].pop("license")
    data = ModelCard(model_card(facts, "", crossval)).data
    assert data.base_model == "FacebookAI/roberta-base"
    assert data.base_model_relation == "finetune"
    assert data.license is None  # none is known


def test_scores_of_another_training_stay_out_of_the_metadata(known):
    facts, crossval = known
    other = copy.deepcopy(crossval)
    other["settings"]["classifier"]["parameters"]["learning_rate"] = 1e-3
    assert unlike_training(facts, crossval) == []
    assert unlike_training(facts, other) == ["learning_rate 3e-05 (there 0.001)"]
    text = model_card(facts, "", other)
    assert "model-index" not in metadata_of(text)
    assert "- Unlike the training of this model: learning_rate 3e-05 (there 0.001)" in text
    assert "These fits are not those of this model" in text
    other["settings"]["classifier"]["name"] = "linear:embedded:all-MiniLM-L6-v2"
    assert unlike_training(facts, other)[0].endswith("(there linear:embedded:all-MiniLM-L6-v2)")
    fewer = copy.deepcopy(crossval)
    fewer["classes"][0]["originals"] -= 1
    assert "originals of class" in unlike_training(facts, fewer)[0]


def test_without_cross_validation_originals_of_the_evaluation_set_count(known):
    facts, _ = known
    assert "model-index" not in metadata_of(model_card(facts))
    assert "No cross-validation is recorded" in model_card(facts)
    classes = [{"name": "health", "f1": 0.75}, {"name": "memory", "f1": 0.25}]
    facts["scores"] = [{"step": step, "epoch": 1.0, "macro": 0.5, "classes": classes} for step in (2, 4)]
    facts["best_step"] = 2
    _, results = model_index_to_eval_results(metadata_of(model_card(facts))["model-index"])
    assert {result.metric_name: result.metric_value for result in results} == {
        "F1, class health, originals of the evaluation set": 0.75,
        "F1, class memory, originals of the evaluation set": 0.25,
        "F1, macro mean, originals of the evaluation set": 0.5,
    }
    assert {result.metric_args["step"] for result in results} == {2}


def test_a_persons_text_and_entries_stay_and_old_scores_go(known):
    facts, crossval = known
    theirs = {"task": {"type": "text-classification"}, "dataset": {"type": "ada/other", "name": "other"}}
    theirs["metrics"] = [{"type": "accuracy", "value": 0.9}]
    first = model_card(facts, "# Mine\n\nBefore.\n", crossval) + "\nAfter.\n"
    metadata = metadata_of(first)
    metadata["license"] = "mit"
    metadata["thumbnail"] = "a.png"
    metadata["model-index"][0]["results"].append(theirs)
    edited = f"---\n{yaml.safe_dump(metadata)}---\n{first.split('---', 2)[2].lstrip()}"
    again = model_card(facts, edited)  # without the cross-validation
    assert "# Mine\n\nBefore.\n" in again
    assert again.endswith("\nAfter.\n")
    assert section_of(again, "model") == section_of(model_card(facts), "model")
    found = metadata_of(again)
    assert found["license"] == "mit"
    assert found["thumbnail"] == "a.png"
    assert found["model-index"] == [{"name": "memories", "results": [theirs]}]
    facts["metadata"]["license"] = {"value": "cc-by-4.0", "asked": True}
    assert metadata_of(model_card(facts, again))["license"] == "cc-by-4.0"


def test_a_class_name_breaks_nothing(known):
    facts, crossval = known
    name = "a|b <i>\n```{{ 77 * 77 }}``` --- [x](y)"
    facts = json.loads(json.dumps(facts).replace('"memory"', json.dumps(name)))
    crossval = json.loads(json.dumps(crossval).replace('"memory"', json.dumps(name)))
    text = model_card(facts, "", crossval)
    assert find_problems(text, "model") == ([], [])
    assert "5929" not in text
    assert model_card(facts, text, crossval) == text
