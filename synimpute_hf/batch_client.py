"""The Batch API: upload the requests, wait, fetch the answers, at half the price and within a day.

Each step is written down before it is taken. A later run finds its batch again by its id, or, killed before it knew the
id, by the name of the uploaded file: nothing is uploaded twice, and no batch is created twice.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import sleep
from typing import Any, Union

from .budget import Ledger
from .errors import GeneratorError
from .journal import Journal
from .openai_wire import BadAnswerError, Wire, scrub
from .records import Candidate, Failure, Prompt

__all__ = ["BatchClient", "RemoteBatch", "outstanding", "under_way"]

Answers = Sequence[tuple[Prompt, Union[Candidate, Failure]]]  # noqa: UP007
MEMORY = "batch:"
MOST_REQUESTS = 50_000
MOST_BYTES = 190_000_000
MOST_ROUNDS = 5
ENDED = ("completed", "failed", "expired", "cancelled")
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteBatch:
    """A batch that a server has, or will have, and how far it got. Kept in the journal.

    Attributes:
        name: names the uploaded file.
        base_url: the server.
        keys: journal keys of the requests whose answers are still to be fetched.
        file_id: the uploaded file, or empty while it may not be there.
        batch_id: the batch, or empty while it may not exist.
    """

    name: str
    base_url: str
    keys: tuple[str, ...]
    file_id: str = ""
    batch_id: str = ""

    @property
    def filename(self) -> str:
        """The uploaded file's name, by which it is found again."""
        return f"synimpute-{self.name}.jsonl"

    def save(self, memory: MutableMapping[str, str]) -> RemoteBatch:
        """Write this down, or strike it out when no answer is left to fetch."""
        if self.keys:
            memory[MEMORY + self.name] = json.dumps(asdict(self))
        else:
            memory.pop(MEMORY + self.name, None)
        return self


def outstanding(memory: Mapping[str, str]) -> list[RemoteBatch]:
    """Return the batches whose answers were not all fetched."""
    found = [json.loads(value) for name, value in memory.items() if name.startswith(MEMORY)]
    return [RemoteBatch(**{**fields, "keys": tuple(fields["keys"])}) for fields in found]


def _status(client: Any, batch: RemoteBatch) -> str:
    """Return a batch's status at its server, with how far it got."""
    if not batch.batch_id:
        return "not created yet"
    remote = client.batches.retrieve(batch.batch_id)
    counts = remote.request_counts
    return f"{remote.status}, {counts.completed:,} of {counts.total:,} answered" if counts else str(remote.status)


def _cancel(client: Any, batch: RemoteBatch) -> str:
    """Cancel a batch at its server, and return its status there.

    What was answered until then is paid, and stays to be fetched by the next run.

    Args:
        client: openai's plain client for the batch's server.
        batch: one of ``outstanding``.
    """
    if not batch.batch_id:
        return "never created"
    now = client.batches.retrieve(batch.batch_id).status
    return str(now if now in ENDED else client.batches.cancel(batch.batch_id).status)


def under_way(path: Path, cancel: bool = False, api_key_env: str = "OPENAI_API_KEY") -> list[tuple[RemoteBatch, str]]:
    """Return the batches that a journal waits for, each with its status at the server.

    Args:
        path: the journal.
        cancel: cancel each of them.
        api_key_env: environment variable with the key.

    Raises:
        GeneratorError: the server can't be asked.
    """
    import openai

    with Journal(path) as journal:
        values = {name: value for _, name, value in journal.remembered(MEMORY)}
    found = []
    for batch in outstanding(values):
        with openai.OpenAI(base_url=batch.base_url, api_key=os.environ.get(api_key_env) or "none") as client:
            try:
                status = _cancel(client, batch) if cancel else _status(client, batch)
            except openai.APIError as error:
                said = scrub(str(error), client.api_key)
                raise GeneratorError(f"{batch.base_url} tells nothing of batch {batch.batch_id}: {said}") from error
        found.append((batch, status))
    return found


