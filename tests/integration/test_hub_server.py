"""The tests' own Hub, seen by the real clients: round trips on both upload routes, refusals, faults, restarts."""

import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from hub import Fault, HubServer
from hub.cards import find_problems

ROOT = Path(__file__).parents[2]
SETUP = """
import io, os, pathlib, tempfile
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, load_dataset
from huggingface_hub import (
    CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, DatasetCard, HfApi, HfFileSystem, hf_hub_download,
    snapshot_download,
)

api = HfApi()
features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good", "new"])})

def letters(rows, word="letter"):
    columns = {"text": [f"{word} {i}" for i in range(rows)], "label": [i % 3 for i in range(rows)]}
    return Dataset.from_dict(columns, features)

def same(one, other):
    return one.features == other.features and one[:] == other[:]

def add(path, content="x"):
    return CommitOperationAdd(path, content if isinstance(content, bytes) else content.encode())

def commit(repo, *operations, **options):
    return api.create_commit(repo, operations, commit_message="Try", repo_type="dataset", **options)
"""


@pytest.fixture(scope="module")
def server():
    with HubServer() as hub:
        yield hub


@pytest.fixture
def hub(server):
    server.reset()
    yield server
    assert not server.leaks, "a token of the Hub went to another origin"
    server.reset()
    server.multipart_bytes, server.page_size = None, 1000


@pytest.fixture(scope="module")
def clients(server, tmp_path_factory):
    """Two client processes: one uploads by Xet, one by plain LFS."""
    homes = tmp_path_factory.mktemp("homes")
    with server.client(homes / "xet") as xet, server.client(homes / "lfs", xet=False) as lfs:
        for client in (xet, lfs):
            client.check(SETUP)
        yield {"xet": xet, "lfs": lfs}


@pytest.fixture(params=["xet", "lfs"])
def route(request, clients):
    """The name of an upload route and its client."""
    return request.param, clients[request.param]


@pytest.fixture
def client(clients):
    """The client with the default route, Xet."""
    return clients["xet"]


# -- round trips ------------------------------------------------------------------------------------------------------


def test_dataset_round_trip(hub, route):
    name, client = route
    repo = f"ada/letters-{name}"
    code = """
rows = letters(2000)
rows.push_to_hub(REPO, num_shards=3)
assert same(load_dataset(REPO, split="train"), rows)
DatasetDict(train=letters(40, "more"), test=letters(20, "test")).push_to_hub(REPO, "second")
letters(10, "few").push_to_hub(REPO, num_shards=1)
result = [load_dataset(REPO, split="train").num_rows, load_dataset(REPO, "second", split="test").num_rows]
"""
    assert client.check(code.replace("REPO", repr(repo))) == [10, 20]
    stored = hub.repo(repo)
    assert sorted(stored.files) == [
        ".gitattributes",
        "README.md",
        "data/train-00000-of-00001.parquet",
        "second/test-00000-of-00001.parquet",
        "second/train-00000-of-00001.parquet",
    ]
    assert [commit.title for commit in stored.commits] == ["Upload dataset"] * 3 + ["initial commit"]
    uploads = hub.requests.count("PUT", "/upload/"), hub.requests.count("POST", "/v1/shards")
    assert (uploads[0] == 0 and uploads[1] > 0) if name == "xet" else (uploads[0] > 0 and uploads[1] == 0)
    assert all(request.status for request in hub.requests)


def test_xet_puts_files_together_from_chunks(hub, client):
    hub.create_repo("ada/chunks")
    code = """
import random, struct
rng = random.Random(0)
contents = {
    "noise.bin": rng.randbytes(700_000),
    "text.bin": b"\\0" + b"again and again " * 60_000,
    "floats.bin": struct.pack("<100001f", *(rng.random() for _ in range(100_001))),
    "odd.bin": struct.pack("<50001f", *(rng.random() for _ in range(50_001))) + b"abc",
}
contents["shifted.bin"] = b"in front" + contents["noise.bin"]
commit("ada/chunks", *(add(p, c) for p, c in contents.items()))
import hashlib
result = {p: hashlib.sha256(c).hexdigest() for p, c in contents.items()}
"""
    sums = client.check(code)
    tree = hub.repo("ada/chunks").commits[0].tree
    assert {path: entry.sha256 for path, entry in tree.items() if entry.lfs} == sums
    sent = [int(request.headers["content-length"]) for request in hub.requests.matching("POST", "/v1/xorbs/")]
    assert 0 < sum(sent) < 2_400_000, "of 3.0 MB nothing was compressed"
    schemes = {scheme for xorb in hub.store.xorbs.memory.values() for scheme in schemes_of(xorb)}
    assert schemes == {0, 1, 2}, "the test should meet chunks as they are, LZ4, and LZ4 of grouped bytes"


