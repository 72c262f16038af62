"""What the server keeps: blobs by their sha256, and repositories with commits, branches, tags and pull requests."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "Blobs", "Commit", "Entry", "Repo", "Store", "git_sha1", "now"]

KINDS = ("model", "dataset", "space")
ATTRIBUTES_SUFFIXES = """
7z arrow bin bz2 ckpt ftz gz h5 joblib lz4 model msgpack npy npz onnx ot parquet pb pickle pkl pt pth rar safetensors
sqlite tar tflite tgz wasm xz zip zst
"""
ATTRIBUTES = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in ATTRIBUTES_SUFFIXES.split())


def now() -> str:
    """Return the time as the Hub writes it, with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def git_sha1(data: bytes) -> str:
    """Return the id git gives to a blob of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a restart, sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{threading.get_ident()}.part")
    part.write_bytes(data)
    os.replace(part, path)


class Blobs:
    """Bytes by name, in memory or, with a folder, on disk."""

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.memory: dict[str, bytes] = {}

    def put(self, name: str, data: bytes) -> None:
        """Keep these bytes; a second put of the same name changes nothing."""
        if name in self:
            return
        if self.folder is None:
            self.memory[name] = data
        else:
            write_whole(self.folder / name, data)

    def add(self, data: bytes) -> str:
        """Keep these bytes under their sha256, which is returned."""
        name = hashlib.sha256(data).hexdigest()
        self.put(name, data)
        return name

    def get(self, name: str) -> bytes:
        """Return the bytes; KeyError where there are none."""
        if self.folder is None:
            return self.memory[name]
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None

    def size(self, name: str) -> int:
        """Return how many bytes are kept under this name."""
        return len(self.memory[name]) if self.folder is None else (self.folder / name).stat().st_size

    def __contains__(self, name: object) -> bool:
        return name in self.memory if self.folder is None else (self.folder / str(name)).exists()


@dataclass(frozen=True)
class Entry:
    """One file of a commit: its content's sha256, its size in bytes, and whether it is behind an LFS pointer."""

    sha256: str
    size: int
    lfs: bool
    oid: str

    @classmethod
    def regular(cls, data: bytes) -> Entry:
        """Describe a file that lies in git itself."""
        return cls(hashlib.sha256(data).hexdigest(), len(data), False, git_sha1(data))

    @classmethod
    def behind_pointer(cls, sha256: str, size: int) -> Entry:
        """Describe a file that lies in LFS storage."""
        return cls(sha256, size, True, git_sha1(pointer(sha256, size)))


