"""The review: blind sheets that no spreadsheet breaks, ratings as people leave them, figures that can be trusted."""

import csv
import io
import json
import random
import re
import sys
import zipfile

import krippendorff
import numpy as np
import openpyxl
import pytest
from datasets import Dataset
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from synimpute_hf import SyntheticImputer, save, verify
from synimpute_hf.cards import dataset_card
from synimpute_hf.errors import DataError, PlanError
from synimpute_hf.outputs import read_manifest, write_card
from synimpute_hf.publishing import Publication, lay_out
from synimpute_hf.review import KEY, Coder, Item, Rating, measure, read_coders, review_with, write_review
from synimpute_hf.review.mix import shown_text
from synimpute_hf.stats import Share, share_difference, share_interval

FORMULAS = [
    "=1+1 sum",
    "+1 more",
    "-1 less",
    "@SUM(A1) then",
    '=HYPERLINK("x";"y") here',
    "\t=tab first",
    "\uff1d1 wide",
]


def make_result(folder, counts=None, **settings):
    """A result of echoed texts, whose originals begin as formulas do, with odd blanks and invisible signs."""
    counts = counts or {"memory": 14, "health": 20, "market": 40}
    texts = [
        (f"{FORMULAS[i % len(FORMULAS)]} {name}\u00a0number {i}, \u200bof\r\nold  times {i * 7} ", name)
        for name, count in counts.items()
        for i in range(count)
    ]
    rows = Dataset.from_dict({"text": [text for text, _ in texts], "label": [name for _, name in texts]})
    options = {"target": 36, "generator": "echo", "journal": folder / "journal.sqlite", **settings}
    save(folder, rows, SyntheticImputer(**options).fit(rows))
    return folder


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return make_result(tmp_path_factory.mktemp("result"), category_descriptions={"memory": "=of the past"})


def cells_of(folder):
    """Return the sheet's cells from the csv and from the workbook."""
    text = (folder / "review.csv").read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")
    book = openpyxl.load_workbook(folder / "review.xlsx")
    return list(csv.reader(io.StringIO(text.decode("utf-8-sig")))), [list(row) for row in book.worksheets[0].rows]


# --- the draw -------------------------------------------------------------------------------------------------------


def test_half_and_half_by_class_with_distractors(result, tmp_path):
    items = write_review(result, n=40, output=tmp_path).mix.items
    assert len(items) == 40
    kinds = {}
    for item in items:
        kinds.setdefault((item.asked, item.own != item.asked), []).append(item.synthetic)
    for name in ("memory", "health"):  # market is not short
        assert sorted(kinds[name, False]) == [False] * 8 + [True] * 8
        assert sorted(kinds[name, True]) == [False] * 2 + [True] * 2
    assert len({item.row_id for item in items}) == len({item.text for item in items}) == 40


