"""The builders as their users run them, on small invented sheets, and on real data where this checkout has some."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml
from datasets import ClassLabel, load_dataset
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook
from synimpute_hf.dataset_scripts import base
from synimpute_hf.dataset_scripts.banking77 import NAMES, Banking77
from synimpute_hf.dataset_scripts.buergertelefon import Buergertelefon
from synimpute_hf.dataset_scripts.city_service_line import CityServiceLine
from synimpute_hf.dataset_scripts.coders import Rule, agreement, most_frequent
from synimpute_hf.dataset_scripts.hand_coded import HandCoded
from synimpute_hf.dataset_scripts.political_nostalgia import PoliticalNostalgia

from synimpute_hf.errors import ColumnError, DataError, MissingPackageError, OutputError

THINGS = ("bridge", "well", "mill", "road", "lamp")
TEXTS = [f"The {thing} in {place} was mended." for thing in THINGS for place in ("Ock", "Ebb", "Um", "Ash")]


def run_module(name, *arguments, cwd=None):
    command = [sys.executable, "-m", f"synimpute_hf.dataset_scripts.{name}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def sheet(path, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def coded_sheet(folder):
    """Three coders, 20 texts: 12 in one class by majority, 5 in the other, two ties, one not coded."""
    return sheet(
        folder / "coded.csv",
        sentence=TEXTS,
        anna=[1] * 13 + [2] * 5 + [1, None],
        ben=[1] * 12 + [2] * 6 + [2, None],
        carla=[1, 2] * 6 + ["NA"] + [2, 2, 2, 1, 1] + [3, None],
        year=range(1900, 1920),
        party=[f"0{n % 3}" for n in range(20)],
    )


def built(tmp_path, **settings):
    """Return a builder on ``coded.csv``, or what else stands in ``data_dir``."""
    return HandCoded(**{"cache_dir": str(tmp_path / "cache"), "data_dir": str(tmp_path / "coded.csv"), **settings})


def told(builder):
    return " ".join(builder.notes())


def test_a_spreadsheet_as_a_user_turns_it_into_a_dataset(tmp_path):
    coded_sheet(tmp_path)
    (tmp_path / "book.yaml").write_text(
        "- {code: 1, name: mending, description: 'what was broken | works'}\n- {code: 2, name: building}\n"
        "- {code: 3, name: other, description: the rest}\n"
    )
    done = run_module(
        "hand_coded", "--data-dir", "coded.csv", "--coders", "anna,ben,carla", "--codebook", "book.yaml",
        "--output", "out", "--language", "en", "--title", "Repairs", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (
        "3 texts have no class by the rule majority and were left out (--ties): coded.csv:14, coded.csv:20"
        in done.stdout
    )
    assert "Column 'sentence' is taken as the text (guessed" in done.stdout
    assert "Codes that stand for 'not coded': 'NA' 1 times" in done.stdout
    assert "synimpute impute out \\\n  --category-description 'mending=what was broken | works'" in done.stdout
    rows = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "loaded"))
    assert rows.features["label"] == ClassLabel(names=["mending", "building", "other"])
    assert Counter(rows.features["label"].int2str(rows["label"])) == {"mending": 12, "building": 5}
    assert rows[0] == {
        "id": "coded.csv:2", "text": TEXTS[0], "label": 0,
        "anna": 1, "ben": 1, "carla": "1", "year": 1900, "party": "00",
    }  # fmt: skip
    card = (tmp_path / "out" / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["license"] == "unknown"
    assert metadata["language"] == ["en"]
    assert metadata["size_categories"] == ["n<1K"]
    for line in (
        "| mending | 12 |",
        "| 1 | mending | what was broken \\| works |",
        "Krippendorff's alpha",
        "# Repairs",
    ):
        assert line in card
    assert str(tmp_path) not in card
    assert yaml.safe_load((tmp_path / "out" / "codebook.yaml").read_text())[2]["description"] == "the rest"

    before = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    again = HandCoded(
        cache_dir=str(tmp_path / "cache"), data_dir=str(tmp_path / "coded.csv"), coders="anna,ben,carla",
        codebook=str(tmp_path / "out" / "codebook.yaml"), language="en", title="Repairs")  # fmt: skip
    base.write_folder(again, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_all_ways_to_read_a_builder_give_the_same_rows(tmp_path):
    coded_sheet(tmp_path)
    sheet(tmp_path / "train.csv", text=TEXTS[:3], category=["card_arrival", "Refund_not_showing_up", "age_limit"])
    sheet(tmp_path / "test.csv", text=TEXTS[3:5], category=["reverted_card_payment?", "age_limit"])
    sheet(
        tmp_path / "nostalgia.csv", doc_id=["a", "b"], countryname=["Ock", "Um"], text=TEXTS[:2],
        cmp_code=["NA", "504"], manifesto_id=["1 2007-03-18", "2 1946-01-01"], nostalgic_at_least_1=[1, 1],
        nostalgic_at_least_3=[0, 1])  # fmt: skip
    builders = {
        "city": lambda cache: CityServiceLine(cache_dir=cache),
        "german": lambda cache: Buergertelefon(cache_dir=cache),
        "coded": lambda cache: built(tmp_path, cache_dir=cache, coders="anna,ben,carla", test_share=0.25),
        "nostalgia": lambda cache: PoliticalNostalgia(
            cache_dir=cache, config_name="at_least_1", data_dir=str(tmp_path / "nostalgia.csv")
        ),
        "banking": lambda cache: Banking77(cache_dir=cache, data_dir=str(tmp_path)),
    }
    found = {}
    for name, make in builders.items():
        builder = make(str(tmp_path / "cache" / name))
        builder.download_and_prepare()
        prepared = builder.as_dataset()
        streamed = builder.as_streaming_dataset()
        base.write_folder(make(str(tmp_path / "other")), tmp_path / name)
        loaded = load_dataset(str(tmp_path / name), cache_dir=str(tmp_path / "loaded" / name))
        from_hub = load_dataset(str(tmp_path / name), streaming=True)
        assert set(prepared) == set(streamed) == set(loaded)
        for split, rows in prepared.items():
            assert rows.features == loaded[split].features == streamed[split].features
            assert rows.to_list() == list(streamed[split]) == loaded[split].to_list() == list(from_hub[split])
        assert builder.info.version == "1.0.0"
        assert builder.info.description
        assert builder.info.license
        found[name] = prepared
    assert found["city"]["train"].num_rows == 401
    german = found["german"]["train"]
    assert Counter(german.features["label"].int2str(german["label"])) == {
        "amt": 67, "gruen": 67, "hitze": 60, "verkehr": 67
    }  # fmt: skip
    assert len(set(german["text"])) == 261
    assert yaml.safe_load((tmp_path / "german" / "README.md").read_text().split("---\n")[1])["language"] == ["de"]
    assert found["nostalgia"]["train"].to_list()[0] == {
        "id": "a", "text": TEXTS[0], "label": 1, "year": 2007, "countryname": "Ock", "cmp_code": None,
        "manifesto_id": "1 2007-03-18", "nostalgic_at_least_1": 1, "nostalgic_at_least_3": 0,
    }  # fmt: skip
    labels = found["banking"]["train"].features["label"]
    assert (len(NAMES), labels.int2str(found["banking"]["test"]["label"][0])) == (77, "reverted_card_payment?")
    assert found["banking"]["train"].to_list()[1]["id"] == "train-1"


def test_an_edited_file_is_not_served_from_the_cache(tmp_path):
    path = sheet(tmp_path / "coded.csv", text=TEXTS[:4], label=["a", "a", "b", "b"])
    (tmp_path / "book.csv").write_text("code,name\na,alpha\nb,beta\n")
    seen = []
    for change in ("nothing", "text", "book", "setting"):
        if change == "text":
            path.write_text(path.read_text().replace("bridge", "tunnel"))
        if change == "book":
            (tmp_path / "book.csv").write_text("code,name\na,gamma\nb,beta\n")
        builder = built(
            tmp_path, codebook=str(tmp_path / "book.csv"), **({"test_share": 0.5} if change == "setting" else {})
        )
        builder.download_and_prepare()
        seen.append(builder.as_dataset())
        base.write_folder(builder, tmp_path / "out")
        loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "loaded"))
        assert loaded["train"].to_list() == seen[-1]["train"].to_list()
    assert "bridge" in seen[0]["train"][0]["text"]
    assert "tunnel" in seen[1]["train"][0]["text"]
    assert seen[2]["train"].features["label"].names == ["gamma", "beta"]
    assert [seen[3][split].num_rows for split in ("train", "test")] == [2, 2]


@pytest.mark.parametrize(
    ("rule", "codes", "decided"),
    [
        ("majority", "AAB", "A"), ("majority", "AABB", None), ("majority", "ABC", None), ("majority", "AABC", None),
        ("majority", "A..", "A"), ("majority", "...", None), ("majority", "AB.", None), ("unanimous", "AA.", "A"),
        ("unanimous", "AAB", None), ("threshold:0.67", "AAB", "A"), ("threshold:0.7", "AAB", None),
        ("threshold:0.5", "AABB", None), ("threshold:0.4", "AABCD", "A"), ("any", "AAB", "B"), ("any", "AAA", "A"),
        ("any", "A..", "A"), ("at-least:2", "AAB", "A"), ("at-least:2", "ABB", "B"), ("at-least:2", "A..", None),
    ],
)  # fmt: skip
def test_rules(rule, codes, decided):
    parsed = Rule.parse(rule)
    if parsed.kind == "at-least":
        parsed = Rule(parsed.kind, parsed.number, positive="B", negative="A")
    assert parsed.decide([None if code == "." else code for code in codes]) == decided


@given(st.lists(st.sampled_from("ABC") | st.none(), max_size=7), st.randoms())
def test_rules_hold_together(codes, random):
    mixed = random.sample(codes, len(codes))
    decided = {rule: Rule.parse(rule).decide(codes) for rule in ("majority", "unanimous", "threshold:0.67")}
    assert decided == {rule: Rule.parse(rule).decide(mixed) for rule in decided}  # the order of coders is no matter
    assert decided["unanimous"] in (None, decided["threshold:0.67"])
    assert decided["threshold:0.67"] in (None, decided["majority"])
    assert decided["majority"] in (None, most_frequent(codes))
    assert Rule.parse("majority", minimum=8).decide(codes) is None


def test_agreement_is_that_of_the_published_example():
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): four observers, twelve units, gaps; 0.743."""
    observers = ("123321412...", "12332241 25.3".replace(" ", ""), ".33323422 51.".replace(" ", ""), "12332441251.")
    units = [[None if code == "." else code for code in unit] for unit in zip(*observers, strict=True)]
    found = agreement(units)
    assert (found.texts, round(found.alpha, 3)) == (11, 0.743)
    assert agreement([["A", "A"], ["A", "A"]]).alpha is None
    assert agreement([["A", None]]).percent is None
    perfect = agreement([["A", "A"], ["B", "B"]])
    assert (perfect.percent, perfect.alpha) == (100, 1)


