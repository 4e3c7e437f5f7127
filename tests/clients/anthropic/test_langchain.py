"""langchain-anthropic, over providers of each protocol."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from typing import Any

import anthropic
import pytest

from tests.clients.table import Client
from tests.conftest import StartServer, StartUpstream
from tests.messages.upstreams import SCRIPTS, TABLES, TOOLS, provider_at
from tests.support.upstream import Exchange, Upstream, chunk

INSTALLED = importlib.util.find_spec("langchain_anthropic") is not None
CLIENTS = (Client("LangChain, `langchain-anthropic`", version("langchain-anthropic") if INSTALLED else "", "Messages",
                  "anthropic.md"),)  # fmt: skip
ModelAt = Callable[..., Any]


@pytest.fixture
async def model_at(request: pytest.FixtureRequest) -> AsyncIterator[ModelAt]:
    """``model_at(server.url, model="up")``: a chat model of LangChain's."""
    if not INSTALLED:
        reason = "needs langchain-anthropic: pip install -e '.[clients]'"
        if request.config.getoption("--require-programs"):
            pytest.fail(reason)
        pytest.skip(reason)
    from langchain_anthropic import ChatAnthropic

    models: list[Any] = []

    def made(url: str, model: str = "up") -> Any:
        fields: dict[str, Any] = {"model": model, "base_url": url, "api_key": "unused", "max_tokens": 100}
        models.append(ChatAnthropic(**fields, max_retries=0))
        return models[-1]

    yield made
    for model in models:
        await model._async_client.close()
        model._client.close()


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("protocol", TABLES)
async def test_tools_are_called_in_two_rounds(
    start_server: StartServer, start_upstream: StartUpstream, model_at: ModelAt, protocol: str, streamed: bool
) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS[protocol])
    server = await start_server(provider_at(protocol, upstream.url))
    model = model_at(server.url).bind_tools(TOOLS)
    answer: Any = None
    if streamed:
        async for piece in model.astream("hello"):
            answer = piece if answer is None else answer + piece
    else:
        answer = await model.ainvoke("hello")
    assert [(call["id"], call["name"], call["args"]) for call in answer.tool_calls] == [
        ("call_w", "weather", {"city": "Oslo"}), ("call_c", "clock", {"city": "Oslo"}),
    ]  # fmt: skip
    assert answer.text == "Let me look."
    usage = answer.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"]) == (20, 9)
    assert usage["input_token_details"]["cache_read"] == 5
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "r"} for call in answer.tool_calls]
    await model.ainvoke([{"role": "user", "content": "hello"}, answer, *results])
    assert len(upstream.exchanges) == 2


async def test_error_is_the_sdks_own(
    start_server: StartServer, start_upstream: StartUpstream, model_at: ModelAt
) -> None:
    async def breaks_off(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one"))
        exchange.reset()

    upstream: Upstream = await start_upstream(breaks_off)
    server = await start_server(provider_at("chat", upstream.url))
    with pytest.raises(anthropic.NotFoundError):
        await model_at(server.url, "unheard-of").ainvoke("hello")
    texts = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        async for piece in model_at(server.url).astream("hello"):
            texts.append(piece.text)
    assert "".join(texts) == "one" and caught.value.type == "api_error"


async def test_tokens_are_counted(start_server: StartServer, model_at: ModelAt) -> None:
    from langchain_core.messages import HumanMessage

    server = await start_server()
    model = model_at(server.url, "echo")

    assert await asyncio.to_thread(model.get_num_tokens_from_messages, [HumanMessage("hello")]) == 2
