"""Responses that are retained: found by their public ids, by the user that started them alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from loguru import logger

from providers.base import Frame
from streamserver.core.caller import Caller
from streamserver.core.refusals import Refusal, invalid, store_unavailable
from streamserver.core.streams import Streams
from streamserver.log.base import Log
from streamserver.store.base import ReadableStream, StoreUnavailable
from streamserver.wire.events import to_json
from streamserver.wire.ids import HASH_LENGTH
from streamserver.wire.responses import current_response
from streamserver.wire.responses_object import response_id

_OWN_ITEM_PREFIXES = ("msg_", "rs_", "fc_", "ctc_")
_BINDING_WAITS_SECONDS = (0.02, 0.04, 0.08, 0.16)
"""How long to look for an item again: a client may refer to it before the answer's own request has bound it."""


def response_name(public_id: str) -> str:
    """Return the name under which the store has a Response's stream."""
    return f"response:{public_id}"


async def find_response(streams: Streams, caller: Caller, public_id: str) -> ReadableStream:
    """Return the stream of a Response. Raises a refusal if it is unknown, deleted, not stored or another user's."""
    stream = await _find(streams, caller, response_name(public_id))
    if stream is None:
        raise Refusal("response_not_found", f"Response with id '{public_id[:64]}' not found.")
    return stream


async def forget_response(streams: Streams, caller: Caller, stream: ReadableStream) -> None:
    """Let neither the Response of a stream nor its items be found again. Raises a refusal."""
    items = [_item_name(caller, item_id) for item_id in await _foreign_items(stream.log)]
    try:
        for name in (response_name(response_id(stream.id)), *items):
            await streams.store.unbind(name)
    except StoreUnavailable:
        raise store_unavailable() from None


async def bind_items(streams: Streams, caller: Caller, log: Log, response: Mapping[str, Any] | None = None) -> None:
    """Bind the ids of the provider's own items, which a client may refer to in the next turn.

    ``response`` is that of ``log``, if it has been made already. Items of ours need no name: the Response's id can be
    told from them. Without a store nothing is bound: the answer is whole all the same.
    """
    try:
        for item_id in await _foreign_items(log, response):
            await streams.store.bind(_item_name(caller, item_id), log.stream_id)
    except StoreUnavailable:
        logger.bind(event="items", stream_id=log.stream_id[:6]).warning("the items of a Response were not bound")


async def resolve_references(streams: Streams, caller: Caller, items: Iterable[Any], max_bytes: int) -> list[Any]:
    """Return ``items`` with each ``item_reference`` replaced by the item of a retained Response.

    openai's provider of the AI SDK sends one for each earlier text by default. Raises a refusal for an unknown one, and
    if the items are larger than ``max_bytes`` together: one item may be referred to many times.
    """
    known: dict[str, Any] = {}
    resolved = []
    size = 0
    for number, item in enumerate(items):
        if isinstance(item, dict) and item.get("type") == "item_reference":
            item_id = item.get("id")
            if not isinstance(item_id, str) or not item_id:
                raise invalid(f"input[{number}].id", "Expected the id of an item.")
            if item_id not in known:
                known.update(await _items_beside(streams, caller, item_id))
            size += len(to_json(known[item_id]))
            if size > max_bytes:
                raise invalid("input", f"The referenced items are larger than {max_bytes} bytes together.")
            resolved.append(known[item_id])
        else:
            resolved.append(item)
    return resolved


async def _items_beside(streams: Streams, caller: Caller, item_id: str) -> dict[str, Any]:
    """Return the items of the Response that has item ``item_id``, by their ids. Raises a refusal without one."""
    own = _response_of_item(item_id)
    finders = [partial(_find, streams, caller, response_name(own))] if own else []
    finders.append(partial(_find_foreign, streams, caller, item_id))
    for wait in (0, *(() if own else _BINDING_WAITS_SECONDS)):
        await asyncio.sleep(wait)
        for find in finders:
            stream = await find()
            items = {} if stream is None else _items(await current_response(stream.log))
            if item_id in items:
                return items
    raise Refusal(
        "response_not_found",
        f"Item with id '{item_id[:64]}' not found. Items are kept for resume.retention_seconds; send them whole, or "
        "set store to false, so that the client does.",
        field="input",
    )


async def _find_foreign(streams: Streams, caller: Caller, item_id: str) -> ReadableStream | None:
    """Return the stream of the Response that has a provider's own item, None if there is none.

    The item of a deleted Response can still be bound: its last reader may have bound it after the deletion.
    """
    stream = await _find(streams, caller, _item_name(caller, item_id))
    return None if stream is None else await _find(streams, caller, response_name(response_id(stream.id)))


async def _find(streams: Streams, caller: Caller, name: str) -> ReadableStream | None:
    stream = await streams.find_named(name)
    return stream if stream is not None and _may_read(caller, stream.log) else None


def _may_read(caller: Caller, log: Log) -> bool:
    return log.start.user == caller.key_name and log.start.options.get("store") is not False


def _items(response: Mapping[str, Any]) -> dict[str, Any]:
    return {item["id"]: item for item in response["output"] if isinstance(item.get("id"), str)}


async def _foreign_items(log: Log, response: Mapping[str, Any] | None = None) -> list[str]:
    """Return the ids of items that are the provider's own, of a Response that can be read again.

    An answer that is passed on begins with a frame, in the place of the first piece.
    """
    is_passed_on = any(isinstance(record, Frame) for record in log.take(1, 1))
    if not is_passed_on or log.start.options.get("store") is False:
        return []
    own = response_id(log.stream_id)
    items = _items(response or await current_response(log))
    return [item_id for item_id in items if _response_of_item(item_id) != own]


def _item_name(caller: Caller, item_id: str) -> str:
    return f"item:{caller.key_name}:{item_id}"


def _response_of_item(item_id: str) -> str | None:
    """Return the id of the Response that an item of ours is in, None if it is not of our form."""
    for prefix in _OWN_ITEM_PREFIXES:
        public, separator, number = item_id.removeprefix(prefix).rpartition("_")
        if item_id.startswith(prefix) and separator and number.isdigit() and len(public) == HASH_LENGTH:
            return f"resp_{public}"
    return None