def test_ties_missing_codes_and_rules_from_the_sheet(tmp_path):
    coded_sheet(tmp_path)
    first = built(tmp_path, coders="anna,ben,carla", ties="first")
    assert [row["label"] for row in first.coded.rows["train"]][-1] == "1"  # 1, 2, 3: anna is named first
    assert sum(map(len, first.coded.rows.values())) == 19  # no code at all is no tie
    kept = built(tmp_path, coders="carla,ben,anna", ties="unlabelled", test_share=0.2)
    assert [row["label"] for row in kept.coded.rows["train"]][-2:] == [-1, -1]
    assert all(row["label"] != -1 for row in kept.coded.rows["test"])
    assert "label -1" in told(kept)
    assert "Agreement" not in told(built(tmp_path, label="anna"))
    assert "Agreement of anna, ben, carla on the 19 texts with two codes or more: " in told(first)
    assert "have the code of one coder only" in told(built(tmp_path, coders="anna,carla"))
    some = built(tmp_path, coders="anna,ben", min_coders=2, missing="3")
    assert len(some.coded.rows["train"]) == 17
    assert built(tmp_path, coders="anna,ben", rule="any", positive="2").coded.rows["train"][12]["label"] == "2"
    with pytest.raises(DataError, match=r"need two classes.*'1', '2', '3'; --positive is None"):
        built(tmp_path, coders="anna,ben,carla", rule="any")
    with pytest.raises(DataError, match=r"--rule expects majority.*Got 'mayority'\. Did you mean 'majority'"):
        built(tmp_path, coders="anna,ben", rule="mayority")
    with pytest.raises(DataError, match=r"--ties expects"):
        built(tmp_path, coders="anna,ben", ties="keep")


