"""A provider's own frames of the Responses protocol, replayed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from providers.base import Frame
from providers.lenient import as_count, as_object, as_word
from streamserver.log.records import Start
from streamserver.wire.events import without_nulls
from streamserver.wire.responses_completed import ITEM_PARTS, ITEM_TEXTS, PART_TEXTS, EventCompleter, part_index
from streamserver.wire.responses_items import ItemEvent
from streamserver.wire.responses_object import response_id

TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
_CREATION = frozenset({"response.created", "response.queued"})
_DETAILS: Mapping[str, Mapping[str, int]] = {
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


class Replay:
    """The frames of one Response: untouched, but for what is ours in them.

    The id, ``background``, ``store`` and ``previous_response_id`` of the Response are ours; item ids stay the
    provider's. ``skips_creation``: our own events of the creation have been written, and its time stays.
    """

    def __init__(self, start: Start, *, skips_creation: bool) -> None:
        self.ended = False
        """The provider's terminal frame has been replayed."""
        self._skips_creation = skips_creation
        self._fills_output = False
        """The provider's terminal frame has no items: they are those of its other frames."""
        self._own: dict[str, Any] = {
            "id": response_id(start.stream_id),
            "background": bool(start.options.get("background")),
            "store": start.options.get("store") is not False,
            "previous_response_id": None,
        }
        if skips_creation:
            self._own["created_at"] = start.created  # as it was told before the provider was asked
        self._response: dict[str, Any] = {}
        self._completer = EventCompleter()
        self._place_under_way: tuple[object, ...] | None = None
        """Name and place of the last event, if it was a piece of text to which nothing was to be added: the next one of
        the same place is like it."""
        self._open: dict[int, _OpenItem] = {}
        self._done: dict[int, dict[str, Any]] = {}

    @staticmethod
    def begins_with(frame: Frame) -> bool | None:
        """Return whether the provider begins a Response as its SDKs demand. None: it has not begun one."""
        if frame.type == "response.created":
            return True
        return False if frame.pieces else None

    def add(self, name: str, data: dict[str, Any]) -> Sequence[ItemEvent]:
        """Return the events to write for a frame. ``name`` is that of its SSE event."""
        kind = data.get("type")
        name = kind if isinstance(kind, str) else name
        if name == "keepalive":
            return ()  # ours has no number
        data.pop("obfuscation", None)
        place = (name, data.get("output_index"), data.get(part_index(name)), data.get("item_id"))
        if place == self._place_under_way:
            self._track(name, data)
            return ((name, data),)
        completed = self._completer.complete(name, data)
        is_steady = len(completed) == 1 and name.endswith("text.delta") and None not in place
        self._place_under_way = place if is_steady and data["output_index"] == place[1] else None
        return [event for each in completed for event in self._add(*each)]

    def _add(self, name: str, data: dict[str, Any]) -> Iterator[ItemEvent]:
        self.ended = self.ended or name in TERMINAL
        self._track(name, data)
        if isinstance(data.get("response"), dict):
            self._response = {**data["response"], **self._own}
            if isinstance(self._response.get("usage"), dict):
                self._response["usage"] = _complete_usage(self._response["usage"])
            self._fills_output = self.ended and not self._response.get("output")
            if self._fills_output:
                self._response["output"] = self._items()  # some servers send them once only
            data["response"] = self._response
        if not (self._skips_creation and name in _CREATION):
            yield name, data

    def end(self, status: str) -> Iterator[ItemEvent]:
        """Close every item that is open: the provider did not end the Response, or ended it without closing them."""
        given = {item["id"]: item for item in self._given_items() if isinstance(item.get("id"), str)}
        for index, item in sorted(self._open.items()):
            ended = item.ended(status)
            self._done[index] = given.get(as_word(ended.get("id")) or "", ended)
            yield "response.output_item.done", {"output_index": index, "item": self._done[index]}
        self._open.clear()
        if self._fills_output:
            self._response["output"] = self._items()

    def response(self, default: dict[str, Any]) -> dict[str, Any]:
        """Return the Response so far: the provider's own fields, and the items that are done."""
        if self.ended:
            return self._response
        return {**default, **self._response, "output": self._items()}

    def _items(self) -> list[dict[str, Any]]:
        return [self._done[index] for index in sorted(self._done)]

    def _given_items(self) -> list[dict[str, Any]]:
        """Return the items in the provider's own terminal frame."""
        output = self._response.get("output") if self.ended and not self._fills_output else None
        return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []

    def _track(self, name: str, data: Mapping[str, Any]) -> None:
        index, item = data.get("output_index"), data.get("item")
        if not isinstance(index, int):
            return
        if name == "response.output_item.added" and isinstance(item, dict):
            self._open[index] = _OpenItem(item)
        elif name == "response.output_item.done" and isinstance(item, dict):
            self._open.pop(index, None)
            self._done[index] = item
        elif index in self._open:
            self._open[index].add(name, data)


def _complete_usage(own: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a provider's ``own`` usage with the details that it left out, None if it has no counts.

    The SDKs' types require them, and Codex fails on details without their number. A null counts as left out.
    """
    given, answered = as_count(own.get("input_tokens")), as_count(own.get("output_tokens"))
    if given is None or answered is None:
        return None
    details = {name: {**zeros, **without_nulls(as_object(own.get(name)))} for name, zeros in _DETAILS.items()}
    counts = {"input_tokens": given, "output_tokens": answered}
    total = as_count(own.get("total_tokens"))
    return {**without_nulls(own), **counts, "total_tokens": given + answered if total is None else total, **details}


class _OpenItem:
    """An item that the provider has begun, with as much of it as has come."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self._item = item
        self._parts: dict[tuple[str, int], dict[str, Any]] = {}
        self._texts: dict[tuple[str, int, str], list[str]] = {}

    def add(self, name: str, data: Mapping[str, Any]) -> None:
        about, _, step = name.rpartition(".")
        part = data.get("part")
        if about in ITEM_PARTS and isinstance(part, dict):
            self._parts[self._place(data)] = dict(part)
        elif step == "delta" and isinstance(data.get("delta"), str):
            if about in PART_TEXTS:
                field, kind = PART_TEXTS[about]
                place = self._place(data)
                self._parts.setdefault(place, {"type": kind})
                self._texts.setdefault((*place, field), []).append(data["delta"])
            elif about in ITEM_TEXTS:
                self._texts.setdefault(("", 0, ITEM_TEXTS[about]), []).append(data["delta"])

    def ended(self, status: str) -> dict[str, Any]:
        """Return the item as far as it has come."""
        item = {**self._item, "status": status}
        for (where, number, field), texts in self._texts.items():
            target = self._parts[where, number] if where else item
            target[field] = "".join(texts)
        for where in {where for where, _ in self._parts}:
            item[where] = [part for place, part in sorted(self._parts.items()) if place[0] == where]
        return item

    @staticmethod
    def _place(data: Mapping[str, Any]) -> tuple[str, int]:
        """Return the list in which a part is, and its index there."""
        where = "summary" if "summary_index" in data else "content"
        number = data.get(f"{where}_index")
        return where, number if isinstance(number, int) else 0
