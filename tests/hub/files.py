"""Reading files: tree, paths-info, resolve, and the CDN on its own origin."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any
from urllib.parse import parse_qs

from .access import Call
from .repos import revision_of
from .storage import Commit, Entry, Repo
from .wire import HubError, Reply, Route

__all__ = ["CDN_ROUTES", "ROUTES", "describe", "serve_range", "signature"]

TYPES = {"md": "text/plain; charset=utf-8", "json": "application/json", "txt": "text/plain; charset=utf-8"}


def describe(path: str, entry: Entry) -> dict[str, Any]:
    """Return a file as tree and paths-info tell it."""
    told: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.lfs:
        told["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}
    return told


def folders_of(commit: Commit) -> dict[str, str]:
    """Return every folder of a commit with an id over all that lies in it."""
    content: dict[str, list[str]] = {}
    for path, entry in sorted(commit.tree.items()):
        parts = path.split("/")[:-1]
        for depth in range(len(parts)):
            content.setdefault("/".join(parts[: depth + 1]), []).append(f"{path} {entry.oid}")
    return {folder: hashlib.sha1("\n".join(lines).encode()).hexdigest() for folder, lines in content.items()}


def last_commits(repo: Repo, commit: Commit) -> dict[str, dict[str, str]]:
    """Return for each path of a commit, folders too, the commit that changed it last."""
    wanted = {**folders_of(commit), **{path: entry.oid for path, entry in commit.tree.items()}}
    found: dict[str, dict[str, str]] = {}
    for older in repo.history(commit.id):
        state = {**folders_of(older), **{path: entry.oid for path, entry in older.tree.items()}}
        wanted = {path: oid for path, oid in wanted.items() if state.get(path) == oid}
        told = {"id": older.id, "title": older.title, "date": older.date}
        found |= dict.fromkeys(wanted, told)
    return found


def with_commits(call: Call, repo: Repo, commit: Commit, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add what ``expand`` asks for."""
    asked = call.request.flag("expand") or parse_qs(call.request.body.decode("latin-1")).get("expand") == ["true"]
    if not asked:
        return told
    last = last_commits(repo, commit)
    scan = {"status": "safe", "avScan": None, "pickleImportScan": None}
    more = [{"lastCommit": last[item["path"]]} for item in told]
    return [
        item | added | ({"securityFileStatus": scan} if item["type"] == "file" else {})
        for item, added in zip(told, more, strict=True)
    ]


def tree(call: Call) -> Reply:
    """GET tree: one folder, or with ``recursive`` all under it, in pages."""
    repo = call.repo()
    commit = revision_of(call, repo, call["rev"])
    folder = call.arguments.get("path", "").strip("/")
    start = f"{folder}/" if folder else ""
    folders = folders_of(commit)
    if folder and folder not in folders:
        raise HubError(404, f'{folder} does not exist on "{call["rev"]}"', "EntryNotFound")
    told: list[dict[str, Any]] = []
    told += [{"type": "directory", "oid": oid, "size": 0, "path": path} for path, oid in folders.items()]
    told += [describe(path, entry) for path, entry in commit.tree.items()]
    told = [item for item in told if item["path"].startswith(start) and item["path"] != folder]
    if not call.request.flag("recursive"):
        told = [item for item in told if "/" not in item["path"].removeprefix(start)]
    told = sorted(told, key=lambda item: (item["type"], item["path"]))
    return call.hub.page(call.request, with_commits(call, repo, commit, told))


def paths_info(call: Call) -> Reply:
    """POST paths-info: a form, or JSON, with ``paths``; those that are missing are left out."""
    repo = call.repo()
    commit = revision_of(call, repo, call["rev"])
    if "json" in call.request.headers.get("content-type", ""):
        wanted = call.request.json().get("paths", [])
    else:
        wanted = parse_qs(call.request.body.decode("utf-8")).get("paths", [])
    folders, told = folders_of(commit), []
    for path in wanted if isinstance(wanted, list) else [wanted]:
        path = path.strip("/")
        if path in commit.tree:
            told.append(describe(path, commit.tree[path]))
        elif path in folders:
            told.append({"type": "directory", "oid": folders[path], "size": 0, "path": path})
    return Reply.json(with_commits(call, repo, commit, told))


def signature(secret: bytes, text: str) -> str:
    """Return the mark by which the CDN knows an address that the Hub gave out."""
    return hmac.new(secret, text.encode(), "sha256").hexdigest()[:32]


def resolve(call: Call) -> Reply:
    """GET or HEAD a file: regular ones at once, LFS ones by a 302 to the CDN."""
    repo = call.repo("content")
    commit = revision_of(call, repo, call["rev"])
    told = [("X-Repo-Commit", commit.id), ("Access-Control-Expose-Headers", "X-Repo-Commit,ETag")]
    entry = commit.tree.get(call["path"])
    if entry is None:
        refusal = HubError(404, "Entry not found", "EntryNotFound").reply()
        refusal.headers += told
        return refusal
    if not entry.lfs:
        kind = TYPES.get(call["path"].rpartition(".")[2], "application/octet-stream")
        told += [("ETag", f'"{entry.oid}"'), ("Accept-Ranges", "bytes")]
        return serve_range(call, call.hub.store.blobs.get(entry.sha256), told, kind)
    mark = signature(call.hub.secret, entry.sha256)
    told += [("Location", f"{call.hub.cdn_url}/blobs/{entry.sha256}?Signature={mark}")]
    told += [("X-Linked-Etag", f'"{entry.sha256}"'), ("X-Linked-Size", str(entry.size))]
    return Reply(302, b"", told, "text/plain; charset=utf-8")


def serve_range(call: Call, data: bytes, headers: list[tuple[str, str]], kind: str) -> Reply:
    """Return all bytes, or 206 with those a Range header asks for, or 416."""
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", call.request.headers.get("range", ""))
    if asked is None or asked.groups() == ("", ""):
        return Reply(200, data, headers, kind)
    first, last = asked.groups()
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last) + 1, len(data)) if first and last else len(data)
    if start >= len(data) or end <= start:
        return Reply(416, b"", [*headers, ("Content-Range", f"bytes */{len(data)}")], kind)
    told = [*headers, ("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")]
    return Reply(206, data[start:end], told, kind)


def blob(call: Call) -> Reply:
    """GET a blob from the CDN, at an address with the Hub's signature."""
    oid = call["oid"]
    if call.request.query.get("Signature") != [signature(call.hub.secret, oid)]:
        raise HubError(403, "AccessDenied")
    headers = [("ETag", f'"{oid}"'), ("Accept-Ranges", "bytes")]
    return serve_range(call, call.hub.store.blobs.get(oid), headers, "binary/octet-stream")


API = "/api/{kind}/{repo}"
ROUTES = [
    Route.of("GET", API + "/tree/{rev}", tree),
    Route.of("GET", API + "/tree/{rev}/{path}", tree),
    Route.of("POST", API + "/paths-info/{rev}", paths_info),
    Route.of("GET", "/{prefix}{repo}/resolve/{rev}/{path}", resolve),
]
CDN_ROUTES = [Route.of("GET", "/blobs/{oid}", blob)]
