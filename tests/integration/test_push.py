"""Datasets, classifiers and reports go to a Hub and come back, by Xet and by plain LFS, with cards that stay true."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from hub import HubServer
from push_sweep import FAULTS, Sweep

SETUP = """
import json
from pathlib import Path
import datasets
from datasets import load_dataset
from huggingface_hub import DatasetCard, HfApi
from synimpute_hf import SyntheticImputer, push_to_hub, save, verify
from synimpute_hf.errors import HubError, SynimputeError
from synimpute_hf.hub import Retry
datasets.disable_progress_bars()
api = HfApi()
retry = Retry(tries=3, first_wait=0.01)

def push(*arguments, **options):
    done = push_to_hub(*arguments, retry=retry, **options)
    return {"commit": done.commit, "changed": done.changed, "added": sorted(done.added),
            "deleted": sorted(done.deleted), "pr": done.pull_request, "collection": done.collection}

def refused(*arguments, **options):
    try:
        push(*arguments, **options)
    except SynimputeError as error:
        return f"{type(error).__name__}: {error}"

def same(repo, folder, **options):
    theirs, ours = load_dataset(repo, **options), load_dataset(str(folder))
    return all(theirs[name].features == ours[name].features and theirs[name][:] == ours[name][:] for name in ours)
"""


@pytest.fixture(scope="module")
def server():
    with HubServer() as hub:
        yield hub
        assert not hub.leaks, "a token went to another origin"


@pytest.fixture
def hub(server):
    server.reset()
    yield server
    assert not server.leaks, "a token went to another origin"
    server.reset()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The demo corpus, imputed to two targets."""
    folder = tmp_path_factory.mktemp("results")
    run = [sys.executable, "-m"]
    demo = folder / "demo"
    subprocess.run([*run, "synimpute_hf.dataset_scripts.city_service_line", "--output", str(demo)], check=True)
    for target in (80, 95):
        command = [*run, "synimpute_hf", "impute", str(demo), "--target", str(target), "--generator", "echo"]
        subprocess.run([*command, "--output", str(folder / str(target))], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def clients(server, tmp_path_factory):
    """Two client processes: one uploads by Xet, one by plain LFS."""
    home = tmp_path_factory.mktemp("homes")
    with server.client(home / "xet", xet=True) as xet, server.client(home / "lfs", xet=False) as lfs:
        for client in (xet, lfs):
            client.check(SETUP)
        yield {"xet": xet, "lfs": lfs}


@pytest.mark.parametrize("route", ["xet", "lfs"])
def test_round_trip(hub, clients, results, route):
    client, repo, out, more = clients[route], f"ada/{route}", results / "80", results / "95"

    def push(folder, **options):
        return client.check(f"result = push({str(folder)!r}, {repo!r}, **{options!r})")

    first = push(out, largest_mb=0.01, journal="full", tag="v1", collection="Town letters")
    shards = [path for path in first["added"] if path.startswith("data/")]
    assert len(shards) > 3
    assert client.check(f"result = same({repo!r}, {str(out)!r})")
    stored = hub.repo(repo)
    assert stored.private
    assert stored.tags == {"v1": first["commit"]}
    assert "town-letters" in first["collection"]
    assert hub.requests.count("POST", {"xet": "/xet-cas/", "lfs": "info/lfs/objects/batch"}[route])
    card = yaml.safe_load(stored.files["README.md"].decode().split("---\n")[1])
    assert (card["license"], card["language"], card["source_datasets"]) == ("apache-2.0", ["en"], ["original"])
    assert {"machine-generated"} == {*card["annotations_creators"], *card["language_creators"]}
    assert card["dataset_info"][0]["splits"][0]["num_examples"] == 426
    assert push(out, largest_mb=0.01, journal="full")["changed"] is False

    _write_by_hand(hub, repo, "pretty_name: Letters to a town\nlicense: cc-by-4.0\n", "\nThanks to all who wrote.\n")
    second = push(more)
    assert sorted(second["deleted"]) == sorted(["journal.sqlite", *shards])
    text = stored.files["README.md"].decode()
    assert "Thanks to all who wrote." in text
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "cc-by-4.0"
    assert "| accessibility | 60 | 35 | 95 |" in text
    assert "| accessibility | 60 | 20 | 80 |" not in text
    assert client.check(f"result = same({repo!r}, {str(more)!r})")

    push(out, config="small", license="mit")
    assert client.check(f"result = same({repo!r}, {str(out)!r}, name='small')")
    assert client.check(f"result = same({repo!r}, {str(more)!r}, name='default')")
    pull = push(out, create_pr=True)
    assert pull["pr"].endswith("/discussions/1")
    assert client.check(f"result = same({repo!r}, {str(more)!r}, name='default')")
    assert client.check(f"result = same({repo!r}, {str(out)!r}, name='default', revision='refs/pr/1')")
    push(out, revision="trial")
    assert client.check(f"result = same({repo!r}, {str(out)!r}, name='default', revision='trial')")
    wrong = f"result = [c.name for c in verify({repo!r}) if c.passed is False]"
    assert client.check(wrong) == []


def _write_by_hand(hub, repo, metadata, body):
    stored = hub.repo(repo)
    text = stored.files["README.md"].decode().replace("---\n", f"---\n{metadata}", 1)
    text = re.sub(r"(?m)^license: apache-2.0\n", "", text)
    stored.commit({"README.md": text + body}, title="By hand")


def test_originals_may_stay_at_home(hub, clients, results, tmp_path):
    client, out = clients["xet"], results / "80"
    options = "synthetic_only=True, journal='answers', license='unknown'"
    client.check(f"push({str(out)!r}, 'ada/shy', {options})")
    files = hub.repo("ada/shy").files
    originals = json.loads((results / "80" / "synimpute.json").read_text())["plan"]["example"]
    quoted = [line for line in originals.splitlines() if len(line) > 40 and not line.startswith(("You ", "real "))][-3:]
    for path, content in files.items():
        for line in quoted:
            assert line.encode() not in content, path
    found = client.check(
        "rows = load_dataset('ada/shy', split='train')\n"
        "result = [len(rows), all(rows['is_synthetic']), sorted(rows.column_names)]"
    )
    assert found[:2] == [25, True]
    assert "id" not in found[2]
    demo = str(results / "demo")
    checks = client.check(
        "from dataclasses import asdict\n"
        f"result = [asdict(c) for c in verify('ada/shy', replay=True, originals={demo!r})]"
    )
    assert all(entry["passed"] for entry in checks), checks
    assert "replay: bytes" in [entry["name"] for entry in checks]


def test_settings_and_texts_come_back(hub, clients, results):
    client, out = clients["lfs"], results / "80"
    client.check(f"push({str(out)!r}, 'ada/back', journal='answers')")
    same = client.check(
        f"rows = load_dataset({str(results / 'demo')!r}, split='train')\n"
        "impute = SyntheticImputer.from_hub('ada/back', replay=True).fit(rows)\n"
        f"there = load_dataset({str(out)!r}, split='train')\n"
        "result = [rows.map(impute, batched=True)[:] == there[:], impute.outcome.asked, impute.target]"
    )
    assert same == [True, 25, 80]  # asked of the replay, which is no model
    again = "SyntheticImputer.from_hub('ada/back', target=70, generator='echo').fit(rows).plan.to_write"
    assert client.check(f"result = {again}") == 10


def test_saved_from_python(hub, clients, results, tmp_path):
    client = clients["xet"]
    done = client.check(
        f"rows = load_dataset({str(results / 'demo')!r}, split='train')\n"
        f"impute = SyntheticImputer(target=80, generator='echo', journal={str(tmp_path / 'j.sqlite')!r}).fit(rows)\n"
        f"save({str(tmp_path / 'saved')!r}, rows, impute, source='demo')\n"
        f"result = push({str(tmp_path / 'saved')!r}, 'ada/saved', license='mit', journal='full')"
    )
    assert "journal.sqlite" in done["added"]
    assert client.check("result = [c.name for c in verify('ada/saved', replay=True) if c.passed is not True]") == []


def test_refusals_are_told(hub, clients, results, tmp_path):
    client, out = clients["xet"], str(results / "80")

    def refused(*arguments, **options):
        told = ", ".join([*map(repr, arguments), *(f"{name}={value!r}" for name, value in options.items())])
        return client.check(f"result = refused({told})")

    before = len(hub.store.repos)
    for token, words in (("bad", "does not know this token"), ("reader", "may not write")):
        said = refused(out, "ada/none", token=hub.tokens[token])
        assert said.startswith("HubError: Nothing was published.")
        assert words in said
        assert hub.tokens[token] not in said
    assert "may not write to ben/none" in refused(out, "ben/none")
    assert len(hub.store.repos) == before
    hub.create_repo("ben/open", "dataset")
    assert "may not write to ben/open" in refused(out, "ben/open")
    hub.create_repo("ben/secret", "dataset", private=True)
    assert "HubError: Nothing was published." in refused(out, "ben/secret")
    hub.storage_quota = 1000
    said = refused(out, "ada/full")
    assert "Nothing was published." in said
    assert len(hub.repo("ada/full").commits) == 1
    hub.storage_quota = None
    plain = shutil.copytree(results / "80", tmp_path / "plain")
    facts = json.loads((plain / "synimpute.json").read_text())
    del facts["metadata"]["license"]
    (plain / "synimpute.json").write_text(json.dumps(facts))
    assert "Under which license" in refused(str(plain), "ada/unlicensed")
    assert ("dataset", "ada/unlicensed") not in hub.store.repos
    assert "DataError" in refused(str(tmp_path), "ada/none")
    assert "quotes the originals" in refused(out, "ada/none", synthetic_only=True, journal="full")
    offline = "import huggingface_hub.constants as c\nc.HF_HUB_OFFLINE = True\n"
    said = client.check(f"{offline}result = refused({out!r}, 'ada/none')\nc.HF_HUB_OFFLINE = False")
    assert "unset HF_HUB_OFFLINE" in said
    client.check(f"push({out!r}, 'ada/tagged', tag='v1')")
    said = refused(str(results / "95"), "ada/tagged", tag="v1")
    assert "is there, but without its tag: 'v1' is the tag of another commit" in said
    assert len(hub.repo("ada/tagged").commits) == 3


def test_what_was_sent_is_not_sent_again(hub, clients, results):
    out = str(results / "80")
    hub.faults.add(503, "POST", "/commit/", times=None)
    said = clients["lfs"].check(f"result = refused({out!r}, 'ada/late', license='mit', journal='full')")
    assert "Nothing was published. The Hub answered 503 again and again" in said
    sent = hub.requests.count("PUT", "/upload/")
    assert sent == 2
    assert len(hub.repo("ada/late").commits) == 1
    hub.faults.clear()
    assert clients["lfs"].check(f"result = push({out!r}, 'ada/late', license='mit', journal='full')")["changed"]
    assert hub.requests.count("PUT", "/upload/") == sent


def test_two_pushes_at_once_lose_nothing(hub, clients, results):
    """Two processes push two configurations to one repository, three times; each begins before the other commits."""
    from threading import Barrier, Thread

    barrier = Barrier(2, timeout=20)
    hub.create_repo("ada/two", "dataset")
    hub.before("POST", "/commit/", lambda request: barrier.wait(), times=2)
    outcomes = {}

    def go(route, folder):
        code = f"result = push({str(folder)!r}, 'ada/two', config={route!r}, license='mit')"
        outcomes[route] = clients[route].run(code)

    threads = [Thread(target=go, args=pair) for pair in (("xet", results / "80"), ("lfs", results / "95"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(outcome.ok for outcome in outcomes.values()), outcomes
    assert len(hub.repo("ada/two").commits) == 3
    for route, folder in (("xet", "80"), ("lfs", "95")):
        assert clients["xet"].check(f"result = same('ada/two', {str(results / folder)!r}, name={route!r})")


@pytest.mark.parametrize("route", ["xet", "lfs"])
def test_faults(results, tmp_path, route):
    """Every request is struck once, by one kind of fault after another; benchmarks/push_faults.py tries all of all."""
    with HubServer() as hub, hub.client(tmp_path / "hf", xet=route == "xet") as client:
        sweep = Sweep(hub, client, results / "80", results / "95")
        shift = {"xet": 0, "lfs": 7}[route]
        for number in range(len(sweep.requests)):
            run = sweep.run([(number, FAULTS[(number + shift) % len(FAULTS)])])
            assert run.struck
            assert not run.problem, run
        last = len(sweep.requests) - 1
        for kind in FAULTS:
            run = sweep.run([(last, kind)])
            assert run.struck[0].startswith("POST /api/datasets/ada/"), run
            assert not run.problem, run


def test_the_command(hub, results, tmp_path):
    command = [sys.executable, "-m", "synimpute_hf"]
    done = hub.run([*command, "push", str(results / "80"), "ada/cli", "--public", "--language", "en"], tmp_path / "hf")
    assert done.returncode == 0, done.stderr
    assert "Pushed: " in done.stdout
    assert not hub.repo("ada/cli").private
    secret = hub.tokens["owner"]
    assert secret not in done.stdout + done.stderr
    written = [path for path in [*results.rglob("*"), *(tmp_path / "hf").rglob("*")] if path.is_file()]
    assert not [path for path in written if secret.encode() in path.read_bytes()]
    done = hub.run([*command, "verify", "ada/cli"], tmp_path / "hf")
    assert done.returncode == 0, done.stdout + done.stderr
    done = hub.run([*command, "verify", "ada/nothing"], tmp_path / "hf")
    assert done.returncode == 2
    assert "cannot be downloaded" in done.stderr
    done = hub.run([*command, "push", str(results / "demo"), "ada/demo"], tmp_path / "hf")
    assert done.returncode == 0, done.stderr
    assert b"Wexbridge" in hub.repo("ada/demo").files["README.md"]