def test_equal_texts_stay_on_one_side_of_a_test_share(tmp_path):
    twice = [*TEXTS, *(text.upper() for text in TEXTS)]
    sheet(tmp_path / "coded.csv", text=twice, label=["a", "b"] * 20, split=["Train", "dev"] * 20)
    parted = built(tmp_path, test_share=0.3).coded.rows
    sides = [{row["text"].casefold() for row in parted[name]} for name in ("train", "test")]
    assert not sides[0] & sides[1]
    assert [Counter(row["label"] for row in parted[name]) for name in ("train", "test")] == [
        {"a": 14, "b": 14},
        {"a": 6, "b": 6},
    ]
    given_split = built(tmp_path, split_column="split")
    assert set(given_split.coded.rows) == {"train", "dev"}
    assert "split" not in given_split.coded.features
    assert "stand in several splits" not in told(given_split)
    with pytest.raises(DataError, match=r"--test-share 0\.01 can't be drawn from 20 different texts"):
        built(tmp_path, test_share=0.01)


@pytest.mark.parametrize(
    ("encoding", "delimiter", "note"),
    [
        ("utf-8", ",", ""), ("utf-8-sig", ";", ""), ("cp1252", ";", "was read as Windows-1252"),
        ("utf-16", "\t", "is UTF-16"), ("utf-16-le", "|", "is UTF-16"),
    ],
)  # fmt: skip
def test_encodings_and_delimiters(tmp_path, encoding, delimiter, note):
    texts = [f'Größe, so sagt man; café\nzwei "{n}" | drei' for n in range(6)]
    frame = pd.DataFrame({"text": texts, "label": ["a", "b"] * 3, "": [None] * 6})
    (tmp_path / "coded.csv").write_bytes(frame.to_csv(index=False, sep=delimiter).encode(encoding))
    builder = built(tmp_path)
    assert [row["text"] for row in builder.coded.rows["train"]] == texts
    assert list(builder.coded.features) == ["id", "text", "label"]
    assert [row["id"] for row in builder.coded.rows["train"]][:2] == ["coded.csv:2", "coded.csv:4"]
    assert note in told(builder)
    assert ("Windows" in told(builder)) == (encoding == "cp1252")


