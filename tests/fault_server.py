"""An OpenAI-compatible server that fails as real ones do, settably, and counts every call by its draw.

In tests: ``with FaultServer(Behaviour(latency=0.2, faults={"429": 0.1})) as server: server.url``.
By hand: ``python tests/fault_server.py --latency 0.2 --behaviour '{"faults": {"429": 0.1}}'``; GET /_stats tells the
counts, POST /_behaviour changes it.
"""

import argparse
import asyncio
import hashlib
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple


@dataclass
class Behaviour:
    """How the server answers; may be changed while it runs.

    Attributes:
        latency: seconds an answer takes; jitter is the sigma of a log-normal factor on it.
        faults: kind of fault -> share of the calls.
        hang: seconds that the faults ``timeout`` and ``trickle`` keep a call waiting.
        retry_after: seconds told in Retry-After by ``429-after`` and ``503``.
        bucket_per_minute, bucket_size: a token bucket of requests, as a provider's rate limit; None for no limit.
        retry_after_style: how the bucket tells when to come again: ``seconds``, ``ms`` or ``none``.
        ratelimit_headers: whether answers carry x-ratelimit headers.
        refuse: parameter -> error message: requests with that parameter get status 400.
        api_key: calls without it get status 401, with the key that was sent in the message, as some servers do.
        status: every call gets this status.
        answers: body -> text of the answer.
        cached_tokens: told in the usage.
        usage: ``honest`` (a quarter of the prompt's bytes), ``random`` (anything up to what a tokenizer may give and
            the request allows) or ``none``.
        batch_seconds, batch_fail: how long a batch takes, and the share of its requests that fail.
    """

    latency: float = 0.0
    jitter: float = 0.0
    faults: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    hang: float = 10.0
    retry_after: float = 1.0
    bucket_per_minute: float | None = None
    bucket_size: float = 1
    retry_after_style: str = "seconds"
    ratelimit_headers: bool = False
    refuse: dict[str, str] = field(default_factory=dict)
    api_key: str = ""
    status: int = 200
    answers: Any = None
    finish_reason: str = "stop"
    cached_tokens: int = 0
    usage: str = "honest"
    batch_seconds: float = 0.0
    batch_fail: float = 0.0


class Call(NamedTuple):
    """One request that came in."""

    key: str
    fault: str
    status: int
    prompt_tokens: int
    completion_tokens: int
    body: Any


def shown_text(body):
    """Return all that the model is shown."""
    if "prompt" in body:
        return body["prompt"]
    return "".join(
        m["content"] if isinstance(m["content"], str) else json.dumps(m["content"]) for m in body["messages"]
    )


def default_answer(body):
    """Return a text of its own for each body."""
    digest = hashlib.sha1(f"{body.get('seed')}{shown_text(body)}".encode()).hexdigest()
    return f"A new text, number {int(digest[:8], 16)}, with the mark {digest[8:16]}."


def failure(message, kind="server_error", code=None):
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}


class Connection(asyncio.Protocol):
    """Reads requests from one connection; answers may take their time."""

    def __init__(self, server):
        self.server = server
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, _):
        self.server.connections.discard(self)

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
            length = int(headers.get("content-length", 0))
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            method, path, _ = lines[0].split(" ")
            self.server.request(self, method, path.partition("?")[0], path.partition("?")[2], headers, body)

    def send(self, status, body, headers=(), kind="application/json", cut=None):
        """Write one answer; with ``cut``, only that many bytes of it."""
        if self.transport.is_closing():
            return
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"
        self.transport.write((head.encode() + data)[:cut])


