"""Anthropic's SDK for Node, over providers of each protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.client.project import run
from tests.clients.anthropic.conftest import FOLDER
from tests.clients.table import Client
from tests.conftest import StartServer, StartUpstream
from tests.messages.upstreams import SCRIPTS, TABLES, TOOLS, provider_at
from tests.support.upstream import Exchange, Upstream, chunk

SDK = "@anthropic-ai/sdk"
VERSION = json.loads((FOLDER / "package.json").read_text("utf-8"))["devDependencies"][SDK]
CLIENTS = (Client(f"Anthropic, `{SDK}`", VERSION, "Messages", "anthropic.md"),)
HELLO = [{"role": "user", "content": "hello"}]
ASKED: dict[str, Any] = {"model": "up", "max_tokens": 100, "messages": HELLO}
Perform = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@pytest.fixture
def perform(node: str) -> Perform:
    """``await perform(url, body, streamed=True)``: what the SDK's caller saw."""

    async def performed(url: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        task = {"url": url, "body": body, "streamed": False, "maxRetries": 0, **options}
        seen: dict[str, Any] = json.loads(await run(node, FOLDER / "sdk.js", json.dumps(task), folder=FOLDER))
        return seen

    return performed


@pytest.mark.parametrize("protocol", TABLES)
async def test_tools_are_called_in_two_rounds(
    start_server: StartServer, start_upstream: StartUpstream, perform: Perform, protocol: str
) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS[protocol])
    server = await start_server(provider_at(protocol, upstream.url))
    for streamed in (True, False):
        seen = await perform(server.url, {**ASKED, "tools": TOOLS}, streamed=streamed)
        message = seen["message"]
        assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use", "tool_use"]
        assert [block["input"] for block in message["content"][2:]] == [{"city": "Oslo"}] * 2
        assert message["stop_reason"] == "tool_use" and message["usage"]["output_tokens"] == 9
        assert not streamed or "".join(seen["texts"]) == "Let me look."
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "r"} for call in message["content"][2:]]
    history = [*HELLO, {"role": "assistant", "content": message["content"]}, {"role": "user", "content": results}]
    seen = await perform(server.url, {**ASKED, "messages": history, "tools": TOOLS})
    assert "error" not in seen and len(upstream.exchanges) == 3


async def test_errors_before_and_after_the_first_piece(
    start_server: StartServer, start_upstream: StartUpstream, perform: Perform
) -> None:
    async def refuses(exchange: Exchange) -> None:
        await exchange.answer(503, "{}")

    async def breaks_off(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one"))
        exchange.reset()

    upstream: Upstream = await start_upstream(refuses)
    server = await start_server({**provider_at("chat", upstream.url), "retry": {"attempts": 1}})
    seen = await perform(server.url, ASKED, streamed=True, maxRetries=1)
    assert (seen["error"]["status"], seen["error"]["body"]["error"]["type"]) == (529, "overloaded_error")
    assert seen["error"]["requestId"] and len(upstream.exchanges) == 2, "the SDK retried it once"
    upstream.script = breaks_off
    seen = await perform(server.url, ASKED, streamed=True, maxRetries=1)
    assert seen["texts"] == ["one"] and "message" not in seen
    assert seen["error"]["body"]["error"]["type"] == "api_error" and len(upstream.exchanges) == 3


async def test_abort_closes_the_providers_connection(
    start_server: StartServer, start_upstream: StartUpstream, perform: Perform
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one"))
        await exchange.until_closed(60)

    upstream: Upstream = await start_upstream(script)
    server = await start_server(provider_at("chat", upstream.url))
    asking = asyncio.get_running_loop().create_task(perform(server.url, ASKED, streamed=True, abort=True))
    await (await upstream.exchange()).until_closed(30)
    assert (await asking)["error"]["name"] == "APIUserAbortError"
    assert (await server.record())["status"] == "cancelled"


async def test_tokens_are_counted(start_server: StartServer, perform: Perform) -> None:
    server = await start_server()
    seen = await perform(server.url, {"model": "echo", "messages": HELLO})
    assert seen["message"]["input_tokens"] == 2
