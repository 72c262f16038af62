"""Discussions, pull requests and collections."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

from .access import Call
from .storage import Commit, Entry, Repo, now
from .wire import HubError, Reply, Route

__all__ = ["ROUTES", "open_discussion"]


def person(name: str) -> dict[str, Any]:
    """Return a user as events tell one."""
    return {"name": name, "fullname": name.title(), "type": "user", "isHf": False}


def event(kind: str, author: str, **data: Any) -> dict[str, Any]:
    """Make an event of a discussion."""
    return {"id": secrets.token_hex(12), "type": kind, "createdAt": now(), "author": person(author), "data": data}


def comment_event(author: str, text: str) -> dict[str, Any]:
    """Make the event of a comment."""
    latest = {"raw": text, "html": f"<p>{text}</p>", "updatedAt": now(), "author": person(author)}
    return event("comment", author, edited=False, hidden=False, latest=latest, history=[])


def open_discussion(call: Call, repo: Repo, title: str, text: str, base: Commit | None, status: str) -> int:
    """Open a discussion or, from a commit, a pull request; return its number."""
    author = call.signed_in().user
    with call.hub.store.lock:
        number = len(repo.discussions) + 1
        told: dict[str, Any] = {"num": number, "title": title, "status": status, "createdAt": now()}
        told |= {"author": person(author), "repo": {"name": repo.name, "type": repo.kind}}
        told |= {"isPullRequest": base is not None, "events": [comment_event(author, text)]}
        if base is not None:
            told |= {"changes": {"base": "refs/heads/main"}, "from": base.id}
            repo.refs[f"refs/pr/{number}"] = base.id
        repo.discussions.append(told)
        call.hub.store.save(repo)
    return number


def create(call: Call) -> Reply:
    """POST discussions; a pull request begins as a draft at the head of main."""
    repo, told = call.repo("propose"), call.request.json()
    base = repo.all_commits[repo.head] if told.get("pullRequest") else None
    status = "draft" if base is not None else "open"
    number = open_discussion(call, repo, told["title"], told.get("description", ""), base, status)
    return Reply.json({"num": number, "pullRequest": base is not None, "url": f"{call.url(repo)}/discussions/{number}"})


def listing(call: Call) -> Reply:
    """GET discussions, newest first."""
    repo = call.repo()
    asked = {name: call.request.query.get(name, [""])[-1] for name in ("type", "status", "author")}
    found = [
        told
        for told in reversed(repo.discussions)
        if asked["type"] in ("", "all", "pull_request" if told["isPullRequest"] else "discussion")
        and asked["status"] in ("", "all", "closed" if told["status"] in ("closed", "merged") else "open")
        and asked["author"] in ("", told["author"]["name"])
    ]
    page = int(call.request.query.get("p", ["0"])[-1])
    start = page * 50
    return Reply.json({"discussions": found[start : start + 50], "count": len(found), "start": start})


def discussion_of(call: Call, repo: Repo) -> dict[str, Any]:
    """Return the discussion of the path's number."""
    number = int(call["number"])
    if not 0 < number <= len(repo.discussions):
        raise HubError(404, "Discussion not found", "EntryNotFound")
    return repo.discussions[number - 1]


def changed(old: dict[str, Entry], new: dict[str, Entry]) -> dict[str, Entry | None]:
    """Return what leads from one tree to another; None for a file that went."""
    return {path: new.get(path) for path in {*old, *new} if old.get(path) != new.get(path)}


def proposed(repo: Repo, told: dict[str, Any]) -> tuple[dict[str, Entry | None], list[str]]:
    """Return a pull request's changes and the files at which they conflict with main."""
    base, tip = repo.all_commits[told["from"]].tree, repo.all_commits[repo.refs[f"refs/pr/{told['num']}"]].tree
    main = repo.all_commits[repo.head].tree
    mine, theirs = changed(dict(base), dict(tip)), changed(dict(base), dict(main))
    return mine, sorted(path for path in mine if path in theirs and mine[path] != theirs[path])


