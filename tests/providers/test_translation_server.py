"""The clients' wires over a provider of another protocol: what it cannot express is a 400 that names the field."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream
from tests.providers.test_anthropic import WHOLE, says

USER = {"role": "user", "content": "hi"}
AUDIO = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}


def claude_at(url: str) -> dict[str, Any]:
    table = {"kind": "anthropic", "model": "claude", "base_url": url}
    return {"provider": {"default": "claude"}, "providers": {"claude": table}}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {"messages": [USER], "n": 2}, "n"),
        ("/v1/chat/completions", {"messages": [USER, AUDIO], "stream": True}, "messages[1].content[0]"),
        ("/v1/responses", {"input": "hi", "text": {"format": {"type": "json_object"}}}, "text.format"),
    ],
)
async def test_wire_answers_400_with_the_field_when_the_provider_cannot_express_it(
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
    path: str,
    body: dict[str, Any],
    param: str,
) -> None:
    upstream = await start_upstream(says(*WHOLE))
    server = await start_server(claude_at(upstream.url))
    async with http.post(server.url + path, json={"model": "claude", **body}) as response:
        error = (await response.json())["error"]
        assert (response.status, error["param"]) == (400, param)
        assert error["message"].startswith(f"{param}: ")
    assert not upstream.exchanges


async def test_messages_wire_passes_its_body_and_betas_to_the_vendor(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(says(*WHOLE))
    server = await start_server(claude_at(upstream.url))
    body = {"messages": [USER], "max_tokens": 5, "mcp_servers": [{"url": "https://example.org"}], "odd": None}
    async with http.post(
        f"{server.url}/v1/messages", json={"model": "claude", **body}, headers={"anthropic-beta": "b-1"}
    ) as response:
        assert response.status == 200
    sent = upstream.exchanges[0]
    assert sent.json() == {**body, "model": "claude", "stream": True}
    assert sent.headers["anthropic-beta"] == "b-1"