def test_a_workbook_that_people_have_worked_in(tmp_path):
    pytest.importorskip("openpyxl")
    book = Workbook()
    first = book.active
    first.title = "Round 1"
    first.append(["Coding round 1, spring"])
    first.merge_cells("A1:E1")
    first.append(["unit", None, "coders", None, None])
    first.merge_cells("C2:D2")
    first.append(["id", "sentence\n(translated)", "coder 1", "coder 2", None])
    first.append([7, "A text\nof two lines", 1, 1.0, None])
    first.append([8, "=we were better off", 0, 1, "look again"])
    first.append([None] * 5)
    first.append([9, "#NAME?", 1, 1])
    first.append([10, pd.Timestamp("2026-05-03").to_pydatetime(), 0, 0])
    first.append([11, 1848, 0, "n/a"])
    first.append([12, "'- a list_x000D_", 1, "NA"])
    first.append([13, "The old bridge", 1, 1])
    first.merge_cells("D10:D11")
    first.row_dimensions[10].hidden = True
    codes = book.create_sheet("codes")
    for row in (["Code", "Label", "Definition"], [0, "other", "all else"], [1, "memory", "the past, warmly"]):
        codes.append(row)
    book.create_sheet("old").sheet_state = "hidden"
    book.save(tmp_path / "coded.xlsx")
    builder = built(
        tmp_path, data_dir=str(tmp_path), coders="coder 1,coder 2", codebook=str(tmp_path / "coded.xlsx"),
        text="sentence (translated)", id="id")  # fmt: skip
    rows = builder.coded.rows["train"]
    assert {row["id"]: (row["text"], row["label"]) for row in rows} == {
        "7": ("A text\nof two lines", "memory"),
        "10": ("2026-05-03", "other"),
        "11": ("1848", "other"),
        "12": ("- a list\r", "memory"),
        "13": ("The old bridge", "memory"),
    }
    assert builder.coded.features["label"].names == ["other", "memory"]
    assert builder.codebook.descriptions == {"other": "all else", "memory": "the past, warmly"}
    for note in (
        "row 3 names the columns",
        "the formulas in B5 have no result yet",
        "error values such as #NAME? (row 7)",
        "1 cells of column 'sentence (translated)' are dates",
        "1 texts in column 'sentence (translated)' are numbers",
        "1 texts began with an apostrophe before =, +, - or @",
        "what merged cells hold (D10:D11)",
        "1 hidden rows",
        "hidden sheets were left out (old)",
        "a column has no heading and is called 'column 5'",
        "2 rows without a text were left out",
    ):
        assert note in told(builder), note
    assert "Left out" not in told(builder)
    (tmp_path / "coded.xlsx").write_text("no workbook")
    with pytest.raises(DataError, match="no readable xlsx file"):
        built(tmp_path, data_dir=str(tmp_path))


