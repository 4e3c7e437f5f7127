"""The tests every provider passes: for the built-in kinds, and for yours.

For a kind that speaks HTTP, subclass :class:`HttpProviderContract` and say what its model
sends; for any other, subclass :class:`ProviderContract`. pytest with pytest-asyncio (which
pytest-aiohttp brings) runs the rest::

    class TestMine(HttpProviderContract):
        kind = KIND
        pieces = (b'{"text": "Hel"}\\n', b'{"text": "lo", "done": true}\\n')

What is tested are the guarantees of :class:`~providers.base.Provider`, with a real socket. To see
the values in a failed assertion, put ``pytest.register_assert_rewrite("providers.testing")`` in ``conftest.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec
import pytest

from providers.base import (
    DELTAS,
    AnsweringModel,
    BlockEnd,
    ChatRequest,
    Event,
    Finish,
    Message,
    Provider,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from providers.errors import ProviderError
from providers.options import Context
from providers.registry import Kind
from providers.transport import AiohttpTransport
from providers.validation import convert

LIMIT_SECONDS = 60.0
"""How long anything may take before a test fails: longer than it does on a busy machine."""

AT_ONCE_SECONDS = 10.0
"""How long that may take which must be at once: shorter than any deadline for which a provider might wait instead."""

Behaviour: TypeAlias = Literal["answers", "silent", "stalls", "fails", "breaks"]
"""What the model behind a provider does: it answers whole; takes the request and says nothing; says
something and nothing more; refuses; says something and is cut off."""


class Harness(msgspec.Struct, frozen=True):
    """A provider, and the model behind it. The counts are None for a provider that has no connection:
    ``requests`` that ever reached the model, ``connections`` that are open now with a request in them."""

    provider: Provider
    requests: Callable[[], int] | None = None
    connections: Callable[[], int] | None = None


@pytest.mark.asyncio
class ProviderContract:
    """The suite. A subclass is called ``Test…`` and gives :meth:`harness`."""

    def harness(self, behaviour: Behaviour) -> AbstractAsyncContextManager[Harness]:
        """Return a context manager that runs a provider with a model of this ``behaviour``."""
        raise NotImplementedError

    def request(self) -> ChatRequest:
        """Return the request that the tests send."""
        return ChatRequest(messages=[Message(role="user", content="hello")], model="model", max_tokens=100)

    async def test_stream_yields_pieces_and_then_exactly_one_finish(self) -> None:
        async with self.harness("answers") as harness:
            events = await self._ask(harness)
            assert all(isinstance(event, (*DELTAS, BlockEnd, AnsweringModel, Usage, Finish)) for event in events), (
                "attempts are for wrappers to tell"
            )
            assert sum(isinstance(event, Finish) for event in events) == 1
            assert all(event.text for event in events if isinstance(event, (Text, Reasoning))), (
                "an empty piece is no token"
            )
            assert any(isinstance(event, DELTAS) for event in events), "the answer is empty"
            assert isinstance(events[-1], Finish), "something came after the finish"

    async def test_tool_calls_have_indices_from_zero_and_tell_id_and_name_once(self) -> None:
        async with self.harness("answers") as harness:
            known: dict[int, set[str]] = {}
            for call in (event for event in await self._ask(harness) if isinstance(event, ToolCall)):
                assert call.index in known or call.index == len(known), "an index was left out"
                told = known.setdefault(call.index, set())
                for name, value in (("id", call.id), ("name", call.name)):
                    assert value != "", f"the {name} is empty"
                    assert value is None or name not in told, f"the {name} was told twice"
                    told |= {name} if value is not None else set()

    async def test_counts_of_usage_never_fall(self) -> None:
        async with self.harness("answers") as harness:
            said = [event for event in await self._ask(harness) if isinstance(event, Usage)]
            for counts in ([usage.prompt_tokens for usage in said], [usage.completion_tokens for usage in said]):
                known = [count for count in counts if count is not None]
                assert known == sorted(known)

    async def test_provider_serves_many_requests_also_at_once(self) -> None:
        async with self.harness("answers") as harness:
            first = await self._ask(harness)
            answers = await asyncio.gather(*(self._ask(harness) for _ in range(5)))
            assert all(_text(answer) == _text(first) for answer in answers)

    async def test_stream_sends_nothing_before_it_is_advanced(self) -> None:
        async with self.harness("answers") as harness:
            stream = harness.provider.stream(self.request())
            await asyncio.sleep(0.05)
            await stream.aclose()
            assert harness.requests is None or harness.requests() == 0

    async def test_stream_raises_a_provider_error_and_retries_nothing_when_the_model_fails(self) -> None:
        async with self.harness("fails") as harness:
            with pytest.raises(ProviderError):
                await self._ask(harness)
            assert harness.requests is None or harness.requests() == 1
            await _until_closed(harness)

    async def test_stream_raises_a_provider_error_when_the_answer_breaks_off(self) -> None:
        async with self.harness("breaks") as harness:
            events: list[Event] = []
            with pytest.raises(ProviderError):
                async with (
                    asyncio.timeout(LIMIT_SECONDS),
                    aclosing(harness.provider.stream(self.request())) as stream,
                ):
                    async for event in stream:
                        events.append(event)  # noqa: PERF401 — what came before the failure matters
            assert not [event for event in events if isinstance(event, Finish)]

    async def test_cancelling_closes_the_connection_at_once_when_the_model_is_silent(self) -> None:
        async with self.harness("silent") as harness:
            await self._cancel(harness)

    async def test_cancelling_closes_the_connection_at_once_in_the_middle_of_an_answer(self) -> None:
        async with self.harness("stalls") as harness:
            await self._cancel(harness)

    async def test_closing_the_stream_closes_the_connection_at_once_in_the_middle_of_an_answer(self) -> None:
        async with self.harness("stalls") as harness:
            stream = harness.provider.stream(self.request())
            async with asyncio.timeout(LIMIT_SECONDS):
                async for event in stream:
                    if isinstance(event, DELTAS):
                        break
            async with asyncio.timeout(AT_ONCE_SECONDS):
                await stream.aclose()
            await _until_closed(harness)

    async def test_provider_closes_also_when_it_served_no_request(self) -> None:
        async with self.harness("answers") as harness:
            await harness.provider.aclose()

    async def _ask(self, harness: Harness) -> list[Event]:
        async with asyncio.timeout(LIMIT_SECONDS), aclosing(harness.provider.stream(self.request())) as stream:
            return [event async for event in stream]

    async def _cancel(self, harness: Harness) -> None:
        asking = asyncio.get_running_loop().create_task(self._ask(harness))
        if harness.connections is not None:
            await _until(lambda: bool(_count(harness.connections)), LIMIT_SECONDS, "the request never arrived")
        await asyncio.sleep(0.05)  # into the middle of it
        assert not asking.done()
        asking.cancel()
        await asyncio.wait((asking,), timeout=AT_ONCE_SECONDS)
        assert asking.cancelled(), "the cancellation did not come through"
        await _until_closed(harness)


class HttpProviderContract(ProviderContract):
    """The suite for a kind that speaks HTTP, before a model that this class plays.

    ``pieces`` are the body of a whole answer, cut where they may arrive apart: the first alone gives a piece
    of the answer, and all together are complete. ``options`` are further keys of the provider's table.
    """

    kind: ClassVar[Kind]
    pieces: ClassVar[Sequence[bytes]]
    options: ClassVar[Mapping[str, Any]] = {}
    content_type: ClassVar[str] = "text/event-stream"

    @asynccontextmanager
    async def harness(self, behaviour: Behaviour) -> AsyncIterator[Harness]:
        async with _Model(behaviour, self.pieces, self.content_type) as model:
            transport = AiohttpTransport()
            table = {"kind": "tested", "model": "model", "base_url": model.url, **self.options}
            provider = self.kind.create(convert(table, self.kind.options), Context("tested", transport, api_key="key"))
            try:
                yield Harness(provider, lambda: model.requests, lambda: model.connections)
            finally:
                await provider.aclose()
                await transport.aclose()


class _Model:
    """An HTTP server that behaves."""

    def __init__(self, behaviour: Behaviour, pieces: Sequence[bytes], content_type: str) -> None:
        self._behaviour = behaviour
        self._pieces = pieces
        self._content_type = content_type
        self._handlers: set[asyncio.Task[None]] = set()
        self.requests = 0
        self.connections = 0

    async def __aenter__(self) -> _Model:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)
        counted = False
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            counted = True
            self.requests += 1
            self.connections += 1
            await reader.readexactly(_content_length(head))
            await self._behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # closed, which is what the tests wait for
        finally:
            self.connections -= counted
            writer.close()

    async def _behave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._behaviour == "fails":
            writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if self._behaviour != "silent":
            said = self._pieces if self._behaviour == "answers" else self._pieces[:1]
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {self._content_type}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            for piece in said:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.001)  # so that they arrive apart
        if self._behaviour in ("silent", "stalls"):
            await reader.read()


def _content_length(head: bytes) -> int:
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


def _text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def _count(counter: Callable[[], int] | None) -> int:
    return 0 if counter is None else counter()


async def _until_closed(harness: Harness) -> None:
    await _until(lambda: not _count(harness.connections), AT_ONCE_SECONDS, "the connection to the model stays open")


async def _until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 — a count has no event
                await asyncio.sleep(0.001)
    except TimeoutError:
        pytest.fail(otherwise)
