"""A client process that stays: imports are paid once, so that one test can make hundreds of pushes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

__all__ = ["Client", "Outcome"]

# Answers go to a copy of the standard output, which itself is turned to the standard error: clients may print.
LOOP = """
import json, os, sys, time, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
space = {"__name__": "__client__"}
for line in sys.stdin:
    space["result"], told, start = None, {}, time.monotonic()
    try:
        exec(compile(json.loads(line), "<client>", "exec"), space)
        told["value"] = space["result"]
    except Exception as error:
        chain, status = error, None
        while chain is not None and status is None:
            status = getattr(getattr(chain, "response", None), "status_code", None)
            chain = chain.__cause__ or chain.__context__
        names = [f"{c.__module__}.{c.__qualname__}" for c in type(error).__mro__]
        told |= {"error": names[0], "bases": names[1:], "message": str(error), "status": status}
        told["traceback"] = traceback.format_exc()
    told["seconds"] = time.monotonic() - start
    answers.write(json.dumps(told, default=repr) + "\\n")
    answers.flush()
"""


@dataclass(frozen=True)
class Outcome:
    """What a piece of code came to.

    Attributes:
        value: what it put into ``result``, by way of JSON (or its repr).
        error: the exception's class with its module, such as ``huggingface_hub.errors.HfHubHTTPError``, or "".
        bases: the classes it derives from.
        message: the exception's text.
        status: the HTTP status of its response, or of the first with one among its causes.
        traceback: as printed.
        seconds: how long it took.
    """

    value: Any = None
    error: str = ""
    bases: tuple[str, ...] = ()
    message: str = ""
    status: int | None = None
    traceback: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it raised nothing."""
        return not self.error

    def is_a(self, name: str) -> bool:
        """Tell whether the exception is of a class, named with or without its module."""
        return any(found == name or found.endswith(f".{name}") for found in (self.error, *self.bases))


class Client:
    """A Python process that runs pieces of code, one after another, with one namespace.

    Examples:
        >>> with hub.client(home) as client:
        ...     client.run("from huggingface_hub import HfApi; api = HfApi()")
        ...     hub.faults.add(503, "POST", "/commit/")
        ...     client.run("api.upload_file(...)").status
        503

    Args:
        environment: of the process, as `HubServer.environment` makes it.
        prelude: code run at the start.
    """

    def __init__(self, environment: Mapping[str, str], prelude: str = ""):
        self.environment = dict(environment)
        self.prelude = prelude

    def __enter__(self) -> Client:
        self.log: IO[bytes] = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOOP],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        if self.prelude:
            self.check(self.prelude)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()

    @property
    def printed(self) -> str:
        """All that the process wrote to its standard output and error so far."""
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode("utf-8", "replace")

    def run(self, code: str, timeout: float = 90) -> Outcome:
        """Run code to its end; what it puts into ``result`` is the outcome's value.

        Raises:
            TimeoutError: the process is killed.
            RuntimeError: the process ended by itself.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        killer = threading.Timer(timeout, self.process.kill)
        killer.start()
        try:
            self.process.stdin.write(json.dumps(code) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            late = not killer.is_alive()
            killer.cancel()
        if not line:
            kind = TimeoutError if late else RuntimeError
            raise kind(f"the client ended with {self.process.wait()}:\n{self.printed[-4000:]}")
        told = json.loads(line)
        return Outcome(**{**told, "bases": tuple(told.get("bases", ()))})

    def check(self, code: str, timeout: float = 90) -> Any:
        """Run code that must not fail; return its ``result``."""
        outcome = self.run(code, timeout)
        assert outcome.ok, f"{outcome.traceback}\n{self.printed[-2000:]}"
        return outcome.value