def pointer(sha256: str, size: int) -> bytes:
    """Return the text that git keeps in the place of an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


@dataclass(frozen=True)
class Commit:
    """One commit with its whole tree; ``parents`` has none, one, or two ids, ``date`` is ISO 8601."""

    id: str
    parents: tuple[str, ...]
    title: str
    description: str
    author: str
    date: str
    tree: Mapping[str, Entry] = field(repr=False)

    @classmethod
    def make(
        cls, parents: tuple[str, ...], title: str, description: str, author: str, tree: Mapping[str, Entry]
    ) -> Commit:
        """Make a commit; its id covers all of it, the time and a random salt."""
        date = now()
        told = repr((parents, title, description, author, date, sorted((p, e.oid) for p, e in tree.items())))
        return cls(
            hashlib.sha1(told.encode() + os.urandom(8)).hexdigest(), parents, title, description, author, date, tree
        )


@dataclass
class Repo:
    """A repository; ``gated`` is False, "auto" or "manual", and ``granted`` are the users let in.

    Attributes:
        objects: sha256 of every LFS object that was uploaded to this repository, committed or not.
        refs: full name of a ref, such as ``refs/heads/main``, ``refs/tags/v1``, ``refs/pr/1`` -> commit id.
        discussions: discussions and pull requests as the API tells them, number 1 first.
    """

    store: Store = field(repr=False)
    name: str
    kind: str
    private: bool = False
    gated: bool | str = False
    disabled: bool = False
    created: str = field(default_factory=now)
    granted: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set, repr=False)
    all_commits: dict[str, Commit] = field(default_factory=dict, repr=False)
    refs: dict[str, str] = field(default_factory=dict)
    discussions: list[dict[str, Any]] = field(default_factory=list, repr=False)

    # -- what tests ask ---------------------------------------------------------------------------------------------

    @property
    def owner(self) -> str:
        """The namespace: a user or an organization."""
        return self.name.partition("/")[0]

    @property
    def head(self) -> str:
        """The id of the newest commit of main."""
        return self.refs["refs/heads/main"]

    @property
    def commits(self) -> list[Commit]:
        """The commits of main, newest first; the last is the Hub's own "initial commit"."""
        return list(self.history("main"))

    @property
    def files(self) -> dict[str, bytes]:
        """The files at the head of main, path -> content."""
        return self.files_at("main")

    @property
    def branches(self) -> dict[str, str]:
        """Branch -> commit id."""
        return self._refs_under("refs/heads/")

    @property
    def tags(self) -> dict[str, str]:
        """Tag -> commit id."""
        return self._refs_under("refs/tags/")

    def files_at(self, revision: str) -> dict[str, bytes]:
        """Return the files at a branch, a tag, ``refs/pr/N`` or a commit id, path -> content."""
        commit = self.find(revision)
        if commit is None:
            raise KeyError(f"{self.name} has no revision {revision!r}; it has {sorted(self.refs)}")
        return {path: self.store.blobs.get(entry.sha256) for path, entry in sorted(commit.tree.items())}

    def history(self, revision: str) -> Iterator[Commit]:
        """Yield a revision's commits, newest first, along the first parents."""
        commit = self.find(revision)
        while commit is not None:
            yield commit
            commit = self.all_commits[commit.parents[0]] if commit.parents else None

    def commit(
        self,
        changes: Mapping[str, bytes | str | None],
        title: str = "A rival's commit",
        branch: str = "main",
        author: str | None = None,
        description: str = "",
    ) -> Commit:
        """Make a commit from the server's side, as a rival would; a change to None deletes the file."""
        with self.store.lock:
            head = self.refs[f"refs/heads/{branch}" if not branch.startswith("refs/") else branch]
            tree = dict(self.all_commits[head].tree)
            for path, content in changes.items():
                if content is None:
                    tree.pop(path, None)
                else:
                    data = content.encode() if isinstance(content, str) else content
                    self.store.blobs.add(data)
                    tree[path] = Entry.regular(data)
            return self.advance(
                f"refs/heads/{branch}" if not branch.startswith("refs/") else branch,
                Commit.make((head,), title, description, author or self.owner, tree),
            )

    # -- what the routes need ---------------------------------------------------------------------------------------

    def _refs_under(self, prefix: str) -> dict[str, str]:
        return {ref.removeprefix(prefix): oid for ref, oid in self.refs.items() if ref.startswith(prefix)}

    def ref_of(self, revision: str) -> str | None:
        """Return the full name of the branch, tag or other ref that a revision names, or None."""
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in self.refs:
                return ref
        return None

    def find(self, revision: str) -> Commit | None:
        """Return the commit that a branch, tag, other ref, or the beginning (5 to 40 digits) of an id names."""
        ref = self.ref_of(revision)
        if ref is not None:
            return self.all_commits[self.refs[ref]]
        if revision in self.all_commits:
            return self.all_commits[revision]
        starting = [oid for oid in self.all_commits if len(revision) >= 5 and oid.startswith(revision)]
        return self.all_commits[starting[0]] if len(starting) == 1 else None

    def keep_object(self, data: bytes) -> str:
        """Keep an LFS object of this repository; return its sha256."""
        sha256 = self.store.blobs.add(data)
        with self.store.lock:
            self.objects.add(sha256)
            self.store.save(self)
        return sha256

    def advance(self, ref: str, commit: Commit) -> Commit:
        """Add a commit and move a ref to it."""
        with self.store.lock:
            self.all_commits[commit.id] = commit
            self.refs[ref] = commit.id
            self.store.save(self)
        return commit

    def to_json(self) -> dict[str, Any]:
        """Return everything but the blobs, for the disk."""
        told = {
            name: getattr(self, name) for name in ("name", "kind", "private", "gated", "disabled", "created", "refs")
        }
        commits = [{**asdict(c), "tree": {p: asdict(e) for p, e in c.tree.items()}} for c in self.all_commits.values()]
        return {
            **told,
            "granted": sorted(self.granted),
            "objects": sorted(self.objects),
            "discussions": self.discussions,
            "all_commits": commits,
        }

    @classmethod
    def from_json(cls, store: Store, told: dict[str, Any]) -> Repo:
        """Make a repository again from what `to_json` gave."""
        commits = [
            Commit(**{**c, "parents": tuple(c["parents"]), "tree": {p: Entry(**e) for p, e in c["tree"].items()}})
            for c in told.pop("all_commits")
        ]
        granted, objects = set(told.pop("granted")), set(told.pop("objects"))
        return cls(store=store, granted=granted, objects=objects, all_commits={c.id: c for c in commits}, **told)