def schemes_of(xorb):
    """Yield how each chunk of a xorb is compressed."""
    offset = 0
    while offset < len(xorb) and xorb[offset] == 0:
        yield xorb[offset + 4]
        offset += 8 + int.from_bytes(xorb[offset + 1 : offset + 4], "little")


def test_folder_branch_tag_pull_request_and_card(hub, route):
    name, client = route
    repo = f"ada/refs-{name}"
    hub.create_repo(repo)
    code = """
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "deep").mkdir()
(folder / "deep" / "noise.bin").write_bytes(os.urandom(300_000))
(folder / "empty.parquet").write_bytes(b"")
(folder / "README.md").write_text("---\\nlicense: mit\\nsize_categories: n<1K\\n---\\n# Letters")
api.upload_folder(repo_id=REPO, repo_type="dataset", folder_path=folder)
api.create_tag(REPO, tag="v1", tag_message="The first", repo_type="dataset")
api.create_branch(REPO, branch="try/it", revision="v1", repo_type="dataset")
commit(REPO, add("a.txt"), revision="try/it")
proposed = commit(REPO, add("b.txt"), add("b.bin", b"\\0" * 2000), create_pr=True)
card = DatasetCard.load(REPO)
card.data.license = "apache-2.0"
card.push_to_hub(REPO, repo_type="dataset", commit_description="because")
api.merge_pull_request(REPO, proposed.pr_num, repo_type="dataset")
(folder / "c.txt").write_text("c")
late = api.upload_folder(repo_id=REPO, repo_type="dataset", folder_path=folder, create_pr=True)
refs = api.list_repo_refs(REPO, repo_type="dataset", include_pull_requests=True)
result = {
    "snapshot": sorted(str(p.relative_to(s)) for s in [snapshot_download(REPO, repo_type="dataset")]
                       for p in pathlib.Path(s).rglob("*") if p.is_file()),
    "refs": [[r.name for r in kind] for kind in (refs.branches, refs.tags, refs.pull_requests)],
    "status": api.get_discussion_details(REPO, 1, repo_type="dataset").status,
    "license": api.dataset_info(REPO).card_data.license,
    "last": [i.last_commit.title for i in api.get_paths_info(REPO, ["b.txt"], repo_type="dataset", expand=True)],
}
"""
    told = client.check(code.replace("REPO", repr(repo)))
    stored = hub.repo(repo)
    assert told["refs"] == [["main", "try/it"], ["v1"], ["refs/pr/1", "refs/pr/2"]]
    assert told["status"] == "merged"
    assert told["license"] == "apache-2.0"
    assert told["last"] == ["Try (#1)"]
    assert set(told["snapshot"]) == set(stored.files) >= {"b.bin", "b.txt", "deep/noise.bin", "empty.parquet"}
    assert stored.files["b.bin"] == b"\0" * 2000
    assert len(stored.commits[0].parents) == 2
    assert stored.commits[1].description == "because"
    assert "a.txt" in stored.files_at("try/it")
    assert "c.txt" in stored.files_at("refs/pr/2")
    assert "a.txt" not in stored.files


def test_model_tokenizer_and_pipeline(hub, tmp_path):
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from masked_lm import TEXTS, save_masked_lm
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

folder = save_masked_lm(sys.argv[2], auto="AutoModelForSequenceClassification", num_labels=3)
model = AutoModelForSequenceClassification.from_pretrained(folder)
model.push_to_hub("ada/tiny")
AutoTokenizer.from_pretrained(folder).push_to_hub("ada/tiny")
again = pipeline(model="ada/tiny")(TEXTS[:2])
here = pipeline("text-classification", model=folder)(TEXTS[:2])
assert again == here and len(here) == 2, (again, here)
"""
    done = hub.python(code, tmp_path / "home", str(ROOT / "tests"), str(tmp_path / "model"), datasets=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(hub.repo("ada/tiny", "model").files)


def test_multipart_pages_and_ranges(hub, clients):
    hub.create_repo("ada/large")
    hub.multipart_bytes, hub.page_size = 100_000, 2
    code = """