class FaultServer:
    """The server, in a thread of its own."""

    def __init__(self, behaviour=None, keep_bodies=False, port=0):
        self.behaviour = behaviour or Behaviour()
        self.keep_bodies = keep_bodies
        self.port = port
        self.calls = []
        self.connections = set()
        self.in_flight = 0
        self.most_in_flight = 0
        self.rng = random.Random(self.behaviour.seed)
        self.tokens, self.filled_at = self.behaviour.bucket_size, time.monotonic()
        self.files, self.batches = {}, {}
        self.uploads = self.batches_created = self.cancels = 0

    # -- what tests ask ---------------------------------------------------------------------------------------------

    def calls_by_key(self):
        return Counter(call.key for call in self.calls)

    def faults_by_key(self):
        return Counter(call.key for call in self.calls if call.fault)

    def answered_by_key(self):
        return Counter(call.key for call in self.calls if call.status == 200 and not call.fault)

    def billed(self):
        """Return calls, tokens sent, tokens written: of all that the model answered, arrived or not."""
        paid = [call for call in self.calls if call.prompt_tokens]
        return len(paid), sum(c.prompt_tokens for c in paid), sum(c.completion_tokens for c in paid)

    def stats(self):
        statuses = Counter(str(call.status) for call in self.calls)
        return {
            "calls": len(self.calls),
            "statuses": statuses,
            "faults": Counter(call.fault for call in self.calls if call.fault),
            "by_key": Counter(self.calls_by_key().values()),
            "most_in_flight": self.most_in_flight,
            "billed": self.billed(),
            "uploads": self.uploads,
            "batches_created": self.batches_created,
        }

    # -- running ----------------------------------------------------------------------------------------------------

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        create = self.loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, backlog=2000)
        listening = self.loop.run_until_complete(create)
        self.port = listening.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        started.set()
        self.loop.run_forever()
        listening.close()
        for connection in list(self.connections):
            connection.transport.abort()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    # -- requests ---------------------------------------------------------------------------------------------------

    def request(self, connection, method, path, query, headers, body):
        if path == "/_stats":
            connection.send(200, self.stats())
        elif path == "/_behaviour":
            for name, value in json.loads(body).items():
                setattr(self.behaviour, name, value)
            connection.send(200, {})
        elif (refused := self._unauthorised(headers)) is not None:
            self._note(headers.get("idempotency-key", ""), "", 401)
            connection.send(401, refused)
        elif path.endswith("/completions"):
            self._complete(connection, headers, json.loads(body))
        elif path.endswith("/models"):
            connection.send(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})
        else:
            status, answer = Batches(self).request(method, path, query, headers, body)
            connection.send(
                status, answer, kind="application/jsonl" if isinstance(answer, bytes) else "application/json"
            )

    def _unauthorised(self, headers):
        sent = headers.get("authorization", "").removeprefix("Bearer ")
        if self.behaviour.api_key and sent != self.behaviour.api_key:
            return failure(f"Incorrect API key provided: {sent}.", "invalid_request_error", "invalid_api_key")
        return None

    def _note(self, key, fault, status, usage=(0, 0), body=None):
        self.calls.append(Call(key, fault, status, *usage, body if self.keep_bodies else None))

    def _complete(self, connection, headers, body):
        behaviour = self.behaviour
        key = headers.get("idempotency-key") or hashlib.sha1(shown_text(body).encode()).hexdigest()
        if behaviour.status != 200:
            self._note(key, "", behaviour.status, body=body)
            connection.send(behaviour.status, failure("No."))
            return
        for name, message in behaviour.refuse.items():
            if name in body:
                self._note(key, "", 400, body=body)
                connection.send(400, failure(message, "invalid_request_error"))
                return
        if (wait := self._empty_bucket()) is not None:
            self._note(key, "429", 429, body=body)
            style = {"seconds": ("retry-after", f"{wait:.2f}"), "ms": ("retry-after-ms", f"{wait * 1e3:.0f}")}
            told = [style[behaviour.retry_after_style]] if behaviour.retry_after_style in style else []
            connection.send(429, failure("Rate limit reached."), [*told, *self._limit_headers()])
            return
        draw, fault = self.rng.random(), ""
        for kind, share in behaviour.faults.items():
            draw -= share
            if draw < 0:
                fault = kind
                break
        delay = behaviour.latency * (self.rng.lognormvariate(0, behaviour.jitter) if behaviour.jitter else 1)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        # The model's work is done, and billed, whether or not the answer arrives.
        arrives = fault in ("", "timeout", "drop-mid", "malformed", "trickle", "empty", "html")
        usage = self._usage(body) if arrives else (0, 0)
        status = int(fault[:3]) if fault[:3].isdigit() else 200
        self._note(key, fault, status, usage, body)
        self.loop.call_later(delay, self._finish, connection, body, fault, usage)

    def _empty_bucket(self):
        """Take a token from the bucket; return the seconds to wait when there is none."""
        rate = self.behaviour.bucket_per_minute
        if not rate:
            return None
        now = time.monotonic()
        self.tokens = min(self.behaviour.bucket_size, self.tokens + (now - self.filled_at) * rate / 60)
        self.filled_at = now
        if self.tokens < 1:
            return (1 - self.tokens) * 60 / rate
        self.tokens -= 1
        return None

    def _limit_headers(self):
        if not self.behaviour.ratelimit_headers:
            return []
        rate = self.behaviour.bucket_per_minute
        reset = (self.behaviour.bucket_size - self.tokens) * 60 / rate
        return [
            ("x-ratelimit-limit-requests", f"{self.behaviour.bucket_size:.0f}"),
            ("x-ratelimit-remaining-requests", f"{self.tokens:.0f}"),
            ("x-ratelimit-reset-requests", f"{reset:.3f}s"),
        ]

    def _usage(self, body):
        size = len(shown_text(body).encode())
        if self.behaviour.usage == "random":
            most = body.get("max_tokens") or body.get("max_completion_tokens") or 100
            return self.rng.randint(1, size), self.rng.randint(1, most)
        return size // 4 + 8, 20

    def _finish(self, connection, body, fault, usage):
        self.in_flight -= 1
        if fault in ("timeout", "trickle"):
            self.loop.call_later(self.behaviour.hang, connection.transport.abort)
            if fault == "trickle":
                self._trickle(connection, b"HTTP/1.1 200 X\r\ncontent-length: 500\r\n\r\n" + b" " * 400)
            return
        if fault == "drop":
            connection.transport.abort()
        elif fault.startswith(("429", "5")):
            after = [("retry-after", f"{self.behaviour.retry_after:g}")] if fault in ("429-after", "503") else []
            connection.send(int(fault[:3]), failure(f"Fault {fault}."), after)
        elif fault == "malformed":
            connection.send(200, b'{"choices": [{"message": {"content": "half of')
        elif fault == "html":
            connection.send(200, b"<html><body>Please log in.</body></html>", kind="text/html")
        elif fault == "drop-mid":
            connection.send(200, self._answer(body, usage), cut=150)
            connection.transport.close()
        else:
            answer = self._answer(body, usage)
            answer["choices"] = [] if fault == "empty" else answer["choices"]
            connection.send(200, answer, self._limit_headers())

    def _trickle(self, connection, data):
        if data and not connection.transport.is_closing():
            connection.transport.write(data[:10])
            self.loop.call_later(0.1, self._trickle, connection, data[10:])

    def _answer(self, body, usage):
        behaviour = self.behaviour
        text = (behaviour.answers or default_answer)(body)
        choice = {"index": 0, "finish_reason": behaviour.finish_reason, "logprobs": None}
        choice |= {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
        told = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
        told["prompt_tokens_details"] = {"cached_tokens": behaviour.cached_tokens}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        return answer if behaviour.usage == "none" else {**answer, "usage": told}


class Batches:
    """The Files and Batch API of a server."""

    def __init__(self, server):
        self.server = server

    def request(self, method, path, query, headers, body):
        match = re.search(r"/(files|batches)(?:/([\w-]+))?(?:/(content|cancel))?$", path)
        if not match:
            return 404, failure("No such path.")
        kind, name, what = match.groups()
        if kind == "files":
            return self._files(method, name, what, headers, body)
        return self._batches(method, name, what, body)

    def _files(self, method, name, what, headers, body):
        files = self.server.files
        if method == "POST":
            boundary = headers["content-type"].partition("boundary=")[2].strip('"').encode()
            part = next(p for p in body.split(b"--" + boundary) if b"filename=" in p)
            head, _, content = part.partition(b"\r\n\r\n")
            filename = re.search(rb'filename="([^"]+)"', head).group(1).decode()
            self.server.uploads += 1
            name = f"file-{len(files)}"
            files[name] = {"filename": filename, "content": content.removesuffix(b"\r\n")}
            return 200, self._file(name)
        if name is None:
            return 200, {"object": "list", "data": [self._file(n) for n in reversed(files)], "has_more": False}
        if name not in files:
            return 404, failure("No such file.")
        return 200, files[name]["content"] if what else self._file(name)

    def _file(self, name):
        file = self.server.files[name]
        told = {"id": name, "object": "file", "bytes": len(file["content"]), "filename": file["filename"]}
        return told | {"created_at": 1, "purpose": "batch", "status": "processed"}

    def _batches(self, method, name, what, body):
        batches = self.server.batches
        if method == "POST" and name is None:
            sent = json.loads(body)
            if sent["input_file_id"] not in self.server.files:
                return 400, failure("No such input file.")
            name = f"batch-{len(batches)}"
            self.server.batches_created += 1
            batches[name] = {"sent": sent, "done_at": time.monotonic() + self.server.behaviour.batch_seconds}
            return 200, self._batch(name)
        if name is None:
            return 200, {"object": "list", "data": [self._batch(n) for n in reversed(batches)], "has_more": False}
        if name not in batches:
            return 404, failure("No such batch.")
        if what == "cancel":
            self.server.cancels += 1
            batches[name]["cancelled"] = True
        return 200, self._batch(name)

    def _batch(self, name):
        batch = self.server.batches[name]
        ended = time.monotonic() >= batch["done_at"]
        if batch.get("cancelled") or ended:
            self._finish(name, batch)
        status = "cancelled" if batch.get("cancelled") else "completed" if ended else "in_progress"
        told = {"id": name, "object": "batch", "status": status, "created_at": 1, "completion_window": "24h"}
        told |= {"endpoint": batch["sent"]["endpoint"], "input_file_id": batch["sent"]["input_file_id"], "errors": None}
        told |= {k: batch.get(k) for k in ("output_file_id", "error_file_id", "request_counts")}
        return told | {"metadata": batch["sent"].get("metadata")}

    def _finish(self, name, batch):
        """Answer all requests, once; write the output and error files."""
        if "request_counts" in batch:
            return
        server = self.server
        lines = server.files[batch["sent"]["input_file_id"]]["content"].splitlines()
        good, bad = [], []
        for line in map(json.loads, lines if not batch.get("cancelled") else lines[: len(lines) // 2]):
            refused = next((m for n, m in server.behaviour.refuse.items() if n in line["body"]), None)
            failed = refused or server.rng.random() < server.behaviour.batch_fail
            usage = (0, 0) if failed else server._usage(line["body"])
            status = 400 if refused else 500 if failed else 200
            server._note(line["custom_id"], "500" if status == 500 else "", status, usage, line["body"])
            answer = failure(refused or "Fault 500.") if failed else server._answer(line["body"], usage)
            told = {"id": "r", "custom_id": line["custom_id"], "response": {"status_code": status, "body": answer}}
            (bad if failed else good).append(json.dumps(told | {"error": None}).encode())
        for kind, told in (("output_file_id", good), ("error_file_id", bad)):
            if told:
                batch[kind] = f"{name}-{kind}"
                server.files[batch[kind]] = {"filename": f"{kind}.jsonl", "content": b"\n".join(told)}
        batch["request_counts"] = {"total": len(lines), "completed": len(good), "failed": len(bad)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--behaviour", type=json.loads, default={}, help="JSON with fields of Behaviour")
    arguments = parser.parse_args()
    known = {f.name for f in fields(Behaviour)}
    unknown = set(arguments.behaviour) - known
    if unknown:
        parser.error(f"unknown fields {sorted(unknown)}; expected some of {sorted(known)}")
    behaviour = Behaviour(**{"latency": arguments.latency, **arguments.behaviour})
    with FaultServer(behaviour, port=arguments.port) as server:
        print(server.url, flush=True)
        sys.stdin.read()  # until the parent goes away


if __name__ == "__main__":
    main()
