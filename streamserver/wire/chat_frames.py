"""A provider's own chunks of a chat completion, replayed.

They are passed on as they came, but for what the client did not ask for and what breaks the clients of this wire.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from providers.answer import MAX_LESSONS, NO_REASONS
from providers.base import ContentEvent, Frame, Reasoning, RefusalText, Text, ToolCall
from providers.errors import ProviderError
from providers.finish_reasons import finish_reason
from providers.lenient import as_object, objects
from providers.token_shape import TokenShape
from streamserver.log.records import ContinuedText
from streamserver.wire.chat_calls import DETAILS, CallDeltas
from streamserver.wire.chat_usage import complete_usage
from streamserver.wire.events import data_event, from_json, to_json

CHUNK_OBJECT = "chat.completion.chunk"
_TEXT_PIECES = frozenset({Text, ContinuedText, Reasoning})
_ENVELOPE: Mapping[str, type] = {"id": str, "created": int, "model": str}
_NO_USAGE = b',"usage":null'
# An unescaped quote ends a string, so that none of these patterns is ever found inside one.
_PLAIN_ENVELOPE = (
    re.compile(rb'"choices": ?\[\{'),
    re.compile(rb'"delta": ?\{'),
    re.compile(rb'"object": ?"chat\.completion\.chunk"'),
    re.compile(rb'"id": ?"[^"]'),
    re.compile(rb'"created": ?[1-9]'),
    re.compile(rb'"model": ?"[^"]'),
)
_OBFUSCATION = re.compile(rb',\s*"obfuscation":\s*"[^"\\]*"')


class ChunkReplay:
    """A replay of the chunks of one completion.

    - Each choice has ``role`` once, in its first chunk: openai-python joins them, openai-node demands one
      (``accumulate_delta``: https://github.com/openai/openai-python/blob/main/src/openai/lib/streaming/_deltas.py).
    - Each choice has one ``finish_reason``, in the API's own words where the provider has another for the same, and
      ``tool_calls`` where there are some.
    - Tool calls have the indices, ids and types that all clients need.
    - Content and reasoning are text, not lists of parts, unless a part is something else.
    - Usage comes once and last, without choices, and only to a client that asked for it.
    - Each chunk has an id, a time and a model, from ``head`` where the provider gives none.
    - The chunk that finishes the answer waits for its end: after a failure there must be no finish.
    - There is no padding against traffic analysis, and no ``"error": null``, which the AI SDK takes for an error.
    """

    def __init__(self, calls: CallDeltas, head: Mapping[str, Any]) -> None:
        self._calls = calls
        self._head = head
        self._envelope: dict[str, Any] = {}
        """The fields of the first chunk beside its choices."""
        self._usage_chunk: dict[str, Any] | None = None
        self._shape: TokenShape | None = None
        """The shape of the last token, which had nothing to mend but what is left out of these two:"""
        self._before_text = self._after_text = b""
        self._lessons = MAX_LESSONS
        self._began: set[int] = set()
        self._calling: set[int] = set()
        self._finished: set[int] = set()
        self._has_legacy_call = False
        self._waiting: list[tuple[dict[str, Any], bytes]] = []
        """The chunk after which every choice has finished, and those behind it, each with its event."""

    @property
    def has_begun(self) -> bool:
        """Whether there has been a chunk with a choice."""
        return bool(self._began)

    def encode(self, frame: Frame) -> bytes:
        """Return the events of ``frame``, which may be none."""
        shape = self._shape
        if shape is not None and (frame.shape is shape or _fits(shape, frame)):
            return b"".join((self._before_text, frame.data[shape.text], self._after_text))
        return self._encode_other(frame)

    def _encode_other(self, frame: Frame) -> bytes:
        """Return the events of a frame that is not shaped like the last token."""
        data = _without_extras(frame.data)
        if 0 in self._began and _is_token(frame) and _is_plain(data):
            self._learn(frame)
            return b"data: %b\n\n" % data
        chunk = read_chunk(data)
        before = to_json(chunk)
        mended = self.mend(chunk, frame)
        if mended is None:
            return b""
        after = to_json(mended)
        event = b"data: %b\n\n" % (data if after == before else after)
        if self._finished >= self._began:
            self._waiting.append((mended, event))
            return b""
        return self._release() + event

    def _release(self) -> bytes:
        """Return what waits: nothing does any more."""
        waiting, self._waiting = self._waiting, []
        return b"".join(event for _, event in waiting)

    def _learn(self, frame: Frame) -> None:
        """Learn the shape of a token that is sent as it came, so that its like need not be searched."""
        piece, shape = frame.pieces[0], frame.shape
        assert isinstance(piece, (Text, Reasoning))
        if shape is None and self._lessons:  # of frames that differ in more than their text, no shape is used twice
            self._lessons -= 1
            shape = TokenShape.of("", frame.data, piece)
        if shape is None:
            return
        self._shape = shape
        self._before_text = b"data: %b" % _without_extras(shape.before)
        self._after_text = b"%b\n\n" % _without_extras(shape.after)

    def end(self, finish_reason: str, usage: Mapping[str, Any] | None) -> bytes:
        """Return what the provider has not sent, or what was held: the finish reason, then ``usage`` if it is given."""
        parts = [self._release()]
        if 0 not in self._finished:
            choice = {"index": 0, "delta": {}, "finish_reason": finish_reason}
            parts.append(data_event(to_json({**self._envelope, "choices": [choice]})))
        if usage is not None:
            chunk = self._usage_chunk or self._envelope
            counts = complete_usage(chunk.get("usage"), usage)
            parts.append(data_event(to_json({**chunk, "choices": [], "usage": counts})))
        return b"".join(parts)

    def fail(self) -> bytes:
        """Return the pieces that wait, without the finish that they came with."""
        unfinished = []
        for chunk, _ in self._waiting:
            choices = [{**choice, "finish_reason": None} for choice in chunk["choices"] if choice.get("delta")]
            if choices:
                unfinished.append(data_event(to_json({**chunk, "choices": choices})))
        self._waiting.clear()
        return b"".join(unfinished)

    def mend(self, chunk: dict[str, Any], frame: Frame) -> dict[str, Any] | None:
        """Return ``chunk``, which is that of ``frame`` and may be changed, as clients can read it.

        Return None if there is nothing in it for them.
        """
        chunk.pop("obfuscation", None)
        chunk.pop("error", None)  # null: a failure is never in a frame
        usage, choices = chunk.pop("usage", None), list(objects(chunk.get("choices")))
        self._mend_envelope(chunk)
        if isinstance(usage, dict):
            self._usage_chunk = {**chunk, "choices": [], "usage": usage}
        if not choices and frame.pieces:
            choices = [{"index": 0, "delta": _delta_of({}, frame.pieces), "finish_reason": None}]
        if not choices:
            return None
        chunk["choices"] = choices
        if not self._envelope:
            self._envelope = {name: value for name, value in chunk.items() if name != "choices"}
        for choice in choices:
            self._mend_choice(choice, frame.pieces)
        return chunk

    def _mend_envelope(self, chunk: dict[str, Any]) -> None:
        chunk["object"] = CHUNK_OBJECT
        for name in self._head:
            if not is_told(name, chunk.get(name)):
                chunk[name] = (self._envelope or self._head)[name]

    def _mend_choice(self, choice: dict[str, Any], pieces: Sequence[ContentEvent]) -> None:
        index = choice["index"] = choice["index"] if isinstance(choice.get("index"), int) else 0
        if isinstance(message := choice.pop("message", None), dict):
            choice["delta"] = _delta_of(message, pieces)
        delta = as_object(choice.get("delta"))
        if choice.pop("text", None) and not delta:
            delta = _delta_of({}, pieces)
        choice.pop("usage", None)
        if index in self._began:
            delta.pop("role", None)
        else:
            self._began.add(index)
            delta = {"role": "assistant", **delta}
        choice["delta"] = delta
        self._has_legacy_call = self._has_legacy_call or bool(delta.get("function_call"))
        if index == 0:
            _mend_texts(delta, pieces)
            self._mend_calls(delta, pieces)
        if delta.get("tool_calls"):
            self._calling.add(index)
        self._mend_end(choice, index)

    def _mend_calls(self, delta: dict[str, Any], pieces: Sequence[ContentEvent]) -> None:
        calls = list(objects(delta.pop("tool_calls", None)))
        told = [piece for piece in pieces if isinstance(piece, ToolCall) and not _is_end_of_reasoning(piece)]
        if self._has_legacy_call:
            return  # the provider's own form of them is in the delta
        if len(told) == len(calls):
            mended = [self._calls.mended(call, piece) for call, piece in zip(calls, told, strict=True)]
        else:  # the parser joined pieces, or dropped one that was sent twice
            mended = [self._calls.delta(piece) for piece in told]
        if mended:
            delta["tool_calls"] = mended

    def _mend_end(self, choice: dict[str, Any], index: int) -> None:
        reason = choice.get("finish_reason")
        if not isinstance(reason, str) or reason.lower() in NO_REASONS or index in self._finished:
            choice["finish_reason"] = None
            return
        self._finished.add(index)
        if not (reason == "function_call" and self._has_legacy_call):
            choice["finish_reason"] = finish_reason(reason, called_tools=index in self._calling)
        if index == 0 and reason != "length" and (missing := self._calls.missing_arguments()):
            choice["delta"]["tool_calls"] = _joined(choice["delta"].get("tool_calls") or [], missing)


def _without_extras(data: bytes) -> bytes:
    """Return a chunk, or a part of one, without usage that is null and without padding against traffic analysis."""
    return _OBFUSCATION.sub(b"", data.replace(_NO_USAGE, b""))


def _fits(shape: TokenShape, frame: Frame) -> bool:
    """Return whether a frame that has come from another node, without its shape, has this one."""
    return frame.shape is None and frame.pieces == (shape.token_in(frame.data),)


def _is_token(frame: Frame) -> bool:
    return len(frame.pieces) == 1 and frame.pieces[0].__class__ in _TEXT_PIECES


def _is_plain(data: bytes) -> bool:
    """Return whether a chunk with one token has no key that has to be looked at. Nearly all chunks have none."""
    return not (
        b'"role"' in data
        or b'"usage"' in data
        or b'"error"' in data
        or b'"message"' in data
        or b'"tool_calls"' in data
        or b'"content":[' in data
        or b'"content": [' in data
        or b'"obfuscation"' in data
        or not all(field.search(data) for field in _PLAIN_ENVELOPE)
    ) and (b'"finish_reason":null' in data or b'"finish_reason": null' in data or b'"finish_reason"' not in data)


def is_told(name: str, value: object) -> bool:
    """Return whether a chunk has the field ``name``. Some servers send an empty id, time or model."""
    kind = _ENVELOPE.get(name)
    return value is not None if kind is None else bool(value) and isinstance(value, kind)


def read_chunk(data: bytes) -> dict[str, Any]:
    """Return the object in ``data``, which a parser has read before; an empty one if it cannot be decoded whole."""
    try:
        return from_json(data)
    except ProviderError:
        return {}


def _mend_texts(delta: dict[str, Any], pieces: Sequence[ContentEvent]) -> None:
    """Replace lists of parts of which everything was read by their text. SDKs add up strings alone."""
    lists = {name for name in _TEXT_FIELDS if isinstance(delta.get(name), (list, dict)) and delta[name]}
    if lists and all(_is_readable(part) for part in objects(delta.get("content"))):
        for name in lists:
            del delta[name]
        delta.update(_delta_of({}, pieces))


_TEXT_FIELDS = ("content", "reasoning_content", "reasoning")


def _is_readable(part: Mapping[str, Any]) -> bool:
    return any(isinstance(part.get(name), (str, list)) for name in ("text", "thinking", "refusal"))


def _delta_of(message: dict[str, Any], pieces: Sequence[ContentEvent]) -> dict[str, Any]:
    """Return what is new in a whole message, which some servers send in the place of a delta, or after all deltas."""
    texts: dict[str, str] = {}
    for piece in pieces:
        match piece:
            case RefusalText():
                texts["refusal"] = texts.get("refusal", "") + piece.text
            case Reasoning():
                texts["reasoning_content"] = texts.get("reasoning_content", "") + piece.text
            case Text():
                texts["content"] = texts.get("content", "") + piece.text
    calls = message.get("tool_calls") if any(isinstance(piece, ToolCall) for piece in pieces) else None
    return {**texts, **({"tool_calls": calls} if calls else {})}


def _is_end_of_reasoning(piece: ToolCall) -> bool:
    """Return whether ``piece`` only repeats what the provider has sent beside its calls."""
    return not piece.arguments and piece.name is None and piece.extra is not None and set(piece.extra) == {DETAILS}


def _joined(calls: list[dict[str, Any]], missing: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``calls`` with the arguments of those that have none. A chunk has no index twice."""
    by_index = {call["index"]: call for call in calls}
    for piece in missing:
        known = by_index.setdefault(piece["index"], piece)
        if known is not piece:
            known["function"]["arguments"] = piece["function"]["arguments"]
    return list(by_index.values())
