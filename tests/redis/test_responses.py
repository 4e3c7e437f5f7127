"""Responses over several nodes: begun at one, retrieved, resumed, cancelled and deleted at another."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.conftest import openai_at
from tests.redis.conftest import StartNode
from tests.support.sse import DispatchedEvent, parse
from tests.support.upstream import Tap, Upstream

Json = dict[str, Any]


async def nodes(start_node: StartNode, upstream: Upstream, **provider: Any) -> tuple[str, str]:
    """Return the addresses of Responses at two nodes."""
    found = await asyncio.gather(*(start_node(openai_at(upstream, **provider)) for _ in range(2)))
    return f"{found[0].url}/v1/responses", f"{found[1].url}/v1/responses"


async def ask(http: aiohttp.ClientSession, method: str, url: str, *, status: int = 200, **options: Any) -> Json:
    async with http.request(method, url, **options) as response:
        assert response.status == status, await response.text()
        return await response.json()  # type: ignore[no-any-return]


async def stream(http: aiohttp.ClientSession, url: str, after: int | None = None) -> list[DispatchedEvent]:
    query = {"stream": "true"} if after is None else {"stream": "true", "starting_after": str(after)}
    async with http.get(url, params=query) as response:
        assert response.status == 200
        return parse(await response.read())


async def begin(http: aiohttp.ClientSession, node: str, **fields: Any) -> Json:
    return await ask(http, "POST", node, json={"model": "up", "input": "a", "background": True, **fields})


async def until(http: aiohttp.ClientSession, url: str, status: str) -> Json:
    async with asyncio.timeout(60):
        while (response := await ask(http, "GET", url))["status"] != status:
            await asyncio.sleep(0.02)
    return response


async def test_background_response_is_followed_and_resumed_at_another_node(
    start_node: StartNode, upstream: Upstream, tap: Tap, http: aiohttp.ClientSession
) -> None:
    first, second = await nodes(start_node, upstream)
    begun = await begin(http, first)
    place = f"/{begun['id']}"
    assert begun["status"] == "queued"
    tap("Fo")
    await until(http, second + place, "in_progress")
    following = asyncio.create_task(stream(http, second + place))
    tap("ur", None)
    whole = await following
    assert [json.loads(event.data)["sequence_number"] for event in whole] == list(range(len(whole)))
    assert whole == await stream(http, first + place), "every node gives the same bytes"
    for number in (0, 4, len(whole) - 2):
        assert await stream(http, second + place, number) == whole[number + 1 :]
    response = json.loads(whole[-1].data)["response"]
    assert response["output"][0]["content"][0]["text"] == "Four"
    for node in (first, second):
        assert await ask(http, "GET", node + place) == response


async def test_response_is_cancelled_at_another_node(
    start_node: StartNode, upstream: Upstream, tap: Tap, http: aiohttp.ClientSession
) -> None:
    first, second = await nodes(start_node, upstream)
    begun = await begin(http, first)
    place = f"/{begun['id']}"
    tap("Fo")
    exchange = await upstream.exchange()
    await until(http, second + place, "in_progress")
    cancelled = await ask(http, "POST", f"{second}{place}/cancel")
    assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
    await exchange.until_closed()
    assert await ask(http, "POST", f"{first}{place}/cancel") == cancelled, "cancelling again changes nothing"
    assert await ask(http, "GET", first + place) == cancelled


async def test_deleted_response_is_stopped_and_gone_at_every_node(
    start_node: StartNode, upstream: Upstream, tap: Tap, http: aiohttp.ClientSession
) -> None:
    first, second = await nodes(start_node, upstream)
    begun = await begin(http, first)
    place = f"/{begun['id']}"
    tap("Fo")
    exchange = await upstream.exchange()
    deleted = await ask(http, "DELETE", second + place)
    assert deleted == {"id": begun["id"], "object": "response", "deleted": True}
    await exchange.until_closed()
    for node in (first, second):
        error = (await ask(http, "GET", node + place, status=404))["error"]
        message = f"Response with id '{begun['id']}' not found."
        assert error == {"message": message, "type": "invalid_request_error", "param": None, "code": None}


async def test_item_of_an_answer_is_referred_to_at_another_node(
    start_node: StartNode, upstream: Upstream, tap: Tap, http: aiohttp.ClientSession
) -> None:
    first, second = await nodes(start_node, upstream)
    tap("Four", None)
    answer = await ask(http, "POST", first, json={"model": "up", "input": "Two and two?"})
    reference = {"type": "item_reference", "id": answer["output"][0]["id"]}
    tap("Yes", None)
    await ask(http, "POST", second, json={"model": "up", "input": [reference, {"role": "user", "content": "Sure?"}]})
    asked = upstream.exchanges[1].json()["messages"]
    assert [(turn["role"], turn["content"]) for turn in asked] == [("assistant", "Four"), ("user", "Sure?")]
