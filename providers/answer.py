"""What is known of an answer while it streams, whichever API streams it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

import msgspec

from providers import finish_reasons
from providers.base import AnsweringModel, Event, Finish, Reasoning, Text, ToolCall, Usage
from providers.errors import UpstreamDetail, UpstreamError, disconnected, loggable_identifier, malformed_response
from providers.lenient import decode_leniently, is_end_marker
from providers.token_shape import TokenShape
from providers.tool_calls import ToolCalls
from providers.upstream_errors import raise_error_in

T = TypeVar("T", bound=msgspec.Struct)

NO_REASONS = frozenset({"", "null", "none"})
"""What some servers send as the finish reason of every chunk, instead of null."""

MAX_LESSONS = 8
"""The most shapes that are learned in one answer: the frames of some servers differ in more than their text."""
PROBE_TEXT = "a probe"

BROKEN_OFF = "broken_off"
"""The reason, in an error's detail, for a generation that the provider itself says broke off."""


class AnswerParser(ABC):
    """A parser of one answer, with its state: its tool calls, why it ended, whether anything of it could be delivered.

    An API's own parser reads the frames. Those that are told by their shape never come to it.
    """

    def __init__(self, tool_names: Collection[str] | None = None) -> None:
        """``tool_names`` are those of the tools that the model can call; None if names never come in pieces."""
        self.complete = False
        """The API has said that its stream ends here: nothing that matters follows."""
        self.model: str | None = None
        """What the provider reports."""
        self.announces_model = False
        """The model is told before the first piece of its answer."""
        self.calls = ToolCalls(tool_names)
        self.has_text = False
        """Text, reasoning or a refusal has been delivered."""
        self.has_unreadable = False
        """There was output that no event can carry, such as an image."""
        self.shape: TokenShape | None = None
        """The shape of the last token's frame, if the next one's is likely to be the same."""
        self.event_shape: TokenShape | None = None
        """The same, of its whole SSE event; None where events do not come alone."""
        self._lessons = MAX_LESSONS
        self.is_lenient = False
        """The last data was no JSON by the letter."""
        self._word: str | None = None
        self._stop_sequence: str | None = None

    def events(self, name: str, data: bytes) -> Iterable[Event]:
        """Return the events in ``data``, which came under that event name.

        Raises a :class:`~providers.errors.ProviderError` if it tells of a failure.
        """
        shape = self.shape
        if shape is not None and (token := shape.token_in(data, name)) is not None:
            return (token,)
        return self._read(name, data)

    @abstractmethod
    def _read(self, name: str, data: bytes) -> Iterable[Event]:
        """Return the events in a frame of any shape. Raises as :meth:`events`."""

    def decode(self, name: str, data: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
        """Return the frame in ``data``, None if it is no JSON object: the end marker, or a keepalive.

        Raises a :class:`~providers.errors.ProviderError` for an event named ``error``, for an error in another form,
        and for JSON that is truncated or invalid.
        """
        self.is_lenient = False
        if name == "error":
            raise_error_in(name, data)
        try:
            return decoder.decode(data)
        except (ValueError, RecursionError):
            pass
        if is_end_marker(data):
            return None
        self.is_lenient = True
        frame = decode_leniently(data, decoder)
        if frame is None:
            raise_error_in(name, data)
        return frame

    @property
    def can_learn(self) -> bool:
        """Whether the last frame's shape may be learned: it was decoded strictly, and there are lessons left."""
        return self._lessons > 0 and not self.is_lenient

    def learn(self, name: str, data: bytes, token: Text | Reasoning, has_token: Callable[[bytes, str], bool]) -> None:
        """Learn the shape of a frame that has ``token`` and nothing else, so that its like need not be decoded.

        ``has_token`` says whether another frame has the given text as its token, and is the same in all else.
        """
        shape = TokenShape.of(name, data, token) if self.can_learn else None
        if shape is None:
            return
        self._lessons -= 1
        learned = self._lessons and has_token(shape.frame(PROBE_TEXT), PROBE_TEXT)
        self.shape, self.event_shape = shape if learned else None, None

    def expect_alone(self) -> None:
        if self.shape is not None:
            self.event_shape = self.shape.of_event()

    def forget_shape(self) -> None:
        """Have the next frame decoded, whatever it looks like."""
        self.shape = self.event_shape = None

    def report_model(self, model: str | None) -> list[AnsweringModel]:
        """Take what the provider reports in a frame, and return what is to be told of it: the first, if any is."""
        is_first = self.model is None
        self.model = model or self.model
        return [AnsweringModel(model)] if model and is_first and self.announces_model else []

    @property
    def has_ended(self) -> bool:
        """Whether the model has said that its answer ended."""
        return self._word is not None

    @property
    def was_cut(self) -> bool:
        """Whether a limit ended the answer."""
        return self._reason() == "length"

    def end(self, word: str, stop_sequence: str | None = None) -> None:
        """Take the provider's word for why the model stopped. The first that says more than ``stop`` stays.

        Raises :class:`~providers.errors.UpstreamError` if it says that the generation broke off.
        """
        if word.lower() in NO_REASONS:
            return
        if finish_reasons.is_failure(word):
            raise broken_off(word)
        if self._word is None or finish_reasons.is_stop(self._word):
            self._word, self._stop_sequence = word, stop_sequence

    def rest(self) -> Iterator[ToolCall | Usage]:
        """Yield what is left to be told of tool calls at the end of the answer."""
        if self.calls:
            yield from self.calls.finish(cut=self.was_cut)

    def finish(self) -> Finish:
        """Return the end.

        Raises :class:`~providers.errors.UpstreamDisconnected` if the model never said why it stopped, and
        :class:`~providers.errors.UpstreamError` if it called tools, and nothing of the call could be read.
        """
        reason = self._reason()
        if reason is None:
            raise disconnected("no_finish_reason")
        if reason == "tool_calls" and not self.calls and not self.has_text:
            raise malformed_response("no_tool_call")
        return Finish(reason, self.model, self._word, self._stop_sequence)

    @property
    def is_unreadable(self) -> bool:
        """Whether the whole answer was output that no event can carry."""
        return self.has_unreadable and not self.has_text and not self.calls

    def _reason(self) -> str | None:
        return None if self._word is None else finish_reasons.finish_reason(self._word, called_tools=bool(self.calls))


def broken_off(word: str) -> UpstreamError:
    """Return the error for an answer that the provider reports as aborted."""
    detail = UpstreamDetail(status=200, reason=BROKEN_OFF, code=loggable_identifier(word))
    return UpstreamError("The model's provider broke off the answer.", detail=detail)


def unreadable() -> UpstreamError:
    """Return the error for an answer that had nothing but output which no event can carry."""
    return UpstreamError(
        "The model answered only with output that this server does not carry, such as images or audio.",
        detail=UpstreamDetail(reason="unreadable_output"),
    )
