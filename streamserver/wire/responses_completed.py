"""Events that the copies of the Responses API leave out, written for the clients that build an answer from them.

OpenAI announces every item, streams its text in deltas, and closes it. Servers that copy the API send the text only
with the end of a part, of an item, or of the whole Response; they announce no items, or give them all one index.
Clients read deltas alone, or items alone, or the Response alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from providers.lenient import as_count, as_object, as_word, objects

_OwnEvent: TypeAlias = tuple[str, dict[str, Any]]
"""The type of an event and its data."""
PART_TEXTS: Mapping[str, tuple[str, str]] = {
    "response.output_text": ("text", "output_text"),
    "response.refusal": ("refusal", "refusal"),
    "response.reasoning_text": ("text", "reasoning_text"),
    "response.reasoning_summary_text": ("text", "summary_text"),
}
"""Events of a part's text, by their names without the last word: the part's field and its type."""
ITEM_TEXTS = {"response.function_call_arguments": "arguments", "response.custom_tool_call_input": "input"}
"""The same of an item's own text: the item's field."""
ITEM_PARTS = frozenset({"response.content_part", "response.reasoning_summary_part"})
_ITEM_TYPES = {
    "response.reasoning_text": "reasoning",
    "response.reasoning_summary_text": "reasoning",
    "response.reasoning_summary_part": "reasoning",
    "response.function_call_arguments": "function_call",
    "response.custom_tool_call_input": "custom_tool_call",
}
"""The type of the item that an event is about, if it is no message."""
_ABOUT_PART = {kind: about for about, (_, kind) in PART_TEXTS.items()}
_STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled"})


class EventCompleter:
    """Completes the events of one Response.

    Each item has an index of its own, is announced and closed once, and has its text in deltas.
    """

    def __init__(self) -> None:
        self._indices: dict[int, int] = {}
        """The provider's index of an item → the index of the item that has it now."""
        self._items: dict[int, _ToldItem] = {}
        self._last = 0
        """The provider's index of the item that an event was about last."""
        self._response: dict[str, Any] = {}

    def complete(self, name: str, data: dict[str, Any]) -> list[_OwnEvent]:
        """Return the events to write for one of the provider's, which may be changed."""
        about, _, step = name.rpartition(".")
        if about == "response.output_item" and isinstance(data.get("item"), dict):
            return list(self._added(data) if step == "added" else self._done(data))
        if about in PART_TEXTS or about in ITEM_TEXTS or about in ITEM_PARTS:
            return self._inner(about, step, data)
        if about == "response":
            return list(self._of_response(step, data))
        return [(name, data)]

    def _item_of(self, data: Mapping[str, Any]) -> _ToldItem | None:
        index = data.get("output_index")
        if isinstance(index, int):
            self._last = index
        known = self._indices.get(self._last)
        return None if known is None else self._items[known]

    def _added(self, data: dict[str, Any]) -> Iterator[_OwnEvent]:
        known = self._item_of(data) if isinstance(data.get("output_index"), int) else None
        if known is None or known.is_done or not known.is_same(data["item"]):
            self._open(data, data["item"])
            yield "response.output_item.added", data

    def _done(self, data: dict[str, Any]) -> Iterator[_OwnEvent]:
        item, whole = self._item_of(data), data["item"]
        if item is not None and item.is_done and item.is_same(whole):
            return
        if item is None or item.is_done:
            item = self._open(data, whole)
            yield "response.output_item.added", {"output_index": item.index, "item": _begun(whole)}
        yield from item.missing_deltas(whole)
        item.is_done = True
        data["output_index"] = item.index
        yield "response.output_item.done", data

    def _inner(self, about: str, step: str, data: dict[str, Any]) -> list[_OwnEvent]:
        events: list[_OwnEvent] = []
        item = self._item_of(data)
        if item is None or (item.is_done and step == "delta"):
            begun = _implicit(about, data)
            item = self._open(data, begun)
            events.append(("response.output_item.added", {"output_index": item.index, "item": begun}))
        data["output_index"] = item.index
        if data.get("item_id") is None:
            data["item_id"] = item.id
        if about in ITEM_TEXTS:
            field, where = ITEM_TEXTS[about], ""
        else:
            where = part_index(about)
            field = "" if about in ITEM_PARTS else PART_TEXTS[about][0]
            data.setdefault(where, 0)
        place = (about, as_count(data.get(where)) or 0)
        text = data.get(field)
        if step == "done" and isinstance(text, str) and text and place not in item.told and not item.is_done:
            events.append((f"{about}.delta", {**_without(data, field), "delta": text}))
        if step in ("delta", "done") and field:
            item.told.add(place)
        events.append((f"{about}.{step}", data))
        return events

    def _of_response(self, step: str, data: dict[str, Any]) -> Iterator[_OwnEvent]:
        given = data.get("response")
        response = self._response = given if isinstance(given, dict) else dict(self._response)
        if step in _STATUSES or step == "done":
            if as_word(response.get("status")) not in _STATUSES:
                response["status"] = "completed" if step == "done" else step
            step = response["status"] if step == "done" else step
            if not any(as_object(response.get("error")).values()):
                response["error"] = None
            yield from self._missing_items(response.get("output"))
        data["type"] = f"response.{step}"
        if isinstance(given, dict) or step in _STATUSES:
            data["response"] = response
        yield f"response.{step}", data

    def _missing_items(self, output: object) -> Iterator[_OwnEvent]:
        """Yield all events of the items that have come with the whole Response only."""
        told = list(self._items.values())
        for whole in objects(output):
            known = next((item for item in told if item.is_same(whole)), None)
            known = known or next((item for item in told if item.type == whole.get("type")), None)
            if known is not None:
                told.remove(known)
                continue
            item = self._open({}, whole)
            yield "response.output_item.added", {"output_index": item.index, "item": _begun(whole)}
            yield from item.missing_deltas(whole)
            item.is_done = True
            yield "response.output_item.done", {"output_index": item.index, "item": whole}

    def _open(self, data: dict[str, Any], whole: Mapping[str, Any]) -> _ToldItem:
        """Return a new item, at the provider's index if that is free. ``data`` gets its index."""
        given, free = data.get("output_index"), max(self._items, default=-1) + 1
        self._last = given if isinstance(given, int) else free
        index = free if self._last in self._items else self._last
        self._indices[self._last] = data["output_index"] = index
        item = self._items[index] = _ToldItem(index, whole)
        return item


