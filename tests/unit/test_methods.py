"""The paragraph for a methods section: its whole text from committed facts, what is missing, and no claim too many."""

import copy
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synimpute_hf.cli import app
from synimpute_hf.errors import PlanError
from synimpute_hf.methods import methods_paragraph

EXAMPLES = Path(__file__).parents[2] / "model_cards" / "examples"


@pytest.fixture
def known():
    """Facts of `make demo`, and of a cross-validation of its rows."""
    found = json.loads((EXAMPLES / "dataset_card.json").read_text(encoding="utf-8"))
    return found["crossval"], found["facts"]


def differing(crossval, name="accessibility", **entry):
    """Return facts whose comparison of a class says something else."""
    facts = copy.deepcopy(crossval)
    for row in facts["comparisons"]:
        if (row["protocol"], row["arm"], row["metric"], row["class"]) == ("seed_aware", "imputed", "f1", name):
            row |= entry
    return facts


def test_the_example_is_what_the_facts_give(known):
    expected = (EXAMPLES / "methods_paragraph.txt").read_text(encoding="utf-8")
    assert methods_paragraph(*known) == expected


def test_every_number_of_a_class_is_there(known):
    crossval, result = known
    text = methods_paragraph(crossval, result)
    for row in crossval["summary"]:
        where = (row["protocol"], row["metric"], row["class"])
        if where == ("seed_aware", "f1", "lighting") and row["arm"] in ("original", "imputed"):
            assert f"{row['estimate']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in text
    checks = crossval["leak_check"]["seed_aware"]
    assert f"{checks['fits']} fits: of {checks['sources']:,} sources" in text
    assert "of 68 answers, 65 were accepted (96 %)" in text.replace("Of", "of")


def test_a_result_without_a_cross_validation_leaves_a_gap(known):
    text = methods_paragraph(None, known[1])
    assert "[Nothing is known here of how well a classifier does" in text
    assert "F1" not in text
    assert "Nadeau" not in text


def test_a_cross_validation_without_a_result_says_what_it_knows(known):
    crossval = copy.deepcopy(known[0])
    crossval["generation"] = None
    text = methods_paragraph(crossval, None)
    assert "[How the synthetic texts were written is not in these facts" in text
    assert 'The class "accessibility" had 60 originals and a target of 100.' in text
    settings = known[1]["plan"]["settings"] | {"generator": known[1]["generator"]}
    crossval["generation"] = {"generator": "x", "needed": 65, "written": 300, "generated": 310}
    crossval["generation"] |= {"rejected": {"too short": 10}, "extra_for_folds": 235, "settings": settings}
    text = methods_paragraph(crossval, None)
    assert "300 synthetic texts came about in all, 235 of them so that folds reach their target" in text
    assert "Of 310 answers, 300 were accepted (97 %); the others were rejected as too short (10)." in text
    assert '"local:SmolLM2-135M-Instruct"' in text
    assert "SHA-256" not in text


def test_a_comparison_without_synthetic_texts_claims_none(known):
    crossval = copy.deepcopy(known[0])
    for key in ("summary", "comparisons"):
        crossval[key] = [row for row in crossval[key] if row["arm"] != "imputed"]
    text = methods_paragraph(crossval, None)
    assert text.startswith("We compared the following ways to train")
    assert "Timoneda" not in text


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("better", "Training with synthetic texts scored higher."),
        ("worse", "Training with synthetic texts scored lower."),
        ("equivalent", "The two scores are equivalent within that margin."),
        ("cannot tell", "could not be told apart, which does not show that they are equal."),
    ],
)
def test_the_verdict_is_the_facts_own(known, verdict, said):
    facts = differing(differing(known[0], verdict=verdict), "lighting", verdict=verdict)
    text = methods_paragraph(facts, known[1])
    assert text.count(said) == 2
    others = ("scored higher", "scored lower", "are equivalent", "not be told apart")
    assert sum(other in text for other in others) == 1


def test_nothing_is_claimed_of_protocols_that_leak(known):
    crossval = copy.deepcopy(known[0])
    crossval["summary"] = [row for row in crossval["summary"] if row["protocol"] in ("pooled", "real_test")]
    crossval["comparisons"] = []
    text = methods_paragraph(crossval, known[1])
    assert "[Only protocols that leak were run" in text
    assert "F1 was" not in text


def test_texts_that_trained_no_fold_prove_nothing(known):
    crossval = copy.deepcopy(known[0])
    for row in crossval["trained"]:
        if (row["protocol"], row["arm"]) == ("seed_aware", "imputed"):
            row["made"] = 0.0
    text = methods_paragraph(crossval, known[1])
    assert "[No synthetic text could train a fold, so that the scores say nothing of synthetic texts" in text
    assert "F1 was" not in text


def test_a_leak_and_a_shortfall_are_told(known):
    crossval, result = map(copy.deepcopy, known)
    crossval["leak_check"]["seed_aware"]["shared_sources"] = 3
    crossval["incomplete"] = "Stopped after 5 of 90 fits."
    result["outcome"]["classes"][-1] |= {"kept": 30, "failed": {"timeout": 2}}
    text = methods_paragraph(crossval, result)
    assert "looked up, 3 were found in the test part" in text
    assert "[This cross-validation is incomplete: Stopped after 5 of 90 fits.]" in text
    assert "30 synthetic texts came about, 10 fewer than the 40 that were planned" in text
    assert "2 requests ended without an answer." in text


def test_a_hold_out_has_no_folds_and_no_t_test(known):
    crossval = copy.deepcopy(known[0])
    for key in ("summary", "comparisons"):
        crossval[key] = [row | {"protocol": "holdout"} for row in crossval[key] if row["protocol"] == "seed_aware"]
    for row in crossval["comparisons"]:
        row["p_equivalence"] = None
    text = methods_paragraph(crossval, known[1])
    assert "Efron and Tibshirani" in text
    assert "Nadeau" not in text
    assert "originals that had been set apart" in text


def test_facts_that_do_not_belong_together_are_refused(known):
    crossval, result = map(copy.deepcopy, known)
    crossval["classes"][0]["originals"] = 61
    with pytest.raises(PlanError, match=r"not about the same rows.*accessibility \(61\).*accessibility \(60\)"):
        methods_paragraph(crossval, result)
    with pytest.raises(PlanError, match="nothing to write about"):
        methods_paragraph(None, None)


def test_the_command_takes_what_lies_in_the_folders(known, tmp_path):
    crossval, result = known
    both, one, other = (tmp_path / name for name in ("both", "one", "other"))
    for folder, files in ((both, known), (one, (crossval, None)), (other, (None, result))):
        folder.mkdir()
        for name, facts in zip(("crossval.json", "synimpute.json"), files, strict=True):
            if facts:
                (folder / name).write_text(json.dumps(facts))
    run = CliRunner().invoke
    expected = methods_paragraph(*known)
    assert run(app, ["report", str(both), "--methods"]).stdout == expected
    assert run(app, ["report", str(other), str(one), "--methods"]).stdout == expected
    assert run(app, ["report", str(one), "--methods"]).stdout == methods_paragraph(crossval, None)
    assert not (one / "report.html").exists()
    with pytest.raises(PlanError, match="expected one folder with crossval.json"):
        run(app, ["report", str(both), str(one), "--methods"], catch_exceptions=False)
    with pytest.raises(PlanError, match="holds neither crossval.json nor synimpute.json"):
        run(app, ["report", str(tmp_path), "--methods"], catch_exceptions=False)
