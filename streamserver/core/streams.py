"""Starting, finding and stopping streams, without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import msgspec

from providers.catalog import Catalog, ProviderEntry
from streamserver.admission import Limiter, Quota, QuotaExhausted
from streamserver.core.caller import Caller
from streamserver.core.idempotency import can_regenerate
from streamserver.core.refusals import (
    RETRY_SECONDS,
    LimitInfo,
    Refusal,
    UserLimit,
    invalid,
    store_unavailable,
    unknown_stream,
)
from streamserver.core.resources import Resources
from streamserver.core.stream import Stream
from streamserver.core.supervisor import Supervisor
from streamserver.core.task import ChatTask
from streamserver.store.base import Claim, ClaimHolder, ReadableStream, Store, StoreUnavailable

_MAX_TRIES = 5
_PUBLICATION_WAITS_SECONDS = (0, 0.02, 0.04, 0.08, 0.16, 0.32)

_LIMIT_MESSAGES: Mapping[UserLimit, str] = {
    "requests": "You may start {quota} streams a minute.",
    "streams": "You may have {quota} streams at a time.",
    "tokens": "You may use {quota} tokens a day, and they are used up.",
}


class StartResult(msgspec.Struct, frozen=True):
    """The stream that answers a request.

    ``new`` is the same stream if this request started it, and must launch it; None if an idempotency key found it.
    ``has_key``: later requests may find it by its key.
    """

    stream: ReadableStream
    new: Stream | None
    has_key: bool


class StreamCounter(Protocol):
    """The metrics of running streams."""

    def stream_opened(self) -> None: ...

    def stream_closed(self) -> None: ...


class Streams:
    """The streams of this server, and through the store those of the other nodes.

    ``catalog`` is replaced by a reload.
    """

    def __init__(
        self, *, supervisor: Supervisor, store: Store, limiter: Limiter, catalog: Catalog, counter: StreamCounter
    ) -> None:
        self.supervisor = supervisor
        self.store = store
        self.limiter = limiter
        self.catalog = catalog
        self._counter = counter

    async def start(self, task: ChatTask, caller: Caller, claim: Claim | None = None) -> StartResult:
        """Start a stream for ``task``: admit, register and publish it. The caller of this launches it.

        If ``claim``'s key stands for a stream already, return that one. Raises
        :class:`~streamserver.core.refusals.Refusal`.
        """
        try:
            for _ in range(_MAX_TRIES):
                if claim is not None and (found := await self._find_claimed(claim, task)) is not None:
                    return StartResult(found, None, has_key=True)
                try:
                    stream = await self._register(task, caller)
                except Refusal as refusal:
                    if claim is None or refusal.limit is None:
                        raise
                    found = await self._await_publication(claim, task)
                    if found is None:
                        raise
                    return StartResult(found, None, has_key=True)
                if await self._publish(stream, task, claim):
                    return StartResult(stream, stream, has_key=claim is not None)
                self.limiter.refund_start(caller.account)  # the key was claimed meanwhile: nothing was started
        except StoreUnavailable:
            raise store_unavailable() from None
        raise Refusal("overloaded", "Too many requests with this idempotency key at once.", retry_after=RETRY_SECONDS)

    async def find(self, stream_id: str) -> ReadableStream | None:
        """Return the stream of that id, of this node or another, or None.

        Raises :class:`~streamserver.store.base.StoreUnavailable`.
        """
        return self.supervisor.find(stream_id) or await self.store.find(stream_id)

    async def find_named(self, name: str) -> ReadableStream | None:
        """Return the stream that the store has under ``name``, or None.

        Raises :class:`~streamserver.core.refusals.Refusal` if the store cannot be reached.
        """
        try:
            stream_id = await self.store.lookup(name)
            return None if stream_id is None else await self.find(stream_id)
        except StoreUnavailable:
            raise store_unavailable() from None

    async def stop(self, stream_id: str) -> None:
        """Stop the generation of a stream. When this returns, the terminal record is in its log.

        Raises :class:`~streamserver.core.refusals.Refusal` if the stream is unknown, or its producer cannot be told.
        """
        try:
            stream = await self.find(stream_id)
            if stream is None:
                raise unknown_stream()
            await stream.stop()
        except StoreUnavailable:
            raise store_unavailable() from None

    async def _register(self, task: ChatTask, caller: Caller) -> Stream:
        """Admit the caller and register a stream. What the stream occupies (a slot, a lease) is released at its end."""
        quota = caller.permissions.quota
        with Resources() as resources:
            self.supervisor.check_capacity()
            try:
                await self.limiter.admit(caller.account, quota, resources)
            except QuotaExhausted as reached:
                raise limit_refusal(reached) from None
            entry = self._current_entry(task)
            resources.enter_context(self.catalog.lease())
            current = task if entry is task.entry else msgspec.structs.replace(task, entry=entry)
            stream = self.supervisor.register(current, caller, resources)
        self._counter.stream_opened()
        stream.resources.callback(self._settle, caller.account, quota, stream)
        return stream

    def _current_entry(self, task: ChatTask) -> ProviderEntry:
        """Return the task's provider as it is now: a reload may have replaced the catalog while the request waited."""
        entry = self.catalog.get(task.entry.name)
        if entry is None or not entry.offers(task.request.model):
            raise Refusal("overloaded", "The configuration has just changed. Try again.", retry_after=RETRY_SECONDS)
        return entry

    async def _publish(self, stream: Stream, task: ChatTask, claim: Claim | None) -> bool:
        """Publish ``stream``. Return False, and discard it, if another request claimed the same key first."""
        published = False
        try:
            published = await self.store.publish(stream, claim, task.names(stream.id)) is None
        finally:
            if not published:
                self.supervisor.discard(stream)
        return published

    async def _find_claimed(self, claim: Claim, task: ChatTask) -> ReadableStream | None:
        """Return the stream that the claim's key stands for, None if the key is free."""
        claimed = await self.store.find_claim(claim.key)
        if claimed is None:
            return None
        stream = await self.find(claimed.stream_id)
        if stream is None or can_regenerate(stream.log) or await self._is_deleted(claimed.stream_id, task):
            await self.store.release_claim(claim.key, claimed)
            return None
        _check_fingerprint(claim, claimed)
        return stream

    async def _is_deleted(self, stream_id: str, task: ChatTask) -> bool:
        """Return whether a stream has lost a name that ``task`` would give it: its client has deleted it."""
        for name in task.names(stream_id):
            if await self.store.lookup(name) is None:
                return True
        return False

    async def _await_publication(self, claim: Claim, task: ChatTask) -> ReadableStream | None:
        """Retry the lookup: the concurrent request that holds the user's last slot may be about to publish the key."""
        for wait in _PUBLICATION_WAITS_SECONDS:
            await asyncio.sleep(wait)
            if (found := await self._find_claimed(claim, task)) is not None:
                return found
        return None

    def _settle(self, account: str, quota: Quota, stream: Stream) -> None:
        """Count a stream as closed, and charge its tokens to the account."""
        self._counter.stream_closed()
        ending = stream.log.proposed  # a fence, which other nodes write, does not know the usage
        if ending is not None and ending.usage is not None:
            self.limiter.charge(account, quota, ending.usage.total_tokens)


def _check_fingerprint(claim: Claim, claimed: ClaimHolder) -> None:
    if claimed.fingerprint != claim.fingerprint:
        raise invalid("Idempotency-Key", "This idempotency key was used for another request.")


def limit_refusal(reached: QuotaExhausted) -> Refusal:
    """Return the refusal of a caller that has used up a limit."""
    return Refusal(
        "rate_limited",
        _LIMIT_MESSAGES[reached.limit].format(quota=reached.quota),
        retry_after=max(1.0, reached.retry_after),
        limit=LimitInfo(reached.limit, reached.quota, reached.window),
    )