class _ToldItem:
    """An item, and which of its texts have been told."""

    def __init__(self, index: int, whole: Mapping[str, Any]) -> None:
        self.index = index
        self.id = as_word(whole.get("id")) or f"item_{index}"
        self.type = whole.get("type")
        self.is_done = False
        self.told: set[tuple[str, int]] = set()
        self._ids = _ids_of(whole)

    def is_same(self, whole: Mapping[str, Any]) -> bool:
        """Return whether ``whole`` may be this item, by its ids."""
        ids = _ids_of(whole)
        return not ids or not self._ids or not ids.isdisjoint(self._ids)

    def missing_deltas(self, whole: Mapping[str, Any]) -> Iterator[_OwnEvent]:
        """Yield the texts of a whole item of which nothing has been told."""
        if self.told:
            return
        at = {"item_id": self.id, "output_index": self.index}
        for about, field in ITEM_TEXTS.items():
            if isinstance(text := whole.get(field), str) and text:
                yield f"{about}.delta", {**at, "delta": text}
        for where in ("content", "summary"):
            for number, part in enumerate(objects(whole.get(where))):
                part_about = _ABOUT_PART.get(str(part.get("type")))
                text = part.get(PART_TEXTS[part_about][0]) if part_about else None
                if part_about and isinstance(text, str) and text:
                    yield f"{part_about}.delta", {**at, f"{where}_index": number, "delta": text}


def part_index(name: str) -> str:
    """Return the field that has the index of the part that an event of this name is about."""
    return "summary_index" if "summary" in name else "content_index"


def _ids_of(whole: Mapping[str, Any]) -> set[str]:
    return {word for name in ("id", "call_id") if (word := as_word(whole.get(name)))}


def _implicit(about: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the start of an item that was never announced; ``about`` is what an event of it is about."""
    kind = _ITEM_TYPES.get(about, "message")
    begun: dict[str, Any] = {"id": as_word(data.get("item_id")), "type": kind, "status": "in_progress"}
    match kind:
        case "message":
            return {**begun, "role": "assistant", "content": []}
        case "reasoning":
            return {**begun, "summary": []}
        case _:
            return {**begun, "call_id": begun["id"], "name": as_word(data.get("name")) or "", ITEM_TEXTS[about]: ""}


def _begun(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as it was before its text came."""
    empty: Mapping[str, Any] = {"content": [], "summary": [], "arguments": "", "input": "", "status": "in_progress"}
    return {**whole, **{name: value for name, value in empty.items() if name in whole}}


def _without(data: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in (field, "type", "sequence_number", "name")}
