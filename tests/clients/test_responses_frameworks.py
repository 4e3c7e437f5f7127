"""LangChain and pydantic-ai speak Responses to a real server, over every kind of provider."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.clients.responses_upstreams import CALL_ID, PROTOCOLS, answering, tables
from tests.conftest import StartServer, StartUpstream
from tests.support.upstream import Exchange, Upstream


@pytest.fixture(params=PROTOCOLS)
async def over(request: pytest.FixtureRequest, start_server: StartServer, start_upstream: StartUpstream) -> Any:
    """``await over("call", "text")``: the base URL of a server, and its upstream, which answers each request in turn
    with one of those and reasoning before it."""

    async def start(*answers: str, **options: Any) -> tuple[str, Upstream]:
        async def script(exchange: Exchange) -> None:
            step = answers[min(len(upstream.exchanges), len(answers)) - 1]
            await answering(request.param, "reasoning", step, **options)(exchange)

        upstream: Upstream = await start_upstream(script)
        server = await start_server(tables(upstream, request.param, retry={"attempts": 1}))
        return f"{server.url}/v1", upstream

    return start


def need(package: str, request: pytest.FixtureRequest) -> None:
    """Skip the test, or fail it, where ``package`` is missing."""
    if importlib.util.find_spec(package) is None:
        reason = f"needs {package}: pip install -e '.[clients]'"
        if request.config.getoption("--require-programs"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def langchain(request: pytest.FixtureRequest) -> Any:
    """``langchain(base_url)``: a chat model of LangChain's."""
    need("langchain_openai", request)
    from langchain_openai import ChatOpenAI

    def made(url: str, **options: Any) -> Any:
        fields: dict[str, Any] = {"model": "up", "base_url": url, "api_key": "unused", "max_retries": 0, **options}
        return ChatOpenAI(use_responses_api=True, **fields)

    return made


@pytest.fixture
async def agent(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """``agent(base_url)``: an agent of pydantic-ai with one tool, which says that it is noon."""
    need("pydantic_ai", request)
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    clients: list[openai.AsyncOpenAI] = []

    def made(url: str) -> Any:
        clients.append(openai.AsyncOpenAI(api_key="unused", base_url=url, max_retries=0))
        model = OpenAIResponsesModel("up", provider=OpenAIProvider(openai_client=clients[-1]))
        found: Any = Agent(model)

        @found.tool_plain  # type: ignore[untyped-decorator]
        def get_time(tz: str) -> str:
            return f"noon in {tz}"

        return found

    yield made
    for client in clients:
        await client.close()


def get_time(tz: str) -> str:
    """Return the time."""
    return f"noon in {tz}"


async def test_langchain_streams_and_calls_tools_in_two_rounds(over: Any, langchain: Any) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage

    url, upstream = await over("call", "text")
    model = langchain(url).bind_tools([get_time])
    question = HumanMessage("What time is it?")
    chunks = [chunk async for chunk in model.astream([question])]
    asked = chunks[0]
    for chunk in chunks[1:]:
        asked += chunk
    assert [(call["id"], call["name"], call["args"]) for call in asked.tool_calls] == [
        (CALL_ID, "get_time", {"tz": "UTC"})
    ]
    result = ToolMessage("noon", tool_call_id=CALL_ID)
    answer = await model.ainvoke([question, asked, result])
    assert answer.text == "Four" and answer.usage_metadata["input_tokens"] == 9
    assert answer.response_metadata["status"] == "completed"
    assert len(upstream.exchanges) == 2


async def test_langchain_raises_what_fails_after_the_first_piece(over: Any, langchain: Any) -> None:
    url, upstream = await over("text", end=False)
    texts = []
    with pytest.raises(openai.APIError) as caught:
        async for chunk in langchain(url).astream("Two and two?"):
            texts.append(chunk.text)
            if chunk.text:
                upstream.exchanges[0].writer.close()
    assert caught.value.code == "upstream_disconnected"
    assert "".join(texts) == "Four" and len(upstream.exchanges) == 1


async def test_pydantic_ai_runs_a_tool_and_keeps_reasoning(over: Any, agent: Any) -> None:
    url, upstream = await over("call", "text")
    result = await agent(url).run("What time is it?")
    assert result.output == "Four"
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.requests) == (18, 14, 2)
    kinds = [part.part_kind for message in result.all_messages() for part in message.parts]
    assert kinds == ["user-prompt", "thinking", "tool-call", "tool-return", "thinking", "text"]
    assert "noon in UTC" in upstream.exchanges[1].body.decode()


async def test_pydantic_ai_streams(over: Any, agent: Any) -> None:
    url, _ = await over("text")
    async with agent(url).run_stream("Two and two?") as result:
        assert [text async for text in result.stream_text(delta=True, debounce_by=None)] == ["Fo", "ur"]
        assert result.usage.output_tokens == 7
