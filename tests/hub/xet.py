"""Uploads by way of Xet: tokens, xorbs and shards, and files put together from the chunks of xorbs.

The formats are those of https://huggingface.co/docs/xet: a xorb is a row of chunks, each with a header of 8 bytes and
bytes that may be LZ4; a shard says of which chunks of which xorbs each file consists, and the file's sha256. Grants and
the second version of shards are answered 404, which the client takes as "not here" and goes on without.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow

from .access import Call
from .storage import Repo
from .wire import HubError, Reply, Route

__all__ = ["CAS_ROUTES", "ROUTES", "XetToken", "chunks_of", "files_of"]

RECORD = 48
END = b"\xff" * 32
WITH_VERIFICATION, WITH_METADATA = 1 << 31, 1 << 30


@dataclass(frozen=True)
class XetToken:
    """An access token of the storage, for one repository, for an hour."""

    token: str
    repo: Repo
    may_write: bool
    expires: int


def grant(call: Call) -> Reply:
    """GET xet-write-token or xet-read-token."""
    may_write = "xet-write-token" in call.request.path
    propose = call.request.flag("create_pr") or call["rev"].startswith("refs/pr/")
    repo = call.repo("content" if not may_write else "propose" if propose else "write")
    if may_write:
        call.within_quota(repo, 1)
    token = XetToken(f"xet_{secrets.token_hex(16)}", repo, may_write, int(time.time()) + 3600)
    call.hub.xet_tokens[token.token] = token
    told = {"casUrl": call.hub.cas_url, "accessToken": token.token, "exp": token.expires}
    headers = [("X-Xet-Cas-Url", call.hub.cas_url), ("X-Xet-Access-Token", token.token)]
    return Reply.json(told, headers=[*headers, ("X-Xet-Token-Expiration", str(token.expires))])


def holder(call: Call) -> XetToken:
    """Return the storage token of a request; the Hub's own tokens are refused here."""
    token = call.hub.xet_tokens.get(call.request.headers.get("authorization", "").removeprefix("Bearer "))
    if token is None or token.expires < time.time():
        raise HubError(401, "Unauthorized")
    return token


def chunk_known(call: Call) -> Reply:
    """GET a chunk for deduplication over all of the storage: never known."""
    holder(call)
    raise HubError(404, "Not Found")


def put_xorb(call: Call) -> Reply:
    """POST a xorb; it is read once, so that a broken one is refused."""
    if not holder(call).may_write:
        raise HubError(403, "Forbidden")
    for _ in chunks_of(call.request.body):
        pass
    new = call["xorb"] not in call.hub.store.xorbs
    call.hub.store.xorbs.put(call["xorb"], call.request.body)
    return Reply.json({"was_inserted": new})


def put_shard(call: Call) -> Reply:
    """POST a shard: put each of its files together, check the sha256, keep the content."""
    token = holder(call)
    if not token.may_write:
        raise HubError(403, "Forbidden")
    unpacked: dict[str, list[bytes]] = {}
    for sha256, segments in files_of(call.request.body):
        content = []
        for xorb, first, end, size in segments:
            if xorb not in unpacked:
                if xorb not in call.hub.store.xorbs:
                    raise HubError(400, f"Shard refers to a xorb that is not here: {xorb}")
                unpacked[xorb] = list(chunks_of(call.hub.store.xorbs.get(xorb)))
            piece = b"".join(unpacked[xorb][first:end])
            if len(piece) != size:
                raise HubError(400, f"Segment of {xorb} has {len(piece)} bytes; the shard says {size}")
            content.append(piece)
        data = b"".join(content)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise HubError(400, f"The chunks do not make a file with sha256 {sha256}")
        token.repo.keep_object(data)
    return Reply.json({"result": 1})


def chunks_of(xorb: bytes) -> Iterator[bytes]:
    """Yield the chunks of a xorb; HubError 400 where it is broken."""
    offset = 0
    while offset + 8 <= len(xorb) and xorb[offset] == 0:
        packed_size = int.from_bytes(xorb[offset + 1 : offset + 4], "little")
        scheme = xorb[offset + 4]
        size = int.from_bytes(xorb[offset + 5 : offset + 8], "little")
        packed = xorb[offset + 8 : offset + 8 + packed_size]
        offset += 8 + packed_size
        try:
            data = packed if scheme == 0 else pyarrow.decompress(packed, size, codec="lz4", asbytes=True)
        except (OSError, pyarrow.ArrowException) as error:
            raise HubError(400, f"Broken chunk: {error}") from None
        if scheme == 2:
            data = ungroup(data)
        if scheme > 2 or len(data) != size:
            raise HubError(400, f"Broken chunk: scheme {scheme}, {len(data)} bytes of {size}")
        yield data
    if offset < len(xorb) and not xorb[offset:].startswith(b"XETBLOB"):
        raise HubError(400, "Broken xorb: neither a chunk nor the footer")


def ungroup(data: bytes) -> bytes:
    """Undo the grouping by four: first all bytes at places 0, 4, 8, ..., then 1, 5, 9, ..., and so on."""
    result = bytearray(len(data))
    start = 0
    for lane in range(4):
        count = len(range(lane, len(data), 4))
        result[lane::4] = data[start : start + count]
        start += count
    return bytes(result)


def hash_text(raw: bytes) -> str:
    """Return a hash as Xet writes it: four little-endian numbers of 64 bits, each in hex."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


def files_of(shard: bytes) -> Iterator[tuple[str | None, list[tuple[str, int, int, int]]]]:
    """Yield each file of a shard: its sha256, where told, and (xorb, first chunk, end, bytes) of each segment."""
    offset = RECORD
    while offset + RECORD <= len(shard):
        header = shard[offset : offset + RECORD]
        offset += RECORD
        if header.startswith(END):
            return
        flags, count = struct.unpack_from("<II", header, 32)
        segments = []
        for index in range(count):
            record = shard[offset + index * RECORD :][:RECORD]
            _, size, first, end = struct.unpack_from("<4I", record, 32)
            segments.append((hash_text(record[:32]), first, end, size))
        offset += RECORD * count * (2 if flags & WITH_VERIFICATION else 1)
        sha256 = None
        if flags & WITH_METADATA:
            sha256 = hash_text(shard[offset : offset + 32])
            offset += RECORD
        yield sha256, segments
    raise HubError(400, "Broken shard: no end of its files")


ROUTES = [
    Route.of("GET", "/api/{kind}/{repo}/xet-write-token/{rev}", grant),
    Route.of("GET", "/api/{kind}/{repo}/xet-read-token/{rev}", grant),
]
CAS_ROUTES = [
    Route.of("GET", "/xet-cas/v1/chunks/{prefix_}/{chunk}", chunk_known),
    Route.of("POST", "/xet-cas/v1/xorbs/{prefix_}/{xorb}", put_xorb),
    Route.of("POST", "/xet-cas/v1/shards", put_shard),
]
