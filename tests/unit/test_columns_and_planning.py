"""Reading a user's data, and deciding who is short. Bad input gets a clear error that names it."""

import warnings
from collections import Counter

import numpy as np
import pytest
from conftest import make_rows
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, List, Value
from imblearn.over_sampling import RandomOverSampler

from synimpute_hf import SyntheticImputer
from synimpute_hf.columns import ClassCount, plain_label, read_originals
from synimpute_hf.errors import ColumnError, DataError, FewOriginalsWarning, PlanError, TooFewOriginalsError
from synimpute_hf.planning import advise, plan_classes


def fit(rows, **kwargs):
    dataset = rows if hasattr(rows, "map") else Dataset.from_dict(rows)
    return SyntheticImputer(**{"generator": "echo", "target": 20, **kwargs}).fit(dataset)


def counts_of(**rows):
    entries = [ClassCount(name, name, n, n, n) for name, n in rows.items()]
    return sorted(entries, key=lambda entry: -entry.originals)


# -- planning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["auto", "minority", "not majority", "not minority", "all"])
def test_sampling_strategy_words_mean_what_they_mean_in_imbalanced_learn(word):
    rows = {"a": 50, "b": 30, "c": 12}
    labels = np.repeat(list(rows), list(rows.values()))
    _, resampled = RandomOverSampler(sampling_strategy=word).fit_resample(np.zeros((92, 1)), labels)
    ours = plan_classes(counts_of(**rows), sampling_strategy=word)
    assert {entry.name: entry.originals + entry.to_write for entry in ours} == dict(Counter(resampled.tolist()))


def test_target_dict_number_and_function():
    counts = counts_of(a=50, b=30, c=12)
    assert [e.to_write for e in plan_classes(counts)] == [150, 170, 188]
    assert [e.to_write for e in plan_classes(counts, target=40)] == [0, 10, 28]
    assert [e.to_write for e in plan_classes(counts, sampling_strategy=40)] == [0, 10, 28]
    assert [e.to_write for e in plan_classes(counts, sampling_strategy={"c": 20})] == [0, 0, 8]

    def double_the_rarest(labels):
        found = Counter(labels)
        rarest = min(found, key=found.get)
        return {rarest: 2 * found[rarest]}

    assert [e.to_write for e in plan_classes(counts, sampling_strategy=double_the_rarest)] == [0, 0, 12]


def test_a_dict_by_label_or_name_of_a_class_label():
    ds = Dataset.from_dict(make_rows()).cast_column("label", ClassLabel(names=["common", "rare"]))
    for key in ("rare", 1, np.int64(1)):
        assert fit(ds, target=None, sampling_strategy={key: 15}).plan.to_write == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 5, "sampling_strategy": "auto"}, "not both"),
        ({"sampling_strategy": "minorty"}, "Did you mean 'minority'"),
        ({"sampling_strategy": 0.5}, "ambiguous"),
        ({"sampling_strategy": {"cc": 5}}, "'cc'.*not in the data"),
        ({"sampling_strategy": {"c": -5}}, "-5 rows of class 'c'"),
        ({"sampling_strategy": {"c": 2.5}}, "whole number"),
        ({"sampling_strategy": lambda labels: 7}, "dict of rows by class"),
        ({"target": -1}, "target asks for -1"),
    ],
)
def test_impossible_plans(arguments, message):
    with pytest.raises(PlanError, match=message):
        plan_classes(counts_of(a=50, b=30, c=12), **arguments)


def test_fewer_than_five_originals_is_an_error_that_names_the_class():
    with pytest.raises(TooFewOriginalsError, match=r"'c' has 4 originals.*sampling_strategy"):
        plan_classes(counts_of(a=50, c=4), target=20)
    assert plan_classes(counts_of(a=50, c=4), target=4)[1].to_write == 0
    with pytest.raises(TooFewOriginalsError, match="shows 9 different originals"):
        plan_classes(counts_of(a=50, c=8), target=20, n_examples=9)


def test_copies_do_not_count_as_originals_to_show():
    rows = make_rows(rare=4)
    rows = {k: v + v[:4] for k, v in rows.items()}
    with pytest.raises(TooFewOriginalsError, match=r"8 rows, of which 4 are distinct"):
        fit(rows)


