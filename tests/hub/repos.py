"""Repositories: create, delete, settings, what they are, refs and commits."""

from __future__ import annotations

import json
import re
from typing import Any

from .access import Call, missing_repo
from .cards import read_metadata
from .storage import Commit, Repo
from .wire import HubError, Reply, Route

__all__ = ["ROUTES", "revision_of"]

ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
}


def revision_of(call: Call, repo: Repo, revision: str) -> Commit:
    """Return the commit of a revision; 404 RevisionNotFound where there is none."""
    commit = repo.find(revision)
    if commit is None:
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


def whoami(call: Call) -> Reply:
    """GET whoami-v2: the user of the token."""
    account = call.signed_in("read")
    organizations = [
        {"type": "org", "name": name, "fullname": name, "isEnterprise": False} for name in account.organizations
    ]
    token = {"displayName": "test", "role": account.role, "createdAt": "2026-01-01T00:00:00.000Z"}
    told: dict[str, Any] = {
        "type": "user",
        "id": f"id-{account.user}",
        "name": account.user,
        "fullname": account.user.title(),
    }
    told |= {"email": f"{account.user}@example.org", "emailVerified": True, "isPro": False, "orgs": organizations}
    return Reply.json(told | {"auth": {"type": "access_token", "accessToken": token}})


def target(call: Call, told: dict[str, Any]) -> tuple[str, str]:
    """Return type and full name of the repository that a body of create or delete means."""
    account = call.signed_in()
    namespace = told.get("organization") or account.user
    return told.get("type") or "model", f"{namespace}/{told['name']}"


