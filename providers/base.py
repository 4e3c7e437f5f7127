"""The one interface every provider implements, and the values that cross it.

A provider turns a :class:`ChatRequest` into an asynchronous generator of
:data:`Event` values. Everything else in the server (logs, deadlines, retries,
wire formats) is written against these few classes and nothing more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from providers.errors import ProviderError
from providers.token_shape import TokenShape

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
ApiProtocol: TypeAlias = Literal["chat", "responses", "messages"]
"""The vendors' protocols: OpenAI's chat completions and Responses, Anthropic's Messages."""


REASONING_FIELDS = frozenset({"reasoning", "reasoning_content", "reasoning_details", "thinking_blocks"})
"""Fields by which vendors and gateways extend an assistant turn of chat completions with its reasoning."""


class ReasoningBlock(msgspec.Struct, frozen=True):
    """A block of a model's reasoning in an earlier turn; ``opaque`` is what only its vendor can read of it."""

    text: str = ""
    opaque: Opaque | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn of a conversation, as in OpenAI's chat completions.

    ``content`` is a string, a list of parts (``{"type": "text", "text": …}``, ``{"type": "image_url", …}``,
    ``{"type": "file", …}``), or None for an assistant turn that only calls tools.
    ``reasoning`` are the reasoning blocks of an assistant turn, in order. ``extra`` holds fields that we do not know,
    and those that ``reasoning`` was read from, for providers that speak chat completions.
    :func:`providers.conversation.read_messages` makes messages of JSON objects.
    """

    role: Role
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning: Sequence[ReasoningBlock] = ()
    extra: Mapping[str, Any] = {}


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A request as its caller sent it, for a provider that speaks the same protocol.

    Such a provider starts from ``body``, sets only the model, the limits and streaming, forwards
    ``headers`` (such as ``anthropic-beta``), and yields a :class:`Frame` for each frame of its answer.
    """

    protocol: ApiProtocol
    body: Mapping[str, Any]
    headers: Mapping[str, str] = {}


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a model, independent of a vendor's protocol.

    ``model`` is the model to ask, ``max_tokens`` the maximum length of its answer.
    ``tools``, ``tool_choice`` and ``response_format`` are in the form of chat completions; ``extra`` holds
    parameters that we do not know and that an OpenAI-speaking provider passes on untouched.
    ``source`` is None for requests on the native API.
    """

    messages: Sequence[Message]
    model: str
    max_tokens: int
    temperature: float | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    top_p: float | None = None
    stop: Sequence[str] = ()
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    """``none``, ``minimal``, ``low``, ``medium``, ``high``, ``xhigh`` or ``max``."""
    parallel_tool_calls: bool | None = None
    user: str | None = None
    """The caller's identifier of its own end user, for the provider's abuse detection."""
    extra: Mapping[str, Any] = {}
    source: Source | None = None

    def source_of(self, protocol: ApiProtocol) -> Source | None:
        """Return the source if its caller speaks ``protocol``, else None."""
        return self.source if self.source is not None and self.source.protocol == protocol else None


class Text(msgspec.Struct, frozen=True, gc=False):
    """The next piece of the answer."""

    text: str


class RefusalText(Text, frozen=True, gc=False):
    """Text that the model says instead of an answer. Clients that know no refusals read it as text."""

    continued: bool = False
    """It begins with the LF of a CRLF; its CR ended the text before it."""


class Reasoning(msgspec.Struct, frozen=True, gc=False):
    """The next piece of the model's reasoning, where the provider gives it."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call: ``id`` and ``name`` come with its first piece, else None.

    ``arguments`` is a piece of JSON text, or, for a ``custom`` tool, of free text. ``extra`` is what the provider
    wants back with the call in the next turn, such as an opaque signature.
    """

    index: int
    id: str | None
    name: str | None
    arguments: str
    extra: Mapping[str, Any] | None = None
    custom: bool = False

    @property
    def text(self) -> str:
        """All its text, for its size alone: the answer is in :attr:`arguments`."""
        return f"{self.id or ''}{self.name or ''}{self.arguments}"


class Opaque(msgspec.Struct, frozen=True):
    """The part of a model's reasoning that only its vendor can read, and wants back unchanged in the next turn.

    ``data`` is the vendor's own object: Anthropic's ``{"signature": …}`` or ``{"data": …}`` (redacted thinking),
    OpenAI's ``{"id": …, "encrypted_content": …}``. It is of use only to the same protocol and model.
    """

    protocol: ApiProtocol
    model: str
    data: Mapping[str, Any]


class BlockEnd(msgspec.Struct, frozen=True):
    """The content block of the preceding pieces is complete; the next piece begins another.

    Yielded by providers of APIs that have blocks. ``index`` is that of the tool call, for ``tool_call``. A
    ``reasoning`` block may have had no piece at all, only its ``opaque`` part.
    """

    kind: Literal["text", "reasoning", "tool_call", "refusal"]
    index: int | None = None
    opaque: Opaque | None = None


class AnsweringModel(msgspec.Struct, frozen=True, gc=False):
    """The model that answers, before the first piece of its answer.

    Optional, yielded as soon as the provider reports it, and only to a request with a :class:`Source`: the wires of
    the vendors' protocols name the model in the first event. A :class:`Frame` names it by itself.
    """

    name: str

    @property
    def text(self) -> str:
        """All its text, for its size alone."""
        return self.name


class UsageDetails(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Parts of a usage, where the provider gives them. None: not given.

    ``cached_tokens`` and ``cache_write_tokens`` are parts of the prompt, ``reasoning_tokens`` of the completion;
    ``cache_write_5m_tokens`` and ``cache_write_1h_tokens`` are parts of ``cache_write_tokens``.
    """

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_prompt_tokens: int | None = None
    audio_completion_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens counted by the provider so far. None: not given. May come several times, rising.

    ``prompt_tokens`` is the whole prompt, what was read from a cache or written to it included.
    """

    prompt_tokens: int | None
    completion_tokens: int | None
    details: UsageDetails | None = None


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The model stopped. ``reason`` is ``stop``, ``length``, ``tool_calls``, ``content_filter``
    or the provider's own word; ``model`` is what the provider says answered, if it says so.
    ``provider_reason`` is always the provider's own word, ``stop_sequence`` the one that matched, if it is known."""

    reason: str
    model: str | None = None
    provider_reason: str | None = None
    stop_sequence: str | None = None


