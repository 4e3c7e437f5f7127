"""The output items of a translated Response, and the events that build them up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from providers import opaque
from providers.base import BlockEnd, ContentEvent, Opaque, Reasoning, RefusalText, Text, ToolCall
from providers.jsontext import as_json_object

ItemEvent: TypeAlias = tuple[str, Mapping[str, Any]]
"""The type of an event and its fields, without the sequence number."""


class Items:
    """The output items in the order in which they were added.

    One message or reasoning item is open at a time. Tool calls may interleave: the wire tells them apart by their
    ``output_index``.
    """

    def __init__(self, public: str) -> None:
        self._hash = public
        self._items: list[_Item] = []
        self._open: _MessageItem | _ReasoningItem | None = None
        self._calls: dict[int, _CallItem] = {}

    def done_items(self) -> list[dict[str, Any]]:
        """Return the items that are done."""
        return [item.whole for item in self._items if item.is_done]

    def add(self, piece: ContentEvent) -> Iterator[ItemEvent]:
        match piece:
            case ToolCall():
                yield from self._tool_call(piece)
            case BlockEnd():
                yield from self._block_end(piece)
            case Text(text="") | Reasoning(text=""):
                return
            case Reasoning():
                yield from self._ensure(_ReasoningItem)
                assert isinstance(self._open, _ReasoningItem)
                yield from self._open.add(piece.text)
            case Text():
                yield from self._ensure(_MessageItem)
                assert isinstance(self._open, _MessageItem)
                yield from self._open.add(piece.text, "refusal" if isinstance(piece, RefusalText) else "output_text")

    def end(self, status: str) -> Iterator[ItemEvent]:
        """Close every item that is open. ``status`` is ``completed`` or ``incomplete``."""
        for item in self._items:
            if not item.is_done:
                yield from item.end(status)
        self._open = None

    def _ensure(self, kind: type[_MessageItem | _ReasoningItem]) -> Iterator[ItemEvent]:
        """Open an item of ``kind``, unless it is open."""
        if not isinstance(self._open, kind):
            yield from self._close_open()
            yield from self._close_complete_calls()
            self._open = kind(f"{kind.prefix}_{self._hash}_{len(self._items)}", len(self._items))
            yield from self._added(self._open)

    def _tool_call(self, piece: ToolCall) -> Iterator[ItemEvent]:
        call = self._calls.get(piece.index)
        if call is None:
            yield from self._close_open()
            yield from self._close_complete_calls()
            index = len(self._items)
            call_id = piece.id or ""
            if not call_id or any(other.call_id == call_id for other in self._calls.values()):
                # openai-python's tool runner refuses two calls of one id (`openai/lib/responses_tool_runner.py`).
                call_id = f"call_{self._hash}_{index}"
            call = self._calls[piece.index] = _CallItem(
                f"{'ctc' if piece.custom else 'fc'}_{self._hash}_{index}", index, call_id, piece
            )
            yield from self._added(call)
        if not call.is_done:
            yield from call.add(piece.arguments)

    def _block_end(self, end: BlockEnd) -> Iterator[ItemEvent]:
        if end.kind == "reasoning":
            if end.opaque is not None:
                yield from self._ensure(_ReasoningItem)
                assert isinstance(self._open, _ReasoningItem)
                self._open.opaque = end.opaque
            yield from self._close_open()
        elif end.kind == "tool_call" and end.index in self._calls:
            call = self._calls[end.index]
            if not call.is_done:
                yield from call.end("completed")
        elif isinstance(self._open, _MessageItem):
            yield from self._close_open()

    def _added(self, item: _Item) -> Iterator[ItemEvent]:
        self._items.append(item)
        yield "response.output_item.added", {"output_index": item.index, "item": item.begun()}

    def _close_open(self) -> Iterator[ItemEvent]:
        item, self._open = self._open, None
        if item is not None:
            yield from item.end("completed")

    def _close_complete_calls(self) -> Iterator[ItemEvent]:
        for call in self._calls.values():
            if not call.is_done and call.is_complete():
                yield from call.end("completed")


class _Item:
    """An output item. ``whole`` is what it is in the end."""

    def __init__(self, item_id: str, index: int) -> None:
        self.id = item_id
        self.index = index
        self.is_done = False
        self.whole: dict[str, Any] = {}

    def begun(self) -> dict[str, Any]:
        """Return the item as it is added."""
        raise NotImplementedError

    def finished(self, status: str) -> dict[str, Any]:
        """Return the item as it is in the end."""
        raise NotImplementedError

    def last_events(self) -> Iterator[ItemEvent]:
        """Yield what closes the parts of the item."""
        raise NotImplementedError

    def end(self, status: str) -> Iterator[ItemEvent]:
        yield from self.last_events()
        self.is_done = True
        self.whole = self.finished(status)
        yield "response.output_item.done", {"output_index": self.index, "item": self.whole}

    def at(self, **fields: Any) -> dict[str, Any]:
        """Return the fields of an event of this item."""
        return {"item_id": self.id, "output_index": self.index, **fields}


class _MessageItem(_Item):
    prefix = "msg"

    def __init__(self, item_id: str, index: int) -> None:
        super().__init__(item_id, index)
        self._parts: list[tuple[str, list[str]]] = []

    def begun(self) -> dict[str, Any]:
        return self._item("in_progress", [])

    def finished(self, status: str) -> dict[str, Any]:
        return self._item(status, [_part(kind, "".join(texts)) for kind, texts in self._parts])

    def add(self, text: str, kind: str) -> Iterator[ItemEvent]:
        if not self._parts or self._parts[-1][0] != kind:
            yield from self.last_events()
            self._parts.append((kind, []))
            yield "response.content_part.added", self.at(content_index=len(self._parts) - 1, part=_part(kind, ""))
        self._parts[-1][1].append(text)
        more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        name = "response.output_text.delta" if kind == "output_text" else "response.refusal.delta"
        yield name, self.at(content_index=len(self._parts) - 1, delta=text, **more)

    def last_events(self) -> Iterator[ItemEvent]:
        if not self._parts:
            return
        kind, texts = self._parts[-1]
        number, text = len(self._parts) - 1, "".join(texts)
        if kind == "output_text":
            yield "response.output_text.done", self.at(content_index=number, text=text, logprobs=[])
        else:
            yield "response.refusal.done", self.at(content_index=number, refusal=text)
        yield "response.content_part.done", self.at(content_index=number, part=_part(kind, text))

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "type": "message", "role": "assistant", "status": status, "content": content}


class _ReasoningItem(_Item):
    prefix = "rs"

    def __init__(self, item_id: str, index: int) -> None:
        super().__init__(item_id, index)
        self.opaque: Opaque | None = None
        self._texts: list[str] = []

    def begun(self) -> dict[str, Any]:
        return {"id": self.id, "type": "reasoning", "summary": [], "status": "in_progress"}

    def finished(self, status: str) -> dict[str, Any]:
        summary = [{"type": "summary_text", "text": "".join(self._texts)}] if self._texts else []
        encrypted = None if self.opaque is None else opaque.seal(self.opaque)
        return {**self.begun(), "status": status, "summary": summary, "content": [], "encrypted_content": encrypted}

    def add(self, text: str) -> Iterator[ItemEvent]:
        if not self._texts:
            part = {"type": "summary_text", "text": ""}
            yield "response.reasoning_summary_part.added", self.at(summary_index=0, part=part)
        self._texts.append(text)
        yield "response.reasoning_summary_text.delta", self.at(summary_index=0, delta=text)

    def last_events(self) -> Iterator[ItemEvent]:
        if self._texts:
            text = "".join(self._texts)
            part = {"type": "summary_text", "text": text}
            yield "response.reasoning_summary_text.done", self.at(summary_index=0, text=text)
            yield "response.reasoning_summary_part.done", self.at(summary_index=0, part=part)


class _CallItem(_Item):
    def __init__(self, item_id: str, index: int, call_id: str, first: ToolCall) -> None:
        super().__init__(item_id, index)
        self.call_id = call_id
        self._name = first.name or ""
        self._custom = first.custom
        self._arguments: list[str] = []

    def begun(self) -> dict[str, Any]:
        return self._item("in_progress", "")

    def finished(self, status: str) -> dict[str, Any]:
        return self._item(status, "".join(self._arguments))

    def is_complete(self) -> bool:
        """Return whether nothing can follow. Only the provider knows that of a custom tool's free text."""
        return not self._custom and as_json_object("".join(self._arguments)) is not None

    def add(self, arguments: str) -> Iterator[ItemEvent]:
        self._arguments.append(arguments)
        if arguments:
            name = "custom_tool_call_input" if self._custom else "function_call_arguments"
            yield f"response.{name}.delta", self.at(delta=arguments)

    def end(self, status: str) -> Iterator[ItemEvent]:
        if status == "completed" and not self._custom and not any(self._arguments):
            yield from self.add("{}")  # no text at all would be no JSON
        yield from super().end(status)

    def last_events(self) -> Iterator[ItemEvent]:
        arguments = "".join(self._arguments)
        if self._custom:
            yield "response.custom_tool_call_input.done", self.at(input=arguments)
        else:
            yield "response.function_call_arguments.done", self.at(arguments=arguments, name=self._name)

    def _item(self, status: str, arguments: str) -> dict[str, Any]:
        kind, content = ("custom_tool_call", "input") if self._custom else ("function_call", "arguments")
        fields = {"id": self.id, "type": kind, "status": status, "call_id": self.call_id, "name": self._name}
        return {**fields, content: arguments}


def _part(kind: str, text: str) -> dict[str, Any]:
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
