"""The audit: figures that can be counted by hand, a two-sample test that holds its level, alarms that come when due."""

import json
import shutil

import numpy as np
import pytest
from coded_texts import SHARED, TOPICS, coded
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from synimpute_hf import SyntheticImputer, save, verify
from synimpute_hf.audit import audit, preview_figures
from synimpute_hf.audit_facts import AUDIT, read_audit
from synimpute_hf.audit_report import audit_markdown, audit_page
from synimpute_hf.cards import section_of
from synimpute_hf.cli import app
from synimpute_hf.diversity import distinct, longest_runs, self_bleu, shared_phrases, unique_ngrams
from synimpute_hf.errors import DataError, SynimputeWarning
from synimpute_hf.outputs import read_manifest, write_card
from synimpute_hf.publishing import Publication, lay_out
from synimpute_hf.two_sample import LEAST, on_characters, together, told_apart


def test_repetition_is_counted():
    texts = ["The old mill stood there.", "the old mill, again"]
    assert distinct(texts, 1) == pytest.approx(6 / 9)
    assert distinct(texts, 3) == pytest.approx(4 / 5)
    assert distinct(texts, 1, budget=5) == 1.0
    assert distinct(["one"], 2) is None
    assert unique_ngrams(texts) == [pytest.approx(2 / 3), pytest.approx(1 / 2)]
    assert unique_ngrams(["the old mill"], ["See the old mill!"]) == [0.0]
    assert unique_ngrams(["two words"]) == [None]


def test_self_bleu_goes_from_nothing_to_all():
    assert self_bleu(["the old mill stood there"] * 3) == pytest.approx(100.0)
    assert self_bleu(["one two three four", "five six seven eight", "nine ten eleven twelve"]) == 0.0
    assert self_bleu(["alone"]) is None


def test_phrases_are_found_where_texts_share_them_and_not_by_chance():
    texts = coded({"memory": 120, "health": 120}, seed=3)["text"]
    new, own = texts[:120], texts[120:]
    assert shared_phrases(new, own) == []
    planted = [f"{text} as we all know today" if k % 6 == 0 else text for k, text in enumerate(new)]
    (phrase,) = shared_phrases(planted, own)
    assert (phrase.words, len(phrase.texts), phrase.others) == ("as we all know today", 20, 0)


WORDS = st.lists(st.sampled_from("abc"), max_size=7).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, max_size=4), st.booleans())
def test_longest_runs_are_those_of_a_plain_search(texts, more, within):
    others = [*texts, *more] if within else more

    def longest(k):
        pool = [f" {text} " for j, text in enumerate(others) if not (within and j == k)]
        words = texts[k].split()
        runs = ((j - i, " ".join(words[i:j])) for i in range(len(words)) for j in range(i + 1, len(words) + 1))
        return max((size for size, run in runs if any(f" {run} " in text for text in pool)), default=0)

    assert longest_runs(texts, others, within=within).tolist() == [longest(k) for k in range(len(texts))]


def test_the_interval_covers_one_half_when_there_is_nothing_to_tell():
    """At the nominal rate; an interval that takes folds for independent would cover in 83 % (see two_sample)."""
    draws = np.random.default_rng(0)
    found = []
    for seed in range(60):
        vectors = draws.normal(size=(60, 10))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found.append(told_apart(vectors, np.arange(60) >= 30, np.arange(60), seed=seed))
    assert np.mean([told.low <= 0.5 <= told.high for told in found]) >= 0.9
    assert np.mean([told.low > 0.5 for told in found]) <= 0.05
    assert np.mean([told.auc for told in found]) == pytest.approx(0.5, abs=0.04)


def test_texts_of_a_machine_are_told():
    own, new = coded({"memory": 40, "health": 1}, seed=1)["text"], coded({"memory": 40, "health": 1}, seed=2)["text"]
    texts = np.array([*own, *(f"Certainly! {text.capitalize()}." for text in new)], dtype=object)
    told = told_apart(texts, np.arange(len(texts)) >= len(own), together(texts), on_characters)
    assert told.low > 0.95
    none = told_apart(texts[: len(own) + LEAST - 1], np.arange(len(own) + LEAST - 1) >= len(own), together(texts)[:-32])
    assert none.folds == 0


