"""Every built-in kind passes the suite that authors of plug-ins run on theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar

import pytest

from providers.base import Attempt, AttemptFailed, ChatRequest, Event, Finish, Provider, Text, ToolCall, Usage
from providers.clock import LoopClock
from providers.errors import Overloaded, UpstreamError
from providers.options import Context
from providers.registry import Kind, load_registry
from providers.resilience import Breaker, Candidate, Fallback
from providers.testing import Behaviour, Harness, HttpProviderContract, ProviderContract
from providers.transport import AiohttpTransport
from tests.providers.asking import build
from tests.providers.fakes import Scripted, failing, resilient
from tests.support.upstream import DONE, chunk, usage_chunk

REGISTRY = load_registry(plugins=())
CHAT = (chunk("Hel").encode(), chunk("lo").encode(), (chunk(finish="stop") + usage_chunk(7, 2) + DONE).encode())


def events(*values: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in values)


RESPONSES = events(
    {"type": "response.output_text.delta", "delta": "Hel"},
    {"type": "response.output_text.delta", "delta": "lo"},
    {"type": "response.completed", "response": {"model": "m", "usage": {"input_tokens": 7, "output_tokens": 2}}},
)


class TestOpenAIChat(HttpProviderContract):
    kind = REGISTRY.kind("openai")
    pieces = CHAT


class TestOpenAIResponses(HttpProviderContract):
    kind = REGISTRY.kind("openai")
    pieces = RESPONSES
    options: ClassVar[dict[str, Any]] = {"api": "responses"}


class TestAzureChat(HttpProviderContract):
    kind = REGISTRY.kind("azure")
    pieces = CHAT
    options: ClassVar[dict[str, Any]] = {"api_version": "2024-10-21"}


class TestAzureResponses(HttpProviderContract):
    kind = REGISTRY.kind("azure")
    pieces = RESPONSES
    options: ClassVar[dict[str, Any]] = {"api": "responses"}


class TestAnthropic(HttpProviderContract):
    kind = REGISTRY.kind("anthropic")
    pieces = (
        b"".join(
            events(
                {
                    "type": "message_start",
                    "message": {"model": "claude", "usage": {"input_tokens": 7, "output_tokens": 1}},
                },
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "ping"},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
            )
        ),
        *events(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ),
    )


class _Silenced:
    """A wrapped provider without the attempts that only a wrapper tells of."""

    def __init__(self, wrapped: Provider) -> None:
        self._wrapped = wrapped
        self.aclose = wrapped.aclose

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        async with aclosing(self._wrapped.stream(request)) as events:
            async for event in events:
                if not isinstance(event, (Attempt, AttemptFailed)):
                    yield event


def _wrapped(options: Any, context: Context) -> Provider:
    """Return OpenAI in all its wrappers, as the one that answers after another has failed."""
    clock = LoopClock()
    openai = REGISTRY.kind("openai").create(options, context)
    candidates = []
    for provider in (failing(Overloaded()), openai):
        breaker = Breaker(clock)
        wrapped = resilient(provider, clock=clock, breaker=breaker, first_token=60, idle=60)
        candidates.append(Candidate("model", wrapped, breaker))
    return _Silenced(Fallback(candidates[0], candidates[1:]))


class TestEveryWrapper(HttpProviderContract):
    kind = Kind(REGISTRY.kind("openai").options, _wrapped)
    pieces = CHAT


class TestEcho(ProviderContract):
    kind = REGISTRY.kind("echo")
    OPTIONS: ClassVar[dict[Behaviour, dict[str, Any]]] = {
        "answers": {},
        "silent": {"hang_after": 0},
        "stalls": {"tokens": 9, "hang_after": 1},
        "fails": {"fail_after": 0},
        "breaks": {"tokens": 9, "fail_after": 1},
    }

    @asynccontextmanager
    async def harness(self, behaviour: Behaviour) -> AsyncIterator[Harness]:
        table = {"kind": "echo", "delay_ms": 0, **self.OPTIONS[behaviour]}
        yield Harness(build(table, AiohttpTransport()))


def test_suite_is_passed_by_every_built_in_kind() -> None:
    classes = [value for value in globals().values() if isinstance(value, type) and issubclass(value, ProviderContract)]
    options = {each.kind.options for each in classes if hasattr(each, "kind")}
    assert {name for name in REGISTRY.names if REGISTRY.kind(name).options not in options} == set()


class _Faulty(ProviderContract):
    """The suite, before a provider that plays ``script`` whatever it is asked."""

    def __init__(self, script: list[Any]) -> None:
        self.provider = Scripted([script])

    @asynccontextmanager
    async def harness(self, behaviour: Behaviour) -> AsyncIterator[Harness]:
        yield Harness(self.provider, lambda: len(self.provider.asked), lambda: self.provider.open)


TOLD_ONCE = "tool_calls_have_indices_from_zero_and_tell_id_and_name_once"


def call(index: int, call_id: str | None, name: str | None) -> ToolCall:
    return ToolCall(index, call_id, name, "{}")


@pytest.mark.parametrize(
    ("script", "guarantee"),
    [
        ([Text("a")], "stream_yields_pieces_and_then_exactly_one_finish"),
        ([Text("a"), Finish("stop"), Finish("stop")], "stream_yields_pieces_and_then_exactly_one_finish"),
        ([Finish("stop"), Text("a")], "stream_yields_pieces_and_then_exactly_one_finish"),
        ([Text(""), Text("a"), Finish("stop")], "stream_yields_pieces_and_then_exactly_one_finish"),
        ([Usage(5, 2), Text("a"), Usage(5, 1), Finish("stop")], "counts_of_usage_never_fall"),
        ([call(0, "a", "f"), call(0, "a", None), Finish("stop")], TOLD_ONCE),
        ([call(0, "a", "f"), call(0, None, "f"), Finish("stop")], TOLD_ONCE),
        ([call(0, "a", ""), Finish("stop")], TOLD_ONCE),
        ([call(1, "a", "f"), Finish("stop")], TOLD_ONCE),
        ([Text("a"), Finish("stop")], "stream_raises_a_provider_error_and_retries_nothing_when_the_model_fails"),
        ([Text("a")], "stream_raises_a_provider_error_when_the_answer_breaks_off"),
        ([Text("a"), Finish("stop"), UpstreamError()], "stream_raises_a_provider_error_when_the_answer_breaks_off"),
    ],
)
async def test_contract_fails_when_a_provider_breaks_it(script: list[Any], guarantee: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await getattr(_Faulty(script), f"test_{guarantee}")()


class _Deaf(Scripted):
    """A provider that swallows its cancellation."""

    async def stream(self, request: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        try:
            async for event in super().stream(request):
                yield event
        except BaseException:
            yield Finish("stop")


async def test_contract_fails_when_a_provider_cannot_be_cancelled() -> None:
    faulty = _Faulty([])
    faulty.provider = _Deaf([[Text("a"), None]])
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await faulty.test_cancelling_closes_the_connection_at_once_in_the_middle_of_an_answer()


def test_contract_imports_nothing_of_the_server() -> None:
    code = "import sys, providers.testing; print([name for name in sys.modules if name.startswith('streamserver')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
