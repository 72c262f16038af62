"""The progress bar tells texts, rejects and speed."""

import io

from conftest import make_rows
from datasets import Dataset
from rich.console import Console

from synimpute_hf import SyntheticImputer
from synimpute_hf.progress import ProgressBar, show_progress


def test_a_run_on_a_terminal(scripted):
    screen = io.StringIO()
    bar = ProgressBar(Console(file=screen, force_terminal=True, width=120))
    impute = SyntheticImputer(validators=[], target=20, generator=scripted("good SEED", "FIRST")).fit(
        Dataset.from_dict(make_rows())
    )
    impute.generate(bar)
    shown = screen.getvalue()
    assert "8/8 texts" in shown
    assert "texts/min" in shown
    assert "7 rejected" in shown  # 4 of 8, 2 of 4, 1 of 2


def test_shown_where_a_person_watches():
    assert show_progress(True)
    assert not show_progress(False)
    assert not show_progress(None)