def test_the_same_seed_gives_the_same_sheet_and_another_another(result, tmp_path):
    first, again, other = (write_review(result, n=20, seed=seed, output=tmp_path / str(i)).mix
                           for i, seed in enumerate([3, 3, 4]))  # fmt: skip
    assert first == again
    assert not {item.id for item in first.items} & {item.id for item in other.items}
    for name in ("review.csv", "review.html"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()
    sheets = [sheet["sheet"] for sheet in json.loads((result / KEY).read_text())["sheets"]]
    assert len(sheets) == len(set(sheets))
    assert {first.sheet, other.sheet} <= set(sheets)


def test_what_there_is_too_little_of_is_told(tmp_path):
    folder = make_result(tmp_path / "result", {"memory": 6, "health": 9}, target=9)
    written = write_review(folder, n=40)
    assert "not 40" in written.notes[0]
    kinds = [item.synthetic for item in written.mix.items if item.own == item.asked]
    assert kinds.count(True) == kinds.count(False) == 3
    with pytest.raises(PlanError, match="4 texts or more"):
        write_review(folder, n=3)
    with pytest.raises(PlanError, match="the result's own folder"):
        write_review(folder, output=folder)
    with pytest.raises(DataError, match="nothing to review"):
        write_review(make_result(tmp_path / "full", {"memory": 9, "health": 9}, target=9))


# --- blindness ------------------------------------------------------------------------------------------------------


def test_no_sheet_tells_what_is_synthetic(result, tmp_path):
    written = write_review(result, n=40, output=tmp_path)
    assert KEY not in {path.name for path in tmp_path.iterdir()}
    with zipfile.ZipFile(tmp_path / "review.xlsx") as archive:
        inside = b"".join(archive.read(name) for name in archive.namelist())
    everything = inside + (tmp_path / "review.html").read_bytes() + (tmp_path / "review.csv").read_bytes()
    for item in written.mix.items:
        assert item.row_id.encode() not in everything
    for word in (b"synthetic", b"is_synthetic", b"row_id", b"original"):
        assert word not in everything.lower(), word
    page = (tmp_path / "review.html").read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert {tuple(item) for item in data["items"]} == {("id", "class", "text")}
    assert [item["id"] for item in data["items"]] == [item.id for item in written.mix.items]


def test_ids_have_one_form_and_come_from_the_place_alone(result, tmp_path):
    mix = write_review(result, n=40, output=tmp_path).mix
    assert all(re.fullmatch("[bcdfghjkmnpqrstvwxz]{6}", item.id) for item in mix.items)
    # As many ids of either kind in each half of the alphabet, and of the order, as chance allows.
    for order in ([item.id for item in mix.items], sorted(item.id for item in mix.items)):
        place = {key: i for i, key in enumerate(order)}
        early = [item.synthetic for item in mix.items if place[item.id] < 20]
        assert 4 <= sum(early) <= 16


def test_the_order_is_a_shuffle(result, tmp_path):
    """Each place holds a synthetic text half of the time, and neighbours don't depend on each other."""
    draws = np.array([[item.synthetic for item in write_review(result, 20, seed, tmp_path).mix.items]
                      for seed in range(40)])  # fmt: skip
    assert abs(draws.mean(axis=0) - 0.5).max() < 0.32  # four standard errors
    alike = (draws[:, 1:] == draws[:, :-1]).mean()
    assert abs(alike - 9 / 19) < 0.06


def test_blanks_and_invisible_signs_are_the_same_for_all(result, tmp_path):
    items = write_review(result, n=40, output=tmp_path).mix.items
    for item in items:
        assert not re.search(r"[\u00a0\u200b\r\t]|  |^\s|\s$", item.text)
    assert shown_text(" a\u00a0 b \r\n\r\n\r\n\r\n\x00c\u2028e\u0301\ud800") == "a b\n\nc\n\u00e9\ufffd"


def test_cells_look_alike_but_for_the_text(result, tmp_path):
    mix = write_review(result, n=40, output=tmp_path).mix
    _, rows = cells_of(tmp_path)
    styles = {True: set(), False: set()}
    for item, row in zip(mix.items, rows[1:], strict=True):
        looks = tuple((c.font.name, c.fill.fgColor.rgb, c.alignment.wrap_text, c.number_format, c.comment) for c in row)
        styles[item.synthetic].add(looks)
    assert styles[True] == styles[False]
    assert len(styles[True]) == 1


# --- formulas -------------------------------------------------------------------------------------------------------


def test_no_cell_is_a_formula(result, tmp_path):
    mix = write_review(result, n=60, output=tmp_path).mix
    assert sum(item.text[0] in "=+-@" for item in mix.items) > 10
    lines, rows = cells_of(tmp_path)
    assert lines[0] == [
        "number", "id", "class", "definition", "text", "belongs", "written_by", "quality", "comment"]  # fmt: skip
    assert not [cell for line in lines for cell in line if cell.lstrip()[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20")]
    cells = [cell for row in rows for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s", "n"}
    assert all(cell.quotePrefix for cell in cells if str(cell.value)[:1] in "=+-@")
    assert [row[4].value for row in rows[1:]] == [item.text for item in mix.items]  # the workbook needs no mark in it


def test_without_openpyxl_the_workbook_is_left_out_and_that_is_told(result, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    written = write_review(result, n=8, output=tmp_path)
    assert {path.name for path in written.files} == {"review.html", "review.csv"}
    assert "synimpute-hf[xlsx]" in written.notes[-1]


# --- reading --------------------------------------------------------------------------------------------------------

SAID = [("Yes", "PERSON", 5), ("nein", "Maschine", "4,0"), ("TRUE", "p", None), ("0", "?", 1.0), ("", "m", ""),
        ("unsure", None, "3")]  # fmt: skip
MEANT = [("yes", "person", 5), ("no", "machine", 4), ("yes", "person", None), ("no", "unsure", 1),
         (None, "machine", None), ("unsure", None, 3)]  # fmt: skip
ITEMS = {f"id{letter}": Item(f"id{letter}", "a", "a", i % 2 == 0, f"row{i}") for i, letter in enumerate("bcdfgh")}
HEADS = ["Number", " ID ", "text", "Belongs", "written by", "Quality"]


def lines_said():
    return [
        [i, key.upper(), 'so; "quoted",\nyes', *said] for i, (key, said) in enumerate(zip(ITEMS, SAID, strict=True))
    ]


def write_csv(path, delimiter, encoding, before=""):
    file = io.StringIO()
    file.write(before)
    csv.writer(file, delimiter=delimiter).writerows([HEADS, *lines_said(), [""] * 6])
    path.write_bytes(file.getvalue().encode(encoding))


def write_workbook(path):
    book = openpyxl.Workbook()
    for line in (HEADS, *lines_said()):
        book.active.append([True if cell == "TRUE" else cell for cell in line])
    book.save(path)


def write_json(path):
    rows = [
        {"id": key, "belongs": b, "written_by": w, "quality": q} for key, (b, w, q) in zip(ITEMS, MEANT, strict=True)
    ]
    path.write_text(json.dumps({"format": "synimpute-review-ratings", "coder": "anna", "ratings": rows}))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("ratings-anna.json", write_json),
        ("review-anna.xlsx", write_workbook),
        ("review_anna (2).csv", lambda path: write_csv(path, ",", "utf-8-sig")),
        ("Review-anna.csv", lambda path: write_csv(path, ";", "cp1252")),
        ("ratings anna.csv", lambda path: write_csv(path, ";", "utf-8", "sep=;\r\n")),
        ("ratings-anna.txt", lambda path: write_csv(path, "\t", "utf-16")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_form_in_which_ratings_come_back(tmp_path, name, write):
    write(tmp_path / name)
    (coder,) = read_coders([tmp_path / name], ITEMS, {})
    assert coder.name == "anna"
    assert [(r.belongs, r.written_by, r.quality) for r in coder.ratings.values()] == MEANT


def test_what_cannot_be_read_is_named(tmp_path):
    for content, expected in (
        ("id,belongs\nidb,perhaps\n", "idb has belongs 'perhaps', and yes, no, unsure or an empty cell"),
        ("id,belongs,quality\nidb,y,6\n", "quality '6'"),
        ("id,belongs\nidb,y\nidb,n\n", "idb stands in it twice"),
        ("id,belongs\nzzz,y\n", "no sheet of this result"),
        ("id,belongs\nold,y\n", "written anew since"),
        ("id,belongs\nidb,\n", "holds no answer"),
        ("name;answer\nidb;y\n", "has the columns name, answer: expected id"),
        ("", r"\(none\)"),
    ):
        (tmp_path / "review.csv").write_text(content)
        with pytest.raises(DataError, match=expected):
            read_coders([tmp_path / "review.csv"], ITEMS, {"old": ITEMS["idb"]})
    (tmp_path / "ratings.json").write_text("[1]")
    (tmp_path / "review.xlsx").write_text("no workbook")
    for name in ("ratings.json", "review.xlsx", "missing.csv"):
        with pytest.raises(DataError, match=name):
            read_coders([tmp_path / name], ITEMS, {})
    write_json(tmp_path / "ratings-anna.json")
    write_workbook(tmp_path / "review-Anna.xlsx")
    with pytest.raises(DataError, match="both of 'Anna'"):
        read_coders([tmp_path / "ratings-anna.json", tmp_path / "review-Anna.xlsx"], ITEMS, {})


# --- figures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (7, 10), (10, 10), (81, 263)])
def test_one_judgement_a_text_gives_the_wilson_interval(hits, n):
    found = share_interval([1] * hits + [0] * (n - hits), [1] * n)
    assert (found.low, found.high) == pytest.approx(proportion_confint(hits, n, method="wilson"))
    assert (found.estimate, found.texts, found.ratings, found.effective) == (hits / n, n, n, n)
    assert np.isnan(share_interval([], []).estimate)
    with pytest.raises(DataError, match="hits up to them"):
        share_interval([2], [1])


def test_coders_who_always_agree_count_as_little_more_than_one():
    one, five = share_interval([1, 0] * 20, [1] * 40), share_interval([5, 0] * 20, [5] * 40)
    assert five.effective == pytest.approx(39 * (1.959964 / 2.022691) ** 2, rel=1e-5)
    assert five.low < one.low
    assert five.high > one.high


def test_newcombes_published_example():
    """56 of 70 against 48 of 80: 0.0524 to 0.3339, method 10 (Newcombe 1998, table II, column a)."""
    shares = [share_interval([1] * hits + [0] * (n - hits), [1] * n) for hits, n in ((56, 70), (48, 80))]
    assert share_difference(*shares) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert share_difference(*shares)[1:] == pytest.approx(confint_proportions_2indep(56, 70, 48, 80, method="newcomb"))


@pytest.mark.parametrize(("texts", "coders", "mean"), [(16, 3, 0.5), (32, 2, 0.8), (40, 4, 0.65)])
def test_pooled_intervals_hold_what_they_promise(texts, coders, mean):
    """Coverage over 1,500 reviews in which a text is easy or hard for all coders; counting ratings as texts fails."""
    generator = np.random.default_rng(1)
    held = naive = 0
    for _ in range(1500):
        chances = generator.beta(mean * 1.2, (1 - mean) * 1.2, texts)  # correlation of two coders: 1 / 2.2
        hits = generator.binomial(coders, chances)
        share = share_interval(hits, [coders] * texts)
        held += share.low <= mean <= share.high
        low, high = proportion_confint(hits.sum(), texts * coders, method="wilson")
        naive += low <= mean <= high
    assert 0.935 <= held / 1500 <= 0.975, held / 1500
    assert naive / 1500 < 0.93, naive / 1500


def test_figures_by_hand():
    items = {key: Item(key, "a", "a", key in "stuv", key) for key in "stuvopqr"}
    items["d"] = Item("d", "a", "b", False, "d")
    said = dict.fromkeys("stuq", "machine") | dict.fromkeys("vop", "person") | {"r": "unsure"}
    ratings = {key: Rating(key, "no" if key in "sd" else "yes", word, 4) for key, word in said.items()}
    ratings["d"] = Rating("d", "no", "person")
    facts = measure(items, [Coder("anna", ratings, "")])
    (told,), (belongs,), (quality,) = facts["told_apart"], facts["belongs"], facts["quality"]
    assert facts["texts"] == {"original": 4, "synthetic": 4, "distractor": 1}
    assert told["estimate"] == 5.5 / 8
    assert told["ratings"] == 8
    assert told["unsure"] == 1
    assert (told["synthetic"]["estimate"], told["originals"]["estimate"]) == (0.75, 2.5 / 4)
    assert told["balanced_accuracy"] == 0.6875
    assert told["d_prime"] == pytest.approx(0.524401 + 0.253347, abs=1e-6)  # z(3.5 / 5) - z(2 / 5)
    assert told["verdict"] == "cannot tell"
    assert belongs["synthetic"]["estimate"] == 0.75
    assert belongs["originals"]["estimate"] == 1.0
    assert belongs["difference"]["estimate"] == -0.25
    assert belongs["distractors"]["estimate"] == 0.0
    assert quality["synthetic"] == {"texts": 4, "estimate": 4.0, "low": 4.0, "high": 4.0}
    assert facts["agreement"] == []


def test_agreement_is_what_libraries_say():
    chance = random.Random(0)
    items = {str(i): Item(str(i), "a", "a", i % 2 == 0, str(i)) for i in range(60)}
    words = ("person", "machine", "unsure")
    coders = [Coder(name, {key: Rating(key, chance.choice(("yes", "no")), chance.choice(words))
                           for key in items if chance.random() < 0.8}, "") for name in "abc"]  # fmt: skip
    code = {None: np.nan, **{word: i for i, word in enumerate(words)}}
    for some in (coders, coders[:2]):
        (_, who) = measure(items, some)["agreement"]
        rated = [[code[coder.ratings[key].written_by if key in coder.ratings else None] for key in items]
                 for coder in some]  # fmt: skip
        alpha = krippendorff.alpha(reliability_data=rated, level_of_measurement="nominal")
        assert who["krippendorffs_alpha"] == pytest.approx(alpha)
    both = [key for key in items if all(key in coder.ratings for coder in coders[:2])]
    kappa = cohen_kappa_score(*([coder.ratings[key].written_by for key in both] for coder in coders[:2]))
    assert who["cohens_kappa"] == pytest.approx(kappa)
    assert who["texts"] == len(both)


def test_one_answer_throughout_has_no_kappa_and_no_alpha():
    items = {key: Item(key, "a", "a", key == "s", key) for key in "so"}
    coders = [Coder(name, {key: Rating(key, "yes") for key in items}, "") for name in "ab"]
    facts = measure(items, coders)
    assert (facts["agreement"][0]["cohens_kappa"], facts["agreement"][0]["krippendorffs_alpha"]) == (None, None)
    assert facts["told_apart"][0]["estimate"] is None
    assert facts["told_apart"][0]["verdict"] == "cannot tell"
    assert Share(1.0, 0.2, 1.0, 1, 2, 1.0).level == 0.95


# --- the facts and the card -----------------------------------------------------------------------------------------


def rate(mix, path, right):
    """Fill in a sheet, so that a share of the texts is told."""
    chance = random.Random(path.name)
    lines = ["id;belongs;written_by"]
    for item in mix.items:
        told = item.synthetic == (chance.random() < right)
        lines.append(f"{item.id};{'yes' if item.own == item.asked else 'no'};{'machine' if told else 'person'}")
    path.write_text("\n".join(lines))
    return path


def test_figures_reach_the_card_the_hub_and_the_verification(tmp_path):
    folder = make_result(tmp_path / "result")
    mix = write_review(folder, n=40).mix
    files = [rate(mix, tmp_path / f"review-{name}.csv", 0.95) for name in ("anna", "ben")]
    facts = review_with(folder, files)
    assert [row["class"] or row["coder"] for row in facts["told_apart"]] == [None, "health", "memory", "anna", "ben"]
    assert facts["told_apart"][0]["verdict"] == "told apart"
    assert facts["belongs"][0]["distractors"]["estimate"] == 0.0
    text = (folder / "review.json").read_text()
    assert not any(item.text in text or item.id in text or item.row_id in text for item in mix.items)
    card = (folder / "README.md").read_text()
    assert "## Read by people\n\n2 coders (anna, ben) judged 16 originals and 16 synthetic texts" in card
    assert "| all | 0." in card
    assert "Cohen's kappa" in card
    assert "`synimpute review RESULT --n 40 --seed 0`, a reproducible draw\n\n" in card
    assert all(check.passed is not False for check in verify(folder)), verify(folder)
    for how in (Publication(), Publication(synthetic_only=True)):
        scratch = tmp_path / f"scratch-{how.synthetic_only}"
        scratch.mkdir()
        bundle = lay_out(folder, scratch, how)
        assert "review.json" in bundle.files
        assert not {name for name in bundle.files if KEY in name or "review/" in name}
        place = bundle.files["synimpute.json"].parent
        (place / "README.md").write_text(bundle.card(""))
        assert "## Read by people" in (place / "README.md").read_text()
        assert all(check.passed is not False for check in verify(place)), verify(place)


def test_a_review_of_other_rows_is_not_shown(tmp_path):
    folder = make_result(tmp_path / "result")
    mix = write_review(folder, n=20).mix
    files = [rate(mix, tmp_path / "review.csv", 0.5)]
    assert review_with(folder, files)["coders"][0]["name"] == "coder 1"
    make_result(folder, target=38)
    assert (folder / "review.json").is_file()
    assert "## Read by people" not in (folder / "README.md").read_text()
    with pytest.raises(DataError, match="written anew since"):
        review_with(folder, files)
    make_result(folder)  # the same rows again
    assert "## Read by people" in (folder / "README.md").read_text()
    write_card(folder)
    facts = read_manifest(folder)
    assert "## Read by people" not in dataset_card(facts)
    (folder / "review.json").write_text("{}")
    with pytest.raises(DataError, match="take the file out"):
        write_card(folder)
