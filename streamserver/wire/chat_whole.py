"""A whole chat completion, from the records of its stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from providers import opaque
from providers.base import BlockEnd, ContentEvent, Frame, Reasoning, RefusalText, Text, ToolCall
from providers.lenient import as_object
from streamserver.log.records import Done, Record, Start
from streamserver.wire.chat_calls import DETAILS, CallDeltas
from streamserver.wire.chat_ends import chat_finish_reason
from streamserver.wire.chat_frames import ChunkReplay, is_told, read_chunk
from streamserver.wire.chat_usage import complete_usage, usage_fields
from streamserver.wire.ids import public_hash

_ONCE = frozenset({"role", "id", "type", "index", "object"})
"""Strings of a delta that a later piece replaces; all others are pieces to be joined."""


def whole_completion(records: Sequence[Record]) -> dict[str, Any]:
    """Return the ``chat.completion`` of a log that ended in a :class:`~streamserver.log.records.Done`."""
    start, done = records[0], records[-1]
    assert isinstance(start, Start) and isinstance(done, Done)
    message = _message(records, start)
    finish_reason = chat_finish_reason(done, has_refusal=message["refusal"] is not None)
    completion = {
        "id": f"chatcmpl-{public_hash(start.stream_id)}",
        "object": "chat.completion",
        "created": start.created,
        "model": done.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": usage_fields(done),
    }
    chunks = list(_own_chunks(records, start))
    return _merge(chunks, completion) if chunks else completion


def _own_chunks(records: Sequence[Record], start: Start) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a provider that spoke this protocol, mended as in a stream."""
    replay = ChunkReplay(CallDeltas(public_hash(start.stream_id)), {})
    for record in records:
        if isinstance(record, Frame) and record.protocol == "chat":
            chunk = read_chunk(record.data)
            usage = as_object(chunk.get("usage"))
            mended = replay.mend(chunk, record)
            if usage:
                yield {**chunk, "choices": [], "usage": usage}
            if mended is not None:
                yield mended


def pieces_of(records: Sequence[Record]) -> Iterator[ContentEvent]:
    """Yield the pieces of an answer, those in another protocol's frames too."""
    for record in records:
        if isinstance(record, Frame):
            yield from record.pieces
        elif isinstance(record, (Text, Reasoning, ToolCall, BlockEnd)):
            yield record


def _message(records: Sequence[Record], start: Start) -> dict[str, Any]:
    pieces = list(pieces_of(records))
    content = _text(piece for piece in pieces if isinstance(piece, Text) and not isinstance(piece, RefusalText))
    refusal = _text(piece for piece in pieces if isinstance(piece, RefusalText)) or None
    reasoning = _text(piece for piece in pieces if isinstance(piece, Reasoning))
    calls = _calls(pieces, public_hash(start.stream_id))
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if not content and (calls or refusal) else content,
        "refusal": refusal,
    }
    if reasoning:
        message["reasoning_content"] = reasoning
    if details := list(_reasoning_details(pieces)):
        message[DETAILS] = details
    if calls:
        message["tool_calls"] = calls
    return message


def _text(pieces: Iterable[Text | Reasoning]) -> str:
    return "".join(piece.text for piece in pieces)


def _reasoning_details(pieces: Iterable[ContentEvent]) -> Iterator[Any]:
    """Yield what only the vendor reads of the reasoning: that of its blocks, and what came with the calls."""
    for piece in pieces:
        match piece:
            case ToolCall():
                yield from (piece.extra or {}).get(DETAILS) or ()
            case BlockEnd() if piece.opaque is not None:
                yield {"type": "reasoning.encrypted", "data": opaque.seal(piece.opaque)}


def _calls(pieces: Iterable[ContentEvent], public: str) -> list[dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for piece in pieces:
        if isinstance(piece, ToolCall):
            _add_call(calls.setdefault(piece.index, {"id": f"call_{public}_{len(calls)}"}), piece)
    return list(calls.values())


def _add_call(call: dict[str, Any], piece: ToolCall) -> None:
    kind, content = ("custom", "input") if piece.custom else ("function", "arguments")
    call["id"] = piece.id or call["id"]
    call["type"] = kind
    function = call.setdefault(kind, {"name": "", content: ""})
    function["name"] = piece.name or function["name"]
    function[content] += piece.arguments
    call.update({name: value for name, value in (piece.extra or {}).items() if name != DETAILS})


def _merge(chunks: Sequence[dict[str, Any]], translated: dict[str, Any]) -> dict[str, Any]:
    """Return the completion that a provider's own chunks make up, with every field that they have.

    What they do not have is that of ``translated``.
    """
    completion = dict(translated)
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk.pop("choices"):
            _merge_choice(choices.setdefault(choice["index"], {}), choice)
        completion.update({name: value for name, value in chunk.items() if is_told(name, value)})
    completion["object"] = translated["object"]
    completion["usage"] = complete_usage(completion["usage"], translated["usage"])
    if choices:
        completion["choices"] = [_closed(index, choices[index]) for index in sorted(choices)]
        completion["choices"][0].setdefault("finish_reason", translated["choices"][0]["finish_reason"])
    return completion


def _merge_choice(choice: dict[str, Any], piece: dict[str, Any]) -> None:
    delta = piece.get("delta")
    if isinstance(delta, dict):
        _join(choice.setdefault("message", {}), delta)
    for name, value in piece.items():
        if name == "delta" or value is None:
            continue
        known = choice.get(name)
        if name == "logprobs" and isinstance(known, dict) and isinstance(value, dict):
            _join(known, value)
        else:
            choice[name] = value


def _join(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    """Join a piece of an object to what came of it: strings are appended, entries of lists go to their ``index``."""
    for name, value in piece.items():
        known = whole.get(name)
        match value:
            case None:
                whole.setdefault(name, None)
            case str() if isinstance(known, str) and name not in _ONCE:
                whole[name] = known + value
            case dict() if isinstance(known, dict):
                _join(known, value)
            case list():
                whole[name] = _join_list(known if isinstance(known, list) else [], value)
            case _:
                whole[name] = value


def _join_list(whole: list[Any], pieces: list[Any]) -> list[Any]:
    for piece in pieces:
        index = piece.get("index") if isinstance(piece, dict) else None
        known = (each for each in whole if isinstance(each, dict) and each.get("index") == index)
        same = next(known, None) if index is not None else None
        if same is None:
            new: Any = {} if isinstance(piece, dict) else piece
            if isinstance(piece, dict):
                _join(new, piece)
            whole.append(new)
        else:
            _join(same, piece)
    return whole


def _closed(index: int, choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.setdefault("message", {})
    message.setdefault("role", "assistant")
    message.setdefault("refusal", None)
    is_other = any(message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio"))
    if message.get("content") is None:
        message["content"] = None if is_other else ""
    if not message.get("tool_calls"):
        message.pop("tool_calls", None)
    for call in message.get("tool_calls") or ():
        call.pop("index", None)
    return {"index": index, "logprobs": None, **choice}