class Store:
    """All repositories, collections, blobs and xorbs; every change happens under ``lock``."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self.lock = threading.RLock()
        self.blobs = Blobs(folder / "blobs" if folder else None)
        self.xorbs = Blobs(folder / "xorbs" if folder else None)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        if folder is not None:
            for path in sorted(folder.glob("repos/*/*/*.json")):
                repo = Repo.from_json(self, json.loads(path.read_text(encoding="utf-8")))
                self.repos[repo.kind, repo.name] = repo
            if (folder / "collections.json").exists():
                self.collections = json.loads((folder / "collections.json").read_text(encoding="utf-8"))

    def create(self, kind: str, name: str, author: str, private: bool = False) -> Repo:
        """Make a repository with the Hub's initial commit, which holds ``.gitattributes``."""
        with self.lock:
            repo = Repo(self, name, kind, private)
            attributes = ATTRIBUTES.encode()
            self.blobs.add(attributes)
            self.repos[kind, name] = repo
            tree = {".gitattributes": Entry.regular(attributes)}
            repo.advance("refs/heads/main", Commit.make((), "initial commit", "", author, tree))
            return repo

    def delete(self, repo: Repo) -> None:
        """Forget a repository; its blobs stay, as nothing counts who needs them."""
        with self.lock:
            del self.repos[repo.kind, repo.name]
            if self.folder is not None:
                self._path(repo).unlink(missing_ok=True)

    def move(self, repo: Repo, name: str) -> None:
        """Give a repository another name."""
        with self.lock:
            self.delete(repo)
            repo.name = name
            self.repos[repo.kind, name] = repo
            self.save(repo)

    def used_bytes(self, namespace: str) -> int:
        """Return how many bytes of LFS files the newest commits of a namespace's repositories hold."""
        with self.lock:
            heads = [r.all_commits[oid] for r in self.repos.values() if r.owner == namespace for oid in r.refs.values()]
            return sum({e.sha256: e.size for c in heads for e in c.tree.values() if e.lfs}.values())

    def save(self, repo: Repo) -> None:
        """Write a repository to disk, where there is one."""
        if self.folder is not None:
            write_whole(self._path(repo), json.dumps(repo.to_json()).encode())

    def save_collections(self) -> None:
        """Write the collections to disk, where there is one."""
        if self.folder is not None:
            write_whole(self.folder / "collections.json", json.dumps(self.collections).encode())

    def _path(self, repo: Repo) -> Path:
        assert self.folder is not None
        return self.folder / "repos" / repo.kind / f"{repo.name}.json"