def test_xlsx_without_openpyxl_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "coded.xlsx").write_bytes(b"PK")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingPackageError, match=r'pip install "synimpute-hf\[xlsx\]"'):
        built(tmp_path, data_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("content", "settings", "error", "words"),
    [
        ("text,label\na,b\n", {"text": "txt"}, ColumnError, "no column 'txt'.*'text', 'label'.*Did you mean 'text'"),
        ("text,label\na,b\n", {"coders": "label,bob"}, ColumnError, r"no column 'bob' \(--coders\)"),
        ("text,label\na,b\n", {"coders": "label", "label": "label"}, ColumnError, "not both"),
        ("words,mark\na,b\nc,d\n", {}, ColumnError, "Which column is the label"),
        ("text,label\nOne, two,b\n", {}, DataError, "row 2, has more cells than the 2 headings"),
        ('text,label\n"a"b,c\n', {}, DataError, "coded.csv, from line 2: .*CSV UTF-8"),
        ("id,text,label\n1,a,b\n1,c,d\n", {"id": "id"}, DataError, "'1' stands in 2 rows.*pivot"),
        ("text,label\na,1\nb,99\n", {"codebook": "book"}, DataError, r"does not have: '99' \(1 times\).*--missing 99"),
        ("text,label\n,1\n", {"text": "text"}, DataError, "No row has a text"),
        ("text,label\na,NA\n", {}, DataError, "all cells are blank"),
        ("text,label\n" + "".join(f"a{n},{n}.5\n" for n in range(60)), {}, DataError, "60 different codes in 60 rows"),
        ("", {}, ColumnError, "Which column is the label"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(tmp_path, content, settings, error, words):
    (tmp_path / "coded.csv").write_text(content)
    (tmp_path / "book.csv").write_text("value,category,definition\n1,one,first\n2,two,second\n")
    if "codebook" in settings:
        settings = {"codebook": str(tmp_path / "book.csv")}
    with pytest.raises(error, match=f"(?s){words}"):
        built(tmp_path, **settings)


def test_odd_codes_are_told(tmp_path):
    labels = ["Yes", "yes", "Yes", "no", "99", "1.0", "1"]
    sheet(tmp_path / "coded.csv", text=TEXTS[:7], label=labels, id=range(7))
    builder = built(tmp_path)
    assert builder.coded.features["label"].names == ["1", "99", "no", "Yes"]
    assert "are one class: 'yes'" in told(builder)
    assert "If '99' mean 'not coded', say --missing 99" in told(builder)
    assert "Column 'id' is taken as the id (guessed" in told(builder)
    assert "99" not in built(tmp_path, missing="99").coded.features["label"].names


def test_commands_refuse_what_can_not_be(tmp_path):
    sheet(tmp_path / "coded.csv", text=TEXTS[:4], label=["a", "a", "b", "b"])
    for more, words in (
        ((), "Say --output FOLDER, --push-to-hub user/name, or both"),
        (("--output", "."), "already holds something else (coded.csv)"),
        (("--push-to-hub", "nobody"), "expects user/name, got 'nobody'"),
        (("--push-to-hub", "a/b", "--public"), "The licence of these texts is not known"),
        (("--output", "out", "--codebook", "none.csv"), "There is no codebook 'none.csv'"),
    ):
        done = run_module("hand_coded", "--data-dir", "coded.csv", *more, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("Error: ")
        assert words in done.stderr
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "precious.csv").touch()
    with pytest.raises(OutputError, match=r"data/precious\.csv"):
        base.write_folder(built(tmp_path), tmp_path / "mine")
    assert (tmp_path / "mine" / "data" / "precious.csv").exists()
    with pytest.raises(DataError, match=r"Expected train\.csv and test\.csv .* lacks train\.csv and test\.csv"):
        Banking77(cache_dir=str(tmp_path / "cache"), data_dir=str(tmp_path))
    with pytest.raises(ColumnError, match=r"coded\.csv has text, label\..*hand_coded"):
        PoliticalNostalgia(cache_dir=str(tmp_path / "cache"), data_dir=str(tmp_path))
    (tmp_path / "mine" / "data" / "precious.csv").rename(tmp_path / "mine" / "data" / "precious.ods")
    with pytest.raises(DataError, match=r"No spreadsheet in .*found precious"):
        built(tmp_path, data_dir=str(tmp_path / "mine" / "data"))


def test_political_nostalgia_as_published(shared_data, tmp_path):
    source = shared_data / "nostalgia" / "nostalgia_data.csv"
    if not source.is_file():
        pytest.skip(f"no real texts: {source.name} is missing")
    done = run_module("political_nostalgia", "--data-dir", source.parent, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "26 rows without a sentence were left out" in done.stdout  # the file holds #NAME? in their place
    rows = load_dataset(str(tmp_path / "out"), split="train")
    frame = pd.read_csv(source)
    frame = frame[frame.text != "#NAME?"]
    assert rows["text"] == frame.text.tolist()
    assert rows["label"] == frame.nostalgic_at_least_3.tolist()
    assert (rows.num_rows, sum(rows["label"]), len(set(rows["countryname"]))) == (1174, 149, 24)
    coders = ",".join(f"nostalgic_coder{n}" for n in range(1, 5))
    for enough in (1, 2, 4):
        builder = built(tmp_path, data_dir=str(source), coders=coders, rule=f"at-least:{enough}")
        assert [int(row["label"]) for row in builder.coded.rows["train"]] == frame[
            f"nostalgic_at_least_{enough}"
        ].tolist()


def test_banking77_as_published(shared_data, tmp_path):
    source = Path(shared_data) / "banking77" / "data.parquet"
    if not source.is_file():
        pytest.skip("no real texts: banking77 is missing")
    frame = pd.read_parquet(source).rename(columns={"label": "category"})
    for split, part in frame.groupby("split"):
        part[["text", "category"]].to_csv(tmp_path / f"{split}.csv", index=False)
    builder = Banking77(cache_dir=str(tmp_path / "cache"), data_dir=str(tmp_path))
    counts = base.write_folder(builder, tmp_path / "out")
    assert [sum(counts[split].values()) for split in ("train", "test")] == [10_003, 3_080]
    assert set(counts["test"].values()) == {40}
    rows = load_dataset(str(tmp_path / "out"), split="test")
    assert rows["text"] == frame[frame.split == "test"].text.tolist()