data = os.urandom(250_001)
commit("ada/large", add("data.bin", data))
letters(3000).push_to_hub("ada/large", num_shards=4)
fs = HfFileSystem()
with fs.open("datasets/ada/large/data.bin", block_size=5000) as file:
    file.seek(200_000)
    assert file.read(100) == data[200_000:200_100]
assert fs.cat_file("datasets/ada/large/data.bin", start=249_990) == data[249_990:]
stream = load_dataset("ada/large", split="train", streaming=True)
result = [len(list(stream)), len(api.list_repo_files("ada/large", repo_type="dataset"))]
"""
    assert clients["lfs"].check(code) == [3000, 7]
    assert hub.requests.count("PUT", "/upload/") == 3 + 4
    assert hub.requests.count("POST", "/api/complete_multipart") == 1
    assert any(request.status == 206 for request in hub.requests.matching("GET", "/blobs/", "cdn"))
    assert any("cursor" in request.query for request in hub.requests.matching("GET", "/tree/"))


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_parent_commit_and_a_rival(hub, client):
    repo = hub.create_repo("ada/race", files={"a.txt": "first"})
    outcome = client.run(f"commit('ada/race', add('b.txt'), parent_commit='{repo.commits[1].id}')")
    assert (outcome.error, outcome.status) == ("huggingface_hub.errors.HfHubHTTPError", 412)
    assert "A commit has happened since" in outcome.message
    hub.before("POST", "/commit/", lambda request: repo.commit({"r.txt": "rival"}))
    outcome = client.run("letters(5).push_to_hub('ada/race')")
    assert (outcome.status, len(repo.commits)) == (412, 3)
    client.check("letters(5).push_to_hub('ada/race')")
    assert {"a.txt", "r.txt", "data/train-00000-of-00001.parquet"} <= set(repo.files)


REFUSALS = [
    ("api.whoami(token=BAD)", "HfHubHTTPError", 401),
    ("hf_hub_download('ada/none', 'a.txt', repo_type='dataset')", "RepositoryNotFoundError", 404),
    ("hf_hub_download('ada/none', 'a.txt', repo_type='dataset', token=False)", "RepositoryNotFoundError", 401),
    ("hf_hub_download('ada/shut', 'a.txt', repo_type='dataset', token=OTHER)", "RepositoryNotFoundError", 404),
    ("hf_hub_download('ada/open', 'b.txt', repo_type='dataset')", "RemoteEntryNotFoundError", 404),
    ("hf_hub_download('ada/open', 'a.txt', repo_type='dataset', revision='no')", "RevisionNotFoundError", 404),
    ("hf_hub_download('ada/gate', 'a.txt', repo_type='dataset', token=OTHER)", "GatedRepoError", 403),
    ("hf_hub_download('ada/gate', 'a.txt', repo_type='dataset', token=False)", "GatedRepoError", 401),
    ("load_dataset('ada/none')", "datasets.exceptions.DatasetNotFoundError", None),
    ("load_dataset('ada/shut', token=OTHER)", "datasets.exceptions.DatasetNotFoundError", None),
    ("load_dataset('ada/gate', token=OTHER)", "datasets.exceptions.DatasetNotFoundError", None),
    ("commit('ada/open', add('b.txt'), token=OTHER)", "HfHubHTTPError", 403),
    ("commit('ada/open', add('b.txt'), token=READER)", "HfHubHTTPError", 403),
    ("commit('ada/none', add('b.txt'))", "RepositoryNotFoundError", 404),
    ("api.create_repo('ben/new')", "HfHubHTTPError", 403),
    ("api.create_repo('ada/open', repo_type='dataset')", "HfHubHTTPError", 409),
    ("api.create_repo('ada/open', repo_type='dataset', exist_ok=True, token=OTHER)", "", None),
    ("api.delete_repo('ada/open', repo_type='dataset', token=OTHER)", "HfHubHTTPError", 403),
    ("commit('ada/open', CommitOperationDelete('no.txt'))", "RemoteEntryNotFoundError", 404),
    ("commit('ada/open', add('README.md', '---\\nlicense: mine\\n---\\n'))", "builtins.ValueError", 400),
]


def test_refusals_are_the_clients_typed_errors(hub, client):
    hub.create_repo("ada/open", files={"a.txt": "a"})
    hub.create_repo("ada/shut", files={"a.txt": "a"}, private=True)
    hub.create_repo("ada/gate", files={"a.txt": "a"}, gated="manual")
    for name in ("bad", "other", "reader"):
        client.check(f"{name.upper()} = {hub.tokens[name]!r}")
    for code, error, status in REFUSALS:
        outcome = client.run(code)
        assert outcome.ok if not error else outcome.is_a(error), f"{code}: {outcome.traceback}"
        assert status in (None, outcome.status), f"{code}: {outcome}"
    assert "gated" in client.run("load_dataset('ada/gate', token=OTHER)").message
    hub.repo("ada/gate").granted.add("ben")
    client.check("hf_hub_download('ada/gate', 'a.txt', repo_type='dataset', token=OTHER)")
    assert len(hub.repo("ada/open").commits) == 2


def test_storage_quota(hub, clients):
    hub.create_repo("ben/full", private=True)
    hub.storage_quota = 1000
    code = f"commit('ben/full', add('new.bin', os.urandom(5000)), token='{hub.tokens['other']}')"
    outcome = clients["lfs"].run(code)
    assert (outcome.status, "storage limit reached" in outcome.message) == (403, True)
    outcome = clients["xet"].run(code.replace("5000", "900"))
    assert outcome.ok, outcome.traceback
    outcome = clients["xet"].run(code)
    assert (outcome.status, "storage limit reached" in outcome.message) == (403, True)
    hub.storage_quota = 900
    assert clients["xet"].run(code).is_a("builtins.ConnectionError")


def test_the_cdn_refuses_and_records_a_token(server):
    server.reset()
    request = urllib.request.Request(f"{server.cdn_url}/blobs/x", headers={"Authorization": "Bearer secret"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)
    assert [r.headers["authorization"] for r in server.leaks] == ["Bearer secret"]
    assert server.requests.mentioning("secret")
    server.reset()


def test_card_checks():
    def errors(yaml, kind="dataset"):
        return find_problems(f"---\n{yaml}\n---\n# Title\n", kind)[0]

    assert find_problems("# Title", "model") == ([], ["empty or missing yaml metadata in repo card"])
    assert errors("license: mit\nsize_categories:\n- n<1K\ntask_categories: [text-classification]") == []
    assert find_problems("---\ntask_categories: [sorting]\n---\n", "dataset")[1]
    for wrong in (
        "a: [",
        "a: 1\na: 2",
        "license: mine",
        "size_categories: small",
        "language: English",
        "tags: one",
        "configs:\n- data_files: a.csv",
        "configs:\n- config_name: a\n- config_name: a",
    ):
        assert errors(wrong), wrong
    assert errors("model-index:\n- name: m\n  results:\n  - task: {}\n    metrics: []", "model") == [
        '"model-index[0].results[0].dataset" is required',
        '"model-index[0].results[0].task.type" is required',
    ]


# -- faults -----------------------------------------------------------------------------------------------------------

PUSH = "commit('ada/faults', add(f'{os.urandom(4).hex()}.bin', os.urandom(3000)))"
GET = "hf_hub_download('ada/faults', 'big.bin', repo_type='dataset', cache_dir=tempfile.mkdtemp())"
FOLDER = """
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "new.txt").write_text(os.urandom(4).hex())
api.upload_folder(repo_id="ada/faults", repo_type="dataset", folder_path=folder)
"""
TREE = "list(api.list_repo_tree('ada/faults', repo_type='dataset'))"
HTTP, READ, PROTOCOL = "HfHubHTTPError", "httpx2.ReadError", "httpx2.RemoteProtocolError"
CONNECTION = "builtins.ConnectionError"
# route, code, method and path, fault, error, status, new commits, least seconds
FAULTS = [
    ("lfs", PUSH, ("POST", "/preupload/"), Fault(kind="503"), "", None, 1, 1.0),
    ("lfs", PUSH, ("POST", "/objects/batch"), Fault(kind="503"), "", None, 1, 1.0),
    ("lfs", PUSH, ("PUT", "/upload/"), Fault(kind="503"), "", None, 1, 1.0),
    ("lfs", PUSH, ("POST", "/objects/verify"), Fault(kind="503"), "", None, 1, 1.0),
    ("lfs", PUSH, ("PUT", "/upload/"), Fault(kind="429", retry_after=1), "", None, 1, 2.0),
    ("lfs", PUSH, ("PUT", "/upload/"), Fault(kind="reset"), "", None, 1, 1.0),
    ("lfs", PUSH, ("PUT", "/upload/"), Fault(kind="lost-close"), "", None, 1, 1.0),
    ("lfs", FOLDER, ("POST", "/commit/"), Fault(kind="503"), HTTP, 503, 0, 0.0),
    ("xet", PUSH, ("POST", "/commit/"), Fault(kind="409"), HTTP, 409, 0, 0.0),
    ("xet", PUSH, ("POST", "/commit/"), Fault(kind="429", retry_after=1), HTTP, 429, 0, 0.0),
    ("xet", PUSH, ("POST", "/commit/"), Fault(kind="504"), HTTP, 504, 0, 0.0),
    ("xet", PUSH, ("POST", "/commit/"), Fault(kind="reset"), (READ, PROTOCOL), None, 0, 0.0),
    ("xet", PUSH, ("POST", "/commit/"), Fault(kind="close"), PROTOCOL, None, 0, 0.0),
    ("xet", PUSH, ("POST", "/commit/"), Fault(kind="lost-reset"), READ, None, 1, 0.0),
    ("xet", PUSH, ("POST", "/commit/"), Fault(kind="lost-close"), PROTOCOL, None, 1, 0.0),
    ("xet", PUSH, ("POST", "/commit/"), Fault(kind="cut-close"), PROTOCOL, None, 1, 0.0),
    ("xet", PUSH, ("POST", "/commit/"), Fault(kind="trickle", seconds=0.5), "", None, 1, 0.5),
    ("xet", PUSH, ("GET", "/xet-write-token/"), Fault(kind="403"), CONNECTION, None, 0, 0.0),
    ("xet", PUSH, ("POST", "/v1/xorbs/"), Fault(kind="403"), CONNECTION, None, 0, 0.0),
    ("xet", PUSH, ("POST", "/v1/shards"), Fault(kind="503"), "", None, 1, 0.0),
    ("xet", FOLDER, ("POST", "/commit/"), Fault(kind="503"), "", None, 1, 1.0),
    ("xet", FOLDER, ("POST", "/commit/"), Fault(kind="lost-reset"), "", None, 2, 1.0),
    ("xet", TREE, ("GET", "/tree/"), Fault(kind="503"), "", None, 0, 1.0),
    ("xet", "api.whoami()", ("GET", "/whoami-v2"), Fault(kind="503"), HTTP, 503, 0, 0.0),
    ("xet", "api.dataset_info('ada/faults')", ("GET", "/api/datasets/"), Fault(kind="502"), HTTP, 502, 0, 0.0),
    ("xet", GET, ("HEAD", "/resolve/"), Fault(kind="503"), "", None, 0, 0.0),
    ("xet", "again()", ("HEAD", "/resolve/"), Fault(kind="503"), "", None, 0, 0.0),
    ("xet", GET, ("GET", "/blobs/"), Fault(kind="503"), HTTP, 503, 0, 0.0),
    ("xet", GET, ("GET", "/blobs/"), Fault(kind="429"), "", None, 0, 1.0),
    ("xet", GET, ("GET", "/blobs/"), Fault(kind="cut-close"), "", None, 0, 0.0),
    ("xet", GET, ("GET", "/blobs/"), Fault(kind="cut-reset"), READ, None, 0, 0.0),
]


def test_faults_show_to_the_clients_as_on_the_hub(hub, clients):
    repo = hub.create_repo("ada/faults")
    clients["lfs"].check("commit('ada/faults', add('big.bin', os.urandom(400_000)))")
    clients["xet"].check("def again(): hf_hub_download('ada/faults', 'big.bin', repo_type='dataset')\nagain()")
    wrong = []
    for route, code, (method, path), fault, error, status, made, seconds in FAULTS:
        hub.faults.clear()
        before = len(repo.commits)
        fault = hub.faults.put(replace(fault, method=method, path=path, struck=[]))
        outcome = clients[route].run(code)
        errors = (error,) if isinstance(error, str) else error  # a reset may come before or after the body is written
        found = (
            outcome.ok if not error else any(map(outcome.is_a, errors)),
            outcome.status,
            len(repo.commits) - before,
        )
        if found != (True, status, made) or outcome.seconds < seconds or len(fault.struck) != 1:
            wrong.append(
                f"{route} {fault.kind} at {method} {path}: {found}, {outcome.seconds:.1f} s, {outcome.traceback}"
            )
    assert not wrong, "\n".join(wrong)


def test_faults_at_the_nth_request_for_ever_and_at_a_condition(hub, client):
    repo = hub.create_repo("ada/nth")
    hub.faults.at(2, 500, code="RepoNotFound", message="Gone.")
    outcome = client.run("commit('ada/nth', add('a.txt'))")
    assert outcome.ok, outcome.traceback
    outcome = client.run("api.whoami()")
    assert "Gone." in outcome.message
    assert outcome.is_a("RepositoryNotFoundError")
    hub.reset()
    of_reader = hub.tokens["reader"]
    always = hub.faults.add(500, "GET", times=None, when=lambda r: of_reader in r.headers["authorization"])
    for _ in range(3):
        assert client.run(f"api.whoami(token={of_reader!r})").status == 500
    assert client.run("commit('ada/nth', add('b.txt'))").ok
    assert always.struck == [request.number for request in hub.requests if request.fault == "500"]
    assert len(repo.commits) == 3
    with pytest.raises(ValueError, match="unknown fault"):
        hub.faults.add("earthquake")


# -- several processes, and a restart ---------------------------------------------------------------------------------

WRITER = """
import sys
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
api, lost = HfApi(), 0
for number in range(10):
    while True:
        head = api.dataset_info("ada/two").sha
        operation = CommitOperationAdd(f"{sys.argv[1]}-{number}.txt", b"x")
        try:
            api.create_commit("ada/two", [operation], commit_message="Add", repo_type="dataset", parent_commit=head)
            break
        except HfHubHTTPError as error:
            assert error.response.status_code == 412
            lost += 1
