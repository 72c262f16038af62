"""``synimpute estimate`` as a user runs it: a csv with predictions and some codes."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import make_rows

pytest.importorskip("ppi_py")
NAMES = ("text", "predicted", "said", "chance", "code", "yes", "year", "party", "lead", "votes")


def synimpute(*arguments):
    command = [sys.executable, "-m", "synimpute_hf", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def write(path, coded=400, share=0.1, size=2000):
    rng = np.random.default_rng(0)
    chosen = set(rng.choice(size, coded, replace=False).tolist())
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(NAMES)
        for k in range(size):
            year, lead = 2000 + k % 20, round(float(rng.normal()), 3)
            true = rng.random() < share * (0.5 + (year - 2000) / 19)
            said = rng.random() < (0.75 if true else 0.1)
            votes = round(1 + 2 * true + 0.5 * lead + float(rng.normal()), 3)
            word = ("other", "nostalgic")
            codes = (word[true], int(true)) if k in chosen else ("", -1)
            said_so = (word[said], int(said), 0.9 if said else 0.2)
            table.writerow([f"text {k}", *said_so, *codes, year, "ab"[k % 2], lead if k else "", votes])
    return path


def test_everything(tmp_path):
    data = write(tmp_path / "corpus.csv")
    asked = (
        "--by",
        "party",
        "--trend",
        "year",
        "--regress-on",
        "lead,year",
        "--outcome",
        "votes",
        "--controls",
        "lead",
    )
    columns = ("--predicted", "predicted", "--coded", "code", "--category", "nostalgic")
    run = synimpute("estimate", data, *columns, *asked, "--output", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    shown = " ".join(run.stdout.split())
    assert "Share of nostalgic: the classifier alone says" in shown
    assert "corrected with 400 coded texts" in shown
    assert "What the classifier alone says lies outside that interval." in shown
    assert "must be a random sample of the corpus" in shown
    assert "WARNING" not in shown
    assert max(map(len, run.stdout.splitlines())) <= 80
    text = (tmp_path / "out" / "estimates.json").read_text()
    assert str(tmp_path) not in text
    facts = json.loads(text)
    assert (facts["texts"], facts["coded"], facts["source"]) == (2000, 400, "corpus.csv")
    parts = {part["key"]: part for part in facts["parts"]}
    assert list(parts) == ["prevalence", "groups", "difference", "trend", "outcome", "regressor"]
    found = parts["prevalence"]["rows"][0]["estimates"]
    assert found["naive"]["low"] > 0.12
    for method in ("adjusted_count", "ppi", "dsl", "coded_sample"):
        assert found[method]["low"] < 0.1 < found[method]["high"]
    assert [row["what"] for row in parts["groups"]["rows"]] == ["party a", "party b"]
    assert parts["difference"]["rows"][0]["what"] == "b less a"
    assert [row["what"] for row in parts["outcome"]["rows"]] == ["constant", "lead", "year"]
    category = parts["regressor"]["rows"][1]["estimates"]
    assert category["naive"]["high"] < 2
    assert category["ppi"]["low"] < 2 < category["ppi"]["high"]
    assert parts["regressor"]["notes"] == ["Texts left out for lack of a value of votes or lead: 1."]
    page = (tmp_path / "out" / "estimates.md").read_text()
    assert "## Trend of nostalgic" in page
    assert "PPI++: prediction-powered inference" in page


def test_columns_of_numbers_say_the_same(tmp_path):
    data = write(tmp_path / "corpus.csv")
    one = synimpute(
        "estimate", data, "--predicted", "predicted", "--coded", "code", "--category", "nostalgic", "--json"
    )
    two = synimpute("estimate", data, "--predicted", "said", "--coded", "yes", "--category", "nostalgic", "--json")
    assert json.loads(one.stdout) == json.loads(two.stdout)
    run = synimpute("estimate", data, "--predicted", "chance", "--coded", "code", "--category", "nostalgic", "--json")
    found = json.loads(run.stdout)["parts"][0]["rows"][0]["estimates"]
    assert found["naive"]["estimate"] > 0.25
    assert found["ppi"]["low"] < 0.1 < found["ppi"]["high"]


def test_a_small_sample_is_told_loudly(tmp_path):
    data = write(tmp_path / "corpus.csv", coded=60, share=0.02)
    columns = ("--predicted", "predicted", "--coded", "code", "--category", "nostalgic")
    shown = " ".join(synimpute("estimate", data, *columns).stdout.split())
    assert "WARNING: Only 60 texts are coded" in shown
    assert "coded texts are of the category" in shown
    run = synimpute("estimate", data, *columns, "--json")
    assert "WARNING: Only 60 texts are coded" in run.stderr
    assert len(json.loads(run.stdout)["warnings"]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--predicted", "predictd"), "Did you mean 'predicted'?"),
        ((), "Say either --predicted COLUMN, or --model MODEL"),
        (("--model", "here"), "--model needs --text COLUMN"),
        (("--predicted", "lead"), "empty: expected a prediction for every text"),
        (("--predicted", "votes"), "Predictions must be 0, 1 or probabilities"),
        (("--predicted", "party"), "'party' has no class 'nostalgic'"),
        (("--predicted", "predicted", "--controls", "lead"), "--outcome COLUMN"),
        (("--predicted", "predicted", "--by", "votes"), "For a number, use --trend"),
        (("--predicted", "predicted", "--trend", "party"), "'party' must hold numbers"),
        (("--predicted", "predicted", "--category", "nostalgia"), "Did you mean 'nostalgic'?"),
    ],
)
def test_errors_say_what_to_do(tmp_path, options, message):
    data = write(tmp_path / "corpus.csv")
    run = synimpute("estimate", data, "--coded", "code", "--category", "nostalgic", *options)
    assert run.returncode == 2
    assert message in " ".join(run.stderr.split())


def test_a_classifier_predicts(tmp_path):
    transformers = pytest.importorskip("transformers")
    rows = make_rows()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({w for t in rows["text"] for w in t.lower().split()})]
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(words))
    names = {0: "common", 1: "rare"}
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(
        vocab_size=len(words),
        max_position_embeddings=64,
        id2label=names,
        label2id={v: k for k, v in names.items()},
        **shape,
    )
    model = tmp_path / "model"
    transformers.BertForSequenceClassification(config).save_pretrained(model)
    transformers.BertTokenizerFast(vocab=str(vocabulary)).save_pretrained(model)
    data = tmp_path / "texts.csv"
    with data.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "code"])
        for k, text in enumerate(rows["text"]):
            table.writerow([text, ("common", "rare")[k % 3 == 0] if k % 2 else ""])
    run = synimpute(
        "estimate", data, "--model", model, "--text", "text", "--coded", "code", "--category", "rare", "--json"
    )
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout)
    assert facts["texts"] == len(rows["text"])
    assert facts["parts"][0]["rows"][0]["estimates"]["naive"]["estimate"] is not None
    wrong = synimpute("estimate", data, "--model", model, "--text", "text", "--coded", "code", "--category", "rar")
    assert wrong.returncode == 2
    assert "knows no class 'rar'" in wrong.stderr
