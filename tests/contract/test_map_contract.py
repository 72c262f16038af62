"""The map contract, in all its forms: the same synthetic rows each time, whatever the way."""

import asyncio
import os
import pickle
import subprocess
import sys

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import make_rows
from datasets import ClassLabel, Dataset, DatasetDict, IterableDataset, load_dataset

from synimpute_hf import SyntheticImputer, explode
from synimpute_hf.errors import ColumnError, GenerationError, NotFittedError, ShortfallWarning
from synimpute_hf.mapping import PROVENANCE

TARGET = 20


@pytest.fixture
def ds(rows):
    return Dataset.from_dict(rows)


@pytest.fixture
def impute(ds):
    return SyntheticImputer(validators=[], text="text", label="label", target=TARGET, generator="echo").fit(ds)


@pytest.fixture
def expected(ds, impute):
    return ds.map(impute, batched=True).to_list()


def synthetic(rows):
    """The synthetic rows without regard to order."""
    return sorted((row for row in rows if row["is_synthetic"]), key=lambda row: row["row_id"])


def test_batched_gives_rows_after_their_anchors(ds, impute, expected):
    assert len(expected) == 42 + 8
    originals = [row for row in expected if not row["is_synthetic"]]
    assert [row["text"] for row in originals] == ds["text"]
    assert [row["source_ids"] for row in originals] == [[row["row_id"]] for row in originals]
    assert {row["draw"] for row in originals} == {-1}
    ids = [row["row_id"] for row in originals]
    anchor = None
    for row in expected:
        if not row["is_synthetic"]:
            anchor = row["row_id"]
            continue
        assert anchor in row["source_ids"]
        assert len(set(row["source_ids"])) == 5
        assert set(row["source_ids"]) <= set(ids)
        assert (row["label"], row["year"], row["generator"]) == ("rare", None, "echo")
        assert len(row["journal_key"]) == len(row["prompt_sha256"]) == 64
    assert sorted(row["draw"] for row in expected if row["is_synthetic"]) == list(range(8))


def test_unbatched_gives_lists_and_explode_gives_the_same_rows(ds, impute, expected):
    lists = ds.map(impute)
    assert len(lists) == len(ds)
    assert [texts[0] for texts in lists["texts"]] == ds["text"]
    assert sum(len(texts) - 1 for texts in lists["texts"]) == 8
    assert all(len(row["texts"]) == len(row["texts_source_ids"]) for row in lists)
    rows = lists.map(explode, batched=True)
    assert rows.to_list() == expected
    assert rows.features == ds.map(impute, batched=True).features
    assert explode(lists).to_list() == expected


@pytest.mark.parametrize("size", [1, 3, 1000, None])
def test_any_batch_size(ds, impute, expected, size):
    assert ds.map(impute, batched=True, batch_size=size).to_list() == expected


def test_two_processes(ds, impute, expected):
    assert ds.map(impute, batched=True, num_proc=2, batch_size=5).to_list() == expected
    assert ds.map(impute, num_proc=2).map(explode, batched=True, num_proc=2).to_list() == expected


def test_two_processes_that_must_generate_pay_once(ds, scripted):
    impute = SyntheticImputer(validators=[], target=TARGET, generator=scripted("text SEED", delay=0.01)).fit(ds)
    rows = ds.map(impute, batched=True, num_proc=2).to_list()
    assert len(synthetic(rows)) == 8
    assert len(scripted.log()) == len(set(scripted.log())) == 8


def test_shuffled_rows_and_a_fit_on_shuffled_rows(ds, impute, expected):
    shuffled = ds.shuffle(seed=3)
    assert synthetic(shuffled.map(impute, batched=True)) == synthetic(expected)
    again = SyntheticImputer(validators=[], text="text", label="label", target=TARGET, generator="echo").fit(shuffled)
    assert synthetic(ds.map(again, batched=True)) == synthetic(expected)


def test_shorthand(ds, impute, expected):
    assert impute(ds).to_list() == expected


