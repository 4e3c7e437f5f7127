"""A provider's own frames of a message, replayed: what has to be looked at in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from providers.base import Frame
from providers.lenient import as_count, as_object
from streamserver.log.records import Done
from streamserver.wire.events import from_json, named_event, to_json, without_nulls
from streamserver.wire.messages_blocks import message_event
from streamserver.wire.messages_usage import NO_USAGE, usage_fields

ENDING = frozenset({"message_delta", "message_stop"})
"""The types of the frames that end a message."""


def replayed_start(frame: Frame, model: str) -> bytes:
    """Return the provider's own ``message_start``, with the fields and the counts that the SDKs demand."""
    event = from_json(frame.data)
    message = as_object(event.get("message"))
    own: dict[str, Any] = as_object(message.get("usage"))
    counted = all(isinstance(own.get(name), int) for name in ("input_tokens", "output_tokens"))
    if not message or (counted and message.get("model") and message.get("content") is not None):
        return named_event(frame.type, frame.data)
    usage = {**NO_USAGE, **without_nulls(own)}
    fields = {"content": message.get("content") or [], "model": message.get("model") or model, "usage": usage}
    message = {**message, **fields}
    return named_event(frame.type, to_json({**event, "message": message}))


def replayed_end(frames: Sequence[Frame], done: Done) -> bytes:
    """Return the provider's own end, which has to be whole: without a count in it the SDKs fail."""
    events = [_event(frame, done) for frame in frames if frame.type == "message_delta"]
    stop = next((frame for frame in frames if frame.type == "message_stop"), None)
    events.append(message_event("message_stop", {}) if stop is None else named_event(stop.type, stop.data))
    return b"".join(events)


def _event(frame: Frame, done: Done) -> bytes:
    event = from_json(frame.data)
    delta, own = as_object(event.get("delta")), as_object(event.get("usage"))
    calls_tools = done.finish_reason == "tool_calls" and delta.get("stop_reason") == "end_turn"
    if calls_tools:  # else agents stop
        event["delta"] = {**delta, "stop_reason": "tool_use"}
    if not isinstance(own.get("output_tokens"), int):
        counts = {name: count for name in own if (count := as_count(own[name])) is not None}
        event["usage"] = {**own, **usage_fields(done), **counts}
    elif not calls_tools:
        return named_event(frame.type, frame.data)
    return named_event(frame.type, to_json(event))