class Attempt(msgspec.Struct, frozen=True):
    """A request is about to be sent to the provider named ``provider``, for ``model``.

    Yielded by the wrapper that knows the provider's name, never by a provider
    itself; their number is that of attempts.
    """

    provider: str
    model: str


class AttemptFailed(msgspec.Struct, frozen=True):
    """The request of the last :class:`Attempt` failed before its first token, and another is to follow: at once,
    or after a wait. Of a failure that ends the stream there is none: that one is raised.

    Yielded by the wrapper that tries again, as the attempt fails. A deadline that passes during the wait may be
    reported in this way too, for an attempt that had failed already.
    """

    error: ProviderError


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame of a provider's stream as it came, and the pieces that were read from it.

    Yielded instead of the pieces, and only if the request's :class:`Source` has the provider's own protocol: the
    encoder of that wire replays ``data``, every other encoder reads ``pieces``. The frame that ends the
    answer is yielded too, before the :class:`Finish`; pings, end markers and the frames of errors never are.
    """

    protocol: ApiProtocol
    type: str
    """The name of the SSE event, empty for chat completions, which have none."""
    data: bytes
    """The frame's data: one JSON object on one line, without an error's text."""
    pieces: tuple[ContentEvent, ...] = ()
    shape: TokenShape | None = None
    """The shape that the parser knew it by: it has one token. None where the frame was read in full, or comes from
    another node."""

    @property
    def has_delta(self) -> bool:
        """Whether a piece of the answer is in it."""
        return self.shape is not None or any(isinstance(piece, DELTAS) for piece in self.pieces)


DELTAS = (Text, Reasoning, ToolCall)
"""The kinds of pieces of an answer."""
TOKENS = (*DELTAS, Finish)
"""The kinds of events that end the wait for a first token; an answer may be empty."""


def is_token(event: Event) -> bool:
    """Return whether ``event`` ends the wait for a first token: a piece of the answer, a frame with one, or the end."""
    return isinstance(event, TOKENS) or (isinstance(event, Frame) and event.has_delta)


Delta: TypeAlias = Text | Reasoning | ToolCall
ContentEvent: TypeAlias = Delta | BlockEnd
"""An event about the content of the answer: its next piece, or the end of a content block."""
Event: TypeAlias = ContentEvent | Frame | AnsweringModel | Usage | Finish | Attempt | AttemptFailed


class Provider(Protocol):
    """A source of answers.

    Guarantees a provider gives (``providers.testing`` holds it to them):

    - ``stream`` yields deltas as they arrive, any number of :class:`Usage`, and last one
      :class:`Finish`, after which it is not advanced. What can fail raises a
      :class:`~providers.errors.ProviderError`; it never ends without either.
    - Closing the generator (``aclose()``, or cancelling the task that runs it) closes the
      connection to the model at once, whatever it was waiting for.
    - Nothing is sent before the generator is first advanced, and nothing is retried.
    """

    def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        """Ask the model and yield its answer."""
        ...

    async def aclose(self) -> None:
        """Release what outlives a stream, such as a connection pool."""
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """A provider with an API that counts the tokens of a prompt without answering it."""

    async def count_tokens(self, request: ChatRequest) -> int:
        """Return how many tokens ``request`` would have as its prompt. Nothing is retried.

        Raises a :class:`~providers.errors.ProviderError`.
        """
        ...
