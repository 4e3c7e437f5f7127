"""Responses that are retained: found by their public ids, by the user that started them alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from providers.base import Frame
from streamserver.core.caller import Caller
from streamserver.core.refusals import Refusal, store_unavailable
from streamserver.core.streams import Streams
from streamserver.log.base import Log
from streamserver.store.base import Readable, StoreUnavailable
from streamserver.wire.ids import HASH_LENGTH
from streamserver.wire.responses import response_of
from streamserver.wire.responses_object import response_id

_OWN_ITEM_PREFIXES = ("msg_", "rs_", "fc_")


def response_name(public_id: str) -> str:
    """Return the name under which the store has a Response's stream."""
    return f"response:{public_id}"


async def find_response(streams: Streams, caller: Caller, public_id: str) -> Readable:
    """Return the stream of a Response. Raises a refusal if it is unknown, deleted, not stored or another user's."""
    stream = await _find(streams, caller, response_name(public_id))
    if stream is None or stream.log.start.options.get("store") is False:
        raise Refusal("response_not_found", f"Response with id '{public_id[:64]}' not found.")
    return stream


async def bind_items(streams: Streams, caller: Caller, log: Log) -> None:
    """Bind the ids of the provider's own items, which a client may refer to in the next turn.

    Ours need no name: the Response's id can be told from them.
    """
    records = log.take(0, len(log))
    if not any(isinstance(record, Frame) for record in records):
        return
    for item in response_of(records)["output"]:
        item_id = item.get("id")
        if isinstance(item_id, str) and _response_of_item(item_id) != response_id(log.stream_id):
            await streams.store.bind(_item_name(caller, item_id), log.stream_id)


async def resolve_references(streams: Streams, caller: Caller, items: Iterable[Any]) -> list[Any]:
    """Return ``items`` with each ``item_reference`` replaced by the item of a retained Response.

    openai's provider of the AI SDK sends one for each earlier text by default. Raises a refusal for an unknown one.
    """
    return [await _resolve(streams, caller, item) for item in items]


async def _resolve(streams: Streams, caller: Caller, item: Any) -> Any:
    if not isinstance(item, dict) or item.get("type") != "item_reference":
        return item
    item_id = str(item.get("id"))
    own = _response_of_item(item_id)
    stream = await _find(streams, caller, response_name(own) if own else _item_name(caller, item_id))
    if stream is None and own:
        stream = await _find(streams, caller, _item_name(caller, item_id))
    if stream is not None:
        for found in response_of(stream.log.take(0, len(stream.log)))["output"]:
            if found.get("id") == item_id:
                return found
    raise Refusal(
        "response_not_found",
        f"Item with id '{item_id[:64]}' not found. Items are kept for resume.retention_seconds; send them whole, or "
        "set store to false, so that the client does.",
        field="input",
    )


async def _find(streams: Streams, caller: Caller, name: str) -> Readable | None:
    try:
        stream_id = await streams.store.lookup(name)
        stream = None if stream_id is None else await streams.find(stream_id)
    except StoreUnavailable:
        raise store_unavailable() from None
    return stream if stream is not None and stream.log.start.user == caller.key_name else None


def _item_name(caller: Caller, item_id: str) -> str:
    return f"item:{caller.key_name}:{item_id}"


def _response_of_item(item_id: str) -> str | None:
    """Return the id of the Response that an item of ours is in, None if it is not of our form."""
    for prefix in _OWN_ITEM_PREFIXES:
        public, separator, number = item_id.removeprefix(prefix).rpartition("_")
        if item_id.startswith(prefix) and separator and number.isdigit() and len(public) == HASH_LENGTH:
            return f"resp_{public}"
    return None