@pytest.mark.parametrize(("n", "word"), [(5, "few"), (49, "few"), (50, "moderate"), (74, "moderate"), (75, "fine")])
def test_advice_by_the_papers_thresholds(n, word):
    assert advise(n).startswith(word)


@pytest.mark.filterwarnings("always")
def test_fewer_than_50_originals_is_a_warning():
    with pytest.warns(FewOriginalsWarning, match=r"Fewer than 50 originals in 'rare' \(12\): expect inflated scores"):
        fit(make_rows())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(make_rows(rare=50, common=90), target=90)
        fit(make_rows(), target=5)


def test_the_plan_prints_and_calls_nothing(scripted):
    impute = fit(make_rows(), generator=scripted("SEED"))
    shown = " ".join(str(impute.plan).split())
    assert "rare" in shown
    assert "12" in shown
    assert "few: under 50 originals, expect inflated scores" in shown
    assert "Takes: 8 calls" in shown
    assert "cost unknown" in shown
    assert "time unknown" in shown
    assert "Rare text number" in shown
    assert scripted.log() == []
    assert not impute.journal_path.exists()
    assert str(fit(make_rows(), target=3).plan).strip().endswith("Nothing to do: every class has reached its target.")


def test_time_is_estimated_from_earlier_answers():
    ds = Dataset.from_dict(make_rows())
    few = fit(ds, target=14, generator="echo:delay=0.01")
    few(ds)
    estimate = fit(ds, target=112, generator="echo:delay=0.01").plan.estimate
    assert estimate.seconds == pytest.approx((100 + 82) * 0.01)
    assert "2 earlier answers" in estimate.seconds_from


# -- columns -----------------------------------------------------------------------------------------------------


def test_obvious_columns_are_guessed_and_the_guess_is_said():
    rows = make_rows()
    plan = fit({"id": list("x" * 42), "tweet": rows["text"], "stance": rows["label"]}).plan
    assert (plan.settings["text"], plan.settings["label"]) == ("tweet", "stance")
    assert len(plan.guesses) == 2
    assert fit(Dataset.from_dict(rows), text="text", label="label").plan.guesses == ()


def test_doubtful_columns_are_asked_for():
    rows = make_rows()
    with pytest.raises(ColumnError, match=r"Which column is the label\? .*'year'"):
        fit({"text": rows["text"], "year": rows["year"], "group": rows["label"]})
    with pytest.raises(ColumnError, match=r"Which column is the text\? .*'left', 'right'"):
        fit({"left": rows["text"], "right": rows["text"], "label": rows["label"]})


@pytest.mark.parametrize("role", ["text", "label", "id"])
def test_a_missing_column_suggests_the_nearest(role):
    with pytest.raises(ColumnError, match=rf"no column 'lable' \(asked for as the {role}.*Did you mean 'label'"):
        fit(make_rows(), **{role: "lable"})


def test_mistyped_columns():
    rows = make_rows()
    with pytest.raises(ColumnError, match="'year' holds int64, but a text column"):
        fit(rows, text="year")
    with pytest.raises(ColumnError, match=r"number 0\.5.*score"):
        fit({"text": rows["text"], "label": [0.5] * 42})
    stream = IterableDataset.from_generator(lambda: iter([{"text": 3, "label": "a"}, {"text": "x", "label": "b"}]))
    with pytest.raises(ColumnError, match="a row holds 3"):
        fit(stream, text="text", label="label")


def test_multi_label_is_out_of_scope():
    rows = make_rows()
    labels = [["a"], ["a", "b"]] * 21
    with pytest.raises(ColumnError, match="multi-label"):
        fit({"text": rows["text"], "label": labels})
    features = Features({"text": Value("string"), "label": List(ClassLabel(names=["a", "b"]))})
    with pytest.raises(ColumnError, match="multi-label"):
        fit(Dataset.from_dict({"text": rows["text"], "label": [[0], [1]] * 21}, features=features))
    stream = IterableDataset.from_generator(lambda: iter([{"text": "x", "label": [1, 2]}]))
    with pytest.raises(ColumnError, match="Multi-label"):
        fit(stream, text="text", label="label")