def test_dataset_dict_leaves_the_test_split_alone(ds, impute, expected):
    test = Dataset.from_dict({"text": ["Unseen one.", "Unseen two."], "label": ["rare", "common"], "year": [1, 2]})
    out = DatasetDict(train=ds, test=test).map(impute, batched=True)
    assert out["train"].to_list() == expected
    assert out["test"]["text"] == test["text"]
    assert not any(out["test"]["is_synthetic"])
    assert out["test"].features == out["train"].features
    assert impute(DatasetDict(train=ds, test=test))["train"].to_list() == expected


def test_a_text_of_another_split_is_no_source_and_no_anchor(ds):
    rare = [row for row in ds if row["label"] == "rare"]
    test = Dataset.from_list([{**rare[0], "text": "  " + rare[0]["text"].upper()}, rare[1]])
    impute = SyntheticImputer(validators=[], target=TARGET, generator="echo").fit(DatasetDict(train=ds, test=test))
    assert any("2 texts also stand in another split" in note for note in impute.plan.notes)
    out = DatasetDict(train=ds, test=test).map(impute, batched=True)
    assert not any(out["test"]["is_synthetic"])
    ids = {row["text"]: row["row_id"] for row in out["train"]}
    used = {source for row in synthetic(out["train"]) for source in row["source_ids"]}
    assert not used & {ids[rare[0]["text"]], ids[rare[1]["text"]]}
    assert len(synthetic(out["train"])) == 8


def test_ids_that_start_again_in_each_split_anchor_nothing_there(rows):
    ids = [str(i) for i in range(len(rows["text"]))]
    train = Dataset.from_dict({**rows, "number": ids})
    test = Dataset.from_dict({"text": ["Other."] * 42, "label": ["rare"] * 42, "year": [0] * 42, "number": ids})
    impute = SyntheticImputer(validators=[], id="number", target=TARGET, generator="echo").fit(train)
    out = DatasetDict(train=train, test=test).map(impute, batched=True)
    assert len(out["test"]) == 42
    assert len(synthetic(out["train"])) == 8
    assert {row["number"] for row in synthetic(out["train"])} == {None}
    assert set(out["train"][0]["source_ids"]) == {"0"}


def test_texts_that_stand_twice_never_anchor_twice(rows):
    doubled = {name: values + values[:3] for name, values in rows.items()}
    ds = Dataset.from_dict(doubled)
    impute = SyntheticImputer(validators=[], target=TARGET, generator="echo").fit(ds)
    out = ds.map(impute, batched=True).to_list()
    assert len(synthetic(out)) == TARGET - 15
    for place, row in enumerate(out[:-1]):
        if out[place + 1]["is_synthetic"] and not row["is_synthetic"]:
            assert row["text"] not in rows["text"][:3]


def test_stream(ds, impute, expected):
    stream = ds.to_iterable_dataset()
    assert list(stream.map(impute, batched=True, batch_size=4)) == expected
    assert list(explode(stream.map(impute))) == expected
    mapped = stream.map(impute, batched=True)
    assert list(mapped) == list(mapped) == expected


def test_fit_on_a_stream_without_features(rows, expected):
    def read():
        for text, label, year in zip(*rows.values(), strict=True):
            yield {"text": text, "label": label, "year": year}

    stream = IterableDataset.from_generator(read)
    assert stream.features is None
    impute = SyntheticImputer(validators=[], target=TARGET, generator="echo").fit(stream)
    assert list(stream.map(impute, batched=True)) == expected


@pytest.mark.parametrize("kind", ["numpy", "pandas", "arrow"])
def test_formats(ds, impute, expected, kind):
    out = ds.with_format(kind).map(impute, batched=True).with_format(None).to_list()
    assert [{**row, "year": None if row["year"] != row["year"] else row["year"]} for row in out] == expected


def test_numpy_format_unbatched(ds, impute, expected):
    lists = ds.with_format("numpy").map(impute)
    assert explode(lists).with_format(None).to_list() == expected
    assert lists.with_format(None).map(explode, batched=True).to_list() == expected


def test_class_label_survives(rows):
    ds = Dataset.from_dict(rows).cast_column("label", ClassLabel(names=["common", "rare"]))
    impute = SyntheticImputer(validators=[], target=TARGET, generator="echo").fit(ds)
    out = ds.map(impute, batched=True)
    assert out.features["label"] == ds.features["label"]
    assert {row["label"] for row in synthetic(out)} == {1}
    assert impute.plan.short[0].name == "rare"


