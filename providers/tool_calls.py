"""The tool calls of one answer, whichever API streams them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from providers.base import ToolCall
from providers.jsontext import as_json_object
from providers.lenient import as_text, as_word
from providers.text_so_far import TextSoFar

Key: TypeAlias = int | str | None
"""How a provider identifies the call of a piece: an index, an identifier, or not at all."""


class _ToolCallState:
    """The state of one call, and of what has been emitted of it."""

    __slots__ = (
        "_id_is_emitted",
        "_indices",
        "custom",
        "extra",
        "fallback_arguments",
        "id",
        "index",
        "name",
        "text",
    )

    def __init__(self, indices: Iterator[int], custom: bool) -> None:
        self.custom = custom
        self.index: int | None = None
        """Its index among the emitted calls; None until it is emitted."""
        self._indices = indices
        self.id: str | None = None
        self.name: str | None = None
        self.text = TextSoFar()
        """The arguments that have come in pieces."""
        self.fallback_arguments = ""
        """Arguments that came whole where pieces may follow: they count if none do."""
        self.extra: dict[str, Any] = {}
        self._id_is_emitted = False

    def is_complete(self) -> bool:
        """Return whether the arguments so far are a whole JSON object."""
        return as_json_object(self.text.joined()) is not None

    def emit(
        self, text: str = "", extra: Mapping[str, Any] | None = None, *, final: bool = False
    ) -> Iterator[ToolCall]:
        """Yield the next piece, if there is anything new: ``text``, the id or name, or ``extra``."""
        self.text.add(text)
        news = {name: value for name, value in (extra or {}).items() if self.extra.get(name) != value}
        self.extra.update(news)
        if self.index is not None:
            new_id = None if self._id_is_emitted else self.id
            self._id_is_emitted = self.id is not None
            if text or new_id or news:
                yield ToolCall(self.index, new_id, None, text, news or None, self.custom)
            return
        # The first piece waits for the name, and for the id until arguments come: servers send these apart.
        if final or (self.name is not None and (self.id is not None or self.text)):
            self.index, self._id_is_emitted = next(self._indices), self.id is not None
            yield ToolCall(self.index, self.id, self.name, self.text.joined(), self.extra or None, self.custom)

    def complete(self, whole: str, *, final: bool) -> Iterator[ToolCall]:
        """Yield what is not emitted yet; ``whole`` are the arguments that came with their end, if any did."""
        if whole in ("", "{}"):
            whole = self.fallback_arguments or whole
        if not whole and not self.custom and not self.text:
            whole = "{}"  # a call without arguments: no text at all would be no JSON
        yield from self.emit(self.text.rest_of(whole), final=final)


class ToolCalls:
    """The tool calls of an answer, emitted alike whatever the provider repeats or leaves out.

    Each call has an index of its own, from 0 in the order of their first pieces. Its id and its name are emitted once
    and are never empty. Its arguments are emitted once, whether they come in pieces, whole at the start, or only at
    the end.
    """

    def __init__(self) -> None:
        self._calls: list[_ToolCallState] = []
        self._indices = itertools.count()
        self._by_key: dict[Key, _ToolCallState] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(
        self,
        key: Key,
        *,
        id: object = None,  # noqa: A002 — as the APIs name it
        name: object = None,
        arguments: object = None,
        extra: Mapping[str, Any] | None = None,
        custom: bool = False,
    ) -> Iterator[ToolCall]:
        """Yield what is new in a piece of a call. ``arguments`` that are an object are the whole of them.

        Raises :class:`~providers.errors.UpstreamError` if they are neither text nor an object.
        """
        call_id, call_name = as_word(id), as_word(name)
        whole = _as_json(arguments)
        text = as_text(arguments) if whole is None else whole
        call = self._find(key, call_id, call_name, text)
        if call is None:
            if not (call_id or call_name or text or extra):
                return
            call = _ToolCallState(self._indices, custom)
            self._calls.append(call)
        for known_as in (key, call_id):
            if known_as is not None:
                self._by_key[known_as] = call
        if whole == "{}":  # as some servers begin, before the pieces
            call.fallback_arguments, text = call.fallback_arguments or whole, ""
        elif whole is not None:
            text = call.text.rest_of(whole)
        elif text and call_id is not None and text == call.text.joined() and call.is_complete():
            text = ""  # the whole call, sent twice
        call.id = call.id or call_id
        call.name = call.name or call_name
        yield from call.emit(text, extra)

    def alias(self, key: Key, other: Key) -> None:
        """Let the call that is known under ``key`` be known under ``other`` too."""
        call = self._at(key)
        if call is not None and other is not None:
            self._by_key[other] = call

    def offer(self, key: Key, arguments: object) -> None:
        """Take the whole arguments that came with the start of a call: they count if no pieces follow."""
        call = self._at(key)
        if call is not None:
            call.fallback_arguments = _as_json(arguments) or as_word(arguments) or ""

    def complete(
        self,
        key: Key,
        arguments: object = None,
        *,
        id: object = None,  # noqa: A002
        name: object = None,
        final: bool = True,
    ) -> Iterator[ToolCall]:
        """Yield the parts not emitted yet of a call with complete arguments, including a late id or name.

        Without ``final`` its name may still come.
        """
        call = self._at(key)
        if call is not None:
            call.id = call.id or as_word(id)
            call.name = call.name or as_word(name)
            whole = _as_json(arguments) or as_word(arguments)
            if whole is None and not call.text and not call.fallback_arguments:
                whole = as_text(arguments)
            yield from call.complete(whole or "", final=final)

    def finish(self, *, cut: bool) -> Iterator[ToolCall]:
        """Yield what is left at the end of the answer. ``cut``: a limit ended it, so arguments may be incomplete."""
        for call in self._calls:
            if not cut:
                yield from call.complete("", final=True)
            elif call.index is None:
                yield from call.emit(final=True)

    def index_of(self, key: Key) -> int | None:
        """Return the index of the call under ``key``, of the last one for None, once it has been emitted."""
        call = self._at(key)
        return None if call is None else call.index

    def knows(self, key: Key) -> bool:
        """Return whether a call is known under ``key``."""
        return self._at(key) is not None

    def _at(self, key: Key) -> _ToolCallState | None:
        return self._by_key.get(key) if key is not None else self._calls[-1] if self._calls else None

    def _find(self, key: Key, call_id: str | None, name: str | None, text: str) -> _ToolCallState | None:
        """Return the call that a piece belongs to, None for a new one."""
        if call_id is not None and call_id in self._by_key:
            return self._by_key[call_id]
        call = self._at(key)
        if call is None:  # a piece with an unknown index belongs to the call under way, unless it begins one
            return self._at(None) if call_id is None and name is None and isinstance(key, int) else None
        if call_id is not None:
            # A late id completes the call that has none; any other is of a new call, also at the index of another.
            return call if call.id is None and (name is None or call.name in (None, name)) else None
        if name is not None and call.name is not None:
            is_another = name != call.name or (text not in ("", call.text.joined()) and call.is_complete())
            return None if is_another else call
        return call


def _as_json(arguments: object) -> str | None:
    """Return arguments that came as an object or a list as JSON text, None for anything else."""
    return msgspec.json.encode(arguments).decode() if isinstance(arguments, (dict, list)) else None
