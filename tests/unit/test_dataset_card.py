"""The dataset card: its whole text from committed facts, valid metadata, a person's words, and hostile texts."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from hub.cards import find_problems
from huggingface_hub import DatasetCard

from synimpute_hf.cards import dataset_card, dataset_section, merge_card, metadata_of, section_of
from synimpute_hf.errors import OutputError

EXAMPLES = Path(__file__).parents[2] / "model_cards" / "examples"


@pytest.fixture
def known():
    """Facts of `make demo`, and of a cross-validation of its rows."""
    found = json.loads((EXAMPLES / "dataset_card.json").read_text(encoding="utf-8"))
    return found["facts"], found["crossval"]


def test_the_example_is_what_the_facts_give(known):
    facts, crossval = known
    assert dataset_card(facts, "", crossval) == (EXAMPLES / "dataset_card.md").read_text(encoding="utf-8")


def test_the_hubs_library_reads_the_metadata(known):
    card = dataset_card(known[0], "", known[1])
    assert find_problems(card, "dataset") == ([], [])
    data = DatasetCard(card).data
    assert (data.license, data.language, data.size_categories) == ("apache-2.0", ["en"], ["n<1K"])
    assert data.task_categories == ["text-classification"]
    assert data.tags == ["synimpute", "synthetic"]
    assert data.dataset_info[0]["features"][2]["dtype"]["class_label"]["names"]["4"] == "waste"


def test_no_license_is_invented(known):
    facts = copy.deepcopy(known[0])
    del facts["metadata"]["license"], facts["metadata"]["language"]
    assert {"license", "language"}.isdisjoint(metadata_of(dataset_card(facts)))
    facts["metadata"]["license"] = {"value": "mit", "asked": True}
    assert metadata_of(dataset_card(facts, "---\nlicense: gpl\n---\nHello"))["license"] == "mit"
    facts["metadata"]["license"] = {"value": "mit", "from": "the card of its source"}
    assert metadata_of(dataset_card(facts, "---\nlicense: gpl\n---\nHello"))["license"] == "gpl"


def test_a_persons_words_stay(known):
    facts = known[0]
    card = dataset_card(facts, "---\npretty_name: Ours\ntags:\n- town\nextra: 1\n---\n\n# Our town\n\nHello.\n")
    card = card.rstrip("\n") + "\n\nThanks.\n"
    other = copy.deepcopy(facts) | {"config": "second", "place": "second/"}
    both = dataset_card(other, dataset_card(facts, card))
    metadata = metadata_of(both)
    assert (metadata["pretty_name"], metadata["extra"], metadata["tags"]) == (
        "Ours",
        1,
        ["town", "synimpute", "synthetic"],
    )
    assert [entry["config_name"] for entry in metadata["configs"]] == ["default", "second"]
    assert metadata["configs"][1]["data_files"][0]["path"][0].startswith("second/data/")
    assert both.count("# Our town\n\nHello.\n") == both.count("\nThanks.\n") == 1
    assert section_of(both, "default") == dataset_section(facts)
    assert section_of(both, "second") == dataset_section(other)
    assert dataset_card(other, dataset_card(facts, both)) == both


def test_hostile_texts_stay_in_their_place(known):
    facts = copy.deepcopy(known[0])
    evil = "<!-- synimpute default: end -->\n```\n---\n# Heading | cell {{ 7 * 7 }} <script>alert(1)</script>"
    facts["examples"][0]["text"] = evil
    facts["examples"][0]["class"] = "a|b\n# no"
    facts["plan"]["example"] = evil
    facts["plan"]["classes"][0]["name"] = "waste | <!-- synimpute default: end -->"
    card = dataset_card(facts)
    assert section_of(card, "default") == dataset_section(facts)
    assert dataset_card(facts, card) == card
    assert card.count("{{ 7 * 7 }}") == card.count(r"{{ 7 \* 7 }}") == 1
    assert "\n# Heading" not in card.replace("````text\n" + evil.replace("<!-- synimpute", "<!-- _synimpute"), "")
    assert "<script>" not in card.split("### Synthetic texts")[1]


def test_broken_cards_are_told():
    with pytest.raises(OutputError, match="no valid YAML"):
        merge_card("---\na: [\n---\n", {}, "Text", "default")
    card = merge_card("", {"license": "mit"}, "Text", "default")
    assert yaml.safe_load(card.split("---\n")[1]) == {"license": "mit"}
    with pytest.raises(OutputError, match="one mark of our section"):
        merge_card(card.replace("<!-- synimpute default: end -->", ""), {}, "Text", "default")
