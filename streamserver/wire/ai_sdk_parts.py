"""The parts of a UI message: opened before their pieces, closed before the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from providers import jsontext, opaque
from providers.base import BlockEnd, ContentEvent, Opaque, Reasoning, Text, ToolCall

Chunk: TypeAlias = dict[str, Any]
PROVIDER_KEY = "streamserver"
"""The key of our entry in ``providerMetadata``, which the hook keeps and sends back with the part."""


class _ToolPart:
    """A tool call with an input that is still being streamed."""

    def __init__(self, piece: ToolCall, call_id: str) -> None:
        self.is_open = True
        self._names = {"toolCallId": call_id, "toolName": piece.name or ""}
        self._custom = piece.custom
        self._text = ""
        self._extra: dict[str, Any] = {}

    def start(self) -> Chunk:
        encoding = {"inputEncoding": "text"} if self._custom else {}
        return {"type": "tool-input-start", **self._names, **encoding}

    def add(self, piece: ToolCall) -> Iterator[Chunk]:
        self._extra |= piece.extra or {}
        if self.is_open and piece.arguments:
            self._text += piece.arguments
            delta = {"toolCallId": self._names["toolCallId"], "inputTextDelta": piece.arguments}
            yield {"type": "tool-input-delta", **delta}

    def has_whole_object(self) -> bool:
        """Return whether the text so far is a JSON object, which nothing can continue."""
        return not self._custom and jsontext.as_json_object(self._text) is not None

    def close(self, *, may_be_empty: bool = True) -> Chunk:
        """Return the chunk with the whole input, or, if that is no JSON, the one that says so."""
        self.is_open = False
        try:
            value = self._text if self._custom else _parse(self._text or ("{}" if may_be_empty else ""))
        except ValueError:
            error = "The model's input for this tool is not valid JSON."
            return {"type": "tool-input-error", **self._names, "input": self._text, "errorText": error}
        metadata = {"providerMetadata": {PROVIDER_KEY: {"call": self._extra}}} if self._extra else {}
        return {"type": "tool-input-available", **self._names, "input": value, **metadata}


class Parts:
    """The parts of a message. One text or reasoning part is open at a time; tool calls may interleave.

    ``taken`` are the ids of the message's earlier tool calls: the hook finds a call by its id, in the whole message.
    """

    def __init__(self, public: str, taken: Iterable[str] = ()) -> None:
        self._hash = public
        self._taken = set(taken)
        self._open: tuple[str, str] | None = None
        """The kind and the id of the open part."""
        self._count = 0
        self._calls: dict[int, _ToolPart] = {}

    @property
    def has_calls(self) -> bool:
        return bool(self._calls)

    def add(self, piece: ContentEvent) -> Iterator[Chunk]:
        """Yield the chunks of the next piece."""
        match piece:
            case ToolCall():
                yield from self._tool_call(piece)
            case BlockEnd():
                yield from self._block_end(piece)
            case Reasoning():
                yield from self._text("reasoning", piece.text)
            case Text():
                yield from self._text("text", piece.text)

    def end(self, *, is_cut: bool) -> Iterator[Chunk]:
        """Close every part. ``is_cut``: the answer was too long, so that a call without input is not complete."""
        yield from self.close_text()
        for call in self._calls.values():
            if call.is_open:
                yield call.close(may_be_empty=not is_cut)

    def close_text(self, metadata: Mapping[str, Any] | None = None) -> Iterator[Chunk]:
        """Close the open text or reasoning. Tool calls stay open: a page runs the calls that are complete, and of an
        answer that failed none is to be run."""
        if self._open is not None:
            kind, part_id = self._open
            self._open = None
            more = {} if metadata is None else {"providerMetadata": {PROVIDER_KEY: dict(metadata)}}
            yield {"type": f"{kind}-end", "id": part_id, **more}

    def _text(self, kind: str, text: str) -> Iterator[Chunk]:
        if text:
            yield from self._ensure(kind)
            assert self._open is not None
            yield {"type": f"{kind}-delta", "id": self._open[1], "delta": text}

    def _ensure(self, kind: str) -> Iterator[Chunk]:
        if self._open is None or self._open[0] != kind:
            yield from self._close_before_next()
            self._open = (kind, f"{kind[0]}{self._count}")
            self._count += 1
            yield {"type": f"{kind}-start", "id": self._open[1]}

    def _tool_call(self, piece: ToolCall) -> Iterator[Chunk]:
        call = self._calls.get(piece.index)
        if call is None:
            yield from self._close_before_next()
            call = self._calls[piece.index] = _ToolPart(piece, self._new_id(piece))
            yield call.start()
        yield from call.add(piece)

    def _new_id(self, piece: ToolCall) -> str:
        call_id = piece.id
        if not call_id or call_id in self._taken:
            call_id = f"call_{self._hash}_{len(self._calls)}"
        self._taken.add(call_id)
        return call_id

    def _block_end(self, end: BlockEnd) -> Iterator[Chunk]:
        if end.kind == "tool_call":
            call = None if end.index is None else self._calls.get(end.index)
            if call is not None and call.is_open:
                yield call.close()
        elif end.kind == "reasoning" and end.opaque is not None:
            yield from self._ensure("reasoning")
            yield from self.close_text(_metadata(end.opaque))
        elif self._open is not None and self._open[0] == ("reasoning" if end.kind == "reasoning" else "text"):
            yield from self.close_text()

    def _close_before_next(self) -> Iterator[Chunk]:
        """Close what the beginning of another part shows to be complete."""
        yield from self.close_text()
        for call in self._calls.values():
            if call.is_open and call.has_whole_object():
                yield call.close()


def _parse(text: str) -> Any:
    """Return the value of JSON ``text``. Raises :class:`ValueError`."""
    try:
        return jsontext.loads(jsontext.scalar(text).encode())
    except RecursionError:
        raise ValueError("lists and objects are nested too deeply") from None


def _metadata(part: Opaque) -> dict[str, str]:
    return {"signature": opaque.seal(part)}
