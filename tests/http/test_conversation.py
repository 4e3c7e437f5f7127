"""Long chats, and addresses behind a proxy that strips a prefix, through the front door."""

from __future__ import annotations

import aiohttp

from tests.conftest import StartServer

TURN = "word " * 480


async def test_chat_goes_on_for_twenty_long_turns(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server({"providers": {"echo": {"kind": "echo", "delay_ms": 0, "tokens": 3}}})
    messages: list[dict[str, str]] = []
    for _ in range(20):
        messages.append({"role": "user", "content": TURN})
        assert len(TURN) == 2400
        async with http.post(f"{server.url}/api/chat/stream", json={"messages": messages}) as response:
            assert response.status == 200
            assert "event: done" in await response.text()
        messages.append({"role": "assistant", "content": TURN})


async def test_limit_that_a_conversation_reaches_is_named(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"max_prompt_chars": 10, "max_conversation_chars": 25}})
    turn = {"role": "user", "content": "0123456789"}
    for messages, field, limit in (
        ([{**turn, "content": "0123456789x"}], "messages[0].content", "limits.max_prompt_chars"),
        ([turn, turn, turn], "messages", "limits.max_conversation_chars"),
    ):
        async with http.post(f"{server.url}/api/chat/stream", json={"messages": messages}) as response:
            problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["field"]) == (422, field)
        assert limit in problem["detail"]


async def test_prompt_that_is_too_long_is_named_as_the_caller_of_responses_named_it(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"max_prompt_chars": 30}})
    prompt = {"role": "user", "content": "x" * 31}
    called = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    for given, field in (
        ("x" * 31, "input"),
        ([prompt], "input[0].content"),
        ([{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}, prompt], "input[2].content"),
        ([prompt, called, {"type": "function_call_output", "call_id": "c", "output": "r"}], "input[0].content"),
    ):
        asked = {"model": "echo", "instructions": "Be kind.", "input": given}
        async with http.post(f"{server.url}/v1/responses", json=asked) as response:
            assert (response.status, (await response.json())["error"]["param"]) == (400, field)


async def test_created_stream_is_found_behind_a_proxy_that_strips_a_prefix(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"server": {"root_path": "/llm"}})
    async with http.post(f"{server.url}/api/chat/streams", json={"prompt": "a"}) as response:
        body = await response.json()
        assert response.headers["Location"] == body["url"] == f"/llm/api/chat/streams/{body['stream_id']}"
    async with http.get(server.url + body["url"].removeprefix("/llm")) as response:
        assert "event: done" in await response.text()
