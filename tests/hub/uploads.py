"""Writing files: preupload, LFS in one or in many parts, and commits."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import json
import math
from typing import Any
from urllib.parse import urlencode

from .access import Call
from .files import signature
from .repos import revision_of
from .storage import Commit, Entry, Repo
from .wire import HubError, Reply, Route

__all__ = ["CDN_ROUTES", "ROUTES"]

LFS_SUFFIXES = """
7z arrow avro bin bz2 ckpt db duckdb ftz gguf gz h5 jpeg jpg joblib lz4 mp3 mp4 model msgpack npy npz onnx ot parquet
pb pdf pickle pkl png pt pth rar safetensors sqlite sqlite3 tar tflite tgz wasm wav webp xlsx xz zip zst
"""


def upload_mode(call: Call, told: dict[str, Any]) -> str:
    """Return ``lfs`` or ``regular``: by size, by the name's suffix, by a zero byte among the first 512."""
    if told["size"] == 0:
        return "regular"
    suffix = told["path"].rpartition(".")[2].lower()
    binary = b"\0" in base64.b64decode(told.get("sample", ""))
    return "lfs" if suffix in LFS_SUFFIXES.split() or binary or told["size"] > call.hub.regular_bytes else "regular"


def ignored(path: str, rules: str) -> bool:
    """Tell whether plain .gitignore patterns (no ``!``, no ``**``) leave a path out."""
    parts = path.split("/")
    for rule in (line.strip() for line in rules.splitlines()):
        if rule and not rule.startswith("#"):
            pattern = rule.strip("/")
            if fnmatch.fnmatch(path, pattern) or any(fnmatch.fnmatch(part, pattern) for part in parts):
                return True
    return False


def preupload(call: Call) -> Reply:
    """POST preupload: how each file is to come, and which bytes are there already."""
    repo = call.repo("propose" if call.request.flag("create_pr") else "write")
    told = call.request.json()
    commit = revision_of(call, repo, call["rev"])
    rules = told.get("gitIgnore")
    if rules is None:
        entry = commit.tree.get(".gitignore")
        rules = call.hub.store.blobs.get(entry.sha256).decode("utf-8", "replace") if entry else ""
    files = []
    for file in told["files"]:
        answer = {"path": file["path"], "uploadMode": upload_mode(call, file)}
        answer["shouldIgnore"] = ignored(file["path"], rules)
        entry = commit.tree.get(file["path"])
        if entry is not None:
            answer["oid"] = entry.sha256 if entry.lfs else entry.oid
        files.append(answer)
    return Reply.json({"files": files, "commitOid": commit.id})


# -- LFS --------------------------------------------------------------------------------------------------------------


def lfs_batch(call: Call) -> Reply:
    """POST objects/batch: where to send each object; no ``actions`` for those that are there."""
    # Not "write": whoever may open a pull request may upload what belongs to it.
    repo = call.repo("propose")
    told = call.request.json()
    objects = told["objects"]
    missing = [o for o in objects if o["oid"] not in repo.objects]
    call.within_quota(repo, sum(o["size"] for o in missing))
    answers, transfer = [], "basic"
    verify = f"{call.url(repo)}.git/info/lfs/objects/verify"
    for item in objects:
        answer = {"oid": item["oid"], "size": item["size"]}
        if item in missing:
            upload, kind = upload_action(call, repo, item, told.get("transfers", ["basic"]))
            transfer = kind if kind != "basic" else transfer
            answer["actions"] = {"upload": upload, "verify": {"href": verify}}
        answers.append(answer)
    reply = Reply.json({"transfer": transfer, "objects": answers})
    reply.kind = "application/vnd.git-lfs+json"
    return reply


def upload_action(call: Call, repo: Repo, item: dict[str, Any], transfers: list[str]) -> tuple[dict[str, Any], str]:
    """Return the upload action of an object and its transfer, ``basic`` or ``multipart``."""
    oid, size, part = item["oid"], item["size"], call.hub.multipart_bytes
    signed = urlencode({"Repo": f"{repo.kind}/{repo.name}", "Signature": upload_mark(call, oid, repo)})
    href = f"{call.hub.cdn_url}/upload/{oid}"
    if part is None or size <= part or "multipart" not in transfers:
        return {"href": f"{href}?{signed}"}, "basic"
    count = math.ceil(size / part)
    header = {f"{n:05d}": f"{href}?partNumber={n}&{signed}" for n in range(1, count + 1)}
    complete = f"{call.hub.url}/api/complete_multipart?oid={oid}&{signed}"
    return {"href": complete, "header": {"chunk_size": str(part), **header}}, "multipart"


