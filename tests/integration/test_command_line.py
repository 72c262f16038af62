"""The command line as a user runs it: in a process of its own, over files of every kind."""

import json
import signal
import subprocess
import sys
import time

import datasets
import pandas as pd
import pytest
from conftest import make_rows
from datasets import Dataset, DatasetDict, load_dataset


def synimpute(*arguments, cwd=None):
    command = [sys.executable, "-m", "synimpute_hf", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "texts.csv"
    pd.DataFrame(make_rows()).to_csv(path, index=False)
    return path


def parquet_of(folder):
    (path,) = (folder / "data").glob("train-*.parquet")
    return path


def impute(data, output, *more):
    return synimpute("impute", data, "--target", 20, "--generator", "echo", "--output", output, *more)


def test_plan(csv):
    run = synimpute("plan", csv, "--target", 20, "--generator", "echo")
    assert run.returncode == 0
    shown = " ".join(run.stdout.split())
    assert "Column 'label' is taken as the label (guessed" in shown
    assert "Takes: 8 calls" in shown
    assert "one rendered prompt" in shown
    facts = json.loads(synimpute("plan", csv, "--target", 20, "--generator", "echo", "--json").stdout)
    assert facts["to_write"] == 8
    assert facts["settings"]["seed"] == 0


def test_preview_is_not_paid_twice(csv, tmp_path):
    run = synimpute("preview", csv, "--target", 20, "--generator", "echo", "--n", 3)
    assert run.returncode == 0
    assert run.stdout.count("[echo ") == 3
    assert "are kept in" in " ".join(run.stdout.split())
    shown = json.loads(synimpute("preview", csv, "--target", 20, "--generator", "echo", "--n", 3, "--json").stdout)
    assert [len(entry["originals"]) for entry in shown] == [5, 5, 5]
    account = json.loads(impute(csv, tmp_path / "out", "--json").stdout)
    assert (account["asked"], account["from_journal"]) == (5, 3)
    out = load_dataset(str(tmp_path / "out"), split="train")
    assert {entry["text"] for entry in shown} <= set(out["text"])


def test_impute_writes_a_folder_that_loads(csv, tmp_path):
    out = tmp_path / "out"
    run = impute(csv, out, "--category-description", "rare=texts of old")
    assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "data", "journal.sqlite", "synimpute.json"]
    rows = load_dataset(str(out), split="train")
    assert rows.num_rows == 50
    assert sum(rows["is_synthetic"]) == 8
    facts = json.loads((out / "synimpute.json").read_text())
    assert facts["outcome"]["classes"][0]["kept"] == 8
    assert facts["generator"]["name"] == "echo"
    assert facts["plan"]["settings"]["category_descriptions"] == {"rare": "texts of old"}
    assert facts["versions"]["datasets"] == datasets.__version__
    card = (out / "README.md").read_text()
    assert "| rare | 12 | 8 | 20 |" in card
    assert "texts of old" in card
    assert str(tmp_path) not in card + json.dumps(facts)
    before = parquet_of(out).read_bytes()
    again = json.loads(impute(csv, out, "--category-description", "rare=texts of old", "--json").stdout)
    assert (again["asked"], again["from_journal"]) == (0, 8)
    assert parquet_of(out).read_bytes() == before


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "xlsx", "folder", "saved", "saved_dict"])
def test_every_kind_of_data_gives_the_same_rows(tmp_path, kind):
    ds = Dataset.from_dict(make_rows())
    frame = pd.DataFrame(make_rows())
    path = tmp_path / f"data.{kind}"
    folder = tmp_path / "data"
    writers = {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: ds.to_json(str(path)),
        "parquet": lambda: ds.to_parquet(str(path)),
        "xlsx": lambda: frame.to_excel(path, index=False),
        "folder": lambda: (folder.mkdir(), ds.to_parquet(str(folder / "train.parquet"))),
        "saved": lambda: ds.save_to_disk(str(folder)),
        "saved_dict": lambda: DatasetDict(train=ds, extra=ds.select([40])).save_to_disk(str(folder)),
    }
    writers[kind]()
    run = impute(path if path.exists() else folder, tmp_path / "out")
    assert run.returncode == 0, run.stderr
    texts = set(load_dataset(str(tmp_path / "out"), split="train")["text"])
    assert len(texts) == 50
    # A text that also stands in another split leaves the pool alone unless it is of a short class.
    assert texts == set(imputed_texts(tmp_path / "reference", ds))


def imputed_texts(folder, ds):
    from synimpute_hf import SyntheticImputer

    fitted = SyntheticImputer(target=20, generator="echo", journal=folder / "j.sqlite").fit(ds)
    return fitted(ds)["text"]


def test_other_splits_are_kept_as_they_were(tmp_path):
    ds = Dataset.from_dict(make_rows())
    test = Dataset.from_dict({"text": ["Unseen."], "label": ["rare"], "year": [1]})
    DatasetDict(train=ds, test=test).save_to_disk(str(tmp_path / "in"))
    assert impute(tmp_path / "in", tmp_path / "out").returncode == 0
    out = load_dataset(str(tmp_path / "out"))
    assert out["test"]["text"] == ["Unseen."]
    assert out["train"].num_rows == 50