def create(call: Call) -> Reply:
    """POST repos/create."""
    told = call.request.json()
    kind, name = target(call, told)
    account, namespace = call.signed_in(), name.partition("/")[0]
    if namespace not in account.namespaces:
        raise HubError(403, f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"')
    if not ID.fullmatch(told["name"]) or "--" in told["name"] or ".." in told["name"] or told["name"].endswith(".git"):
        raise HubError(400, f"Invalid repo name: {told['name']}")
    with call.hub.store.lock:
        repo = call.hub.store.repos.get((kind, name))
        if repo is not None:
            url = call.url(repo)
            raise HubError(409, f"You already created this {kind} repo: {name}", url=url, name=name)
        private = told.get("visibility") == "private" or bool(told.get("private"))
        repo = call.hub.store.create(kind, name, account.user, private)
    return Reply.json({"url": call.url(repo), "name": name, "id": f"id-{kind}-{name}"})


def delete(call: Call) -> Reply:
    """DELETE repos/delete."""
    kind, name = target(call, call.request.json())
    call.arguments |= {"kind": f"{kind}s", "repo": name}
    call.hub.store.delete(call.repo("administer"))
    return Reply.json({})


def move(call: Call) -> Reply:
    """POST repos/move."""
    told = call.request.json()
    call.arguments |= {"kind": f"{told['type']}s", "repo": told["fromRepo"]}
    repo = call.repo("administer")
    if told["toRepo"].partition("/")[0] not in call.signed_in().namespaces:
        raise HubError(403, "You don't have the rights to move this repo to that namespace")
    if (repo.kind, told["toRepo"]) in call.hub.store.repos:
        raise HubError(409, f"{told['toRepo']} already exists")
    call.hub.store.move(repo, told["toRepo"])
    return Reply.json({})


def settings(call: Call) -> Reply:
    """PUT settings: visibility and gate."""
    repo, told = call.repo("administer"), call.request.json()
    with call.hub.store.lock:
        if "visibility" in told or "private" in told:
            repo.private = told.get("visibility") == "private" or bool(told.get("private"))
        if "gated" in told:
            repo.gated = told["gated"]
        call.hub.store.save(repo)
    return Reply.json({"private": repo.private, "gated": repo.gated})


def as_list(value: Any) -> list[Any]:
    """Return a list of one for a single value, none for None."""
    return value if isinstance(value, list) else [] if value is None else [value]


def info(call: Call) -> Reply:
    """GET a repository, at its head or at a revision."""
    repo = call.repo()
    commit = revision_of(call, repo, call.arguments.get("rev") or "main")
    siblings: list[dict[str, Any]] = []
    for path, entry in sorted(commit.tree.items()):
        sibling: dict[str, Any] = {"rfilename": path}
        if call.request.flag("blobs"):
            sibling |= {"size": entry.size, "blobId": entry.oid}
            if entry.lfs:
                sibling["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": 134}
        siblings.append(sibling)
    readme = commit.tree.get("README.md")
    card = read_metadata(call.hub.store.blobs.get(readme.sha256).decode("utf-8", "replace")) if readme else {}
    tags = [*as_list(card.get("tags"))]
    for name in ("task_categories", "language", "license", "size_categories"):
        tags += [f"{name}:{value}" for value in as_list(card.get(name))]
    told: dict[str, Any] = {
        "_id": f"id-{repo.kind}-{repo.name}",
        "id": repo.name,
        "author": repo.owner,
        "sha": commit.id,
    }
    told |= {"private": repo.private, "gated": repo.gated, "disabled": repo.disabled, "downloads": 0, "likes": 0}
    told |= {"lastModified": commit.date, "createdAt": repo.created, "tags": tags, "siblings": siblings}
    told |= {"cardData": card} if card else {}
    if repo.kind == "model":
        told |= model_info(call, commit, card)
    return Reply.json(told)


def model_info(call: Call, commit: Commit, card: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of models alone, from the card and ``config.json``."""
    told: dict[str, Any] = {"modelId": call["repo"]}
    if "config.json" in commit.tree:
        try:
            config = json.loads(call.hub.store.blobs.get(commit.tree["config.json"].sha256))
        except ValueError:
            config = {}
        names = config.get("architectures") or []
        told["library_name"] = "transformers"
        told["config"] = {"architectures": names, "model_type": config.get("model_type")}
        for name in names:
            told["pipeline_tag"] = next((task for suffix, task in TASKS.items() if name.endswith(suffix)), None)
    told |= {name: card[name] for name in ("pipeline_tag", "library_name", "model-index") if name in card}
    return told


def auth_check(call: Call) -> Reply:
    """GET auth-check: may the account read the files, or with ``/write`` write them."""
    call.repo("write" if call.request.path.endswith("/write") else "content")
    return Reply.json({})


def refs(call: Call) -> Reply:
    """GET refs."""
    repo = call.repo()

    def told(prefix: str, short: bool = True) -> list[dict[str, str]]:
        found = [(ref, oid) for ref, oid in repo.refs.items() if ref.startswith(prefix)]
        return [{"name": r.removeprefix(prefix) if short else r, "ref": r, "targetCommit": oid} for r, oid in found]

    answer: dict[str, Any] = {
        "branches": told("refs/heads/"),
        "tags": told("refs/tags/"),
        "converts": told("refs/convert/"),
    }
    if call.request.flag("include_prs"):
        answer["pullRequests"] = told("refs/pr/", short=False)
    return Reply.json(answer)


def commits(call: Call) -> Reply:
    """GET commits, newest first, in pages."""
    repo = call.repo()
    revision_of(call, repo, call["rev"])
    told = []
    for commit in repo.history(call["rev"]):
        message = commit.description
        told.append(
            {"id": commit.id, "title": commit.title, "message": message, "date": commit.date}
            | {"authors": [{"user": commit.author}]}
            | {"formatted": {"title": commit.title, "message": message}}
        )
    return call.hub.page(call.request, told)


def create_branch(call: Call) -> Reply:
    """POST branch."""
    repo, told = call.repo("write"), call.request.json()
    with call.hub.store.lock:
        ref = f"refs/heads/{call['branch']}"
        if ref in repo.refs and not told.get("overwrite"):
            raise HubError(409, f"Reference {ref} already exists")
        start = revision_of(call, repo, told.get("startingPoint") or "main")
        repo.refs[ref] = start.id
        call.hub.store.save(repo)
    return Reply.json({})


def create_tag(call: Call) -> Reply:
    """POST tag, of the revision in the path."""
    repo, told = call.repo("write"), call.request.json()
    with call.hub.store.lock:
        ref = f"refs/tags/{told['tag']}"
        if ref in repo.refs:
            raise HubError(409, f"Tag reference exists already: {told['tag']}")
        repo.refs[ref] = revision_of(call, repo, call["rev"]).id
        call.hub.store.save(repo)
    return Reply.json({})


def delete_ref(call: Call) -> Reply:
    """DELETE a branch or a tag; main stays."""
    repo = call.repo("write")
    ref = f"refs/heads/{call['branch']}" if "branch" in call.arguments else f"refs/tags/{call['tag']}"
    with call.hub.store.lock:
        if ref == "refs/heads/main":
            raise HubError(403, "Cannot delete the default branch")
        if ref not in repo.refs:
            raise HubError(404, f"Reference {ref} does not exist", "RevisionNotFound")
        del repo.refs[ref]
        call.hub.store.save(repo)
    return Reply.json({})


def squash(call: Call) -> Reply:
    """POST super-squash: one commit without a parent in the place of a branch's history."""
    repo = call.repo("write")
    with call.hub.store.lock:
        head = revision_of(call, repo, call["rev"])
        account = call.signed_in()
        commit = Commit.make((), call.request.json().get("message", "Super-squash"), "", account.user, head.tree)
        repo.advance(f"refs/heads/{call['rev']}", commit)
    return Reply.json({})


def unknown(call: Call) -> Reply:
    """Anything else under a repository: the repository's own refusal first, then 404."""
    call.repo()
    raise HubError(404, "Sorry, we can't find the page you are looking for.")


def unknown_short_name(call: Call) -> Reply:
    """Repositories without a namespace: there are none."""
    raise missing_repo(call.account)


API = "/api/{kind}/{repo}"
ROUTES = [
    Route.of("GET", "/api/whoami-v2", whoami),
    Route.of("POST", "/api/repos/create", create),
    Route.of("DELETE", "/api/repos/delete", delete),
    Route.of("POST", "/api/repos/move", move),
    Route.of("PUT", f"{API}/settings", settings),
    Route.of("GET", API, info),
    Route.of("GET", API + "/revision/{rev}", info),
    Route.of("GET", f"{API}/auth-check", auth_check),
    Route.of("GET", f"{API}/auth-check/write", auth_check),
    Route.of("GET", f"{API}/refs", refs),
    Route.of("GET", API + "/commits/{rev}", commits),
    Route.of("POST", API + "/branch/{branch}", create_branch),
    Route.of("DELETE", API + "/branch/{branch}", delete_ref),
    Route.of("POST", API + "/tag/{rev}", create_tag),
    Route.of("DELETE", API + "/tag/{tag}", delete_ref),
    Route.of("POST", API + "/super-squash/{rev}", squash),
]
LAST_ROUTES = [
    *(Route.of(method, API + "/{path}", unknown) for method in ("GET", "POST", "PUT", "DELETE")),
    Route.of("GET", "/api/{kind}/{name}", unknown_short_name),
    Route.of("GET", "/api/{kind}/{name}/revision/{rev}", unknown_short_name),
    Route.of("GET", "/{prefix}{name}/resolve/{rev}/{path}", unknown_short_name),
]
