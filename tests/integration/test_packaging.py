"""The wheel holds what a user needs, and the examples run as they stand."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from code_blocks import code_blocks, command_lines, run_command
from hub import HubServer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_package(wheel):
    """An installed copy beside it (an editable one) would serve what a wheel lacks, and no import would fail."""
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "synimpute_hf").rglob("*.py")}
    for folder in ("dataset_scripts", "model_cards"):
        there |= {f"synimpute_hf/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).glob("*.*")}
    with zipfile.ZipFile(wheel) as archive:
        assert there - set(archive.namelist()) == set()


def test_the_wheel_works_without_the_repository(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert (site / "synimpute_hf" / "py.typed").is_file()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import synimpute_hf; assert synimpute_hf.__file__.startswith(sys.argv[1]), synimpute_hf.__file__\n"
        "from synimpute_hf.registry import plugin_names\n"
        "from synimpute_hf.prompts import load_prompt\n"
        "names = plugin_names('generators')\n"
        "assert names == ['echo', 'local', 'openai', 'ray', 'replay', 'transformers'], names\n"
        "for name in plugin_names('prompts', '.yaml'): load_prompt(name)\n"
        "from synimpute_hf.prices import look_up_price\n"
        "assert look_up_price('api.openai.com', 'gpt-4o').output > 0\n"
        "from pathlib import Path\n"
        "from synimpute_hf.dataset_scripts.city_service_line import write_folder\n"
        "write_folder(Path('demo'))\n"
        "from synimpute_hf.dataset_scripts import banking77, hand_coded, political_nostalgia\n"
        "sys.argv = ['synimpute', 'impute', 'demo', '--target', '95', '--generator', 'echo', '--output', 'out']\n"
        "from synimpute_hf.cli import main; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(site)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "README.md").read_text().startswith("---\nconfigs:")


def test_the_wheels_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (entry for entry in archive.namelist() if entry.endswith("/METADATA"))
        metadata = archive.read(name).decode()
    for line in ("Name: synimpute-hf", "License-Expression: Apache-2.0", "Requires-Python: >=3.10"):
        assert line in metadata
    core = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert not any("torch" in line or "transformers" in line for line in core)
    for extra in ("local", "openai", "xlsx", "ray", "dev"):
        assert f"Provides-Extra: {extra}" in metadata


def test_the_ray_example_runs_as_it_stands():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'synimpute-hf[ray]'")
    done = subprocess.run([sys.executable, str(ROOT / "examples" / "ray_data.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "60 rows, 20 of them synthetic" in done.stdout


@pytest.fixture(scope="module")
def hub():
    with HubServer() as server:
        yield server


@pytest.mark.timeout(1200)
def test_the_readme_is_true(hub, tmp_path):
    """The README's Python blocks run as they stand, on a file of a user's, and its commands, too (fewer folds)."""
    import pandas as pd
    from coded_texts import coded

    readme = (ROOT / "README.md").read_text().replace("user/", "ada/")
    environment = hub.environment(tmp_path / "hf")
    # Texts that differ enough to stand in different folds.
    pd.DataFrame(coded({"memory": 60, "health": 90})).to_csv(tmp_path / "texts.csv", index=False)
    blocks = code_blocks(readme)
    block, compared, trainer, shared = (each.code for each in blocks if each.language == "python")
    assert 'generator="local"' in block
    assert 'classifier="linear"' in compared
    compile(trainer, "README.md", "exec")  # examples/trainer.py is what runs
    code = block.replace('generator="local"', 'generator="echo"') + "assert same.to_list() == augmented.to_list()\n"
    code += compared.replace('classifier="linear"', 'classifier="linear", folds=3, repeats=1')
    quiet = "import datasets.config; datasets.config.USE_PARQUET_EXPORT = False\n"
    code = quiet + code + shared
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    sheet = pd.read_csv(tmp_path / "texts.csv")
    sheet.assign(anna=sheet.label, ben=sheet.label).drop(columns="label").to_csv(tmp_path / "coded.csv", index=False)
    (tmp_path / "codebook.csv").write_text("code,name,description\nmemory,memory,the past\nhealth,health,clinics\n")
    said = ("nostalgic", "other")
    rows = [
        (f"text {k}", said[k % 3 > 0], said[k % 5 > 0] if k % 2 else None, 2000 + k % 20, k % 7) for k in range(600)
    ]
    corpus = pd.DataFrame(rows, columns=["text", "machine", "hand", "year", "votes"])
    corpus.to_csv(tmp_path / "corpus.csv", index=False)
    lines = [words for each in blocks if each.language == "bash" for words in command_lines(each.code)]
    assert len(lines) > 15
    for words in lines:
        if words[0] == "python":
            run_command(words, tmp_path, os.environ)
        # Those with servers run in test_openai.py and test_real_server.py.
        elif not any("openai:" in word for word in words):
            more = (
                []
                if words[1] in ("audit", "estimate", "report", "train", "push", "review", "verify")
                else ["--generator", "echo"]
            )
            more += ["--folds", "3", "--repeats", "1"] if words[1] in ("crossval", "calibrate", "experiment") else []
            if "transformers,train_layers=1" in words:
                more += ["--classifier", "transformers,train_layers=1,epochs=0.1"]
            run_command(words, tmp_path, environment, more)
    assert (tmp_path / "imputed" / "synimpute.json").is_file()
    assert (tmp_path / "compared" / "report.html").is_file()
    assert "seed-aware 1 x 3 cross-validation" in (tmp_path / "model" / "README.md").read_text()
    assert b"## Cross-validation" in hub.repo("ada/memories").files["README.md"]
    assert "model.safetensors" in hub.repo("ada/memory-classifier", "model").files
    assert b"<html" in hub.repo("ada/memories-compared", "space").files["index.html"]
    classify = (
        "from transformers import pipeline; print(pipeline('text-classification', model='ada/memory-classifier')('A'))"
    )
    assert "memory" in hub.python(classify, tmp_path / "hf").stdout
    assert not hub.leaks
