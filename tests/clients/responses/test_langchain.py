"""LangChain speaks Responses to a real server, over every kind of provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.clients.responses.upstreams import CALL_ID
from tests.clients.table import Client, version_of

CLIENTS = (Client("LangChain, `langchain-openai`", version_of("langchain-openai"), "Responses", "responses.md"),)


@pytest.fixture
def langchain(need: Callable[[str], None]) -> Any:
    """``langchain(base_url)``: a chat model of LangChain's."""
    need("langchain_openai")
    from langchain_openai import ChatOpenAI

    def made(url: str, **options: Any) -> Any:
        fields: dict[str, Any] = {"model": "up", "base_url": url, "api_key": "unused", "max_retries": 0, **options}
        return ChatOpenAI(use_responses_api=True, **fields)

    return made


def get_time(tz: str) -> str:
    """Return the time."""
    return f"noon in {tz}"


async def test_langchain_streams_and_calls_tools_in_two_rounds(turns: Any, langchain: Any) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage

    url, upstream = await turns("call", "text")
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


async def test_langchain_raises_what_fails_after_the_first_piece(turns: Any, langchain: Any) -> None:
    url, upstream = await turns("text", end=False)
    texts = []
    with pytest.raises(openai.APIError) as caught:
        async for chunk in langchain(url).astream("Two and two?"):
            texts.append(chunk.text)
            if chunk.text:
                upstream.exchanges[0].writer.close()
    assert caught.value.code == "upstream_disconnected"
    assert "".join(texts) == "Four" and len(upstream.exchanges) == 1
