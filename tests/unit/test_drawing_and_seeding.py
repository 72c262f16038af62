"""Draws are pure functions, and stay the same over versions and years."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from conftest import make_rows
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from synimpute_hf.columns import read_originals
from synimpute_hf.drawing import DrawSettings, draw
from synimpute_hf.errors import PlanError
from synimpute_hf.seeding import derive_seed, digest, normalise, random_words, row_digest, text_code


def pool_of(rows, **kwargs):
    return read_originals(Dataset.from_dict(rows), text="text", label="label", **kwargs).pools["rare"]


@pytest.fixture
def pool(rows):
    return pool_of(rows)


def test_known_values():
    # These stand in published datasets and journals: they must never change.
    assert row_digest("A text.", "rare") == "3ec459cbf8e5e925a60c7cc4b7b69656"
    assert derive_seed("draw", 1, "x") == 946422831602751778
    assert text_code("A text.") == 6285454244210480383
    words = random_words(7)
    assert [next(words) for _ in range(3)] == [13689550734657373777, 17013829338166670908, 6810896103254081177]


def test_draws_are_the_same_in_another_process_in_another_order(pool):
    settings = DrawSettings(seed=3)
    here = [draw(pool, n, a, settings) for n in range(6) for a in range(2)]
    assert [draw(pool, n, a, settings) for n in reversed(range(6)) for a in reversed(range(2))] == here[::-1]
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from conftest import make_rows\nfrom datasets import Dataset\n"
        "from synimpute_hf.columns import read_originals\nfrom synimpute_hf.drawing import DrawSettings, draw\n"
        "rows = make_rows()\nrows = {k: v[::-1] for k, v in rows.items()}\n"
        "pool = read_originals(Dataset.from_dict(rows), text='text', label='label').pools['rare']\n"
        "print([draw(pool, n, a, DrawSettings(seed=3)).seed for n in range(6) for a in range(2)])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == str([d.seed for d in here])


def test_across_shows_five_different_originals_anew_for_each_text(pool):
    draws = [draw(pool, n, 0, DrawSettings()) for n in range(40)]
    assert all(len(set(d.source_ids)) == 5 and d.anchor in d.source_ids for d in draws)
    assert len({d.source_ids for d in draws}) == 40
    assert draw(pool, 0, 1, DrawSettings()).source_ids != draws[0].source_ids


def test_within_may_repeat_and_fixed_never_changes(pool):
    within = [draw(pool, n, 0, DrawSettings(replacement="within")) for n in range(40)]
    assert any(len(set(d.source_ids)) < 5 for d in within)
    fixed = [draw(pool, n, a, DrawSettings(replacement="fixed")) for n in range(10) for a in range(3)]
    assert len({d.source_ids for d in fixed}) == 1
    assert len({d.seed for d in fixed}) == 30


@pytest.mark.parametrize("replacement", ["across", "within"])
def test_every_original_is_drawn_as_often(pool, replacement):
    counts = Counter()
    anchors = Counter()
    for n in range(3000):
        d = draw(pool, n, 0, DrawSettings(replacement=replacement))
        counts.update(d.source_ids)
        anchors[d.anchor] += 1
    assert len(counts) == len(anchors) == 12
    # Draws without replacement are less dispersed than chi-square supposes: both tails would be too strict.
    assert chisquare(list(counts.values())).pvalue > 1e-4
    assert chisquare(list(anchors.values())).pvalue > 1e-4


def test_settings_change_draws(pool):
    base = draw(pool, 0, 0, DrawSettings()).seed
    assert draw(pool, 0, 0, DrawSettings(seed=1)).seed != base
    assert draw(pool, 0, 0, DrawSettings(n_examples=3)).seed != base
    with pytest.raises(PlanError, match="Did you mean 'across'"):
        DrawSettings(replacement="acros")
    with pytest.raises(PlanError, match="at least one"):
        DrawSettings(n_examples=0)


def test_only_twins_is_a_clear_error():
    rows = make_rows()
    doubled = {k: v * 2 for k, v in rows.items()}
    with pytest.raises(PlanError, match=r"'rare' stands more than once.*--id"):
        draw(pool_of(doubled), 0, 0, DrawSettings())
    doubled["key"] = [str(i) for i in range(84)]
    d = draw(pool_of(doubled, id="key"), 0, 0, DrawSettings())
    assert len(set(d.texts)) == 5


def test_a_single_anchor_among_twins_is_found():
    rows = make_rows()
    twins = {k: v + v[1:12] for k, v in rows.items()}
    pool = pool_of(twins)
    assert pool.anchorable.sum() == 1
    only = pool.ids[int(np.flatnonzero(pool.anchorable)[0])].as_py()
    for n in range(30):
        d = draw(pool, n, 0, DrawSettings())
        assert d.anchor == only
        assert only in d.source_ids
        assert len(set(d.source_ids)) == 5


@given(st.text())
def test_normal_form_is_stable(text):
    assert normalise(normalise(text)) == normalise(text)
    assert text_code(f"  {text}\n") == text_code(text)


def test_normal_form_ignores_case_blanks_and_width():
    assert normalise("  Straße\tＡ ") == normalise("STRASSE a")  # noqa: RUF001


def test_types_of_labels_count():
    assert row_digest("x", 1) != row_digest("x", "1")
    assert digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