def test_inside_a_running_loop(ds, impute, expected):
    async def notebook():
        return impute(ds).to_list()

    assert asyncio.run(notebook()) == expected


def test_pickled_and_fresh_imputers_find_the_same_rows(ds, impute, expected, scripted):
    again = pickle.loads(pickle.dumps(impute))
    assert ds.map(again, batched=True, load_from_cache_file=False).to_list() == expected
    assert "_anchors" not in impute.__getstate__()
    assert again.plan == impute.plan


def test_second_run_comes_from_the_cache_and_pays_nothing(tmp_path, rows, scripted):
    path = tmp_path / "rows.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    ds = load_dataset("csv", data_files=str(path), split="train")
    spec = scripted("text SEED")
    impute = SyntheticImputer(validators=[], target=TARGET, generator=spec).fit(ds)
    state = datasets.fingerprint.Hasher.hash(impute)
    first = ds.map(impute, batched=True)
    assert datasets.fingerprint.Hasher.hash(impute) == state
    second = ds.map(SyntheticImputer(validators=[], target=TARGET, generator=spec).fit(ds), batched=True)
    assert second.cache_files == first.cache_files
    third = ds.map(impute, batched=True, load_from_cache_file=False)
    fresh = SyntheticImputer(validators=[], target=TARGET, generator=spec).fit(ds)
    fourth = ds.map(fresh, batched=True, load_from_cache_file=False)
    assert third.to_list() == fourth.to_list() == first.to_list()
    assert len(scripted.log()) == 8
    assert fresh.outcome.asked == 0
    assert fresh.outcome.from_journal == 8


def test_the_fingerprint_is_the_same_in_every_process():
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from conftest import make_rows\nfrom datasets import Dataset\nfrom datasets.fingerprint import Hasher\n"
        "from synimpute_hf import SyntheticImputer\n"
        "ds = Dataset.from_dict(make_rows())\n"
        "print(Hasher.hash(SyntheticImputer(validators=[], target=20, generator='echo', journal='j.sqlite').fit(ds)))\n"
    )
    hashes = set()
    for seed in ("1", "2", "3"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        hashes.add(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout)
    assert len(hashes) == 1


def test_a_higher_target_reuses_what_is_paid(ds, scripted):
    spec = scripted("text SEED")
    few = ds.map(SyntheticImputer(validators=[], target=TARGET, generator=spec).fit(ds), batched=True)
    more = ds.map(SyntheticImputer(validators=[], target=TARGET + 5, generator=spec).fit(ds), batched=True)
    assert len(scripted.log()) == 8 + 5
    texts = {row["text"] for row in synthetic(more)}
    assert {row["text"] for row in synthetic(few)} <= texts


def test_a_row_more_in_another_class_leaves_what_is_paid(ds, rows, scripted):
    spec = scripted("text SEED")
    ds.map(SyntheticImputer(validators=[], target=TARGET, generator=spec).fit(ds), batched=True)
    longer = Dataset.from_dict(
        {"text": [*rows["text"], "One more."], "label": [*rows["label"], "common"], "year": [*rows["year"], 0]}
    )
    assert len(synthetic(SyntheticImputer(validators=[], target=TARGET, generator=spec).fit(longer)(longer))) == 8
    assert len(scripted.log()) == 8


def test_parquet_and_jsonl_keep_the_columns(tmp_path, ds, impute, expected):
    out = ds.map(impute, batched=True)
    out.to_parquet(str(tmp_path / "out.parquet"))
    assert Dataset.from_parquet(str(tmp_path / "out.parquet")).to_list() == expected
    out.to_json(str(tmp_path / "out.jsonl"))
    assert Dataset.from_json(str(tmp_path / "out.jsonl")).to_list() == expected
    assert datasets.concatenate_datasets([out, out]).num_rows == 100
    for name in PROVENANCE:
        assert not out.data.column(name).null_count


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, lambda v: pd.DataFrame({"text": v})])
def test_fit_resample(rows, expected, kind):
    texts = kind(rows["text"])
    labels = np.array(rows["label"])
    impute = SyntheticImputer(validators=[], target=TARGET, generator="echo")
    more_texts, more_labels = impute.fit_resample(texts, labels)
    assert type(more_texts) is type(texts)
    assert len(more_texts) == len(more_labels) == 50
    flat = list(np.asarray(more_texts).reshape(-1))
    assert flat[:42] == rows["text"]
    assert sorted(flat[42:]) == sorted(row["text"] for row in expected if row["is_synthetic"])
    assert list(more_labels[42:]) == ["rare"] * 8
    ids = [row["row_id"] for row in expected if not row["is_synthetic"]]
    by_text = {row["text"]: row["source_ids"] for row in expected}
    for text, sources in zip(flat[42:], impute.source_indices_, strict=True):
        assert [ids[position] for position in sources] == by_text[text]