def test_empty_data():
    with pytest.raises(DataError, match="empty"):
        fit(
            Dataset.from_dict({"text": [], "label": []}, features=Features(text=Value("string"), label=Value("string")))
        )
    with pytest.raises(DataError, match="empty"):
        fit(IterableDataset.from_generator(lambda: iter([])))
    with pytest.raises(DataError, match="2 rows have a blank text.*1 rows have no label"):
        fit({"text": ["", None, "x"], "label": ["a", "b", None]})


def test_one_class_only():
    with pytest.raises(DataError, match="one class, 'rare'"):
        fit({"text": make_rows()["text"], "label": ["rare"] * 42})


def test_duplicate_and_empty_ids():
    rows = make_rows()
    with pytest.raises(ColumnError, match=r"'key' holds '7' twice"):
        fit({**rows, "key": [7, 7, *range(100, 140)]}, id="key")
    with pytest.raises(ColumnError, match="'key' has an empty cell"):
        fit({**rows, "key": [None, *range(41)]}, id="key")


def test_no_dataset():
    with pytest.raises(DataError, match="got list"):
        SyntheticImputer(generator="echo").fit([1, 2])
    with pytest.raises(DataError, match="no split 'train'.*'test'"):
        SyntheticImputer(generator="echo").fit(DatasetDict(test=Dataset.from_dict(make_rows())))


def test_missing_labels():
    rows = make_rows()
    texts = [*rows["text"], "one", "two", "three"]
    numbers = [1] * 12 + [0] * 30
    skipped = fit({"text": texts, "label": [*numbers, -1, -1, None]})
    assert [(e.name, e.originals) for e in skipped.plan.classes] == [("0", 30), ("1", 12)]
    assert any("3 rows have no label" in note and "--missing-label none" in note for note in skipped.plan.notes)
    texts += [f"More text {i}." for i in range(5)]
    kept = fit({"text": texts, "label": [*numbers, -1, -1, None, *[-1] * 5]}, missing_label=None)
    assert [(e.name, e.originals) for e in kept.plan.classes] == [("0", 30), ("1", 12), ("-1", 7)]
    labelled = Dataset.from_dict(
        {"text": texts[:45], "label": [*numbers, -1, -1, None]},
        features=Features(text=Value("string"), label=ClassLabel(names=["no", "yes"])),
    )
    assert [(e.name, e.originals) for e in fit(labelled, missing_label=None).plan.classes] == [("no", 30), ("yes", 12)]


def test_labels_of_any_kind_are_plain():
    assert plain_label(np.int64(3)) == 3
    assert plain_label(3.0) == 3
    assert type(plain_label(np.str_("a"))) is str
    assert plain_label(np.float32("nan")) is None
    assert plain_label(" ") is None
    assert plain_label(True) is True
    with pytest.raises(ColumnError, match="two labels|Two labels"):
        fit(
            IterableDataset.from_generator(
                lambda: iter([{"text": f"t{i}", "label": label} for i, label in enumerate([1, "1"] * 6)])
            ),
            text="text",
            label="label",
        )


def test_what_is_read_does_not_depend_on_order_or_on_streaming():
    ds = Dataset.from_dict(make_rows())
    first = read_originals(ds)
    for other in (ds.shuffle(seed=1), ds.to_iterable_dataset(), ds.to_iterable_dataset().shuffle(seed=2)):
        again = read_originals(other)
        assert {n: p.digest for n, p in again.pools.items()} == {n: p.digest for n, p in first.pools.items()}
        assert (again.known == first.known).all()


def test_classes_beyond_the_target_are_counted_but_not_kept():
    originals = read_originals(Dataset.from_dict(make_rows()), enough=20)
    assert set(originals.pools) == {"rare"}
    assert [c.originals for c in originals.counts] == [30, 12]
    assert len(originals.known) == 42


def test_odd_settings():
    with pytest.raises(PlanError, match="max_attempts=0"):
        fit(make_rows(), max_attempts=0)
    with pytest.raises(PlanError, match="category_descriptions names the class 'rar'.*Did you mean 'rare'"):
        fit(make_rows(), category_descriptions={"rar": "x"})
    with pytest.raises(PlanError, match="no parameter 'targt'.*'target'"):
        SyntheticImputer().set_params(targt=3)
    with pytest.raises(DataError, match="2 texts and 1 labels"):
        SyntheticImputer(generator="echo").fit_resample(["a", "b"], ["x"])
