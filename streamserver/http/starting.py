"""Starting a stream, or finding the one that the same idempotency key started before."""

from __future__ import annotations

import asyncio
import hashlib
import re

import msgspec
from aiohttp import web

from streamserver.core.supervisor import Stream
from streamserver.http.apis.native.chat import Asked
from streamserver.http.core import Core, core_of
from streamserver.http.opening import RETRY_SECONDS, account_of, open_stream, store_unavailable
from streamserver.http.problems import Problem, invalid
from streamserver.http.state import KEY_NAME
from streamserver.log.base import Log
from streamserver.log.records import Failed
from streamserver.store.base import Claim, Claimed, Readable, StoreUnavailable

KEY = r"[\x21-\x7e]{8,128}"
"""The pattern of an idempotency key."""
_KEY = re.compile(KEY)
_MOST_TRIES = 5
_PAUSES_SECONDS = (0.02, 0.04, 0.08, 0.16, 0.32)


class Started(msgspec.Struct, frozen=True):
    """A stream to answer with. ``new`` is it if this request started it: it must be launched. ``has_key``: others
    may find it."""

    stream: Readable
    new: Stream | None
    has_key: bool


def key_of(request: web.Request, in_query: str | None) -> str | None:
    """The idempotency key, None without one. Raises :class:`Problem` for a malformed one, or two that differ."""
    given = request.headers.getall("Idempotency-Key", [])
    for field, key in (*(("Idempotency-Key", value) for value in given), ("idempotency_key", in_query)):
        if key is not None and not _KEY.fullmatch(key):
            raise invalid(field, f"{field} is not 8 to 128 visible ASCII characters.")
    keys = {*given, in_query} - {None}
    if len(keys) > 1:
        raise invalid("Idempotency-Key", "There is more than one idempotency key.")
    return keys.pop() if keys else None


async def start(request: web.Request, asked: Asked, key: str | None, body: bytes) -> Started:
    """Open a stream for what is ``asked``, unless ``key`` stands for one already. ``body`` is what the
    request must share with the first one of its key.

    Raises :class:`Problem`.
    """
    core = core_of(request)
    claim = None if key is None else _claim(request[KEY_NAME], key, body)
    try:
        for _ in range(_MOST_TRIES):
            if claim is not None and (found := await _found(core, claim)) is not None:
                return Started(found, None, has_key=True)
            try:
                stream = await open_stream(request, asked)
            except Problem as refused:
                if refused.limit is None or claim is None or (found := await _soon_found(core, claim)) is None:
                    raise
                return Started(found, None, has_key=True)
            if await _published(core, stream, claim):
                return Started(stream, stream, has_key=claim is not None)
            core.limiter.take_back(account_of(request))  # it was no start
    except StoreUnavailable:
        raise store_unavailable() from None
    raise Problem("overloaded", "Too many requests with this idempotency key at once.", retry_after=RETRY_SECONDS)


def _claim(user: str, key: str, body: bytes) -> Claim:
    """Keys of different users are different keys. What was asked is salted with the key, which nobody stores:
    the fingerprint does not tell a prompt to who guesses it."""
    name = hashlib.sha256(f"{user}\0{key}".encode()).hexdigest()
    return Claim(name, hashlib.sha256(key.encode() + b"\0" + body).hexdigest())


async def _found(core: Core, claim: Claim) -> Readable | None:
    """The stream that the key stands for, None if it is free (again)."""
    claimed = await core.store.recall(claim.key)
    if claimed is None:
        return None
    stream = await core.find(claimed.stream_id)
    if stream is None or _may_be_tried_again(stream.log):
        await core.store.release(claim.key, claimed)
        return None
    _check_same(claim, claimed)
    return stream


async def _soon_found(core: Core, claim: Claim) -> Readable | None:
    """The same, for who reached a limit: the first one with the key, at another node, may be what takes up its user's
    last place, and about to make itself known."""
    for pause in (0, *_PAUSES_SECONDS):
        await asyncio.sleep(pause)
        if (found := await _found(core, claim)) is not None:
            return found
    return None


def _check_same(claim: Claim, claimed: Claimed) -> None:
    if claimed.fingerprint != claim.fingerprint:
        raise invalid("Idempotency-Key", "This idempotency key was used for another request.")


def _may_be_tried_again(log: Log) -> bool:
    """It failed in a way that may pass, and nobody has had a token of it."""
    return isinstance(log.terminal, Failed) and log.terminal.retryable and len(log) == 2


async def _published(core: Core, stream: Stream, claim: Claim | None) -> bool:
    """False if another request was faster with the same key: then ``stream`` is gone again."""
    kept = False
    try:
        kept = await core.store.publish(stream, claim) is None
    finally:
        if not kept:
            core.supervisor.discard(stream)
    return kept