def upload_mark(call: Call, oid: str, repo: Repo) -> str:
    """Return the mark of an address at which an object of a repository may be uploaded."""
    return signature(call.hub.secret, f"put {oid} {repo.kind} {repo.name}")


def signed_repo(call: Call, oid: str) -> Repo:
    """Return the repository for which an address was given out."""
    kind, _, name = call.request.query.get("Repo", [""])[-1].partition("/")
    repo = call.hub.store.repos.get((kind, name))
    if repo is None or call.request.query.get("Signature") != [upload_mark(call, oid, repo)]:
        raise HubError(403, "SignatureDoesNotMatch")
    return repo


def put_object(call: Call) -> Reply:
    """PUT an object, or a part of one, at an address that the batch gave out."""
    oid, query, body = call["oid"], call.request.query, call.request.body
    repo = signed_repo(call, oid)
    tag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    if "partNumber" in query:
        with call.hub.store.lock:
            call.hub.parts.setdefault(oid, {})[int(query["partNumber"][0])] = (tag, body)
    else:
        keep_object(repo, oid, body)
    return Reply(200, b"", [("ETag", tag)], "application/xml")


def keep_object(repo: Repo, oid: str, data: bytes) -> None:
    """Store bytes that must have this sha256."""
    if hashlib.sha256(data).hexdigest() != oid:
        raise HubError(400, "BadDigest: the bytes do not have the sha256 that was announced")
    repo.keep_object(data)


def complete(call: Call) -> Reply:
    """POST complete_multipart: put the parts together."""
    told = call.request.json()
    oid = told["oid"]
    repo = signed_repo(call, oid)
    with call.hub.store.lock:
        parts = call.hub.parts.get(oid, {})
        wanted = [(part["partNumber"], part["etag"]) for part in told["parts"]]
        if wanted != [(number, parts[number][0]) for number in sorted(parts)]:
            raise HubError(400, "InvalidPart")
        keep_object(repo, oid, b"".join(parts[number][1] for number in sorted(parts)))
        del call.hub.parts[oid]
    return Reply.json({})


def verify(call: Call) -> Reply:
    """POST verify: is the object there, with this size."""
    repo = call.repo("propose")
    told = call.request.json()
    if told["oid"] not in repo.objects or call.hub.store.blobs.size(told["oid"]) != told["size"]:
        raise HubError(404, "Object does not exist")
    return Reply.json({})


def duplicate(call: Call) -> Reply:
    """POST lfs-files/duplicate: make objects of this repository objects of another too."""
    source, told = call.repo("content"), call.request.json()
    call.arguments |= {"kind": f"{told['target']['type']}s", "repo": told["target"]["name"]}
    target = call.repo("write")
    missing = [f for f in told["files"] if f["sha256"] not in source.objects]
    with call.hub.store.lock:
        target.objects |= {f["sha256"] for f in told["files"]} & source.objects
        call.hub.store.save(target)
    return Reply.json({"success": True, "failed": [{"sha256": f["sha256"], "error": "not found"} for f in missing]})


def lfs_files(call: Call) -> Reply:
    """GET lfs-files: every LFS object of the newest commits."""
    repo, told = call.repo("write"), {}
    for ref, oid in repo.refs.items():
        for path, entry in repo.all_commits[oid].tree.items():
            if entry.lfs:
                told[entry.sha256] = {
                    "fileOid": entry.sha256,
                    "filename": path,
                    "oid": entry.sha256,
                    "size": entry.size,
                }
                told[entry.sha256] |= {"pushedAt": repo.all_commits[oid].date, "ref": ref, "pusher": None}
    return call.hub.page(call.request, list(told.values()))


# -- commits ----------------------------------------------------------------------------------------------------------


