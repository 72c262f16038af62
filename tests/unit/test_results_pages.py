"""docs/results says what the stored results say."""

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
STORED = sorted((RESULTS / "stored").glob("*.json"))


@pytest.fixture(scope="module")
def pages():
    """The script that writes the pages, as a module."""
    spec = importlib.util.spec_from_file_location("results", ROOT / "benchmarks" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(pages):
    """The stored facts, by experiment."""
    return pages.read(RESULTS / "stored")


def test_the_overview_is_made_from_the_stored_results(pages, results):
    assert results
    assert (RESULTS / "README.md").read_text(encoding="utf-8") == pages.overview(results)


def test_every_page_and_figure_is_there(pages, results, tmp_path):
    for name, entries in results.items():
        text = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
        assert text == pages.page(name, entries, tmp_path)
        figures = re.findall(r"\]\((figures/[^)]+)\)", text)
        assert figures
        assert all((RESULTS / figure).is_file() for figure in figures)


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_stored_results_name_no_machine(file):
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(tmp|home|root|work|Users)/", text)
    assert "..//" not in text
