"""A provider's own frames of a message, replayed: what has to be looked at in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from providers.base import Frame
from providers.lenient import as_count, as_object, as_word
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
    if not message or (_has_counts(own) and message.get("model") and message.get("content") is not None):
        return named_event(frame.type, frame.data)
    usage = {**NO_USAGE, **without_nulls(own)}
    fields = {"content": message.get("content") or [], "model": message.get("model") or model, "usage": usage}
    message = {**message, **fields}
    return named_event(frame.type, to_json({**event, "message": message}))


def _has_counts(usage: Mapping[str, Any]) -> bool:
    return all(isinstance(usage.get(name), int) for name in ("input_tokens", "output_tokens"))


def replayed_end(frames: Sequence[Frame], done: Done, reason: str) -> bytes:
    """Return the provider's own end, which has to be whole: without a reason or a count in it the SDKs fail.

    ``reason`` is Anthropic's word for the end of the answer.
    """
    deltas = [frame for frame in frames if frame.type == "message_delta"]
    stop = next((frame for frame in frames if frame.type == "message_stop"), None)
    events = []
    told: str | None = None
    for frame in deltas:
        event = from_json(frame.data)
        own = as_word(as_object(event.get("delta")).get("stop_reason"))
        told = _reason(own, done, reason) if own else told
        events.append(_event(frame, event, done, told or (reason if frame is deltas[-1] else None)))
    if not deltas:
        delta = {"stop_reason": reason, "stop_sequence": None}
        events.append(message_event("message_delta", {"delta": delta, "usage": usage_fields(done)}))
    events.append(message_event("message_stop", {}) if stop is None else named_event(stop.type, stop.data))
    return b"".join(events)


_WORDS_OF_CHAT = frozenset({"stop", "length", "tool_calls", "content_filter"})


def _reason(own: str, done: Done, reason: str) -> str:
    """Return the provider's ``own`` word, or ``reason`` if that is of another API, or an end that would stop an agent
    although tools were called."""
    is_wrong = own == "end_turn" and done.finish_reason == "tool_calls"
    return reason if is_wrong or own in _WORDS_OF_CHAT else own


def _event(frame: Frame, event: dict[str, Any], done: Done, reason: str | None) -> bytes:
    """Return a ``message_delta`` with ``reason`` in it."""
    delta, own = as_object(event.get("delta")), as_object(event.get("usage"))
    # LangChain reads the counts of this event alone, and none of `message_start`.
    has_counts = _has_counts(own)
    if has_counts and delta and delta.get("stop_reason") == reason:
        return named_event(frame.type, frame.data)
    event["delta"] = {"stop_sequence": None, **delta, "stop_reason": reason}
    if not has_counts:
        counts = {name: count for name in own if (count := as_count(own[name])) is not None}
        event["usage"] = {**own, **usage_fields(done), **counts}
    return named_event(frame.type, to_json(event))
