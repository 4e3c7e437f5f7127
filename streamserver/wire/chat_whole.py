"""A whole chat completion, from the records of its stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from providers import opaque
from providers.base import BlockEnd, Frame, Reasoning, Refusal, Text, ToolCall
from streamserver.log.records import Done, Record, Start
from streamserver.wire.chat_usage import usage_fields
from streamserver.wire.ids import public_hash

_ONCE = frozenset({"role", "id", "type", "index", "object"})
"""Strings of a delta that a later piece replaces; all others are pieces to be joined."""


def whole_completion(records: Sequence[Record]) -> dict[str, Any]:
    """Return the ``chat.completion`` of a log that ended in a :class:`~streamserver.log.records.Done`."""
    start, done = records[0], records[-1]
    assert isinstance(start, Start) and isinstance(done, Done)
    frames = [record for record in records if isinstance(record, Frame) and record.protocol == "chat"]
    chunks = [msgspec.json.decode(frame.data) for frame in frames]
    if chunks:
        return _merge(chunks, done)
    finish_reason = done.finish_reason
    choice = {"index": 0, "message": _message(records, start), "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": f"chatcmpl-{public_hash(start.stream_id)}",
        "object": "chat.completion",
        "created": start.created,
        "model": done.model,
        "choices": [choice],
        "usage": usage_fields(done),
    }


def pieces_of(records: Sequence[Record]) -> Iterator[Text | Reasoning | ToolCall | BlockEnd]:
    """Yield the pieces of an answer, those in another protocol's frames too."""
    for record in records:
        if isinstance(record, Frame):
            yield from record.pieces
        elif isinstance(record, (Text, Reasoning, ToolCall, BlockEnd)):
            yield record


def _message(records: Sequence[Record], start: Start) -> dict[str, Any]:
    texts: dict[type, list[str]] = {Text: [], Refusal: [], Reasoning: []}
    calls: dict[int, dict[str, Any]] = {}
    details: list[Any] = []
    for piece in pieces_of(records):
        match piece:
            case ToolCall():
                call_id = f"call_{public_hash(start.stream_id)}_{len(calls)}"
                _add_call(calls.setdefault(piece.index, {"id": call_id}), piece)
                details += (piece.extra or {}).get("reasoning_details") or ()
            case BlockEnd():
                if piece.opaque is not None:
                    details.append({"type": "reasoning.encrypted", "data": opaque.seal(piece.opaque)})
            case Refusal():
                texts[Refusal].append(piece.text)
            case Reasoning():
                texts[Reasoning].append(piece.text)
            case Text():
                texts[Text].append(piece.text)
    content, refusal = "".join(texts[Text]), "".join(texts[Refusal]) or None
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if not content and (calls or refusal) else content,
        "refusal": refusal,
    }
    if texts[Reasoning]:
        message["reasoning_content"] = "".join(texts[Reasoning])
    if details:
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def _add_call(call: dict[str, Any], piece: ToolCall) -> None:
    kind, content = ("custom", "input") if piece.custom else ("function", "arguments")
    call["id"] = piece.id or call["id"]
    call["type"] = kind
    function = call.setdefault(kind, {"name": "", content: ""})
    function["name"] = piece.name or function["name"]
    function[content] += piece.arguments
    call.update({name: value for name, value in (piece.extra or {}).items() if name != "reasoning_details"})


def _merge(chunks: Sequence[dict[str, Any]], done: Done) -> dict[str, Any]:
    """Return the completion that a provider's own chunks make up, with every field that they have."""
    completion: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk.pop("choices", None) or ():
            _merge_choice(choices.setdefault(choice.get("index") or 0, {}), choice)
        completion.update({name: value for name, value in chunk.items() if value is not None})
    completion["object"] = "chat.completion"
    completion["choices"] = [_closed(index, choices[index]) for index in sorted(choices)]
    completion.setdefault("usage", usage_fields(done))
    completion.pop("obfuscation", None)
    return completion


def _merge_choice(choice: dict[str, Any], piece: dict[str, Any]) -> None:
    delta = piece.get("delta")
    if isinstance(delta, dict):
        _join(choice.setdefault("message", {}), delta)
    for name, value in piece.items():
        if name == "delta" or value is None:
            continue
        if name == "logprobs" and isinstance(choice.get(name), dict):
            _join(choice[name], value)
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
        same = next((each for each in whole if index is not None and each.get("index") == index), None)
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
    message.setdefault("content", None)
    message.setdefault("refusal", None)
    for call in message.get("tool_calls") or ():
        call.pop("index", None)
    return {"index": index, "logprobs": None, **choice}
