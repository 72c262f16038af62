"""One request and one reply: reading, logging, routing, and writing with or without a fault."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from .faults import Fault
    from .server import HubServer

__all__ = ["Handler", "HubError", "Listener", "Reply", "Request", "RequestLog", "Route", "find_route"]

KEPT_BODY_BYTES = 1 << 18


@dataclass
class Request:
    """One request as it came in, and what became of it.

    Attributes:
        number: 0 for the server's first.
        listener: ``hub`` or ``cdn``, the second origin, which must never see a token.
        path: as sent, still quoted.
        headers: names in lower case.
        body: kept in the log up to 256 KiB; longer ones are cut off there once answered.
        status: None as long as nothing was answered, and where a fault let nothing out.
        fault: the fault's kind, or "".
        at: when it came in, in seconds of a clock that only differences mean something on.
    """

    number: int
    listener: str
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = field(default=b"", repr=False)
    status: int | None = None
    fault: str = ""
    at: float = field(default_factory=time.monotonic)

    def json(self) -> Any:
        """Return the body, read as JSON; HubError 400 where it is none."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, f"Invalid JSON: {error}") from None

    def flag(self, name: str) -> bool:
        """Tell whether a query parameter is set to 1 or true."""
        return self.query.get(name, [""])[-1].lower() in ("1", "true")

    def everything(self) -> bytes:
        """Return all bytes that a secret could hide in."""
        told = [self.path, json.dumps(self.query), *(f"{k}: {v}" for k, v in self.headers.items())]
        return "\n".join(told).encode() + b"\n" + self.body


class RequestLog(list[Request]):
    """All requests, oldest first."""

    def matching(self, method: str | None = None, path: str = "", listener: str | None = None) -> list[Request]:
        """Return the requests of a method whose path, as sent, matches a regular expression anywhere."""
        return [
            r
            for r in list(self)
            if method in (None, r.method) and listener in (None, r.listener) and re.search(path, r.path)
        ]

    def count(self, method: str | None = None, path: str = "", listener: str | None = None) -> int:  # type: ignore[override]
        """Count the requests that `matching` returns."""
        return len(self.matching(method, path, listener))

    def mentioning(self, secret: str) -> list[Request]:
        """Return the requests in which a text stands: in the path, the query, a header or the body."""
        return [r for r in list(self) if secret.encode() in r.everything()]


class HubError(Exception):
    """An answer that refuses: status, message, and the X-Error-Code by which clients choose their exception."""

    def __init__(self, status: int, message: str, code: str = "", **more: Any):
        super().__init__(message)
        self.status, self.message, self.code, self.more = status, message, code, more

    def reply(self) -> Reply:
        """Return it as the Hub words it: in the body and in the headers."""
        reply = Reply.json({"error": self.message, **self.more}, self.status)
        reply.headers.append(("X-Error-Message", self.message))
        if self.code:
            reply.headers.append(("X-Error-Code", self.code))
        return reply


@dataclass
class Reply:
    """An answer; ``length`` is told instead of the body's, for HEAD."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    kind: str = "application/json; charset=utf-8"

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Reply:
        """Make an answer with JSON in it."""
        return cls(status, json.dumps(value).encode(), list(headers))

    def wire(self, number: int, with_body: bool) -> bytes:
        """Return the bytes to send."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [
            f"Content-Type: {self.kind}",
            f"Content-Length: {len(self.body)}",
            f"X-Request-Id: Root=1-{number:08x}",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + (self.body if with_body else b"")


@dataclass(frozen=True)
class Route:
    """A method and a path template; ``{kind}``, ``{repo}``, ``{rev}``, ``{path}`` and so on become arguments."""

    method: str
    pattern: re.Pattern[str]
    function: Callable[..., Reply]

    PARTS = {  # noqa: RUF012 - a constant
        "kind": "(?P<kind>models|datasets|spaces)",
        "prefix": "(?P<prefix>datasets/|spaces/|)",
        "repo": "(?P<repo>[^/]+/[^/]+?)",
        "path": "(?P<path>.+)",
        "number": r"(?P<number>\d+)",
    }

    @classmethod
    def of(cls, method: str, template: str, function: Callable[..., Reply]) -> Route:
        """Compile a template."""
        pattern = re.sub(r"\{(\w+)\}", lambda m: cls.PARTS.get(m[1], f"(?P<{m[1]}>[^/]+)"), template)
        return cls(method, re.compile(pattern), function)


def find_route(routes: Iterable[Route], method: str, path: str) -> tuple[Callable[..., Reply], dict[str, str]] | None:
    """Return the function for a request and its arguments, unquoted; a HEAD is served by the GET."""
    wanted = "GET" if method == "HEAD" else method
    for route in routes:
        if route.method == wanted and (match := route.pattern.fullmatch(path)):
            return route.function, {name: unquote(value or "") for name, value in match.groupdict().items()}
    return None


class Listener(ThreadingHTTPServer):
    """One origin, on loopback."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, hub: HubServer, name: str, port: int):
        self.hub, self.name = hub, name
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        """Bind without the look-up of the machine's name that HTTPServer does."""
        socket_port = self.server_address[1]
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", socket_port))
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client that went away go; anything else is printed."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Reads requests of one connection, hands them to the server, writes the answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: requests are kept in the log."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        hub = self.server.hub
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = hub.note(self.server.name, self.command, parts.path, parse_qs(parts.query, True), headers)
        fault = hub.faults.take(request)
        if fault is not None:
            request.fault = fault.kind
            if fault.kind == "reset":
                self._reset()
                return
        request.body = self._read_body()
        if fault is not None and fault.kind == "close":
            self.close_connection = True
            return
        reply = hub.answer(request) if fault is None or fault.done else fault.reply()
        request.body = request.body[:KEPT_BODY_BYTES]
        self._write(request, reply, fault)

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _write(self, request: Request, reply: Reply, fault: Fault | None) -> None:
        data = reply.wire(request.number, self.command != "HEAD")
        kind = fault.kind if fault is not None else ""
        if kind == "lost-reset":
            self._reset()
        elif kind == "lost-close":
            self.close_connection = True
        elif kind in ("cut-close", "cut-reset"):
            head = len(data) - len(reply.body)
            self.wfile.write(data[: head + len(reply.body) // 2])
            self.close_connection = True
            if kind == "cut-reset":
                time.sleep(0.1)  # so that the first half arrives before the reset throws it away
                self._reset()
        elif kind == "trickle":
            assert fault is not None
            request.status = reply.status
            pieces = 20
            step = -(-len(data) // pieces)
            for start in range(0, len(data), step):
                self.wfile.write(data[start : start + step])
                time.sleep(fault.seconds / pieces)
        else:
            request.status = reply.status
            self.wfile.write(data)

    def _reset(self) -> None:
        """End the connection with a TCP reset."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The reader still refers to the socket, so that close() alone would leave it open.
            os.close(self.connection.detach())
