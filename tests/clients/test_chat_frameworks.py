"""LangChain and pydantic-ai speak chat completions to a real server, over every kind of provider."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.conftest import StartServer, StartUpstream
from tests.messages.upstreams import SCRIPTS, provider_at
from tests.support.upstream import Upstream


@pytest.fixture(params=SCRIPTS)
async def over(
    request: pytest.FixtureRequest, start_server: StartServer, start_upstream: StartUpstream
) -> AsyncIterator[tuple[str, Upstream]]:
    """The base URL of a server, and its upstream, which answers with reasoning, text and two calls."""
    upstream: Upstream = await start_upstream(SCRIPTS[request.param])
    server = await start_server(provider_at(request.param, upstream.url))
    yield f"{server.url}/v1", upstream


def need(package: str, request: pytest.FixtureRequest) -> None:
    """Skip the test, or fail it, where ``package`` is missing."""
    if importlib.util.find_spec(package) is None:
        reason = f"needs {package}: pip install -e '.[clients]'"
        if request.config.getoption("--require-programs"):
            pytest.fail(reason)
        pytest.skip(reason)


async def test_langchain_streams_text_and_both_tool_calls(
    over: tuple[str, Upstream], request: pytest.FixtureRequest
) -> None:
    need("langchain_openai", request)
    from langchain_openai import ChatOpenAI

    fields: dict[str, Any] = {"model": "up", "base_url": over[0], "api_key": "unused", "max_retries": 0}
    model = ChatOpenAI(**fields, stream_usage=True)
    whole: Any = None
    async for piece in model.astream("hi"):
        whole = piece if whole is None else whole + piece
    assert whole.content == "Let me look."
    assert [(call["name"], call["id"], call["args"]) for call in whole.tool_calls] == [
        ("weather", "call_w", {"city": "Oslo"}),
        ("clock", "call_c", {"city": "Oslo"}),
    ]
    assert (whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]) == (20, 9)
    assert (await model.ainvoke("hi")).tool_calls == whole.tool_calls


async def test_pydantic_ai_streams_thinking_text_and_both_tool_calls(
    over: tuple[str, Upstream], request: pytest.FixtureRequest
) -> None:
    need("pydantic_ai", request)
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.messages import ModelRequest
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async with openai.AsyncOpenAI(api_key="unused", base_url=over[0], max_retries=0) as client:
        model = OpenAIChatModel("up", provider=OpenAIProvider(openai_client=client))
        async with model_request_stream(model, [ModelRequest.user_text_prompt("hi")]) as stream:
            async for _ in stream:
                pass
            parts: list[Any] = list(stream.get().parts)
    assert [part.part_kind for part in parts] == ["thinking", "text", "tool-call", "tool-call"]
    assert (parts[0].content, parts[1].content) == ("Hm.", "Let me look.")
    assert [part.tool_call_id for part in parts[2:]] == ["call_w", "call_c"]
    assert parts[3].args_as_dict() == {"city": "Oslo"}
