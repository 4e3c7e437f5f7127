"""The limits of a user, as a client sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.support.client import RawStream, get_events, post_events, stream_url

HANGING = {"kind": "echo", "hang_after": 1}
KEYS = {"STREAMSERVER_KEYS": "anna:key-of-anna,bert:key-of-bert"}
ANNA, BERT = {"X-API-Key": "key-of-anna"}, {"X-API-Key": "key-of-bert"}


async def refused(http: aiohttp.ClientSession, url: str, **options: Any) -> tuple[str, dict[str, str]]:
    async with http.get(url, **options) as response:
        assert response.status == 429, await response.text()
        problem = await response.json(content_type="application/problem+json")
        assert problem["code"] == "rate_limited"
        return problem["detail"], dict(response.headers)


async def test_stream_starts_per_minute_are_limited_and_attaching_does_not_count(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"requests_per_minute": 2}})
    first = await get_events(http, stream_url(server.url))
    last_id = first[1].id
    for _ in range(5):
        assert (await get_events(http, stream_url(server.url), headers={"Last-Event-ID": last_id}))[-1].type == "done"
    async with http.get(stream_url(server.url, prompt="")) as response:
        assert response.status == 422, "a request that is refused for another reason does not count"
    async with http.post(f"{server.url}/api/chat/streams", json={"prompt": "hi"}) as response:
        assert response.status == 201
    said, headers = await refused(http, stream_url(server.url))
    assert "2 streams a minute" in said
    assert 1 <= int(headers["Retry-After"]) <= 60
    assert headers["RateLimit-Policy"] == '"requests";q=2;qu="requests";w=60'
    assert headers["RateLimit"] == f'"requests";r=0;t={headers["Retry-After"]}'
    assert (await get_events(http, stream_url(server.url), headers={"Last-Event-ID": last_id}))[-1].type == "done"


@pytest.mark.parametrize("leave", ["close", "reset", "stop"])
async def test_slot_is_free_when_the_stream_has_ended(
    start_server: StartServer, http: aiohttp.ClientSession, leave: str
) -> None:
    server = await start_server({"providers": {"echo": HANGING}, "limits": {"max_streams_per_user": 1}}, environ=KEYS)
    for number in range(10):
        stream = await (await RawStream.request(server.port, "/api/chat/stream?prompt=a+b", headers=ANNA)).head()
        assert stream.status == 200
        said, headers = await refused(http, stream_url(server.url), headers=ANNA)
        assert "1 streams at a time" in said
        assert headers["RateLimit-Policy"] == '"streams";q=1;qu="concurrent-requests"'
        other = await (await RawStream.request(server.port, "/api/chat/stream?prompt=a+b", headers=BERT)).head()
        assert other.status == 200, "each user has slots of their own"
        for each in (stream, other):
            if leave == "stop":
                async with http.delete(f"{server.url}/api/chat/streams/{each.headers['x-stream-id']}") as response:
                    assert response.status == 204
            elif leave == "reset":
                each.writer.transport.abort()
            each.close()
        async with asyncio.timeout(60):
            while len(server.records()) < 2 * (number + 1):
                await asyncio.sleep(0.002)


async def test_tokens_per_day_are_those_of_the_reported_usage(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"tokens_per_day": 10}})
    for _ in range(2):
        assert (await get_events(http, stream_url(server.url, "hello big world")))[-1].json()["usage"][
            "total_tokens"
        ] == 6
    said, headers = await refused(http, stream_url(server.url))
    assert "10 tokens a day" in said
    assert 86_000 < int(headers["Retry-After"]) <= 86_400


async def test_key_has_its_own_limits_providers_and_models(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    echo = {"kind": "echo", "delay_ms": 0}
    anna = {"providers": ["cheap"], "models": ["small", "tiny"], "max_tokens": 2, "requests_per_minute": 3}
    server = await start_server(
        {
            "provider": {"default": "echo"},
            "providers": {"echo": echo, "cheap": echo},
            "auth": {"users": {"anna": anna}},
        },
        environ=KEYS,
    )
    async with http.get(f"{server.url}/api/providers", headers=ANNA) as response:
        listed = await response.json()
        assert (listed["default"], [each["name"] for each in listed["providers"]]) == ("cheap", ["cheap"])
    for body, field in (
        ({"provider": "echo"}, "provider"),
        ({"model": "large"}, "model"),
        ({"max_tokens": 3}, "max_tokens"),
    ):
        async with http.post(f"{server.url}/api/chat/stream", json={"prompt": "a", **body}, headers=ANNA) as response:
            assert response.status == 422
            assert (await response.json(content_type=None))["field"] == field
    start, *_, done = await post_events(http, server.url, {"prompt": "a b c d"}, headers=ANNA)
    assert (start.json()["provider"], start.json()["model"]) == ("cheap", "small")
    assert done.json()["finish_reason"] == "length"
    start, *_ = await post_events(http, server.url, {"prompt": "a", "model": "tiny"}, headers=ANNA)
    assert start.json()["model"] == "tiny"
    await post_events(http, server.url, {"prompt": "a"}, headers=ANNA)
    await refused(http, stream_url(server.url), headers=ANNA)
    for _ in range(5):
        start, *_ = await post_events(http, server.url, {"prompt": "a", "model": "large"}, headers=BERT)
        assert start.json()["provider"] == "echo"


async def test_user_is_the_forwarded_address_when_the_proxy_is_trusted(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"requests_per_minute": 1}, "server": {"trusted_proxies": ["127.0.0.1"]}})
    for address in ("203.0.113.1", "203.0.113.2", "2001:db8:1:1::1", "2001:db8:1:2::1"):
        headers = {"X-Forwarded-For": f"198.51.100.9, {address}"}
        await get_events(http, stream_url(server.url), headers=headers)
        await refused(http, stream_url(server.url), headers=headers)
    await refused(http, stream_url(server.url), headers={"X-Forwarded-For": "2001:db8:1:2:ffff::2"})


async def test_forwarded_address_is_ignored_when_no_proxy_is_trusted(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"requests_per_minute": 1}})
    await get_events(http, stream_url(server.url), headers={"X-Forwarded-For": "203.0.113.1"})
    await refused(
        http, stream_url(server.url), headers={"X-Forwarded-For": "203.0.113.2", "Forwarded": "for=203.0.113.3"}
    )