def test_a_folder_is_read_as_it_is_now(tmp_path, csv):
    """datasets alone would return what stood there before, for a folder whose README has configs."""
    for target in (20, 25):
        run = synimpute("impute", csv, "--target", target, "--generator", "echo", "--output", tmp_path / "out")
        assert run.returncode == 0
        assert load_dataset(str(tmp_path / "out"), split="train").num_rows == 30 + target
    folder = tmp_path / "in"
    for rare in (12, 14):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        Dataset.from_dict(make_rows(rare=rare)).to_parquet(str(folder / "data" / "train.parquet"))
        configs = "configs:\n- config_name: default\n  data_files: [{split: train, path: data/train.parquet}]\n"
        (folder / "README.md").write_text(f"---\n{configs}---\n")
        plan = json.loads(synimpute("plan", folder, "--generator", "echo", "--json").stdout)
        assert [entry["originals"] for entry in plan["classes"]] == [30, rare]


def test_nothing_to_do_is_said(csv, tmp_path):
    run = synimpute("impute", csv, "--target", 3, "--generator", "echo", "--output", tmp_path / "out")
    assert run.returncode == 0
    assert "Nothing to do: every class has reached its target." in run.stdout
    assert load_dataset(str(tmp_path / "out"), split="train").num_rows == 42


def test_a_short_class_gives_exit_status_1_and_a_usable_result(csv, tmp_path, scripted):
    spec = scripted("one and the same")
    run = synimpute("impute", csv, "--target", 20, "--generator", spec, "--output", tmp_path / "out")
    assert run.returncode == 1
    assert "is 7 short of 8 texts" in " ".join(run.stdout.split())
    assert sum(load_dataset(str(tmp_path / "out"), split="train")["is_synthetic"]) == 1
    assert "**7 synthetic texts are missing" in (tmp_path / "out" / "README.md").read_text()


def test_ctrl_c_keeps_a_partial_result_and_says_how_to_go_on(csv, tmp_path):
    command = [
        sys.executable,
        "-m",
        "synimpute_hf",
        "impute",
        csv,
        "--target",
        "60",
        "--output",
        tmp_path / "out",
        "--generator",
        "echo:delay=0.2",
    ]
    run = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background inherit an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "journal.sqlite-wal").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    run.send_signal(signal.SIGINT)
    stopped = time.monotonic()
    output, _ = run.communicate(timeout=60)
    assert time.monotonic() - stopped < 10
    assert run.returncode == 130
    assert "run the same command again to go on" in " ".join(output.split())
    partial = load_dataset(str(tmp_path / "out"), split="train")
    assert 0 < sum(partial["is_synthetic"]) < 78
    assert "partial result" in (tmp_path / "out" / "README.md").read_text()
    rest = synimpute("impute", csv, "--target", 60, "--output", tmp_path / "out", "--generator", "echo", "--json")
    account = json.loads(rest.stdout)
    assert account["from_journal"] >= sum(partial["is_synthetic"])
    assert account["kept"] == 78
    assert rest.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "nothere.csv"), "There is no file or folder 'nothere.csv'"),
        (("plan", "letter.pdf"), "a file of an unknown kind (.pdf)"),
        (("plan", "broken.parquet"), "could not be read as a dataset"),
        (("plan", "broken.xlsx"), "could not be read as a dataset"),
        (("plan", "empty.csv"), "could not be read as a dataset"),
        (("plan", "nobody/nothing"), "could not be read as a dataset"),
        (("plan", "texts.csv", "--text", "txet"), "Did you mean 'text'"),
        (("plan", "texts.csv", "--split", "tset"), "has no split 'tset'"),
        (("plan", "texts.csv", "--sampling-strategy", "rare=x"), "CLASS=ROWS"),
        (("plan", "texts.csv", "--category-description", "rare"), "expects CLASS="),
        (("plan", "texts.csv", "--generator", "gtp"), "There is no generator 'gtp'"),
        (("plan", "texts.csv", "--generator", "echo", "--base-url", "http://x"), "takes no option 'base_url'"),
        (("plan", "texts.csv", "--prompt", "nope"), "There is no prompt 'nope'"),
        (("plan", "texts.csv", "--sampling-strategy", "rare=50,other=50"), "'other', which is not in the data"),
        (("impute", "texts.csv", "--output", "full"), "already holds something else (thesis.docx"),
        (("impute", "texts.csv", "--output", "/proc/none/out"), "can't be written"),
        (("impute", "texts.csv", "--output", "o", "--generator", "echo", "--journal", "/proc/j.sqlite"), "--journal"),
    ],
)
def test_bad_input_gets_a_clear_error_and_exit_status_2(tmp_path, csv, arguments, message):
    for name in ("letter.pdf", "broken.parquet", "broken.xlsx", "empty.csv"):
        (tmp_path / name).write_text("" if name == "empty.csv" else "no data")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").write_text("years of work")
    run = synimpute(*arguments, cwd=tmp_path)
    assert run.returncode == 2, run.stdout
    assert message in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr
    assert (tmp_path / "full" / "thesis.docx").read_text() == "years of work"


def test_a_full_disk_at_the_end_loses_nothing(csv, tmp_path):
    code = (
        "import resource, sys\nfrom synimpute_hf.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        f"sys.argv = ['synimpute', 'impute', {str(csv)!r}, '--target', '400', '--generator', 'echo', "
        f"'--output', {str(tmp_path / 'out')!r}, '--journal', {str(tmp_path / 'j.sqlite')!r}]\nmain()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert "disk is full" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out" / "data").exists()