"""


def test_two_writers_at_once(hub, tmp_path):
    repo = hub.create_repo("ada/two")
    commands = [[sys.executable, "-c", WRITER, name] for name in ("one", "two")]
    environments = [hub.environment(tmp_path / name) for name in ("one", "two")]
    writers = [subprocess.Popen(c, env=e) for c, e in zip(commands, environments, strict=True)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(repo.commits) == 21
    assert len(repo.files) == 21
    refused = [request for request in hub.requests.matching("POST", "/commit/") if request.status == 412]
    assert hub.requests.count("POST", "/commit/") == 20 + len(refused)


def start(folder):
    """Run the server's command; return the process, its address, and the environment that it tells to export."""
    command = [sys.executable, "tests/hub", "--folder", str(folder), "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    told = ""
    while "Ctrl-C" not in told:
        line = process.stdout.readline()
        assert line, told
        told += line
    exports = re.findall(r"(\w+)=(\S+)", "\n".join(line for line in told.splitlines() if "export" in line))
    return process, told, dict(exports)


def test_command_keeps_everything_over_a_restart(hub, tmp_path):
    code = SETUP + (
        "letters(100).push_to_hub('ada/kept', private=True)\n"
        "commit('ada/kept', add('a.txt'), create_pr=True)\n"
        "api.create_collection('Kept')\n"
    )
    again = SETUP + (
        "assert same(load_dataset('ada/kept', split='train'), letters(100))\n"
        "letters(100).push_to_hub('ada/kept', 'again')\n"
        "assert api.get_discussion_details('ada/kept', 1, repo_type='dataset').status == 'open'\n"
        "assert len(list(api.list_collections())) == 1\n"
        "assert api.dataset_info('ada/kept').private\n"
    )
    for number, program in enumerate((code, again)):
        process, told, exports = start(tmp_path)
        try:
            assert ("dataset ada/kept: 2 commits" in told) == (number == 1)
            environment = hub.environment(tmp_path / "home") | exports
            command = [
                sys.executable,
                "-c",
                "import datasets.config\ndatasets.config.USE_PARQUET_EXPORT = False\n" + program,
            ]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
            assert done.returncode == 0, done.stderr[-3000:]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            process.stdout.close()