def details(call: Call) -> Reply:
    """GET a discussion with its events; of a pull request the commits, conflicts and a list of changes."""
    repo = call.repo()
    told = dict(discussion_of(call, repo))
    if told["isPullRequest"]:
        mine, conflicts = proposed(repo, told)
        events = list(told["events"])
        for commit in repo.history(f"refs/pr/{told['num']}"):
            if commit.id == told["from"]:
                break
            events.append(event("commit", commit.author, subject=commit.title, oid=commit.id))
        told["events"] = events
        told["filesWithConflicts"] = conflicts if told["status"] in ("open", "draft") else []
        if call.request.flag("diff"):
            told["diff"] = "".join(f"{'-' if entry is None else '+'} {path}\n" for path, entry in sorted(mine.items()))
    return Reply.json(told)


def act(call: Call) -> Reply:
    """POST a comment, a title, a status, or the merge of a pull request."""
    repo, what = call.repo("propose"), call["what"]
    told, body = discussion_of(call, repo), call.request.json() or {}
    author = call.signed_in().user
    if what != "comment" and author != told["author"]["name"]:
        call.repo("write")
    with call.hub.store.lock:
        if what == "comment":
            new = comment_event(author, body["comment"])
            answer = {"newMessage": new}
        elif what == "title":
            new = event("title-change", author, **{"from": told["title"], "to": body["title"]})
            told["title"] = body["title"]
            answer = {"newTitle": new}
        elif what == "status":
            new = event("status-change", author, status=body["status"])
            told["status"] = body["status"]
            answer = {"newStatus": new}
        elif what == "merge":
            call.repo("write")
            new = merge(call, repo, told, author)
            answer = {}
        else:
            raise HubError(404, "Not Found")
        told["events"].append(new)
        call.hub.store.save(repo)
    return Reply.json(answer)


def merge(call: Call, repo: Repo, told: dict[str, Any], author: str) -> dict[str, Any]:
    """Merge a pull request into main; return the event."""
    if not told["isPullRequest"] or told["status"] != "open":
        raise HubError(409, f"This pull request cannot be merged: its status is {told['status']}")
    mine, conflicts = proposed(repo, told)
    if conflicts:
        raise HubError(409, f"Merge conflicts in {', '.join(conflicts)}")
    head, tree = repo.all_commits[repo.head], dict(repo.all_commits[repo.head].tree)
    for path, entry in mine.items():
        if entry is None:
            tree.pop(path, None)
        else:
            tree[path] = entry
    title = f"{told['title']} (#{told['num']})"
    commit = Commit.make((head.id, repo.refs[f"refs/pr/{told['num']}"]), title, "", author, tree)
    repo.advance("refs/heads/main", commit)
    told["status"] = "merged"
    told["changes"]["mergeCommitId"] = commit.id
    return event("status-change", author, status="merged")


# -- collections ------------------------------------------------------------------------------------------------------


def collection_of(call: Call, write: bool = False) -> dict[str, Any]:
    """Return the collection of the path's slug."""
    told = call.hub.store.collections.get(call["slug"])
    mine = told is not None and call.account is not None and told["owner"]["name"] in call.account.namespaces
    if told is None or (told["private"] and not mine):
        raise HubError(404, "Collection not found")
    if write:
        call.signed_in()
        if not mine:
            raise HubError(403, "You don't have the rights to edit this collection")
    return told