def test_imbalanced_learn_pipeline_resamples_training_folds_only():
    from imblearn.pipeline import make_pipeline
    from sklearn.base import clone
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    rows = make_rows(rare=20, common=60)
    impute = SyntheticImputer(validators=[], sampling_strategy="auto", generator="echo")
    assert clone(impute).get_params() == impute.get_params()
    model = make_pipeline(impute, TfidfVectorizer(), LogisticRegression())
    scores = cross_val_score(model, rows["text"], rows["label"], cv=4, scoring="f1_macro")
    assert scores.min() > 0.9
    model.fit(rows["text"], rows["label"])
    assert len(impute.source_indices_) == 40


def test_ray_style_batches(ds, impute, expected):
    frame = pd.DataFrame(ds.to_dict())
    assert impute(frame)["text"].tolist() == [row["text"] for row in expected]
    assert impute(pa.table(ds.to_dict()))["text"].to_pylist() == [row["text"] for row in expected]
    arrays = {name: np.array(values) for name, values in ds.to_dict().items()}
    assert impute(arrays)["text"] == [row["text"] for row in expected]


def test_blank_and_unlabelled_rows_are_kept(rows):
    texts = [*rows["text"], None, "  ", "No label here."]
    labels = [*rows["label"], "rare", "rare", None]
    ds = Dataset.from_dict({"text": texts, "label": labels})
    impute = SyntheticImputer(validators=[], target=TARGET, generator="echo").fit(ds)
    notes = " ".join(impute.plan.notes)
    assert "2 rows have a blank text" in notes
    assert "1 rows have no label" in notes
    out = impute(ds)
    assert len(out) == 45 + 8
    assert [row["text"] for row in out if not row["is_synthetic"]] == texts
    assert explode(ds.map(impute)).to_list() == out.to_list()


def test_unfitted_is_a_clear_error(ds):
    with pytest.raises(NotFittedError, match="fit"):
        ds.map(SyntheticImputer(validators=[], generator="echo"), batched=True)


def test_other_columns_are_a_clear_error(ds, impute):
    with pytest.raises(ColumnError, match="'text'"):
        ds.rename_column("text", "texxt").map(impute, batched=True)


def test_imputing_twice_is_a_clear_error(ds, impute):
    with pytest.raises(ColumnError, match="imputed before"):
        SyntheticImputer(validators=[], target=40, generator="echo").fit(impute(ds))


def test_explode_without_lists_is_a_clear_error(ds):
    with pytest.raises(ColumnError, match="map\\(impute\\)"):
        ds.map(explode, batched=True)


def test_failed_requests_are_an_error_that_loses_nothing(ds, scripted):
    impute = SyntheticImputer(
        validators=[], target=TARGET, generator=scripted("text SEED", {"error": "server on fire"})
    ).fit(ds)
    with pytest.raises(GenerationError, match=r"4 requests failed: 4 times server on fire.*4 texts"):
        impute(ds)
    scripted("text SEED")
    assert len(synthetic(impute(ds))) == 8
    assert len(scripted.log()) == 8 + 4


def test_a_class_that_ends_short_is_told_and_usable(ds, scripted):
    impute = SyntheticImputer(validators=[], target=TARGET, max_attempts=2, generator=scripted("always the same")).fit(
        ds
    )
    with pytest.warns(ShortfallWarning, match="'rare' is 7 short of 8 texts: 14 copy of an accepted text"):
        out = impute(ds)
    assert len(synthetic(out)) == 1
