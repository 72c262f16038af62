"""Settings for all tests: no network, and no trace in the user's folders."""

import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

# Workers that run side by side share the cores: with a thread a core in each, they would wait for each other.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    _share = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("OMP_NUM_THREADS", str(_share))

# Before datasets is imported: it reads these once.
_SCRATCH = tempfile.mkdtemp(prefix="synimpute-tests-")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
os.environ["HF_DATASETS_CACHE"] = f"{_SCRATCH}/datasets"
os.environ["SYNIMPUTE_HOME"] = f"{_SCRATCH}/home"

import pytest  # noqa: E402

SHARED = Path(os.environ.get("SYNIMPUTE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """Give each test a default journal of its own."""
    environment = os.environ
    monkeypatch.setenv("SYNIMPUTE_HOME", str(tmp_path / "home"))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    yield
    # datasets' map with num_proc puts a copy in the place of os.environ, which monkeypatch would not restore.
    os.environ = environment  # noqa: B003


@pytest.fixture(scope="session")
def shared_data():
    """Real labelled texts, where this checkout has them beside it."""
    if not SHARED.is_dir():
        pytest.skip(f"no real texts: the folder {SHARED} is missing (set SYNIMPUTE_TEST_DATA)")
    return SHARED


@pytest.fixture
def here(monkeypatch, capsys):
    """Run a command in this process; returns its exit status and what it printed."""
    from synimpute_hf import cli

    monkeypatch.setenv("COLUMNS", "160")
    handlers = list(logging.getLogger("synimpute_hf").handlers)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["synimpute", *map(str, arguments)])
        status = 0
        with warnings.catch_warnings():
            try:
                cli.main()
            except SystemExit as ended:
                status = ended.code
        out = capsys.readouterr()
        return status or 0, out.out, out.err

    yield run
    logging.getLogger("synimpute_hf").handlers[:] = handlers


def make_rows(rare=12, common=30):
    """Return columns of a small dataset with one rare class, ids, and a column of the user's own."""
    texts = [f"Rare text number {i}, about the old {['bridge', 'tower', 'mill', 'well'][i % 4]}." for i in range(rare)]
    texts += [f"Common text number {i}, about the new {['road', 'shop', 'school'][i % 3]}." for i in range(common)]
    return {
        "text": texts,
        "label": ["rare"] * rare + ["common"] * common,
        "year": list(range(1900, 1900 + rare + common)),
    }


@pytest.fixture
def rows():
    return make_rows()


PLUGIN = '''
import json, os, time
from dataclasses import dataclass
from synimpute_hf.generators.base import Generator, Settings
from synimpute_hf.records import Candidate, Failure

@dataclass(frozen=True)
class ScriptedSettings(Settings):
    script: str = ""
    api_key: str = ""

class Scripted(Generator):
    """Answers from a JSON file: a list used in turn; an item {"error": ...} fails; logs each key it is asked for."""
    key = "scripted"
    settings_class = ScriptedSettings
    form = "chat"
    name = "scripted"
    context_tokens = None
    parameters = {}

    def generate(self, prompts):
        script = json.load(open(self.settings.script))
        for turn, prompt in enumerate(prompts):
            with open(self.settings.script + ".log", "a") as log:
                log.write(prompt.key + "\\n")
            turn = prompt.draw.seed if script["by_seed"] else turn
            answer = script["answers"][turn % len(script["answers"])]
            time.sleep(script.get("delay", 0))
            if isinstance(answer, dict) and "interrupt" in answer:
                raise KeyboardInterrupt
            if isinstance(answer, dict):
                yield [(prompt, Failure(prompt.key, answer["error"]))]
            else:
                text = answer.replace("SEED", str(prompt.draw.seed)).replace("FIRST", prompt.draw.texts[0])
                yield [(prompt, Candidate(prompt.key, text, "length" if text.endswith("…") else "stop"))]
'''


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """A third party's generator, installed as an entry point: returns a function from answers to a spec."""
    import json
    import sys

    site = tmp_path / "site"
    info = site / "thirdparty-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "thirdparty_generator.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thirdparty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[synimpute_hf.generators]\nscripted = thirdparty_generator:Scripted\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    yield_path = tmp_path / "script.json"

    def spec(*answers, delay=0.0, by_seed=False):
        yield_path.write_text(json.dumps({"answers": list(answers), "delay": delay, "by_seed": by_seed}))
        return f"scripted:script={yield_path}"

    spec.log = lambda: (
        (tmp_path / "script.json.log").read_text().split() if (tmp_path / "script.json.log").exists() else []
    )
    yield spec
    sys.modules.pop("thirdparty_generator", None)
