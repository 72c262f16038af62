"""A published result is checked by whoever has it: what is true passes, and each falsification is found."""

import json
import shutil
import sqlite3
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
from coded_texts import coded
from datasets import Dataset, Features

from synimpute_hf import CrossValidation, SyntheticImputer, verify
from synimpute_hf.cards import dataset_card
from synimpute_hf.columns import Columns
from synimpute_hf.facts import FACTS, read_facts, write_facts
from synimpute_hf.inputs import read_data
from synimpute_hf.outputs import JOURNAL, MANIFEST, read_manifest, write_manifest, write_result, write_split
from synimpute_hf.seeding import row_digest

ANSWERS = [
    *(f"New text SEED about the {thing} of the town." for thing in ("mill", "harbour", "tram", "bakery")),
    "I'm sorry, but I cannot help with that request.",
    "FIRST",
    "A text that is cut off SEED …",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A result with rejected answers, two splits, and a cross-validation."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("made")
    patch.setenv("SYNIMPUTE_HOME", str(folder / "home"))
    try:
        texts = coded({"memory": 30, "health": 50})
        pd.DataFrame(texts).head(75).to_csv(folder / "train.csv", index=False)
        (folder / "data").mkdir()
        frame = pd.DataFrame(texts)
        frame.drop(frame.index[[10, 45, 60]]).to_csv(folder / "data" / "train.csv", index=False)
        frame.iloc[[10, 45, 60]].to_csv(folder / "data" / "test.csv", index=False)
        spec = _scripted(folder, patch)
        out = folder / "out"
        out.mkdir()
        splits, split = read_data(str(folder / "data"))
        impute = SyntheticImputer(target=40, generator=spec, journal=out / JOURNAL, max_attempts=9, prompt="messages")
        impute.fit(splits, split=split)
        write_result(out, splits, split, impute, impute.generate(), "data")
        CrossValidation(folds=3, repeats=1, arms=["original", "imputed"], classifier="linear").run(
            read_data(str(out))[0]["train"], output=folder / "crossval"
        )
        shutil.copy(folder / "crossval" / FACTS, out / FACTS)
        _render(out)
    finally:
        patch.undo()
    return out


def _scripted(folder, patch):
    from conftest import PLUGIN

    info = folder / "site" / "thirdparty-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "site" / "verified_generator.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thirdparty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[synimpute_hf.generators]\nscripted = verified_generator:Scripted\n")
    patch.syspath_prepend(str(folder / "site"))
    (folder / "script.json").write_text(json.dumps({"answers": ANSWERS, "by_seed": True}))
    return f"scripted:script={folder / 'script.json'}"


@pytest.fixture
def result(made, tmp_path):
    return shutil.copytree(made, tmp_path / "result")


def _render(folder):
    crossval = read_facts(folder) if (folder / FACTS).is_file() else None
    card = folder / "README.md"
    card.write_text(dataset_card(read_manifest(folder), card.read_text(), crossval))


def facts(change, render=True):
    """Return a falsification of the facts, with a card that says the same."""

    def falsify(folder):
        found = read_manifest(folder)
        change(found)
        write_manifest(folder, found)
        if render:
            _render(folder)

    return falsify


def rows(change):
    """Return a falsification of the rows, with files, digests and card that go with it."""

    def falsify(folder):
        found = read_manifest(folder)
        (file,) = (folder / entry["file"] for entry in found["splits"]["train"]["files"])
        before = pq.read_table(file).to_pylist()
        synthetic = [row for row in before if row["is_synthetic"]]
        originals = [row for row in before if not row["is_synthetic"]]
        after = change(before, synthetic, originals) or before
        file.unlink()
        said = found["plan"]["settings"]
        columns = Columns(said["text"], said["label"], said["id"])
        data = Dataset.from_list(after, features=Features.from_dict(found["features"]))
        found["splits"]["train"] = write_split(data, folder, "train", columns)
        write_manifest(folder, found)
        _render(folder)

    return falsify


def one(rows_of, **values):
    """Change columns of one row; a value may be a function of the row."""

    def change(before, synthetic, originals):
        row = (synthetic if rows_of == "synthetic" else originals)[3]
        row.update({name: value(row) if callable(value) else value for name, value in values.items()})

    return rows(change)


def other_source(before, synthetic, originals):
    row = synthetic[3]
    row["source_ids"][2] = next(
        o["row_id"] for o in originals if o["label"] == row["label"] and o["row_id"] not in row["source_ids"]
    )


def foreign_source(before, synthetic, originals):
    row = synthetic[3]
    row["source_ids"][2] = next(o["row_id"] for o in originals if o["label"] != row["label"])


def added_original(before, synthetic, originals):
    row_id = row_digest("One more.", "memory")
    return [*before, {**originals[0], "text": "One more.", "label": "memory", "row_id": row_id, "source_ids": [row_id]}]


def moved(before, synthetic, originals):
    place = before.index(synthetic[0])
    return [*before[:place], *before[place + 1 :], before[place]]


def passed_off(before, synthetic, originals):
    row = synthetic[3]
    row_id = row_digest(row["text"], row["label"])
    row.update(is_synthetic=False, row_id=row_id, source_ids=[row_id], draw=-1)
    row.update(generator="", prompt_sha256="", journal_key="")


def card(old, new):
    def falsify(folder):
        path = folder / "README.md"
        text = path.read_text()
        found = old(read_manifest(folder)) if callable(old) else old
        assert text.count(found) >= 1, found
        path.write_text(text.replace(found, new, 1))

    return falsify


def originals_of_memory(found):
    return f"| memory | {found['plan']['classes'][1]['originals']} |"


def journal(*statements):
    def falsify(folder):
        with sqlite3.connect(folder / JOURNAL) as database:
            for statement in statements:
                assert database.execute(statement).rowcount >= 1

    return falsify


def crossval(change):
    def falsify(folder):
        found = read_facts(folder)
        change(found)
        write_facts(folder, found)
        _render(folder)

    return falsify


def bytes_of_a_file(folder):
    (file,) = (folder / "data").glob("train-*.parquet")
    file.write_bytes(file.read_bytes() + b"\0")


def another_file(folder):
    (file,) = (folder / "data").glob("train-*.parquet")
    shutil.copy(file, folder / "data" / "train-00001-of-00002-00000000.parquet")


def other_reasons(found):
    entry = found["outcome"]["classes"][0]
    entry["rejected"] = {"refusal": entry["generated"] - entry["kept"]}


def outcome(name, value):
    return facts(lambda f: f["outcome"]["classes"][0].update({name: value}))


def setting(name, value):
    return facts(lambda f: (f["plan"]["settings"].update({name: value}), f["parameters"].update({name: value})))


FALSE = {
    "a synthetic text": (one("synthetic", text="Another text."), "texts and answers"),
    "a letter of a synthetic text": (one("synthetic", text=lambda r: r["text"] + "."), "texts and answers"),
    "an original's text": (one("originals", text="Another text."), "originals and their ids"),
    "a synthetic row's label": (one("synthetic", label="health"), "draws, prompts and keys"),
    "an original's label": (
        one("originals", label=lambda r: {"memory": "health", "health": "memory"}[r["label"]]),
        "originals and their ids",
    ),
    "a source removed": (one("synthetic", source_ids=lambda r: r["source_ids"][1:]), "draws, prompts and keys"),
    "sources in another order": (
        one("synthetic", source_ids=lambda r: r["source_ids"][::-1]),
        "draws, prompts and keys",
    ),
    "another source of the class": (rows(other_source), "draws, prompts and keys"),
    "a source of another class": (rows(foreign_source), "synthetic rows and their ids"),
    "a synthetic row removed": (rows(lambda b, s, o: [row for row in b if row is not s[3]]), "counts"),
    "a synthetic row twice": (rows(lambda b, s, o: [*b, s[3]]), "counts"),
    "an original removed": (rows(lambda b, s, o: [row for row in b if row is not o[3]]), "plan"),
    "an original added": (rows(added_original), "plan"),
    "a machine text passed off as an original": (rows(passed_off), "counts"),
    "a draw's number": (one("synthetic", draw=lambda r: (r["draw"] + 1) % 5), "draws, prompts and keys"),
    "a row's generator": (one("synthetic", generator="gpt-4o"), "synthetic rows and their ids"),
    "a row's prompt": (one("synthetic", prompt_sha256="0" * 64), "draws, prompts and keys"),
    "a row's key": (one("synthetic", journal_key="0" * 64), "synthetic rows and their ids"),
    "a row's id": (one("synthetic", row_id="synthetic-1"), "synthetic rows and their ids"),
    "a row's place": (rows(moved), "places of synthetic rows"),
    "a file's bytes": (bytes_of_a_file, "data files"),
    "one more file": (another_file, "data files"),
    "kept": (outcome("kept", 12), "counts"),
    "needed": (outcome("needed", 12), "counts"),
    "rejected": (outcome("rejected", {}), "judged answers"),
    "the reasons of rejection": (
facts(other_reasons),
        "judged answers",
    ),
    "tokens": (facts(lambda f: f["outcome"].update(prompt_tokens=1)), "judged answers"),
    "originals of a class": (facts(lambda f: f["plan"]["classes"][1].update(originals=75)), "plan"),
    "the prompt": (facts(lambda f: f["prompt"].update(system="Be nice.")), "draws, prompts and keys"),
    "the example prompt": (facts(lambda f: f["plan"].update(example="Write a text.")), "example prompt"),
    "the generator's name": (facts(lambda f: f["generator"].update(name="gpt-4o")), "generator in the journal"),
    "the generator's parameters": (
        facts(lambda f: f["generator"]["parameters"].update(temperature=0.7)),
        "draws, prompts and keys",
    ),
    "the seed": (setting("seed", 1), "draws, prompts and keys"),
    "how many originals were shown": (setting("n_examples", 4), "draws, prompts and keys"),
    "replacement": (setting("replacement", "within"), "draws, prompts and keys"),
    "a definition of a class": (setting("category_descriptions", {"memory": "old"}), "draws, prompts and keys"),
    "the recipe": (facts(lambda f: f["parameters"].update(seed=5)), "parameters"),
    "an example text": (facts(lambda f: f["examples"][0].update(text="A nicer one.")), "example texts"),
    "a version, in the facts alone": (facts(lambda f: f["versions"].update(datasets="1"), render=False), "card"),
    "a figure in the card": (card(originals_of_memory, "| memory | 80 |"), "card"),
    "a text in the card": (card(lambda f: f["examples"][0]["text"], "A nicer one."), "card"),
    "the prompt in the card": (card("You write short messages", "You copy short messages"), "card"),
    "files named in the card": (card("- data/train-", "- data/other-"), "card's metadata"),
    "a tag in the card": (card("- synthetic\n", ""), "card's metadata"),
    "an answer": (journal("UPDATE answers SET answer = '\"Another.\"'"), "texts and answers"),
    "a request": (journal("UPDATE answers SET request = replace(request, 'short', 'long')"), "requests"),
    "a verdict": (journal("UPDATE verdicts SET accepted = 0, reason = 'refusal'"), "texts and answers"),
    "a rejected answer removed": (journal("DELETE FROM verdicts WHERE accepted = 0"), "judged answers"),
    "F1": (crossval(lambda f: f["summary"][0].update(estimate=0.99)), "cross-validation's summary"),
    "a fit's F1": (crossval(lambda f: f["fits"][0]["scores"]["f1"].__setitem__(0, 0.99)), "cross-validation's summary"),
    "a difference": (crossval(lambda f: f["comparisons"][0].update(difference=0.2)), "cross-validation's differences"),
    "the leak check": (
        crossval(lambda f: f["leak_check"]["seed_aware"].update(sources=10_000)),
        "cross-validation's leak checks",
    ),
    "F1 in the card": (card("| memory | `imputed` | ", "| memory | `imputed` | 0.9"), "card"),
}  # fmt: skip


def failed(checks):
    return {entry.name for entry in checks if entry.passed is False}


def test_what_is_true_passes(result):
    checks = verify(result, replay=True)
    assert [entry for entry in checks if entry.passed is not True] == []
    names = {entry.name for entry in checks}
    assert {name for _, name in FALSE.values()} <= names
    assert "replay: bytes" in names
    rejected = read_manifest(result)["outcome"]["classes"][0]["rejected"]
    assert len(rejected) >= 3  # there was something to account for


@pytest.mark.parametrize("name", FALSE)
def test_a_falsification_is_found(result, name):
    falsify, expected = FALSE[name]
    falsify(result)
    assert expected in failed(verify(result))


def test_replay_finds_what_the_journal_does_not_give(result):
    journal("DELETE FROM answers WHERE key IN (SELECT key FROM verdicts WHERE accepted = 1 LIMIT 1)")(result)
    assert {"replay: account", "replay: bytes", "texts and answers"} <= failed(verify(result, replay=True))


def test_a_persons_own_words_in_the_card_are_no_falsification(result):
    path = result / "README.md"
    text = path.read_text().replace("---\nconfigs", "---\npretty_name: Ours\nlicense: mit\nconfigs", 1)
    path.write_text(text.replace("- synimpute\n", "- synimpute\n- history\n") + "\nThanks to the coders.\n")
    assert failed(verify(result)) == set()


def test_the_command(result):
    def run(*arguments):
        command = [sys.executable, "-m", "synimpute_hf", "verify", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    done = run(result, "--replay")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All checks passed." in done.stdout
    one("synthetic", text="Another text.")(result)
    done = run(result, "--json")
    assert done.returncode == 1
    wrong = [entry for entry in json.loads(done.stdout) if entry["passed"] is False]
    assert any("the text is not what the model answered" in entry["found"] for entry in wrong)
    (result / MANIFEST).unlink()
    done = run(result)
    assert done.returncode == 2
    assert "No result at" in done.stderr
