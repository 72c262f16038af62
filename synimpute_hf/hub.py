"""The only writer to the Hub: one atomic commit, exactly once, whatever happens on the way.

A push reads the branch's head, lays out what differs from it, uploads, and commits on condition that the head is still
the same. Where a reply is lost, the branch's history says whether the commit is there: each carries a mark of its own.
Where somebody else was faster, the push begins again from the new head.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile, get_token
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from .cards import metadata_of
from .errors import HubError, PlanError, SynimputeError, first_line
from .publishing import Bundle, Publication, lay_out

__all__ = ["Pushed", "Retry", "push"]

T = TypeVar("T")
CARD = "README.md"
MARK = "synimpute-push"
CONFLICT = (409, 412)
PASSING = (408, 425, 429, 500, 502, 503, 504)
TROUBLE = (HfHubHTTPError, EntryNotFoundError, httpx2.HTTPError, OSError, RuntimeError, ValueError, KeyError)
"""What the client raises: beside its own errors KeyError for an answer that lacks something, ValueError for one that is
no JSON and for a refused card, OSError and RuntimeError from uploads."""
RECENT = 30
"""Commits, or pull requests, that are looked through for one of ours."""


@dataclass(frozen=True)
class Retry:
    """How long a push puts up with a Hub in trouble.

    Attributes:
        tries: of one request, 1 or more.
        first_wait: seconds before the second try; each further wait is twice as long, with a third of jitter.
        longest_wait: seconds; also of a wait that the Hub asks for.
        races: how often another's commit may be faster.
    """

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    races: int = 20


@dataclass(frozen=True)
class Pushed:
    """What a push came to.

    Attributes:
        url: of the repository.
        kind: ``dataset``, ``model`` or ``space``.
        commit: the commit that holds what was pushed.
        changed: whether there was anything to commit; False: the Hub had it all.
        added: paths that were added or replaced.
        deleted: paths that were deleted.
        pull_request: address of the pull request, or empty.
        collection: address of the collection, or empty.
    """

    url: str
    kind: str
    commit: str
    changed: bool
    added: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    pull_request: str = ""
    collection: str = ""


def push(
    folder: str | Path,
    repo_id: str,
    *,
    public: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    tag: str | None = None,
    collection: str | None = None,
    how: Publication | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    retry: Retry | None = None,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> Pushed:
    """Push an imputed dataset, a classifier, a report or a builder's dataset: all of it in one commit, or nothing.

    Run again after an interruption, it goes on: files that the Hub has are not sent twice.

    Args:
        folder: what ``synimpute impute``, ``train``, ``report``, a builder, or a Trainer with our callback wrote.
        repo_id: ``user/name``; made when it is not there.
        public: whether a new repository is public; one that is there keeps its visibility.
        revision: a branch, made when it is not there; None is ``main``.
        create_pr: whether to open a pull request instead of changing the branch.
        tag: a name for the new state.
        collection: title of a collection of the same owner to which the repository is added; made when it is not there.
        how: what is left out, added, asked for; None makes it of the options.
        token: None takes the one that ``hf auth login`` or HF_TOKEN has set.
        endpoint: address of another Hub; None is that of HF_ENDPOINT.
        retry: how long to put up with a Hub in trouble.
        say: told of waits and of what is done.
        **options: the fields of a ``Publication``, such as ``license="cc-by-4.0"`` or ``synthetic_only=True``.

    Raises:
        HubError: says what was refused, and whether anything was published.
        DataError: the folder holds nothing that can be pushed.
        PlanError: options that do not go together.
    """
    if create_pr and (revision or tag):
        raise PlanError(
            "A pull request goes to main and has no tag yet: leave out revision (--revision) and tag (--tag)."
        )
    with tempfile.TemporaryDirectory(prefix="synimpute-push-") as scratch:
        bundle = lay_out(Path(folder), Path(scratch), how or Publication(**options))
        target = _Target(repo_id, bundle.kind, revision, create_pr)
        writer = _Writer(HfApi(endpoint=endpoint, token=token), target, retry or Retry(), say or (lambda text: None))
        with writer.told():
            writer.check_license(bundle)
            writer.prepare(public)
            pushed = writer.commit(bundle)
        with writer.told(f"The commit {pushed.commit[:8]} is there; what came after it failed. "):
            if tag:
                writer.tag(tag, pushed.commit)
            return pushed if collection is None else writer.collect(collection, public, pushed)


@dataclass(frozen=True)
class _Target:
    repo_id: str
    kind: str
    revision: str | None
    create_pr: bool

    @property
    def where(self) -> dict[str, Any]:
        """Return the arguments by which the client knows the repository."""
        return {"repo_id": self.repo_id, "repo_type": self.kind}


@dataclass(frozen=True)
class _Head:
    """A state of the repository: its commit, and the digest of every file (sha256 of large ones, git's of others)."""

    commit: str
    files: Mapping[str, str]
    card: str


@dataclass
class _Change:
    """What a commit would change."""

    added: dict[str, Path | bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def operations(self) -> list[CommitOperationAdd | CommitOperationDelete]:
        """Return the client's operations, new ones for every try: they keep the state of an upload."""
        added = self.added.items()
        return [
            *(CommitOperationAdd(path, str(file) if isinstance(file, Path) else file) for path, file in added),
            *(CommitOperationDelete(path) for path in self.deleted),
        ]


class _Writer:
    """Talks to one repository."""

    def __init__(self, api: HfApi, target: _Target, retry: Retry, say: Callable[[str], None]) -> None:
        self.api, self.target, self.retry, self.say = api, target, retry, say
        self.sent = False  # whether a commit may have arrived of which nothing is known

    # -- before -------------------------------------------------------------------------------------------------

    def prepare(self, public: bool) -> None:
        """Make the repository and the branch where they are not there."""
        sdk = "static" if self.target.kind == "space" else None
        self.persist(
            lambda: self.api.create_repo(**self.target.where, private=not public, exist_ok=True, space_sdk=sdk)
        )
        if self.target.revision and self.target.revision != "main":
            branch = self.target.revision
            self.persist(lambda: self.api.create_branch(**self.target.where, branch=branch, exist_ok=True))

    def head(self) -> _Head:
        """Read the branch's state."""
        info = self.persist(lambda: self.api.repo_info(**self.target.where, revision=self.target.revision))
        commit = str(info.sha)
        tree = self.persist(lambda: list(self.api.list_repo_tree(**self.target.where, revision=commit, recursive=True)))
        there = [entry for entry in tree if isinstance(entry, RepoFile)]
        files = {entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id for entry in there}
        return _Head(commit, files, self._card(commit) if CARD in files else "")

    def _card(self, commit: str) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            where = {**self.target.where, "filename": CARD, "revision": commit, "local_dir": scratch}
            path = self.persist(lambda: self.api.hf_hub_download(**where))
            return Path(path).read_text(encoding="utf-8")

    def check_license(self, bundle: Bundle) -> None:
        """Refuse, before anything is made, what has no license: neither of its own nor in a card that is there.

        Raises:
            HubError: says how to name one.
        """
        if not bundle.needs_license or metadata_of(bundle.card("")).get("license"):
            return
        try:
            theirs = self.head().card
        except (RepositoryNotFoundError, RevisionNotFoundError):
            theirs = ""
        if not metadata_of(theirs).get("license"):
            raise HubError(
                f"Under which license may {self.target.repo_id} be used? Neither its source's card nor its own names "
                "one, and none is invented. Say it with --license: cc-by-4.0, or another of the Hub's names, such as "
                "unknown or other. Nothing was published."
            )

    # -- the commit ---------------------------------------------------------------------------------------------

    def commit(self, bundle: Bundle) -> Pushed:
        """Bring the branch to the bundle's state by one commit.

        Raises:
            HubError: others were faster all the time.
        """
        url = f"{self.api.endpoint}/{'' if bundle.kind == 'model' else bundle.kind + 's/'}{self.target.repo_id}"
        mark = f"{MARK}: {uuid.uuid4().hex}"
        for race in range(self.retry.races):
            head = self.head()
            change = self._change(bundle, head)
            if not change.added and not change.deleted:
                return Pushed(url, bundle.kind, head.commit, changed=False)
            done = self._try_commit(bundle.title, mark, change, head)
            if done is not None:
                commit, pull_request = done
                self.sent = False
                return Pushed(url, bundle.kind, commit, True, tuple(change.added), tuple(change.deleted), pull_request)
            self.say("Another commit was faster: begins again from the new state.")
            time.sleep(random.uniform(0.1, 1.0) * min(self.retry.first_wait * (race + 1), self.retry.longest_wait))
        raise HubError(
            f"Others changed {self.target.repo_id} faster than this push could: {self.retry.races} times in a row. "
            "Nothing of it was published; run the same command again."
        )

    def _change(self, bundle: Bundle, head: _Head) -> _Change:
        """Compare the bundle with the repository."""
        card = bundle.card(head.card)
        change = _Change()
        for path, file in bundle.files.items():
            if path not in head.files or head.files[path] not in _digests(file):
                change.added[path] = file
        if not head.card or card != head.card:
            change.added[CARD] = card.encode()
        change.deleted = sorted(path for path in head.files if bundle.owned(path) and path not in bundle.files)
        return change

    def _try_commit(self, title: str, mark: str, change: _Change, head: _Head) -> tuple[str, str] | None:
        """Commit once; returns the commit and its pull request, or None where the head has moved on."""
        where = {**self.target.where, "revision": self.target.revision, "create_pr": self.target.create_pr}

        def upload() -> list[Any]:
            """Send the large files, and return operations that know of it."""
            operations = change.operations()
            additions = [operation for operation in operations if isinstance(operation, CommitOperationAdd)]
            self.api.preupload_lfs_files(additions=additions, free_memory=False, **where)
            return operations

        operations = self.persist(upload, tries=2)
        for turn in range(self.retry.tries):
            try:
                self.sent = True
                done = self.api.create_commit(
                    operations=operations,
                    commit_message=title,
                    commit_description=mark,
                    parent_commit=head.commit,
                    **where,
                )
                if done.oid == head.commit:
                    return None  # everything that differed was made equal by another's commit
                return str(done.oid), str(done.pr_url or "")
            except TROUBLE as error:
                status = _status(error)
                if status is None or status in (*CONFLICT, *PASSING):
                    found = self.persist(lambda: self._find(mark))
                    if found is not None:
                        return found
                self.sent = False  # a refusal, or the branch was looked at
                if status in CONFLICT:
                    return None
                if not _passes(error) or turn + 1 == self.retry.tries:
                    raise
                self._wait(error, turn)
            operations = self.persist(upload, tries=2)
        raise AssertionError("the last try returns or raises")

    def _find(self, mark: str) -> tuple[str, str] | None:
        """Look whether a commit with our mark is there; returns it and its pull request."""
        where = self.target.where
        if not self.target.create_pr:
            commits = self.api.list_repo_commits(**where, revision=self.target.revision)
            return next(((entry.commit_id, "") for entry in commits[:RECENT] if _marked(entry, mark)), None)
        refs = self.api.list_repo_refs(**where, include_pull_requests=True).pull_requests or []
        for ref in sorted(refs, key=lambda ref: -int(ref.name.rpartition("/")[2]))[:RECENT]:
            for entry in self.api.list_repo_commits(**where, revision=ref.ref)[:1]:
                if _marked(entry, mark):
                    number = ref.name.rpartition("/")[2]
                    kind = "" if self.target.kind == "model" else f"{self.target.kind}s/"
                    return entry.commit_id, f"{self.api.endpoint}/{kind}{self.target.repo_id}/discussions/{number}"
        return None

    # -- after --------------------------------------------------------------------------------------------------

    def tag(self, name: str, commit: str) -> None:
        """Give a commit a name.

        Raises:
            HubError: the name is another commit's.
        """
        where = self.target.where
        self.persist(lambda: self.api.create_tag(**where, tag=name, revision=commit, exist_ok=True))
        tags = self.persist(lambda: self.api.list_repo_refs(**where)).tags
        there = next((tag.target_commit for tag in tags if tag.name == name), None)
        if there != commit:
            raise HubError(
                f"The commit {commit[:8]} is there, but without its tag: {name!r} is the tag of another commit already "
                f"({str(there)[:8]}), and a tag should not move. Take another name (--tag)."
            )

    def collect(self, title: str, public: bool, pushed: Pushed) -> Pushed:
        """Add the repository to a collection of its owner."""
        owner = self.target.repo_id.split("/")[0]
        made = self.persist(
            lambda: self.api.create_collection(title, namespace=owner, private=not public, exists_ok=True)
        )
        self.persist(
            lambda: self.api.add_collection_item(
                made.slug,
                item_id=self.target.repo_id,
                item_type=self.target.kind,  # type: ignore[arg-type]
                exists_ok=True,
            )
        )
        return replace(pushed, collection=f"{self.api.endpoint}/collections/{made.slug}")

    # -- trouble ------------------------------------------------------------------------------------------------

    def persist(self, request: Callable[[], T], tries: int | None = None) -> T:
        """Make a request that may be made twice, as often as it takes."""
        allowed = self.retry.tries if tries is None else min(tries, self.retry.tries)
        for turn in range(allowed):
            try:
                return request()
            except TROUBLE as error:
                if turn + 1 == allowed or not _passes(error):
                    raise
                self._wait(error, turn)
        raise AssertionError("the last try returns or raises")

    def _wait(self, error: BaseException, turn: int) -> None:
        wait = self.retry.first_wait * 2.0**turn * random.uniform(1, 4 / 3)
        asked = _retry_after(error)
        wait = min(self.retry.longest_wait, max(wait, asked or 0.0))
        self.say(f"{_short(error)}: tries again in {wait:.0f} s.")
        time.sleep(wait)

    @contextmanager
    def told(self, before: str = "") -> Iterator[None]:
        """Turn the client's errors into one that says what to do, without any secret."""
        try:
            yield
        except TROUBLE as error:
            if isinstance(error, SynimputeError):
                raise
            state = before or (
                "Whether the commit arrived is not known: run the same command again, it looks first. "
                if self.sent
                else "Nothing was published. "
            )
            text = f"{state}{_advice(error, self.target)}"
            for secret in filter(None, (self.api.token if isinstance(self.api.token, str) else None, get_token())):
                text = text.replace(secret, "[token]")
            raise HubError(text) from None


def _digests(file: Path) -> Sequence[str]:
    """Return the digests by which the Hub may know a file: as a large one, and as git's blob."""
    large, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    with file.open("rb") as stream:
        while part := stream.read(1 << 20):
            large.update(part)
            blob.update(part)
    return large.hexdigest(), blob.hexdigest()


def _marked(entry: Any, mark: str) -> bool:
    return mark in f"{entry.title}\n{entry.message}"


def _http(error: BaseException | None) -> HfHubHTTPError | None:
    """Return the Hub's own answer behind an error, which the client may have wrapped."""
    while error is not None and not isinstance(error, HfHubHTTPError):
        error = error.__cause__
    return error


def _status(error: BaseException) -> int | None:
    """Return the HTTP status behind an error, or None where no answer came."""
    found = _http(error)
    response = getattr(found, "response", None)
    return None if response is None else int(response.status_code)


def _passes(error: BaseException) -> bool:
    """Say whether a request may succeed when it is made again."""
    if isinstance(error, LocalEntryNotFoundError):
        return True  # the client found no network
    if isinstance(error, (OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError, FileNotFoundError)):
        return False
    status = _status(error)
    if status is not None:
        return status in (*PASSING, *CONFLICT)
    if isinstance(error, ValueError):
        return isinstance(error, json.JSONDecodeError)  # others are about what we sent
    # hf_xet tells of refusals in words only.
    return not any(f" {code} " in f" {error} " for code in (400, 401, 403, 404))


def _retry_after(error: BaseException) -> float | None:
    response = getattr(_http(error), "response", None)
    text = "" if response is None else str(response.headers.get("Retry-After", ""))
    return float(text) if text.replace(".", "", 1).isdigit() else None


def _short(error: BaseException) -> str:
    status = _status(error)
    if status is not None:
        return f"The Hub answered {status}"
    return f"No answer from the Hub ({type(error).__name__})"


def _advice(error: BaseException, target: _Target) -> str:
    """Say what was wrong and what to do."""
    status, repo = _status(error), target.repo_id
    said = getattr(_http(error), "server_message", None) or first_line(error)
    if isinstance(error, OfflineModeIsEnabled):
        return "The Hub cannot be reached in offline mode: unset HF_HUB_OFFLINE and run the same command again."
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated, and this account has no access to it: ask for it on its page."
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no branch {target.revision!r} (--revision)."
    if status == 401 and "repository" not in said.lower():
        return "The Hub does not know this token. Log in with `hf auth login`, or set HF_TOKEN to one that may write."
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return f"There is no {target.kind} {repo}, or this account may not see it ({said})."
    if status == 403 and any(word in said.lower() for word in ("storage", "quota", "limit")):
        return f"The Hub has no room left for {repo}: {said} Make room, or push fewer files."
    if status in (401, 403):
        return (
            f"This token may not write to {repo} ({said}). Take a token with write access, a name of your own "
            "(user/name), or propose the change (--create-pr)."
        )
    if status == 400 or isinstance(error, ValueError):
        return f"The Hub refused the content: {said}"
    if status is not None:
        return f"The Hub answered {status} again and again ({said}). Run the same command again later: it goes on."
    return f"The connection to the Hub failed ({type(error).__name__}: {said}). Run the same command again: it goes on."
