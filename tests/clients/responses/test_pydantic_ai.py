"""pydantic-ai speaks Responses to a real server, over every kind of provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest

from tests.clients.table import Client, version_of

CLIENTS = (Client("pydantic-ai", version_of("pydantic-ai-slim"), "Responses", "responses.md"),)


@pytest.fixture
async def agent(need: Callable[[str], None]) -> AsyncIterator[Any]:
    """``agent(base_url)``: an agent of pydantic-ai with one tool, which says that it is noon."""
    need("pydantic_ai")
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


async def test_pydantic_ai_runs_a_tool_and_keeps_reasoning(turns: Any, agent: Any) -> None:
    url, upstream = await turns("call", "text")
    result = await agent(url).run("What time is it?")
    assert result.output == "Four"
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.requests) == (18, 14, 2)
    kinds = [part.part_kind for message in result.all_messages() for part in message.parts]
    assert kinds == ["user-prompt", "thinking", "tool-call", "tool-return", "thinking", "text"]
    assert "noon in UTC" in upstream.exchanges[1].body.decode()


async def test_pydantic_ai_streams(turns: Any, agent: Any) -> None:
    url, _ = await turns("text")
    async with agent(url).run_stream("Two and two?") as result:
        assert [text async for text in result.stream_text(delta=True, debounce_by=None)] == ["Fo", "ur"]
        assert result.usage.output_tokens == 7