class BatchClient:
    """Sends prompts as batches and returns answers when they are there.

    Args:
        client: openai's plain client.
        wire: makes bodies and reads answers.
        ledger: what may be paid; each prompt is already reserved there.
        memory: where batches are written down.
        poll_seconds: how often a batch is asked after.
        most: requests in one batch.
    """

    def __init__(
        self,
        client: Any,
        wire: Wire,
        ledger: Ledger,
        memory: MutableMapping[str, str],
        *,
        poll_seconds: float = 30.0,
        most: int = MOST_REQUESTS,
    ) -> None:
        self._client = client
        self._wire = wire
        self._ledger = ledger
        self._memory = memory
        self._poll_seconds = poll_seconds
        self._most = most
        self._base_url = str(client.base_url).rstrip("/")
        self._wanted: dict[str, Prompt] = {}

    def answer(self, prompts: Iterator[Prompt]) -> Iterator[Answers]:
        """Answer all prompts: from batches of earlier runs first, then from new ones, failures in follow-up batches.

        Raises:
            GeneratorError: the server has no Batch API, or refuses it.
        """
        import openai

        self._wanted = {prompt.key: prompt for prompt in prompts}
        try:
            for earlier in outstanding(self._memory):
                if any(key in self._wanted for key in earlier.keys):
                    yield from self._collect([earlier])
            for _ in range(MOST_ROUNDS):
                if refused := self._unaffordable():
                    yield refused
                if not self._wanted:
                    return
                version = self._wire.version
                yield from self._collect(self._split())
                if self._wire.version > version:
                    LOG.info("A parameter was refused: the batch is sent again without it.")
        except openai.APIError as error:
            raise GeneratorError(
                f"The Batch API of {self._base_url} failed: {scrub(str(error), self._client.api_key)} Run the same "
                "command again to go on with the same batch, or leave --batch out where the server has none."
            ) from error
        rest = list(self._wanted.values())
        for prompt in rest:
            self._ledger.release(prompt.key)
        yield [(prompt, Failure(prompt.key, f"failed in {MOST_ROUNDS} batches")) for prompt in rest]

    def _unaffordable(self) -> list[tuple[Prompt, Failure]]:
        """Reserve again what failed; return what the budget does not allow."""
        refused = []
        for prompt in list(self._wanted.values()):
            if not self._ledger.holds(prompt.key) and not self._ledger.reserve(prompt.key, *self._wire.bounds(prompt)):
                del self._wanted[prompt.key]
                refused.append((prompt, Failure(prompt.key, self._ledger.refused, True)))
        return refused

    def _split(self) -> list[RemoteBatch]:
        """Return new batches for all that is wanted, none too long for the server."""
        groups: list[list[str]] = []
        size = MOST_BYTES
        for key in self._wanted:
            length = len(self._line(key)) + 1
            size += length
            if size > MOST_BYTES or len(groups[-1]) == self._most:
                groups.append([])
                size = length
            groups[-1].append(key)
        return [RemoteBatch(secrets.token_hex(8), self._base_url, tuple(keys)) for keys in groups]

    def _line(self, key: str) -> bytes:
        """Return one request, as it stands in the uploaded file."""
        body = self._wire.body(self._wanted[key])
        return json.dumps({"custom_id": key, "method": "POST", "url": f"/v1{self._wire.path}", "body": body}).encode()

    def _collect(self, batches: list[RemoteBatch]) -> Iterator[Answers]:
        """See to it that batches run, wait for them, and hand their answers out."""
        waiting = [self._start(batch) for batch in batches]
        while waiting:
            still = []
            for batch in waiting:
                remote = self._client.batches.retrieve(batch.batch_id)
                if remote.status not in ENDED:
                    still.append(batch)
                    counts = remote.request_counts
                    done = f", {counts.completed:,} of {counts.total:,} answered" if counts else ""
                    LOG.info("Batch %s: %s%s.", batch.batch_id, remote.status.replace("_", " "), done)
                    continue
                unread = tuple(key for key in batch.keys if key not in self._wanted)
                yield self._fetch(batch, remote)
                # The answers are in the journal now; those that this run did not want stay to be fetched.
                replace(batch, keys=unread).save(self._memory)
            waiting = still
            if waiting:
                sleep(self._poll_seconds)

    def _start(self, batch: RemoteBatch) -> RemoteBatch:
        """Upload and create what is not there yet."""
        if batch.batch_id:
            LOG.info("Going on with batch %s.", batch.batch_id)
            return batch
        known = MEMORY + batch.name in self._memory
        batch.save(self._memory)
        if not batch.file_id:
            file_id = self._find(self._client.files.list(purpose="batch"), "filename", batch.filename) if known else ""
            batch = replace(batch, file_id=file_id or self._upload(batch)).save(self._memory)
        batch_id = self._find(self._client.batches.list(), "input_file_id", batch.file_id) if known else ""
        batch = replace(batch, batch_id=batch_id or self._create(batch)).save(self._memory)
        LOG.info("Batch %s: %s requests sent.", batch.batch_id, f"{len(batch.keys):,}")
        return batch

    @staticmethod
    def _find(listed: Any, name: str, value: str) -> str:
        """Return the id of the listed thing with such a value, or an empty string; the list is paged by the client."""
        return next((thing.id for thing in listed if getattr(thing, name) == value), "")

    def _upload(self, batch: RemoteBatch) -> str:
        content = b"\n".join(map(self._line, batch.keys)) + b"\n"
        file = (batch.filename, content, "application/jsonl")
        return str(self._client.files.create(file=file, purpose="batch").id)

    def _create(self, batch: RemoteBatch) -> str:
        created = self._client.batches.create(
            input_file_id=batch.file_id, endpoint=f"/v1{self._wire.path}", completion_window="24h"
        )
        return str(created.id)

    def _fetch(self, batch: RemoteBatch, remote: Any) -> list[tuple[Prompt, Candidate | Failure]]:
        """Read an ended batch's files; what got no answer stays wanted."""
        answers: list[tuple[Prompt, Candidate | Failure]] = []
        version = self._wire.version
        for file_id in (remote.output_file_id, remote.error_file_id):
            if not file_id:
                continue
            for line in self._client.files.content(file_id).content.splitlines():
                answers.extend(self._read(json.loads(line), version))
        for key in batch.keys:
            if key in self._wanted and self._ledger.holds(key):
                self._ledger.release(key)
        if remote.status == "failed" and not answers:
            batch_errors = [error.message for error in (remote.errors.data if remote.errors else None) or []]
            replace(batch, keys=()).save(self._memory)
            said = scrub("; ".join(map(str, batch_errors))) or "it gives no reason"
            raise GeneratorError(f"The server refused the batch {batch.batch_id}: {said}")
        LOG.info("Batch %s: %s, %s answers.", batch.batch_id, remote.status, f"{len(answers):,}")
        return answers

    def _read(self, line: Mapping[str, Any], version: int) -> list[tuple[Prompt, Candidate | Failure]]:
        """Read one line of a result file: an answer, or nothing where the request is to be sent again."""
        key = str(line.get("custom_id"))
        prompt = self._wanted.get(key)
        if prompt is None:
            return []
        response = line.get("response") or {}
        status, body = int(response.get("status_code") or 500), response.get("body")
        if status == 200:
            try:
                answer = self._wire.read(prompt, body, 0.0)
            except BadAnswerError:
                self._ledger.settle_unknown(key)
                return []
            self._settle(answer)
            del self._wanted[key]
            return [(prompt, answer)]
        self._ledger.settle_free(key)
        answered: Candidate | Failure | None = self._wire.filtered(prompt, status, body)
        if answered is None and status in (400, 422):
            # The first refused request says which parameter; the others of this batch had it, too.
            learned = self._wire.version > version or self._wire.adapt(status, body, self._wire.body(prompt))
            answered = None if learned else Failure(key, f"status {status}: {scrub(str(body))}")
        if answered is None:
            return []
        del self._wanted[key]
        return [(prompt, answered)]

    def _settle(self, answer: Candidate) -> None:
        if answer.prompt_tokens is None or answer.answer_tokens is None:
            self._ledger.settle_unknown(answer.key)
            return
        charge = self._ledger.charge(1, answer.prompt_tokens, answer.cached_tokens or 0, answer.answer_tokens)
        self._ledger.settle(answer.key, charge)
