"""What parsers of a provider's stream have in common, and the one that keeps its frames as they came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from providers.answer import AnswerParser
from providers.base import DELTAS, ApiProtocol, BlockEnd, ContentEvent, Event, Finish, Frame
from providers.errors import malformed_response
from providers.lenient import json_object
from providers.sse import MAX_EVENT_BYTES
from providers.token_shape import TokenShape


class EventShape(Protocol):
    """A shape of whole SSE events, each with one token."""

    def token_in(self, data: bytes) -> Event | None:
        """Return what the event says, None if it has another shape, or has to be decoded."""
        ...


class StreamParser(Protocol):
    """A parser of one stream, with what it has read so far."""

    @property
    def complete(self) -> bool:
        """Whether the API has said that its stream ends here: nothing that matters follows."""
        ...

    @property
    def is_unreadable(self) -> bool:
        """Whether the whole answer was output that no event can carry."""
        ...

    @property
    def event_shape(self) -> EventShape | None:
        """The shape of the last token's SSE event, if the next one is likely to be the same, and to come alone."""
        ...

    def expect_alone(self) -> None:
        """Keep :attr:`event_shape` from now on, until the shape changes: the last event has come alone."""
        ...

    def events(self, name: str, data: bytes) -> Iterable[Event]:
        """Return the events in ``data``, which came under that event name.

        Raises a :class:`~providers.errors.ProviderError` if it tells of a failure.
        """
        ...

    def rest(self) -> Iterable[Event]:
        """Return what is left to be told when the stream has ended, before :meth:`finish` is."""
        ...

    def finish(self) -> Finish:
        """Return the end.

        Raises :class:`~providers.errors.UpstreamDisconnected` if the model never said that it finished.
        """
        ...


_PIECES = (*DELTAS, BlockEnd)


class FrameParser:
    """A parser over ``parser`` that yields a :class:`~providers.base.Frame` for each frame instead of its pieces.

    Usage stays an event of its own. Frames that are no JSON object, such as the end marker of chat completions, and
    pings are left out: every wire sends its own. A frame that makes ``parser`` raise is never passed on. Frames are
    held until the first piece of the answer has come, so what may come before it is bounded.

    Clients read JSON by the letter: a frame with a control character in a string, or with NaN, is written anew.
    """

    def __init__(self, parser: AnswerParser, protocol: ApiProtocol) -> None:
        self._parser = parser
        self._protocol = protocol
        self._shape: TokenShape | None = None
        self._kind = ""
        """The type of the frames of that shape."""
        self.event_shape: FrameShape | None = None
        self._bytes_before_answer: int | None = 0
        """None once a piece of the answer has come."""

    @property
    def complete(self) -> bool:
        return self._parser.complete

    @property
    def is_unreadable(self) -> bool:
        return False  # the frames carry it

    def events(self, name: str, data: bytes) -> Sequence[Event]:
        shape = self._shape
        if shape is not None and (token := shape.token_in(data, name)) is not None:
            return (Frame(self._protocol, self._kind, data, (token,), shape),)
        told = tuple(self._parser.events(name, data))
        pieces: tuple[ContentEvent, ...]
        others: tuple[Event, ...] = ()
        if len(told) == 1 and isinstance(told[0], _PIECES):  # a token
            pieces = (told[0],)
        else:
            pieces = tuple(event for event in told if isinstance(event, _PIECES))
            others = tuple(event for event in told if not isinstance(event, _PIECES))
        if data[:1] != b"{" and not data.lstrip().startswith(b"{"):
            return others
        if self._parser.is_lenient:
            data = msgspec.json.encode(json_object(data))
        kind = "" if self._protocol == "chat" else _type_of(data) or name
        if kind == "ping" or not (kind or self._protocol == "chat"):
            return others
        if self._bytes_before_answer is not None:
            self._count(data, pieces)
        if self._parser.shape is not self._shape:
            self._shape, self._kind = self._parser.shape, kind
            self.event_shape = None
        return (Frame(self._protocol, kind, _on_one_line(data), pieces), *others)

    def expect_alone(self) -> None:
        if self._shape is not None:
            self.event_shape = FrameShape(self._protocol, self._kind, self._shape)

    def _count(self, data: bytes, pieces: Sequence[object]) -> None:
        assert self._bytes_before_answer is not None
        self._bytes_before_answer += len(data)
        if pieces:
            self._bytes_before_answer = None
        elif self._bytes_before_answer > MAX_EVENT_BYTES:
            raise malformed_response("event_too_large")

    def rest(self) -> Iterable[Event]:
        return ()  # it belongs to no frame

    def finish(self) -> Finish:
        return self._parser.finish()


class FrameShape:
    """The shape of whole SSE events, each of which becomes a :class:`~providers.base.Frame` with one token."""

    __slots__ = ("_data", "_event", "_kind", "_protocol", "_shape")

    def __init__(self, protocol: ApiProtocol, kind: str, shape: TokenShape) -> None:
        self._protocol = protocol
        self._kind = kind
        self._shape = shape
        self._event = shape.of_event()
        self._data = slice(len(self._event.before) - len(shape.before), -2)

    def token_in(self, data: bytes) -> Frame | None:
        token = self._event.token_in(data)
        return None if token is None else Frame(self._protocol, self._kind, data[self._data], (token,), self._shape)


class _Typed(msgspec.Struct):
    type: object = None


_TYPED = msgspec.json.Decoder(_Typed)


def _type_of(data: bytes) -> str:
    """Return the ``type`` in an event's data, empty if it has none that can be a name on one line.

    Some gateways name their events otherwise, or not at all; the vendors' SDKs ignore such a name's event.
    """
    try:
        value = _TYPED.decode(data).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return value if isinstance(value, str) and value.isprintable() else ""


def _on_one_line(data: bytes) -> bytes:
    """Return ``data`` without line ends, which JSON has between its tokens only. It has to be UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        raise malformed_response("not_json") from None
    return data.replace(b"\n", b" ") if b"\n" in data else data
