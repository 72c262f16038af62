"""Reports of cross-validations: what they say, that they can be read back, and that no class name breaks them."""

import csv
import io
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from synimpute_hf.errors import DataError, OutputError, PlanError
from synimpute_hf.facts import Findings, estimate, number, read_facts, run_labels
from synimpute_hf.figures import inline_svg, learning_curve, run_drawings
from synimpute_hf.report import (
    FORMATS,
    comparisons_csv,
    fits_csv,
    html_page,
    latex,
    markdown,
    summary_csv,
    tables,
    write_report,
)
from synimpute_hf.sheets import learning_sheet, sheets

HOSTILE = ["<script>alert('x')</script>", "a|b & c_d $x$ #1 ~^\\ {y}", "=cmd|' /C calc'!A0", "[x](javascript:alert(1))"]
LIFT = {"original": 0.0, "class_weights": 0.15, "imputed": 0.5, "pooled": 1.0, "real_test": 0.1}


def classes_of(names, focus, originals):
    made = []
    for i, name in enumerate(names):
        short = name in focus
        size = originals if short else 300 + 20 * i
        made.append(
            {"name": name, "focus": short, "originals": size, "imputed": 100 if short else 0, "contrast": 0}
            | {"ceiling": 0, "holdout": 40, "target": size + 100 * short, "fold_target": size + 90 * short}
        )
    return made


def class_scores(labels, guesses, chances, count):
    """F1, precision, recall, average precision by class, and the rest, as metrics.score gives them."""
    scores = {"f1": [], "precision": [], "recall": [], "average_precision": []}
    for c in range(count):
        true, said = labels == c, guesses == c
        hits = (true & said).sum()
        ranked = true[np.argsort(-chances[:, c], kind="stable")]
        steps = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
        scores["precision"].append(float(hits / max(said.sum(), 1)))
        scores["recall"].append(float(hits / max(true.sum(), 1)))
        scores["f1"].append(float(2 * hits / max(true.sum() + said.sum(), 1)))
        scores["average_precision"].append(float(steps[ranked].mean()) if ranked.any() else math.nan)
    means = {f"{key}_macro": float(np.nanmean(values)) for key, values in scores.items()}
    right = float((labels == guesses).mean())
    return scores | means | {"mcc": 2 * right - 1, "calibration_error": abs(right - float(chances.max(1).mean()))}


def interval(values, share):
    """A corrected interval, near enough: the report must show numbers, not judge them."""
    values = np.asarray(values, float)
    half = 2.2 * values.std(ddof=1) * math.sqrt(1 / len(values) + share)
    return {"low": float(values.mean() - half), "high": float(values.mean() + half), "sd": float(values.std(ddof=1))}