def read_lines(call: Call) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """Return the header and the operations of a commit's body."""
    try:
        lines = [json.loads(line) for line in call.request.body.splitlines() if line.strip()]
        operations = [(line["key"], line["value"]) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(400, f"Invalid ndjson: {error}") from None
    if not operations or operations[0][0] != "header" or not operations[0][1].get("summary"):
        raise HubError(400, 'The first line must be a "header" with a "summary"')
    return operations[0][1], operations[1:]


def check_path(path: str) -> str:
    """Refuse paths that a repository cannot hold."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..", ".git") for part in parts):
        raise HubError(400, f"Invalid path: {path!r}")
    return path


def apply_operations(
    call: Call, repo: Repo, tree: dict[str, Entry], operations: list[tuple[str, dict[str, Any]]]
) -> None:
    """Change a tree as the operations say; a refusal leaves the repository as it was."""
    for key, value in operations:
        path = value.get("path", "")
        if key == "file":
            try:
                data = base64.b64decode(value["content"], validate=True)
            except binascii.Error:
                raise HubError(400, f"Invalid base64 content of {path}") from None
            if len(data) > call.hub.regular_bytes:
                raise HubError(413, f"{path} is larger than {call.hub.regular_bytes} bytes: it must come as LFS")
            call.hub.store.blobs.add(data)
            tree[check_path(path)] = Entry.regular(data)
        elif key == "lfsFile":
            oid = value["oid"]
            if oid not in repo.objects or value.get("size") not in (None, call.hub.store.blobs.size(oid)):
                message = "Your push was rejected because an LFS pointer pointed to a file that does not exist."
                raise HubError(400, f"{message} For instance, this can happen if you used git push --no-verify: {path}")
            tree[check_path(path)] = Entry.behind_pointer(oid, call.hub.store.blobs.size(oid))
        elif key == "deletedFile":
            if path not in tree:
                raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            del tree[path]
        elif key == "deletedFolder":
            inside = [p for p in tree if p.startswith(path.rstrip("/") + "/")]
            if not inside:
                raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            for name in inside:
                del tree[name]
        else:
            raise HubError(400, f'Unknown key "{key}"')


def check_card(call: Call, repo: Repo, operations: list[tuple[str, dict[str, Any]]]) -> None:
    """Refuse a README.md whose metadata is wrong, as the commit endpoint does too."""
    from .cards import find_problems

    for key, value in operations:
        if key == "file" and value.get("path") == "README.md":
            errors, _ = find_problems(base64.b64decode(value["content"]).decode("utf-8", "replace"), repo.kind)
            if errors:
                raise HubError(400, "Invalid metadata in README.md", errors=[{"message": text} for text in errors])


def commit(call: Call) -> Reply:
    """POST commit: on a branch or a pull request's ref, or with ``create_pr`` as a pull request of its own."""
    from .community import open_discussion

    as_pull_request = call.request.flag("create_pr")
    repo = call.repo("propose" if as_pull_request else "see")
    account, revision = call.signed_in(), call["rev"]
    if not as_pull_request and not may_push(call, repo, revision):
        call.repo("write")
    header, operations = read_lines(call)
    check_card(call, repo, operations)
    with call.hub.store.lock:
        head = revision_of(call, repo, revision)
        ref = repo.ref_of(revision)
        wanted = header.get("parentCommit")
        if as_pull_request:
            head = revision_of(call, repo, wanted) if wanted else head
        elif ref is None or ref.startswith("refs/tags/"):
            raise HubError(400, f"{revision} is not a branch", "RevisionNotFound")
        elif wanted and not head.id.startswith(wanted):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        tree = dict(head.tree)
        apply_operations(call, repo, tree, operations)
        grown = sum(e.size for path, e in tree.items() if e.lfs and head.tree.get(path) != e)
        call.within_quota(repo, grown)
        new = Commit.make((head.id,), header["summary"], header.get("description") or "", account.user, tree)
        told: dict[str, Any] = {"success": True, "commitOid": new.id, "commitUrl": f"{call.url(repo)}/commit/{new.id}"}
        if as_pull_request:
            number = open_discussion(call, repo, header["summary"], header.get("description") or "", head, "open")
            ref = f"refs/pr/{number}"
            told["pullRequestUrl"] = f"{call.url(repo)}/discussions/{number}"
        assert ref is not None
        repo.advance(ref, new)
    return Reply.json(told)


def may_push(call: Call, repo: Repo, revision: str) -> bool:
    """Tell whether a revision is a pull request that the account opened."""
    number = revision.removeprefix("refs/pr/")
    if not number.isdigit() or call.account is None or not 0 < int(number) <= len(repo.discussions):
        return False
    return bool(repo.discussions[int(number) - 1]["author"]["name"] == call.account.user)


API = "/api/{kind}/{repo}"
LFS = "/{prefix}{repo}\\.git/info/lfs/objects"
ROUTES = [
    Route.of("POST", API + "/preupload/{rev}", preupload),
    Route.of("POST", API + "/commit/{rev}", commit),
    Route.of("POST", f"{LFS}/batch", lfs_batch),
    Route.of("POST", f"{LFS}/verify", verify),
    Route.of("POST", "/api/complete_multipart", complete),
    Route.of("POST", f"{API}/lfs-files/duplicate", duplicate),
    Route.of("GET", f"{API}/lfs-files", lfs_files),
]
CDN_ROUTES = [Route.of("PUT", "/upload/{oid}", put_object)]