def create_collection(call: Call) -> Reply:
    """POST collections; the slug ends in a number that title and owner decide."""
    told, account = call.request.json(), call.signed_in()
    owner, title = told["namespace"], told["title"]
    if owner not in account.namespaces:
        raise HubError(403, f'You don\'t have the rights to create a collection under the namespace "{owner}"')
    if len(title) >= 60:
        raise HubError(400, "title must be shorter than 60 characters")
    if len(told.get("description") or "") > 150:
        raise HubError(400, "description must have at most 150 characters")
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    slug = f"{owner}/{words}-{hashlib.sha1(f'{owner}/{title}'.encode()).hexdigest()[:24]}"
    with call.hub.store.lock:
        if slug in call.hub.store.collections:
            raise HubError(409, "This collection already exists", slug=slug)
        made = {"slug": slug, "title": title, "owner": {"name": owner, "type": "user"}, "items": []}
        made |= {"lastUpdated": now(), "position": 0, "private": bool(told.get("private")), "theme": "blue"}
        made |= {"upvotes": 0, "description": told.get("description") or "", "gating": False}
        call.hub.store.collections[slug] = made
        call.hub.store.save_collections()
    return Reply.json(made)


def get_collection(call: Call) -> Reply:
    """GET a collection."""
    return Reply.json(collection_of(call))


def list_collections(call: Call) -> Reply:
    """GET collections, of all owners or of some."""
    owners, mine = call.request.query.get("owner"), call.account.namespaces if call.account else ()
    found = [
        {key: value for key, value in told.items() if key != "position"}
        for told in call.hub.store.collections.values()
        if (not owners or told["owner"]["name"] in owners) and (not told["private"] or told["owner"]["name"] in mine)
    ]
    return call.hub.page(call.request, found)


def change_collection(call: Call) -> Reply:
    """PATCH or DELETE a collection."""
    with call.hub.store.lock:
        told = collection_of(call, write=True)
        if call.request.method == "DELETE":
            del call.hub.store.collections[told["slug"]]
        else:
            told |= {**call.request.json(), "lastUpdated": now()}
        call.hub.store.save_collections()
    return Reply.json({"success": True, "data": told})


def add_item(call: Call) -> Reply:
    """POST an item; 409 where it is in the collection, 404 where no such repository is."""
    body = call.request.json()
    with call.hub.store.lock:
        told = collection_of(call, write=True)
        item = body["item"]
        if item["type"] in ("model", "dataset", "space"):
            call.arguments |= {"kind": f"{item['type']}s", "repo": item["id"]}
            call.repo()
        if any((i["id"], i["type"]) == (item["id"], item["type"]) for i in told["items"]):
            raise HubError(409, "This item already exists in this collection")
        made: dict[str, Any] = {"_id": secrets.token_hex(12), "id": item["id"], "type": item["type"]}
        made["position"] = len(told["items"])
        if body.get("note"):
            made["note"] = {"html": body["note"], "text": body["note"]}
        told["items"].append(made)
        told["lastUpdated"] = now()
        call.hub.store.save_collections()
    return Reply.json(told)


def change_item(call: Call) -> Reply:
    """PATCH or DELETE an item."""
    with call.hub.store.lock:
        told = collection_of(call, write=True)
        found = [item for item in told["items"] if item["_id"] == call["item"]]
        if not found:
            raise HubError(404, "Item not found")
        if call.request.method == "DELETE":
            told["items"].remove(found[0])
        else:
            body = call.request.json()
            found[0] |= {"note": {"html": body["note"], "text": body["note"]}} if "note" in body else {}
        call.hub.store.save_collections()
    return Reply.json({})


TALKS = "/api/{kind}/{repo}/discussions"
COLLECTION = "/api/collections/(?P<slug>[^/]+/[^/]+)"
ROUTES = [
    Route.of("GET", TALKS, listing),
    Route.of("POST", TALKS, create),
    Route.of("GET", TALKS + "/{number}", details),
    Route.of("POST", TALKS + "/{number}/{what}", act),
    Route.of("GET", "/api/collections", list_collections),
    Route.of("POST", "/api/collections", create_collection),
    Route.of("GET", COLLECTION, get_collection),
    Route.of("PATCH", COLLECTION, change_collection),
    Route.of("DELETE", COLLECTION, change_collection),
    Route.of("POST", f"{COLLECTION}/items", add_item),
    Route.of("PATCH", COLLECTION + "/items/{item}", change_item),
    Route.of("DELETE", COLLECTION + "/items/{item}", change_item),
]