def simulate(rng, names, classes, arm, protocol):
    sizes = [max(3, entry["originals"] // 6) for entry in classes]
    labels = np.repeat(np.arange(len(names)), sizes)
    lift = LIFT.get(arm, 0.3) + LIFT.get(protocol, 0.0) * arm.startswith("imputed")
    logits = rng.normal(size=(len(labels), len(names)))
    logits[np.arange(len(labels)), labels] += 1.6 + lift
    for c, entry in enumerate(classes):
        logits[:, c] -= 0.6 * entry["focus"] * (arm == "original")
    chances = np.exp(1.3 * logits)
    return labels, chances / chances.sum(1, keepdims=True)


def arms_of(protocol, arms):
    """The protocols that leak are run for what the paper does alone."""
    return [arm for arm in arms if protocol not in ("real_test", "pooled") or arm == "imputed"]


def fits_and_pools(rng, names, classes, arms, protocols, repeats, folds):
    fits, pools = [], {}
    for protocol in protocols:
        for repeat in range(repeats):
            for fold in range(folds):
                for arm in arms_of(protocol, arms):
                    labels, chances = simulate(rng, names, classes, arm, protocol)
                    pools.setdefault((protocol, arm), []).append((labels, chances))
                    scores = class_scores(labels, chances.argmax(1), chances, len(names))
                    made = 90 if arm.startswith("imputed") else 0
                    check = {"test": len(labels), "train": 5 * len(labels), "synthetic": made, "sources": 5 * made}
                    check |= {"pairs": 12, "shared_sources": 9 * made * (protocol in ("real_test", "pooled"))}
                    check["synthetic_test"] = 10 * (protocol == "pooled")
                    fit = {"protocol": protocol, "arm": arm, "repeat": repeat, "fold": fold, "key": f"{len(fits):064x}"}
                    fit |= {
                        "seconds": 0.5,
                        "train": {"originals": 5 * len(labels), "made": made},
                        "short": {names[0]: 0},
                    }
                    fit |= {"check": check, "threshold": None, "scores": scores}
                    fits.append(fit | ({"scores_originals": scores} if protocol == "pooled" else {}))
    return fits, pools


def per_fold(fits, protocol, arm, metric, index):
    chosen = [fit["scores"] for fit in fits if (fit["protocol"], fit["arm"]) == (protocol, arm)]
    return (
        [s[metric][index] for s in chosen]
        if index is not None
        else [s.get(f"{metric}_macro", s.get(metric)) for s in chosen]
    )


def summarise(facts, names, arms, protocols):
    share = 1 / (facts["settings"]["folds"] - 1)
    for protocol in protocols:
        for arm in arms_of(protocol, arms):
            for metric in ("f1", "average_precision", "precision", "recall", "mcc", "calibration_error"):
                for index in (*range(len(names)), None) if metric not in ("mcc", "calibration_error") else (None,):
                    values = per_fold(facts["fits"], protocol, arm, metric, index)
                    entry = {"protocol": protocol, "arm": arm, "metric": metric}
                    entry["class"] = None if index is None else names[index]
                    entry |= {"estimate": float(np.mean(values)), **interval(values, share), "n": len(values)}
                    facts["summary"].append(entry)
                    if arm == "original" or protocol in ("real_test", "pooled"):
                        continue
                    if metric not in ("f1", "average_precision") or (index is None and metric != "f1"):
                        continue
                    differences = np.subtract(values, per_fold(facts["fits"], protocol, "original", metric, index))
                    facts["comparisons"].append(compare(entry, differences, share))


def compare(entry, differences, share):
    middle, spread = float(np.mean(differences)), interval(differences, share)
    word = "cannot tell"
    if spread["low"] > 0 or spread["high"] < 0:
        word = "better" if middle > 0 else "worse"
    elif max(abs(spread["low"]), spread["high"]) < 0.02:
        word = "equivalent"
    p = math.erfc(abs(middle) / (spread["high"] - middle + 1e-9) * 1.4)
    made = {key: entry[key] for key in ("protocol", "arm", "metric", "class")} | {"against": "original"}
    made |= {"difference": middle, "low": spread["low"], "high": spread["high"], "p": p, "p_holm": min(1, 2 * p)}
    made |= {"p_equivalence": 0.4, "prob_worse": 0.1, "prob_equivalent": 0.3, "prob_better": 0.6, "verdict": word}
    return made | {
        "sentence": f"{word}: it is {abs(middle):.3f} {'higher' if middle > 0 else 'lower'}",
        "n": len(differences),
    }


def add_inflation(facts, names, focus, protocols):
    """Fill in inflation and overfitting for the arm imputed, where the protocols are there."""
    share = 1 / (facts["settings"]["folds"] - 1)
    steps = {"total": ("pooled", "seed_aware"), "synthetic texts in the test folds": ("pooled", "real_test")}
    steps["shared sources"] = ("real_test", "seed_aware")
    for name in focus:
        for part, (above, below) in steps.items():
            if {above, below} <= set(protocols):
                one, other = (per_fold(facts["fits"], p, "imputed", "f1", names.index(name)) for p in (above, below))
                gap = np.subtract(one, other)
                entry = {"class": name, "estimate": float(gap.mean()), **interval(gap, share), "p": 0.0001}
                entry["sentence"] = f"{part}: {gap.mean():+.3f}"
                facts["inflation"].append(entry | {"metric": "f1", "part": part})
                if part == "total":
                    facts["overfitting"].append(entry | {"against": "seed_aware", "arm": "imputed"})


def add_pools(facts, names, focus, pools):
    edges = np.linspace(0, 1, 11)
    for (protocol, arm), parts in pools.items():
        labels, chances = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        matrix = np.zeros((len(names), len(names)), int)
        np.add.at(matrix, (labels, chances.argmax(1)), 1)
        facts["confusion"].append({"protocol": protocol, "arm": arm, "matrix": matrix.tolist()})
        for name in focus:
            c, bins = names.index(name), []
            for low, high in pairwise(edges):
                inside = (chances[:, c] >= low) & (chances[:, c] < high)
                means = (
                    (float(chances[inside, c].mean()), float((labels[inside] == c).mean()))
                    if inside.any()
                    else (math.nan,) * 2
                )
                bins.append(
                    {"low": low, "high": high, "n": int(inside.sum()), "confidence": means[0], "observed": means[1]}
                )
            facts["reliability"].append({"protocol": protocol, "arm": arm, "class": name, "bins": bins})


def plain_json(value):
    """As JSON has it: nan is null."""
    if isinstance(value, dict):
        return {key: plain_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain_json(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_facts(
    names=("rare", "common"), focus=("rare",), arms=("original", "class_weights", "imputed"),
    protocols=("seed_aware", "pooled"), repeats=2, folds=3, originals=50, seed=0, title="A small study",
):  # fmt: skip
    """Facts of a small cross-validation whose probabilities are drawn, in the schema of crossval.json."""
    names, focus = list(names), list(focus)
    classes = classes_of(names, focus, originals)
    total = sum(entry["originals"] for entry in classes)
    settings = {"folds": folds, "repeats": repeats, "seed": seed, "protocols": list(protocols), "arms": list(arms)}
    settings |= {"margin": 0.02, "groups": None, "classifier": {"name": "linear:minilm", "parameters": {"C": 1.0}}}
    facts = {"format": 1, "title": title, "source": "study.csv", "created": "2026-01-02T03:04:05+00:00"}
    facts |= {"versions": {"synimpute_hf": "0.1.0", "python": "3.11.9"}, "settings": settings, "classes": classes}
    facts["data"] = {"originals": total, "twins": 4, "groups": total - 4, "holdout_prevalence": None}
    facts["data"]["prevalence"] = {entry["name"]: entry["originals"] / total for entry in classes}
    facts["generation"] = {"generator": "echo", "needed": 100, "written": 153, "extra_for_folds": 53, "cost_usd": 0.0}
    facts["generation"]["settings"] = {"temperature": 0.7}
    facts["test_share"] = dict.fromkeys(protocols, 1 / (folds - 1))
    facts["fits"], pools = fits_and_pools(np.random.default_rng(seed), names, classes, arms, protocols, repeats, folds)
    for key in ("summary", "comparisons", "inflation", "overfitting", "alarms", "reliability", "confusion"):
        facts[key] = []
    summarise(facts, names, arms, protocols)
    if "imputed" in arms:
        add_inflation(facts, names, focus, protocols)
    add_pools(facts, names, focus, pools)
    facts["ranking"] = [
        {"protocol": protocols[0], "arm": arms[-1], "class": name, "sentence": "ranks texts better"} for name in focus
    ]
    facts["leak_check"] = {}
    for protocol in protocols:
        checks = [fit["check"] for fit in facts["fits"] if fit["protocol"] == protocol]
        if not checks:
            continue
        sums = {key: sum(check[key] for check in checks) for key in checks[0]}
        facts["leak_check"][protocol] = {"fits": len(checks), **sums}
    return plain_json(facts | {"calibration": None, "incomplete": None, "notes": ["2 rows have no text."]})


@pytest.fixture(scope="module")
def facts():
    return make_facts()


@pytest.fixture(scope="module")
def hostile():
    made = make_facts(names=HOSTILE, focus=HOSTILE[:2], title="<b>& co</b> | _x_")
    made["alarms"] = [{"name": "low F1", "sentence": f"F1 of {HOSTILE[0]!r} is low.", "advice": "Read <texts>."}]
    return made


class Page(HTMLParser):
    """What a browser would build: elements, addresses, ids, and the text that a reader sees."""

    VOID = ("meta", "br", "link", "img", "hr", "path", "use", "rect")

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.ids, self.inner, self.open = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action", "data"):
                self.links.append((tag, value))
            if name == "id":
                self.ids.append(value)
            assert not name.startswith("on")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.inner.append(data)


def test_numbers_are_rounded_with_their_interval():
    assert number(0.71249) == "0.712"
    assert number(-0.0004, sign=True) == "0.000"
    assert number(-0.02, sign=True) == "\u22120.020"
    assert number(None) == number(math.nan) == "\u2013"
    assert estimate({"estimate": 0.5, "low": 0.4, "high": 0.6}) == "0.500\n[0.400, 0.600]"
    assert estimate({"estimate": 0.5, "low": None, "high": None}) == "0.500"
    assert estimate(None) == "\u2013"


def tiny():
    """Two arms with round numbers, to check a whole text."""
    made = make_facts(arms=("original", "imputed"), protocols=("seed_aware",))
    rows = {"original": (0.5, 0.6, 0.7), "imputed": (0.62, 0.71, 0.78)}
    keys = (("f1", "rare"), ("average_precision", "rare"), ("f1", None))
    made["summary"] = [
        {"protocol": "seed_aware", "arm": arm, "metric": metric, "class": name, "estimate": value}
        | {"low": value - 0.05, "high": value + 0.05, "sd": 0.1, "n": 6}
        for arm, values in rows.items()
        for (metric, name), value in zip(keys, values, strict=True)
    ]
    made["comparisons"] = [
        {"protocol": "seed_aware", "arm": "imputed", "against": "original", "metric": "f1", "class": "rare", "n": 6}
        | {"difference": 0.12, "low": 0.03, "high": 0.21, "p": 0.0123, "p_holm": 0.0123, "p_equivalence": 0.97}
        | {"prob_worse": 0.01, "prob_equivalent": 0.04, "prob_better": 0.95, "verdict": "better"}
        | {"sentence": "better: it is 0.120 higher (95 % interval 0.030 to 0.210)"}
    ]
    made["leak_check"] = {"seed_aware": {"fits": 12, "test": 732, "train": 3660, "synthetic": 540, "sources": 2700}}
    made["leak_check"]["seed_aware"] |= {"pairs": 144, "shared_sources": 0, "synthetic_test": 0}
    made |= {"reliability": [], "confusion": [], "generation": None}
    return made


TINY = """# A small study

## The answer

Class rare: with synthetic texts (imputed), F1 is 0.620 [0.570, 0.670], with the originals alone 0.500 [0.450, 0.550]. \
Average precision is 0.710 [0.660, 0.760], with the originals alone 0.600 [0.550, 0.650].

Measured under seed_aware: tested on originals alone, and no training text was written from a test text; 2 repeats of \
3 folds, 6 fits an arm.

F1 against original:

- imputed: better: it is 0.120 higher (95 % interval 0.030 to 0.210)

- imputed: ranks texts better

No alarm was raised.

## Scores under seed_aware

| arm | F1 of rare | AP of rare | macro F1 | difference in F1 | verdict |
|---|:---:|:---:|:---:|:---:|---|
| original | 0.500 [0.450, 0.550] | 0.600 [0.550, 0.650] | 0.700 [0.650, 0.750] | \u2013 | reference |
| imputed | 0.620 [0.570, 0.670] | 0.710 [0.660, 0.760] | 0.780 [0.730, 0.830] | +0.120 [+0.030, +0.210] | better |

Tested on originals alone, and no training text was written from a test text. 2 repeats of 3 folds, 6 fits an arm; \
mean and 95 % interval; AP is average precision. Prevalence in the test part: 0.135 for rare. Difference in F1 of rare \
against original, paired; equivalence margin 0.020.

## Comparisons with original under seed_aware

| class | metric | arm | difference | p | p (Holm) | p (equiv.) | P(worse / equiv. / better) | verdict |
|---|---|---|:---:|---:|---:|---:|---:|---|
| rare | F1 | imputed | +0.120 [+0.030, +0.210] | 0.012 | 0.012 | 0.970 | 0.01 / 0.04 / 0.95 | better |

"""


def test_markdown_of_a_small_case_word_for_word():
    text = markdown([tiny()])
    assert text.startswith(TINY)
    assert "| seed_aware | 12 | 732 | 3,660 | 540 | 2,700 | 144 | 0 | 0 | no leak |" in text
    assert "2 rows have no text." in text
    command = "synimpute crossval study.csv --arms original,imputed --protocols seed_aware --folds=3 --repeats=2"
    assert f"```sh\n{command} --seed=0 --margin=0.02 --classifier=linear:minilm\n```" in text
    assert "arXiv:2504.15160" in text
    assert "SSMBA" not in text  # nobody used it
    assert "bootstrap" not in text


def test_inflation_is_said_first(facts):
    lead = Findings(make_facts(protocols=("seed_aware", "real_test", "pooled"))).answer().lead
    assert re.search(
        r"Class rare: the paper's pooled protocol would have reported F1 0\.\d{3} \[.*\] for the same", lead[1]
    )
    assert [text for text in Findings(make_facts(protocols=("seed_aware",))).answer().lead if "pooled" in text] == []


def test_protocols_that_leak_give_no_verdict(facts):
    pooled = next(sheet for sheet in sheets(facts) if sheet.key == "scores-pooled")
    assert "verdict" not in pooled.columns
    assert "with the synthetic texts that are tested along 0.319 for rare" in pooled.caption
    assert pooled.notes == ("F1 depends on prevalence: compare arms within a table, not across.",)


def test_every_table_is_rectangular(hostile):
    for sheet in sheets(hostile):
        assert len(sheet.align) == len(sheet.columns)
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)}


def test_csv_reads_back(facts):
    summary = list(csv.DictReader(io.StringIO(summary_csv([facts]))))
    assert len(summary) == len(facts["summary"])
    for row, entry in zip(summary, facts["summary"], strict=True):
        assert float(row["estimate"]) == entry["estimate"]
        assert row["class"] == (entry["class"] or "")
    compared = list(csv.DictReader(io.StringIO(comparisons_csv([facts]))))
    assert [float(row["difference"]) for row in compared] == [e["difference"] for e in facts["comparisons"]]
    fits = list(csv.DictReader(io.StringIO(fits_csv([facts]))))
    assert len(fits) == len(facts["fits"]) == 2 * 3 * (3 + 1)
    for row, fit in zip(fits, facts["fits"], strict=True):
        assert [float(row["f1:rare"]), float(row["f1:common"])] == fit["scores"]["f1"]
        assert float(row["mcc"]) == fit["scores"]["mcc"]
        assert int(row["check:shared_sources"]) == fit["check"]["shared_sources"]
        assert bool(row["originals:f1:rare"]) == (fit["protocol"] == "pooled")


def test_csv_holds_no_formula(hostile):
    for text in (summary_csv([hostile]), comparisons_csv([hostile]), fits_csv([hostile])):
        for row in csv.reader(io.StringIO(text)):
            for cell in row:
                assert cell[:1] not in ("=", "+", "@")
                assert cell[:1] != "-" or float(cell) < 0
    assert "'=cmd|' /C calc'!A0" in summary_csv([hostile])


def test_latex_is_balanced_and_escaped(hostile):
    text = latex([hostile])
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == len(sheets(hostile))
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == text.count(r"\bottomrule")
    bare = re.sub(r"\\[\\&%$#_{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert "#" not in bare
    assert "^" not in bare
    assert "~" not in bare
    assert bare.count("$") % 2 == 0
    assert set(re.findall(r"\$[^$]*\$", bare)) <= {"$-$", r"$\pm$", r"$\times$"}
    assert not re.search(r"\\\\\s*[\[*]", text)  # would be an argument of the line's end
    widths = {line.count(" & ") for line in re.findall(r"(?s)\\midrule\n(.*?)\\bottomrule", bare)[0].splitlines()}
    assert len(widths) == 1
    assert r"\textless{}script\textgreater{}alert('x')\textless{}/script\textgreater{}" in text
    assert r"a\textbar{}b \& c\_d \$x\$ \#1 \textasciitilde{}\textasciicircum{}\textbackslash{} \{y\}" in text


def test_markdown_shows_hostile_names_as_they_are(hostile):
    text = markdown([hostile])
    assert "<script" not in text
    assert "<b>" not in text
    assert r"[x\](javascript:alert(1))" in text
    assert "](javascript" not in text.replace(r"\](", "")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block


@pytest.mark.parametrize("which", ["facts", "hostile", "several"])
def test_page_stands_alone(which, request):
    runs = [make_facts(originals=n, arms=("original", "imputed")) for n in (50, 75)] if which == "several" else None
    text = html_page(runs or [request.getfixturevalue(which)])
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert not {"img", "iframe", "object", "embed", "link", "form"} & set(page.tags)
    outside = {(tag, link) for tag, link in page.links if not link.startswith("#")}
    assert outside == {("a", "https://arxiv.org/abs/2504.15160")}  # the citation
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for tag, link in page.links if link.startswith("#") and tag == "a"} <= set(page.ids)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert text.count("<caption>") == text.count("<table>") > 4
    assert text.count("<svg") == text.count('role="img"') > 3
    assert "prefers-color-scheme: dark" in text
    assert "currentColor" in text
    if which == "hostile":
        seen = "".join(page.inner)
        assert all(name in seen for name in HOSTILE)


def test_page_begins_with_the_answer(facts):
    text = html_page([facts])
    assert text.index("The answer</h2>") < text.index("with synthetic texts (imputed)") < text.index("<table>")
    assert text.index("<table>") < text.index("<svg") < text.index("Leak check</h3>") < text.index("Settings</h3>")


def test_figures_draw_every_part_and_are_reproducible(facts):
    names = [drawing.name for drawing in run_drawings(facts)]
    assert names == ["scores", "differences", "inflation", "reliability", "confusion"]
    once, again = (inline_svg(run_drawings(facts)[0]) for _ in range(2))
    assert once == again
    assert "class_weights" in once  # text stays text
    assert "2026" not in once


def test_learning_curve_needs_several_numbers_of_originals(facts):
    assert learning_curve([facts]) == []
    assert learning_sheet([facts, facts]) is None
    runs = [make_facts(originals=n) for n in (75, 50)]
    (drawing,) = learning_curve(runs)
    assert drawing.name == "learning-curve"
    assert [row[1] for row in learning_sheet(runs).rows] == ["50"] * 3 + ["75"] * 3
    assert run_labels(runs) == ["A small study (75 rare)", "A small study (50 rare)"]
    assert len(set(run_labels([facts, facts]))) == 2


def without(facts, **changes):
    return {**facts, **changes}


CASES = {
    "nothing optional": lambda f: without(
        f,
        inflation=[],
        overfitting=[],
        ranking=[],
        alarms=[],
        reliability=[],
        confusion=[],
        generation=None,
        leak_check={},
    ),
    "null parts": lambda f: without(
        f, inflation=None, overfitting=None, calibration=None, generation=None, versions={}
    ),
    "incomplete": lambda f: without(f, incomplete="stopped after 7 of 24 fits", fits=f["fits"][:7]),
    "no imputed arm": lambda _: make_facts(arms=("original", "eda"), protocols=("seed_aware",)),
    "four classes": lambda _: make_facts(
        names=("a", "b", "c", "d"), focus=("b", "d"), protocols=("seed_aware", "holdout")
    ),
    "leaky only": lambda f: make_facts(arms=("imputed",), protocols=("pooled", "real_test")),
    "many classes": lambda _: make_facts(
        names=[f"c{i}" for i in range(14)], focus=("c1",), arms=("original", "imputed")
    ),
    "no class in focus": lambda f: without(f, classes=[{**entry, "focus": False} for entry in f["classes"]]),
}


@pytest.mark.parametrize("case", CASES)
def test_parts_may_be_missing(case, facts, tmp_path):
    made = CASES[case](facts)
    made = json.loads(json.dumps(made, allow_nan=False))
    files = write_report([made], tmp_path, formats=("html", "md", "tex", "csv"))
    assert all(file.stat().st_size for file in files)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert Page(page).open == []
    if case == "incomplete":
        assert "This run is incomplete: stopped after 7 of 24 fits" in page
    if case == "leaky only":
        assert "Only protocols that leak were run" in page
    assert tables(made, 80)


def test_holdout_of_another_prevalence_is_said_to_be_one():
    made = make_facts(protocols=("seed_aware", "holdout"))
    made["data"]["holdout_prevalence"] = {"rare": 0.5, "common": 0.5}
    text = markdown([made])
    assert text.count("F1 depends on prevalence: compare arms within a table, not across.") == 2
    assert "Prevalence in the test part: 0.500 for rare." in text
    made["data"]["holdout_prevalence"] = dict(made["data"]["prevalence"])
    assert "F1 depends on prevalence" not in markdown([made])


def test_calibration_is_drawn_and_tabled(facts):
    points = [
        {
            "share": share,
            "class": "rare",
            "true": 0.7,
            "true_low": 0.65,
            "true_high": 0.75,
            "augmented": 0.7 + share / 9,
        }
        | {"overfitting": share / 9, "low": share / 9 - 0.02, "high": share / 9 + 0.02}
        for share in (0.25, 0.5, 1.0)
    ]
    made = without(facts, calibration=points)
    assert "calibration" in [drawing.name for drawing in run_drawings(made)]
    assert "| rare | 25% | 0.700 [0.650, 0.750] | 0.728 | +0.028 [+0.008, +0.048] |" in markdown([made])


@pytest.mark.parametrize("width", [80, 100, 140])
def test_terminal_tables_fit(width, facts):
    from rich.console import Console

    console = Console(width=width, file=io.StringIO(), record=True)
    for table in tables(facts, width):
        console.print(table)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert ("macro F1" in text) == (width >= 96)
    assert re.search(r"imputed +0\.\d{3}", text)
    assert not re.search(r"\[\d\.\d{3},$", text, re.MULTILINE)  # no interval is broken
    assert "no leak" in text


def test_write_report_writes_what_is_asked(facts, tmp_path):
    files = write_report([facts], tmp_path / "new", formats=("md", "csv", "png", "svg"))
    names = [str(file.relative_to(tmp_path / "new")) for file in files]
    assert names[:4] == ["report.md", "summary.csv", "comparisons.csv", "fits.csv"]
    assert "figures/scores.png" in names
    assert "figures/confusion.svg" in names
    assert sorted(names) == sorted(
        str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*") if path.is_file()
    )
    with pytest.raises(PlanError, match=r"No format 'htm'.*Did you mean 'html'"):
        write_report([facts], tmp_path, formats=("htm",))
    with pytest.raises(PlanError, match="at least one"):
        write_report([], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="scores are safe"):
        write_report([facts], tmp_path / "file", formats=("md",))
    assert set(FORMATS) == {"html", "md", "tex", "csv", "png", "svg"}


def test_read_facts(facts, tmp_path):
    with pytest.raises(DataError, match="No cross-validation at"):
        read_facts(tmp_path)
    (tmp_path / "crossval.json").write_text("{")
    with pytest.raises(DataError, match="is no JSON"):
        read_facts(tmp_path)
    (tmp_path / "crossval.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(DataError, match="format is 2"):
        read_facts(tmp_path)
    (tmp_path / "crossval.json").write_text(json.dumps(facts))
    assert read_facts(tmp_path) == read_facts(tmp_path / "crossval.json") == facts
