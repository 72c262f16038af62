"""Who asks, and what they may: users, tokens, private, gated and foreign repositories, in the Hub's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .storage import Repo
from .wire import HubError, Request

if TYPE_CHECKING:
    from .server import HubServer

__all__ = ["Account", "Call", "accounts", "missing_repo"]

PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}


@dataclass(frozen=True)
class Account:
    """A user as seen through one token; ``role`` is ``write`` or ``read``."""

    user: str
    token: str
    role: str
    organizations: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Where the user may create repositories."""
        return (self.user, *self.organizations)


def accounts() -> dict[str, Account]:
    """Return the accounts of every server: two users, and a token of the first that may only read."""
    return {
        "owner": Account("ada", "hf_" + "OwnerOwner".ljust(34, "o"), "write", ("museum",)),
        "other": Account("ben", "hf_" + "OtherOther".ljust(34, "t"), "write"),
        "reader": Account("ada", "hf_" + "ReaderReader".ljust(34, "r"), "read", ("museum",)),
    }


def missing_repo(account: Account | None) -> HubError:
    """Return the one answer for a missing repository and for another's private one."""
    return HubError(401 if account is None else 404, "Repository not found", "RepoNotFound")


class Call:
    """A request with the arguments of its path and the account that sent it.

    Args:
        hub: the server.
        request: the request.
        arguments: from its path, unquoted.
        accounts: whether an Authorization header is an account's; the Xet storage has tokens of its own.
    """

    def __init__(self, hub: HubServer, request: Request, arguments: dict[str, str], accounts: bool = True):
        self.hub, self.request, self.arguments = hub, request, arguments
        self.account = self._account() if accounts else None

    def __getitem__(self, name: str) -> str:
        return self.arguments[name]

    def _account(self) -> Account | None:
        sent = self.request.headers.get("authorization")
        if sent is None:
            return None
        for account in self.hub.accounts.values():
            if sent == f"Bearer {account.token}":
                return account
        raise HubError(401, "Invalid credentials in Authorization header")

    @property
    def kind(self) -> str:
        """The repository's type, from ``models`` or from ``datasets/``."""
        if "kind" in self.arguments:
            return self["kind"].removesuffix("s")
        return self.arguments.get("prefix", "").removesuffix("s/") or "model"

    def signed_in(self, role: str = "write") -> Account:
        """Return the account; 401 without one, 403 where its token may only read."""
        if self.account is None:
            raise HubError(401, "Invalid username or password.")
        if role == "write" and self.account.role != "write":
            raise HubError(403, "Forbidden: you must use a write token to upload to a repository")
        return self.account

    def repo(self, need: str = "see") -> Repo:
        """Return the repository of the path.

        Args:
            need: ``see`` (its metadata), ``content`` (its files, behind the gate), ``propose`` (a pull request or a
                comment), ``write`` or ``administer``.

        Raises:
            HubError: as the Hub refuses it.
        """
        repo = self.hub.store.repos.get((self.kind, self.arguments["repo"]))
        if repo is None or (repo.private and not self.belongs(repo)):
            raise missing_repo(self.account)
        if repo.disabled:
            raise HubError(403, "Access to this resource is disabled.")
        if need == "content" and repo.gated and not self.belongs(repo):
            self._gate(repo)
        if need in ("propose", "write", "administer"):
            self.signed_in()
        if need == "administer" and not self.belongs(repo):
            raise HubError(403, "Forbidden: you don't have the rights to administer this repository")
        if need == "write" and not self.belongs(repo):
            raise HubError(403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
        return repo

    def belongs(self, repo: Repo) -> bool:
        """Tell whether the account may read and write a repository as its own."""
        return self.account is not None and repo.owner in self.account.namespaces

    def _gate(self, repo: Repo) -> None:
        what = f"{repo.kind} {repo.name}"
        if self.account is None:
            message = f"Access to {what} is restricted. You must have access to it and be authenticated to access it."
            raise HubError(401, f"{message} Please log in.", "GatedRepo")
        if self.account.user not in repo.granted:
            message = f"Access to {what} is restricted and you are not in the authorized list."
            raise HubError(403, f"{message} Visit {self.url(repo)} to ask for access.", "GatedRepo")

    def url(self, repo: Repo) -> str:
        """Return the address of a repository's page."""
        return f"{self.hub.url}/{PREFIXES[repo.kind]}{repo.name}"

    def within_quota(self, repo: Repo, more_bytes: int) -> None:
        """Refuse more bytes than the quota leaves, where one is set."""
        quota = self.hub.storage_quota
        if quota is not None and self.hub.store.used_bytes(repo.owner) + more_bytes > quota:
            kind = "Private" if repo.private else "Public"
            plan = f"upgrade your plan to increase your {kind.lower()} storage limit"
            raise HubError(403, f"{kind} repository storage limit reached, please {plan}.")