def test_twins_stay_on_one_side():
    """Pairs of equal vectors of one random kind: whoever sees one of a pair knows the other."""
    draws = np.random.default_rng(1)
    vectors, kinds = np.repeat(draws.normal(size=(60, 40)), 2, axis=0), np.repeat(draws.permutation(60) < 30, 2)
    assert told_apart(vectors, kinds, np.arange(120)).low > 0.8
    assert told_apart(vectors, kinds, np.repeat(np.arange(60), 2)).low < 0.5
    groups = together(["The mill stood by the river for years", "the mill stood by the river for years!", "A shop"])
    assert groups[0] == groups[1] != groups[2]


def imputed(own, new, other):
    """Return rows as an imputer leaves them, with texts of our choice."""
    ids = [f"own-{k}" for k in range(len(own))]
    rows = [{"text": text, "label": "memory", "row_id": row_id} for text, row_id in zip(own, ids, strict=True)]
    rows += [{"text": text, "label": "health", "row_id": f"other-{k}"} for k, text in enumerate(other)]
    rows = [row | {"is_synthetic": False, "source_ids": [row["row_id"]]} for row in rows]
    rows += [
        {"text": text, "label": "memory", "row_id": f"new-{k}", "is_synthetic": True,
         "source_ids": [ids[(k + step) % len(ids)] for step in range(5)]}
        for k, text in enumerate(new)
    ]  # fmt: skip
    return Dataset.from_list(rows)


@pytest.fixture(scope="module")
def texts():
    draws = np.random.default_rng(4)

    def written(topic, count):
        parts = [[*draws.choice(TOPICS[topic], 6), *draws.choice(SHARED, 6)] for _ in range(count)]
        return [" ".join(draws.permutation(words)) for words in parts]

    return written("memory", 50), written("memory", 50), written("health", 60)


def test_originals_split_at_random_raise_no_alarm(texts, tmp_path):
    facts = audit(imputed(*texts), cache=tmp_path / "vectors.sqlite")
    assert facts["alarms"] == []
    (entry,) = facts["classes"]
    assert entry["told_apart"]["embeddings"]["low"] <= 0.5 <= entry["told_apart"]["embeddings"]["high"]
    assert entry["told_apart"]["classes"]["low"] > 0.6
    assert entry["nearest"]["difference"]["low"] <= 0 <= entry["nearest"]["difference"]["high"]
    assert entry["class_drift"]["difference"]["low"] <= 0 <= entry["class_drift"]["difference"]["high"]
    assert audit(imputed(*texts), cache=tmp_path / "vectors.sqlite") == facts


