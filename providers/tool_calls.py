"""The tool calls of one answer, whichever API streams them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from providers.base import ToolCall
from providers.errors import malformed_response
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
        "has_whole_name",
        "id",
        "index",
        "name",
        "provider_id",
        "text",
    )

    def __init__(self, indices: Iterator[int], custom: bool, provider_id: str | None) -> None:
        self.custom = custom
        self.provider_id = provider_id
        """The id that the provider calls it by, which several calls may have; ``id`` is None for all but the first."""
        self.index: int | None = None
        """Its index among the emitted calls; None until it is emitted."""
        self._indices = indices
        self.id: str | None = None
        self.name: str | None = None
        self.has_whole_name = True
        """The name is known to be whole. Else it may come in pieces until there are arguments."""
        self.text = TextSoFar()
        """The arguments that have come in pieces."""
        self.fallback_arguments = ""
        """Arguments that came whole where pieces may follow: they count if none do."""
        self.extra: dict[str, Any] = {}
        self._id_is_emitted = False

    def is_complete(self) -> bool:
        """Return whether the arguments so far are a whole JSON object."""
        return self.text.ends_with("}") and as_json_object(self.text.joined()) is not None

    def add_name(self, name: str, known_names: Collection[str] | None) -> None:
        """Take a name, or a piece of one, unless the name is whole. It may be all of the name so far."""
        if self.name is None or (not self.has_whole_name and self.index is None):
            so_far = self.name or ""
            self.name = name if name.startswith(so_far) else so_far + name
            self.has_whole_name = known_names is None or self.name in known_names

    def emit(
        self, text: str = "", extra: Mapping[str, Any] | None = None, *, final: bool = False
    ) -> Iterator[ToolCall]:
        """Yield the next piece, if there is anything new: ``text``, the id or name, or ``extra``.

        A call that has nothing but an id is none. Raises :class:`~providers.errors.UpstreamError` for arguments without
        a name at the end.
        """
        self.text.add(text)
        news = {name: value for name, value in (extra or {}).items() if self.extra.get(name) != value}
        self.extra.update(news)
        if self.index is not None:
            new_id = None if self._id_is_emitted else self.id
            self._id_is_emitted = self.id is not None
            if text or new_id or news:
                yield ToolCall(self.index, new_id, None, text, news or None, self.custom)
            return
        if final and self.name is None:
            if self.text:
                raise malformed_response("tool_call_without_name")
            return
        # The first piece waits for the name, and for the id until arguments come: servers send these apart.
        has_head = self.name is not None and self.has_whole_name and self.id is not None
        if final or has_head or (self.name is not None and self.text):
            self.index, self._id_is_emitted = next(self._indices), self.id is not None
            yield ToolCall(self.index, self.id, self.name, self.text.joined(), self.extra or None, self.custom)

    def complete(self, whole: str, *, final: bool) -> Iterator[ToolCall]:
        """Yield what is not emitted yet; ``whole`` are the arguments that came with their end, if any did."""
        if final and self.name is None and not (self.text or self.fallback_arguments or whole):
            return
        if whole in ("", "{}"):
            whole = self.fallback_arguments or whole
        if not whole and not self.custom and not self.text:
            whole = "{}"  # a call without arguments: no text at all would be no JSON
        yield from self.emit(self.text.rest_of(whole), final=final)


class ToolCalls:
    """The tool calls of an answer, emitted alike whatever the provider repeats or leaves out.

    Each call has an index of its own, from 0 in the order of their first pieces. Its id and its name are emitted once
    and are never empty. Its arguments are emitted once, whether they come in pieces, whole at the start, or only at
    the end. An id that several calls have is that of the first alone.
    """

    def __init__(self, names: Collection[str] | None = None) -> None:
        """``names`` are those of the tools that can be called. Any other may be a piece; None: names come whole."""
        self._names = names
        self._calls: list[_ToolCallState] = []
        self._indices = itertools.count()
        self._by_key: dict[Key, _ToolCallState] = {}

    def __len__(self) -> int:
        return sum(call.name is not None for call in self._calls)

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
            yield from self.flush()
            call = _ToolCallState(self._indices, custom, call_id)
            self._calls.append(call)
            call.id = None if call_id in self._by_key else call_id
        elif call.id is None and call.provider_id is None:
            call.id = call.provider_id = call_id
        if key is not None:
            self._by_key[key] = call
        if call.id is not None:
            self._by_key[call.id] = call
        if call_name is not None:
            call.add_name(call_name, self._names)
        yield from call.emit(_new_text(call, text, whole, is_repeated=bool(call_id or call_name)), extra)

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

    def flush(self) -> Iterator[ToolCall]:
        """Yield the calls that have waited for more of their name or for an id: no more of these are expected."""
        for call in self._calls:
            if call.index is None and call.name is not None:
                yield from call.emit(final=True)

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
        call = self._at(key)
        if call_id is not None:
            known = call if call is not None and call.provider_id == call_id else self._by_key.get(call_id)
            if known is not None:
                return None if self._is_another(known, key, name, text) else known
        if call is None:  # a piece with an unknown index belongs to the call under way, unless it begins one
            return self._at(None) if call_id is None and name is None and isinstance(key, int) else None
        if call_id is not None and call.id is not None:
            # A new id is a new call, also at the index of another. But some servers send a new one with every piece.
            is_piece = name is None and call.name is not None and bool(text or isinstance(key, int))
            return call if is_piece and not call.is_complete() else None
        if call_id is not None:  # a late id, unless it comes with the name of another call
            return call if name is None or call.name in (None, name) else None
        if name is not None:
            return None if self._is_another(call, key, name, text) else call
        last = self._calls[-1]  # some servers fall back to the first index
        return last if call is not last and text.strip() and call.is_complete() and not last.is_complete() else call

    def _is_another(self, call: _ToolCallState, key: Key, name: str | None, text: str) -> bool:
        """Return whether a piece with ``name`` begins another call than ``call``, which has its id or its index."""
        if name is None or call.name is None:
            return False
        is_elsewhere = isinstance(key, int) and self._by_key.get(key) is not call
        if not is_elsewhere and call.index is None and not call.has_whole_name and not call.text:
            return False  # the rest of its name
        if name != call.name:
            return True
        if not text.strip() or not call.is_complete():
            return False
        return is_elsewhere or text != call.text.joined()


def _new_text(call: _ToolCallState, text: str, whole: str | None, *, is_repeated: bool) -> str:
    """Return what is new in the ``text`` of a piece; ``whole`` is the same if it is known to be all of the arguments.

    ``is_repeated``: the piece has the id or the name of the call, so that its text may be repeated too.
    """
    if call.custom:
        return text
    if not call.text and (whole == "{}" or text.strip() == "null"):  # as some servers begin, before the pieces
        call.fallback_arguments = call.fallback_arguments or "{}"
        return ""
    if whole is not None:
        return call.text.rest_of(whole)
    if is_repeated and len(text) >= len(call.text) > 0:
        so_far = call.text.joined()
        grows = len(text) > len(so_far) and text.startswith(so_far) and not _closes_more(text)
        if grows or (text == so_far and call.is_complete()):
            return text[len(so_far) :]
    return text


_JSON_DECODER = json.JSONDecoder()


def _closes_more(text: str) -> bool:
    """Return whether ``text`` closes more than it opens, as ``{"x":1}}`` does: then it is a piece, no repetition."""
    text = text.strip()
    try:
        _, end = _JSON_DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return end < len(text)


def _as_json(arguments: object) -> str | None:
    """Return arguments that came as an object or a list as JSON text, None for anything else."""
    return msgspec.json.encode(arguments).decode() if isinstance(arguments, (dict, list)) else None
