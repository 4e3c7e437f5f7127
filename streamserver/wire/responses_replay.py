"""A provider's own frames of the Responses protocol, replayed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streamserver.log.records import Start
from streamserver.wire.responses_items import Event
from streamserver.wire.responses_object import response_id

_CREATION = frozenset({"response.created", "response.queued"})
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Replay:
    """The frames of one Response: untouched, but for what is ours in them.

    The id, ``background``, ``store`` and ``previous_response_id`` of the Response are ours; item ids stay the
    provider's. ``skips_creation``: our own events of the creation have been written.
    """

    def __init__(self, start: Start, *, skips_creation: bool) -> None:
        self.ended = False
        """The provider's terminal frame has been replayed."""
        self._skips_creation = skips_creation
        self._own: dict[str, Any] = {
            "id": response_id(start.stream_id),
            "background": bool(start.options.get("background")),
            "store": start.options.get("store") is not False,
            "previous_response_id": None,
        }
        self._response: dict[str, Any] = {}
        self._open: dict[int, dict[str, Any]] = {}
        self._done: dict[int, dict[str, Any]] = {}

    def add(self, name: str, data: dict[str, Any]) -> Event | None:
        """Return the event to write for a frame, None if there is none."""
        data.pop("obfuscation", None)
        if isinstance(data.get("response"), dict):
            data["response"] = self._response = {**data["response"], **self._own}
        index, item = data.get("output_index"), data.get("item")
        if isinstance(index, int) and isinstance(item, dict):
            if name == "response.output_item.added":
                self._open[index] = item
            elif name == "response.output_item.done":
                self._open.pop(index, None)
                self._done[index] = item
        self.ended = self.ended or name in _TERMINAL
        if self._skips_creation and name in _CREATION:
            return None
        return name, data

    def end(self) -> Iterator[Event]:
        """Close every item that is open, for a Response that fails."""
        for index, item in sorted(self._open.items()):
            self._done[index] = {**item, "status": "incomplete"}
            yield "response.output_item.done", {"output_index": index, "item": self._done[index]}
        self._open.clear()

    def response(self, default: dict[str, Any]) -> dict[str, Any]:
        """Return the Response so far: the provider's own fields, and the items that are done."""
        if self.ended:
            return self._response
        return {**default, **self._response, "output": [self._done[index] for index in sorted(self._done)]}