def test_planted_faults_raise_their_alarms(texts, tmp_path):
    own, _, other = texts
    faults = [f"{text.replace('the', 'a')}, as we all know." for text in own[:16]]  # close to one original
    faults += [f"Die Stadt hat heute {k} Bäume im Park an der Straße gepflanzt, as we all know." for k in range(15)]
    faults += [f"{text}. {text}. {text}. As we all know." for text in other[:35]]  # of another class, and long
    facts = audit(imputed(own, faults, other), cache=tmp_path / "vectors.sqlite")
    assert {alarm["name"] for alarm in facts["alarms"]} == {
        "style shortcut", "shared phrases", "close to one original", "length drift", "language drift", "class drift"
    }  # fmt: skip
    (entry,) = facts["classes"]
    assert entry["told_apart"]["characters"]["low"] > 0.95
    assert entry["phrases"][0]["phrase"].endswith("as we all know")
    assert entry["nearest"]["synthetic"]["above"]["0.90"] >= 10
    assert entry["overlap"]["synthetic"]["largest"] >= 10 > entry["overlap"]["originals"]["largest"]
    assert all(alarm["advice"] and "memory" in alarm["sentence"] for alarm in facts["alarms"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A result with its audit, made by the command line."""
    folder = tmp_path_factory.mktemp("audited")
    rows = Dataset.from_dict(coded({"memory": 30, "health": 50}))
    impute = SyntheticImputer(target=50, generator="echo", journal=folder / "journal.sqlite").fit(rows)
    save(folder / "out", rows, impute, source="coded.csv")
    done = CliRunner().invoke(app, ["audit", str(folder / "out")], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Can a classifier tell them apart?" in done.output
    return folder / "out"


@pytest.fixture
def result(made, tmp_path):
    return shutil.copytree(made, tmp_path / "result")


def _checks(folder):
    return {check.name: check.passed for check in verify(folder)}


def test_the_facts_hold_no_original_and_the_page_shows_pairs(made):
    facts = json.loads((made / AUDIT).read_text())
    found = coded({"memory": 30, "health": 50})["text"]
    for text in (json.dumps(facts, ensure_ascii=False), (made / "audit.md").read_text()):
        assert not any(original in text for original in found)
    page = (made / "audit.html").read_text()
    assert page.count("<svg") == 2
    assert any(original in page for original in found)
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    counts = facts["classes"][0]["counts"]
    assert (counts["needed"], counts["kept"]) == (20, 20)
    evil = json.loads(json.dumps(facts).replace('"memory"', '"<b>|memory"'))
    assert "<b>" not in audit_page(evil, {"x": "<b>"})
    assert "<b>" not in audit_markdown(evil)


def test_the_card_shows_it_and_verify_computes_it_anew(result):
    section = section_of((result / "README.md").read_text(), "default")
    assert "## Audit" in section
    assert {name: passed for name, passed in _checks(result).items() if passed is False} == {}
    facts = json.loads((result / AUDIT).read_text())
    facts["classes"][0]["length"]["synthetic"]["mean"] += 1
    (result / AUDIT).write_text(json.dumps(facts))
    write_card(result)
    assert [name for name, passed in _checks(result).items() if passed is False] == ["audit's figures of texts"]


def test_an_audit_of_other_rows_leaves_the_card(result):
    facts = json.loads((result / AUDIT).read_text())
    (result / AUDIT).write_text(json.dumps(facts | {"digest": "0" * 64}))
    with pytest.warns(SynimputeWarning, match="synimpute audit"):
        write_card(result)
    assert "## Audit" not in (result / "README.md").read_text()
    assert _checks(result)["audit"] is None
    (result / AUDIT).write_text("{}")
    with pytest.raises(DataError, match=r"format 1 \(its format is None\)"):
        read_audit(result, read_manifest(result))


@pytest.mark.parametrize("synthetic_only", [False, True])
def test_it_is_published_with_the_rows(result, tmp_path, synthetic_only):
    bundle = lay_out(result, tmp_path / "scratch", Publication(synthetic_only=synthetic_only))
    assert AUDIT in bundle.files
    assert bundle.owned(AUDIT)
    assert not any(path.startswith("audit.") for path in bundle.files if path != AUDIT)
    assert "## Audit" in bundle.card("")
    for path, file in bundle.files.items():
        (tmp_path / "hub" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "hub" / path)
    (tmp_path / "hub" / "README.md").write_text(bundle.card(""))
    checks = _checks(tmp_path / "hub")
    assert False not in checks.values()
    assert checks["audit's figures of texts"] is (None if synthetic_only else True)
    if synthetic_only:
        with pytest.raises(DataError, match="holds no originals"):
            audit(tmp_path / "hub")


def test_a_preview_has_its_figures(texts):
    own, new, _ = texts
    figures, told = preview_figures([own[0], *new[:11]], ["memory"] * 12, {"memory": own})
    assert figures[0] == {"unique_ngrams": 0.0, "nearest": pytest.approx(1.0)}
    assert all(0.5 < entry["unique_ngrams"] <= 1 and entry["nearest"] < 0.999 for entry in figures[1:])
    assert 0 <= told["memory"].low <= told["memory"].auc
