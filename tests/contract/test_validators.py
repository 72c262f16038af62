"""Every validator that is found keeps the same contract: few fixed reasons, a figure, the same answer in any batch."""

import json
import pickle

import pytest
from planted_faults import ENGLISH, GERMAN, RARE, answers, reference

from synimpute_hf.errors import PlanError
from synimpute_hf.registry import load_plugin, plugin_names
from synimpute_hf.seeding import canonical_json
from synimpute_hf.shingles import shingles_of
from synimpute_hf.validators import DEFAULTS, Case, Finding, Panel, Reference, Validator, make_validator

FOUND = plugin_names("validators")
KNOWN = reference(ENGLISH)
EDGES = ["", " ", "Word", "ö", "...", "👩‍👩‍👧 \ud800 end", "今天天气很好", "İstanbul'da 猫が好き", "one two " * 300]


def cases(count=20):
    planted = [Case(RARE, entry.answer, ("a",) * 5, entry.shown) for entry in answers(ENGLISH, GERMAN)[:count]]
    return [*planted, *(Case(RARE, text, (), tuple(KNOWN.texts[RARE][:5])) for text in EDGES)]


def reasons(validator, part):
    """Return the reason of each case: in one call, where no order matters."""
    if validator.in_order:
        return [validator.judge([case])[0].reason for case in part]
    return [finding.reason for finding in validator.judge(part)]


@pytest.fixture(scope="module", params=FOUND)
def validator(request):
    made = make_validator(request.param)
    made.prepare(KNOWN)
    return made


def test_found_by_file_name():
    assert FOUND == ["duplicate", "label", "language", "length", "overlap", "refusal", "similarity"]
    assert {*DEFAULTS} <= {*FOUND}


@pytest.mark.parametrize("name", FOUND)
def test_every_validator_is_cheap_to_make(name):
    plugin = load_plugin("validators", name, PlanError)
    assert issubclass(plugin, Validator)
    assert plugin.key == name
    assert plugin.__doc__
    assert plugin.costs
    assert plugin.cost in range(4)
    made = plugin.from_options("", {})
    assert made.settings == plugin.settings_class()
    assert pickle.loads(pickle.dumps(made)).identity == made.identity
    with pytest.raises(PlanError, match="takes no option 'nonsense'"):
        make_validator(f"{name}:nonsense=1")
    with pytest.raises(PlanError, match="takes options only"):
        make_validator(f"{name}:argument")


def test_a_finding_a_case(validator):
    for part in (cases(8), [], cases(8)[:1]):
        found = [validator.judge([case])[0] for case in part] if validator.in_order else validator.judge(part)
        assert len(found) == len(part)
        for finding in found:
            assert isinstance(finding, Finding)
            assert finding.figure is None or type(finding.figure) is float
            assert not any(character.isdigit() for character in finding.reason), "reasons are counted: few, and fixed"


def test_findings_depend_on_the_case_alone(validator):
    part = cases()
    found = reasons(validator, part)
    assert any(found)
    assert reasons(validator, part[::-1])[::-1] == found, "the order of the cases changed them"
    assert [reasons(validator, [case])[0] for case in part[-4:]] == found[-4:], "other cases changed them"


def test_order_of_the_originals_changes_nothing(validator):
    if validator.key == "label":
        pytest.skip("folds follow the order of the originals, which are sorted by content")
    turned = {name: texts[::-1] for name, texts in reversed(KNOWN.texts.items())}
    again = make_validator(validator.key)
    again.prepare(Reference(turned, {}, {}, KNOWN.shingles))
    assert reasons(again, cases()) == reasons(validator, cases())


@pytest.mark.parametrize("name", FOUND)
def test_few_originals_or_none(name):
    made = make_validator(name)
    for texts in ({}, {RARE: []}, {RARE: ["One text."]}, {RARE: ["Ein Text.", "Ein zweiter Text."], "b": ["x"]}):
        known = Reference(texts, {}, {}, shingles_of([text for part in texts.values() for text in part]))
        if name == "label":
            with pytest.raises(PlanError, match="needs 5 originals of two or more"):
                made.prepare(known)
            continue
        made.prepare(known)
        for case in (Case(RARE, "A text of its own.", (), ()), Case("unheard of", "Another text.", (), ("One.",) * 5)):
            assert made.judge([case])[0].reason in ("", "too long", "another language")


def test_identity_is_plain_stable_and_complete(validator):
    identity = validator.identity
    assert json.loads(canonical_json(identity)) == identity
    assert set(identity) == {"name", "parameters"}
    assert identity["name"] == validator.key
    assert "/" not in canonical_json(identity), "a path of this machine"
    assert make_validator(validator.key).identity == identity
    different = {
        "duplicate": ["highest=90"],
        "label": ["lost=0.1", "C=1", "max_length=20"],
        "language": ["confidence=0.9", "least=0.5"],
        "length": ["widen=3", "shown=9"],
        "overlap": ["longest=20", "containment=1", "common=9"],
        "similarity": ["highest=0.8", "max_length=20"],
    }
    others = [make_validator(f"{validator.key}:{option}").identity for option in different.get(validator.key, [])]
    assert len({canonical_json(one) for one in (identity, *others)}) == 1 + len(others)


def test_a_panel_asks_the_cheap_ones_first_and_no_further():
    panel = Panel([make_validator(name) for name in reversed(DEFAULTS)], KNOWN)
    costs = [(validator.in_order, validator.cost) for validator in panel.validators]
    assert costs == sorted(costs)
    twice = [Case(RARE, "Nobody can save for a deposit when the agent takes half of the pay.", (), ())] * 2
    first, second = panel.judge(twice)
    assert not first.reason
    assert (second.by, second.reason) == ("duplicate", "copy of an accepted text")
    panel = Panel([make_validator(name) for name in DEFAULTS], KNOWN)
    (long,) = panel.judge([Case(RARE, "word " * 500, (), ())])
    assert (long.by, dict(long)) == ("length", {"length": 500.0})


def test_there_is_no_such_validator():
    with pytest.raises(PlanError, match=r"no validator 'lenght'. There are: .*Did you mean 'length'"):
        make_validator("lenght")
