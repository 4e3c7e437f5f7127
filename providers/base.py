"""The one interface every provider implements, and the values that cross it.

A provider turns a :class:`ChatRequest` into an asynchronous generator of
:data:`Event` values. Everything else in the server (logs, deadlines, retries,
wire formats) is written against these few classes and nothing more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from providers.errors import ProviderError

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One turn of a conversation, as in OpenAI's chat completions.

    ``content`` is a string, a list of parts (``{"type": "text", "text": …}``,
    ``{"type": "image_url", …}``), or None for an assistant turn that only calls tools.
    """

    role: Role
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is asked, in no vendor's dialect.

    ``model`` is the model to ask, ``max_tokens`` the most it may answer with.
    ``tools`` and ``tool_choice`` are in OpenAI's form; ``extra`` holds parameters
    that we do not know and that an OpenAI-speaking provider passes on untouched.
    """

    messages: Sequence[Message]
    model: str
    max_tokens: int
    temperature: float | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    extra: Mapping[str, Any] = {}


class Text(msgspec.Struct, frozen=True, gc=False):
    """The next piece of the answer."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, gc=False):
    """The next piece of the model's reasoning, where the provider gives it."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A piece of a tool call: ``id`` and ``name`` come with its first piece, else None."""

    index: int
    id: str | None
    name: str | None
    arguments: str

    @property
    def text(self) -> str:
        """All that is text in it, for its size alone: the answer is in :attr:`arguments`."""
        return f"{self.id or ''}{self.name or ''}{self.arguments}"


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens counted by the provider so far. None: not said. May come several times, rising."""

    prompt_tokens: int | None
    completion_tokens: int | None


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The model stopped. ``reason`` is ``stop``, ``length``, ``tool_calls``, ``content_filter``
    or the provider's own word; ``model`` is what the provider says answered, if it says so."""

    reason: str
    model: str | None = None


class Attempt(msgspec.Struct, frozen=True):
    """A request is about to be sent to the provider named ``provider``, for ``model``.

    Yielded by the wrapper that knows the provider's name, never by a provider
    itself; counting them gives the number of tries.
    """

    provider: str
    model: str


class AttemptFailed(msgspec.Struct, frozen=True):
    """The request of the last :class:`Attempt` failed before its first token, and another is to follow: at once,
    or after a wait. Of a failure that ends the stream there is none: that one is raised.

    Yielded by whoever tries again, as the try fails. A deadline that passes in the wait may be told in this way
    as well, of a try that had failed already.
    """

    error: ProviderError


DELTAS = (Text, Reasoning, ToolCall)
"""The pieces of an answer."""
TOKENS = (*DELTAS, Finish)
"""What ends the wait for a first token; an answer may be empty."""

Delta: TypeAlias = Text | Reasoning | ToolCall
Event: TypeAlias = Delta | Usage | Finish | Attempt | AttemptFailed


class Provider(Protocol):
    """A source of answers.

    Guarantees a provider gives (``providers.testing`` holds it to them):

    - ``stream`` yields deltas as they arrive, any number of :class:`Usage`, and last one
      :class:`Finish`: nobody asks it for more. What can fail raises a
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
