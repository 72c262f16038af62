"""Every augmenter that is found keeps the same contract: pure, exact, picklable, and it says who it is."""

import json
import pickle

import pytest
from masked_lm import TEXTS, save_masked_lm

from synimpute_hf.augmenters import Augmenter, make_augmenter
from synimpute_hf.errors import PlanError, SynimputeWarning
from synimpute_hf.registry import load_plugin, plugin_names
from synimpute_hf.seeding import canonical_json

FOUND = plugin_names("augmenters")
EDGES = ["Word", "ö", "  two   words\n", "İstanbul'da 猫が好き 👩‍👩‍👧 \ud800 end", "one two " * 200]


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """A spec of each augmenter that can be made on a machine without a network, by key."""
    folder = tmp_path_factory.mktemp("masked-lm")
    synonyms = folder / "synonyms.txt"
    synonyms.write_text(
        "old, ancient, aged\nriver, stream\nshop, store\nhome, house\ngood, fine, decent\nletter, note\n"
    )
    return {
        "eda": f"eda:synonyms={synonyms}",
        "ssmba": f"ssmba:{save_masked_lm(folder / 'tiny')}",
    }


@pytest.fixture(params=FOUND)
def augmenter(request, specs):
    made = make_augmenter(specs.get(request.param, request.param))
    yield made
    made.close()


def test_found_by_file_name():
    assert FOUND == ["eda", "oversample", "ssmba"]


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.filterwarnings("ignore::synimpute_hf.errors.SynimputeWarning")
def test_every_augmenter_is_cheap_to_make(name):
    plugin = load_plugin("augmenters", name, PlanError)
    assert issubclass(plugin, Augmenter)
    assert plugin.key == name
    assert plugin.__doc__
    assert plugin.from_options("", {}).settings == plugin.settings_class()
    with pytest.raises(PlanError, match="takes no option 'nonsense'"):
        plugin.from_options("", {"nonsense": 1})


def test_exactly_so_many_texts_and_none_blank(augmenter):
    for texts in (TEXTS, EDGES, TEXTS + TEXTS, []):
        made = augmenter.augment(texts, 3, seed=1)
        assert [len(copies) for copies in made] == [3] * len(texts)
        assert all(text.strip() for copies in made for text in copies)
    assert augmenter.augment(TEXTS, 0, seed=1) == [[]] * len(TEXTS)
    assert augmenter.augment(["", " "], 2, seed=1) == [["", ""], [" ", " "]]


def test_a_text_depends_on_its_original_its_number_and_the_seed_alone(augmenter):
    made = augmenter.augment(TEXTS, 6, seed=1)
    assert augmenter.augment(TEXTS, 6, seed=1) == made
    assert augmenter.augment(TEXTS, 2, seed=1) == [copies[:2] for copies in made], "more copies changed the first"
    assert augmenter.augment(TEXTS[::-1], 6, seed=1)[::-1] == made, "the order of the texts changed them"
    for text, copies in zip(TEXTS, made, strict=True):
        assert augmenter.augment([text], 6, seed=1) == [copies], "other texts changed it"
    if augmenter.key != "oversample":
        assert augmenter.augment(TEXTS, 6, seed=2) != made
        assert len({text for copies in made for text in copies}) > 3 * len(TEXTS)


def test_settings_of_speed_change_nothing(augmenter, specs):
    for name in {"batch_size"} & {*vars(augmenter.settings)}:
        other = make_augmenter(specs[augmenter.key], **{name: 1})
        assert other.identity == augmenter.identity
        assert other.augment(TEXTS, 2, seed=1) == augmenter.augment(TEXTS, 2, seed=1)


def test_a_pickled_augmenter_makes_the_same_and_leaves_behind_what_it_loaded(augmenter):
    fresh = len(pickle.dumps(augmenter))
    made = augmenter.augment(TEXTS, 2, seed=1)
    data = pickle.dumps(augmenter)
    assert len(data) < fresh + 200
    again = pickle.loads(data)
    assert again.identity == augmenter.identity
    assert again.augment(TEXTS, 2, seed=1) == made
    augmenter.close()
    assert augmenter.augment(TEXTS, 2, seed=1) == made


def test_identity_is_plain_stable_and_complete(augmenter, specs, tmp_path):
    identity = augmenter.identity
    assert json.loads(canonical_json(identity)) == identity
    assert set(identity) == {"name", "parameters"}
    assert identity["parameters"]["version"] == augmenter.version
    assert "/" not in canonical_json(identity), "a path of this machine"
    different = {
        "eda": ["alpha=0.3", "synonyms=none"],
        "ssmba": ["noise=0.3", "random_token=0.2", "leave_unmasked=0", "topk=5", "tries=1", "max_length=20"],
    }
    others = [make_augmenter(f"{specs[augmenter.key]},{option}") for option in different.get(augmenter.key, [])]
    identities = {canonical_json(one.identity) for one in (augmenter, *others)}
    assert len(identities) == 1 + len(others)


def test_there_is_no_such_augmenter():
    with pytest.raises(
        PlanError, match=r"no augmenter 'ssbma'. There are: eda, oversample, ssmba. Did you mean 'ssmba'"
    ):
        make_augmenter("ssbma")
    with pytest.raises(PlanError, match="takes nothing but options after the colon"):
        make_augmenter("oversample:twice")


def test_the_warning_of_eda_comes_once_when_it_is_made():
    with pytest.warns(SynimputeWarning, match="eda has no synonyms") as said:
        augmenter = make_augmenter("eda")
    assert len(said) == 1
    pickle.loads(pickle.dumps(augmenter)).augment(TEXTS, 2, seed=0)  # a warning is an error in these tests
