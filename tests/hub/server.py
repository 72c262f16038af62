"""The server: two origins on loopback, what they keep, and what tests ask of them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from . import cards, community, files, repos, uploads, xet
from .access import Account, Call, accounts
from .client import Client
from .faults import Faults, Hook
from .storage import KINDS, Repo, Store
from .wire import HubError, Listener, Reply, Request, RequestLog, Route, find_route

__all__ = ["HubServer"]

HUB_ROUTES = [
    *repos.ROUTES,
    *files.ROUTES,
    *uploads.ROUTES,
    *xet.ROUTES,
    *community.ROUTES,
    *cards.ROUTES,
    *repos.LAST_ROUTES,
]
CDN_ROUTES = [*files.CDN_ROUTES, *uploads.CDN_ROUTES]
PRELUDE = "import datasets.config as _config\n_config.USE_PARQUET_EXPORT = False\n"


class HubServer:
    """A Hub of the tests' own.

    Examples:
        >>> with HubServer() as hub:
        ...     hub.create_repo("ada/letters", "dataset")
        ...     done = hub.python("from huggingface_hub import whoami; print(whoami()['name'])", home)
        ...     hub.repo("ada/letters").files["README.md"]

    Args:
        folder: where everything is kept over a restart; None keeps it in memory.
        port: of the Hub's origin; 0 takes a free one. The CDN's is always a free one.

    Attributes:
        url: the Hub, for HF_ENDPOINT.
        cdn_url: another origin, which serves and takes LFS files and refuses every Authorization header.
        tokens: ``owner`` (user ada, organization museum), ``reader`` (ada, may only read), ``other`` (user ben),
            ``bad`` (nobody's).
        requests: all requests so far, as a `RequestLog`.
        faults: where faults are set, as `Faults`.
        regular_bytes: files above this size must come as LFS.
        multipart_bytes: objects above this size are uploaded in parts of it; None for never.
        page_size: how many entries a page of tree, commits and so on holds.
        storage_quota: bytes of LFS files that a namespace may hold; None for any.
        leaks: requests to the CDN, or to the Xet storage, that carried one of `tokens`.
    """

    def __init__(self, folder: str | Path | None = None, port: int = 0):
        self.store = Store(Path(folder) if folder is not None else None)
        self.accounts: dict[str, Account] = accounts()
        self.tokens = {name: account.token for name, account in self.accounts.items()} | {"bad": "hf_" + "b" * 34}
        self.requests = RequestLog()
        self.faults = Faults()
        self.hooks: list[Hook] = []
        self.regular_bytes = 10_000_000
        self.multipart_bytes: int | None = None
        self.page_size = 1000
        self.storage_quota: int | None = None
        self.leaks: list[Request] = []
        self.parts: dict[str, dict[int, tuple[str, bytes]]] = {}
        self.xet_tokens: dict[str, xet.XetToken] = {}
        self.secret = hashlib.sha256(b"signs addresses of the CDN").digest()
        self._lock = threading.Lock()
        self._listeners = [Listener(self, "hub", port), Listener(self, "cdn", 0)]
        self.url = f"http://127.0.0.1:{self._listeners[0].server_port}"
        self.cdn_url = f"http://localhost:{self._listeners[1].server_port}"
        self.cas_url = f"{self.url}/xet-cas"

    # -- running ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> HubServer:
        for listener in self._listeners:
            threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            listener.shutdown()
            listener.server_close()

    # -- what tests ask ---------------------------------------------------------------------------------------------

    def repo(self, name: str, kind: str = "dataset") -> Repo:
        """Return a repository; KeyError where there is none."""
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}; expected one of {KINDS}")
        return self.store.repos[kind, name]

    def create_repo(
        self,
        name: str,
        kind: str = "dataset",
        files: Mapping[str, bytes | str | None] | None = None,
        private: bool = False,
        gated: bool | str = False,
    ) -> Repo:
        """Create a repository from the server's side, with files in a second commit."""
        repo = self.store.create(kind, name, name.partition("/")[0], private)
        repo.gated = gated
        if files:
            repo.commit(files, title="Upload files")
        self.store.save(repo)
        return repo

    def before(self, method: str | None, path: str, callback: Callable[[Request], object], **options: Any) -> Hook:
        """Have something done before a request is carried out, such as a rival's commit.

        Args:
            method: only requests of this method; None for all.
            path: a regular expression, searched in the path as sent.
            callback: called once its body is read, with the request.
            options: ``after``, ``times``, ``listener`` and ``when``, as of `Rule`.
        """
        hook = Hook(method, path, callback=callback, **options)
        with self._lock:
            self.hooks.append(hook)
        return hook

    def reset(self) -> None:
        """Forget requests, faults, hooks, quota and leaks; repositories stay."""
        with self._lock:
            self.requests.clear()
            self.leaks.clear()
            self.hooks.clear()
        self.faults.clear()
        self.storage_quota = None

    def environment(self, home: str | Path, token: str | None = "owner", xet: bool = True) -> dict[str, str]:
        """Return the environment in which a fresh process talks to this server alone.

        Args:
            home: a folder for HF_HOME; one server, one home, as hf_xet keeps in it what it uploaded where.
            token: a name in `tokens`, a token, or None for none.
            xet: whether uploads go by Xet, as they do by default, or by plain LFS.
        """
        told = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))
        }
        told |= {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_UPDATE_DOWNLOAD_COUNTS": "0", "HF_HUB_OFFLINE": "0"}
        told |= {
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        told |= {"no_proxy": "127.0.0.1,localhost", "HF_HUB_DISABLE_XET": "0" if xet else "1"}
        told["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
        return told | (
            {"HF_TOKEN": self.tokens.get(token, token)} if token is not None else {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        )

    def run(
        self,
        command: Sequence[str],
        home: str | Path,
        token: str | None = "owner",
        xet: bool = True,
        timeout: float = 120,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as a client of this server; ``more`` are further environment variables."""
        environment = self.environment(home, token, xet) | more
        return subprocess.run(list(command), env=environment, capture_output=True, text=True, timeout=timeout)

    def python(
        self, code: str, home: str | Path, *arguments: str, datasets: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run Python code in a fresh process as a client of this server.

        Args:
            code: the program.
            home: as of `environment`.
            arguments: in ``sys.argv[1:]``.
            datasets: whether to import datasets first and keep it from asking the dataset viewer, which would be
                another host.
            options: as of `run`.
        """
        program = (PRELUDE if datasets else "") + code
        return self.run([sys.executable, "-c", program, *arguments], home, **options)

    def client(
        self, home: str | Path, token: str | None = "owner", xet: bool = True, datasets: bool = True, **more: str
    ) -> Client:
        """Return a client process that stays, for many calls in one test; to be entered with ``with``."""
        return Client(self.environment(home, token, xet) | more, PRELUDE if datasets else "")

    # -- requests ---------------------------------------------------------------------------------------------------

    def note(
        self, listener: str, method: str, path: str, query: dict[str, list[str]], headers: dict[str, str]
    ) -> Request:
        """Put a request into the log."""
        with self._lock:
            request = Request(len(self.requests), listener, method, path, query, headers)
            self.requests.append(request)
        return request

    def answer(self, request: Request) -> Reply:
        """Carry out a request."""
        with self._lock:
            hooks = [hook for hook in self.hooks if hook.strikes(request)]
        for hook in hooks:
            hook.callback(request)
        try:
            if request.listener == "cdn":
                return self._answer_cdn(request)
            if request.path.startswith("/xet-cas/"):
                return self._answer_cas(request)
            return self._route(HUB_ROUTES, request)
        except HubError as refusal:
            return refusal.reply()

    def _route(self, routes: Sequence[Route], request: Request, accounts: bool = True) -> Reply:
        found = find_route(routes, request.method, request.path)
        if found is None:
            raise HubError(404, "Sorry, we can't find the page you are looking for.")
        function, arguments = found
        return function(Call(self, request, arguments, accounts))

    def _answer_cdn(self, request: Request) -> Reply:
        if "authorization" in request.headers:
            self.leaks.append(request)
            raise HubError(400, "InvalidArgument: Only one auth mechanism allowed")
        self._watch(request)
        return self._route(CDN_ROUTES, request)

    def _answer_cas(self, request: Request) -> Reply:
        self._watch(request)
        return self._route(xet.CAS_ROUTES, request, accounts=False)

    def _watch(self, request: Request) -> None:
        told = [value for values in request.query.values() for value in values]
        seen = "\n".join([request.path, *request.headers.values(), *told])
        if any(token in seen for token in self.tokens.values()):
            self.leaks.append(request)

    def page(self, request: Request, entries: list[Any]) -> Reply:
        """Return a page of entries with the Link header to the next."""
        start = int(request.query.get("cursor", ["0"])[-1])
        end = start + self.page_size
        headers = []
        if end < len(entries):
            query = urlencode({**request.query, "cursor": [str(end)]}, doseq=True)
            headers = [("Link", f'<{self.url}{request.path}?{query}>; rel="next"')]
        return Reply.json(entries[start:end], headers=headers)
