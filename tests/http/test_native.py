"""The native API, over a real server process."""

from __future__ import annotations

import aiohttp

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import get_events, stream_url
from tests.support.sse import text_of
from tests.support.upstream import answer


async def test_a_prompt_comes_back_token_by_token(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server()
    events = await get_events(http, stream_url(server.url))
    assert [event.type for event in events] == ["start", "message", "message", "message", "done"]
    assert text_of(events) == "hello big world"
    assert [event.offset for event in events] == ["0", "1", "2", "3", "4"]


async def test_an_openai_server_answers(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(answer("Hel", "lo"))
    server = await start_server(openai_at(upstream))
    events = await get_events(http, stream_url(server.url))
    assert text_of(events) == "Hello"
    done = events[-1].json()
    assert done["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "estimated": False}
    assert done["model"] == "gpt-4o-mini-2024-07-18"
    sent = upstream.exchanges[0].json()
    assert sent["stream"] is True and sent["stream_options"] == {"include_usage": True}
