"""Idempotency keys: what is asked twice is generated once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from streamserver.store import Claim, ClaimHolder, MemoryStore
from streamserver.store.base import LocalStream
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.application import running_app
from tests.support.client import RawStream, get_events, post_events, stream_url
from tests.support.server import ServerProcess
from tests.support.sse import DispatchedEvent, parse, text_of
from tests.support.upstream import DONE, Exchange, answer, chunk

KEY = {"Idempotency-Key": "order-0001"}
BODY = {"prompt": "hello big world"}


async def create(http: aiohttp.ClientSession, server: ServerProcess, body: Any, **options: Any) -> tuple[int, str]:
    async with http.post(f"{server.url}/api/chat/streams", json=body, **options) as response:
        found = await response.json()
        assert response.headers["Location"] == found["url"]
        return response.status, str(found["stream_id"])


def stream_of(events: list[DispatchedEvent]) -> str:
    return events[0].id.partition(":")[0]


async def test_the_same_request_gets_the_stream_of_the_first_at_either_path(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    first = await post_events(http, server.url, BODY, headers=KEY)
    assert await post_events(http, server.url, BODY, headers=KEY) == first
    assert await create(http, server, BODY, headers=KEY) == (200, stream_of(first))
    assert await post_events(http, server.url, {"prompt": BODY["prompt"]}, headers=KEY) == first
    await server.record()
    assert len(server.records()) == 1


async def test_a_created_stream_is_201_and_found_again_is_200(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    status, stream_id = await create(http, server, BODY, headers=KEY)
    assert status == 201
    assert await create(http, server, BODY, headers=KEY) == (200, stream_id)
    assert stream_of(await post_events(http, server.url, BODY, headers=KEY)) == stream_id
    other = await create(http, server, BODY, headers={"Idempotency-Key": "order-0002"})
    assert other[0] == 201 and other[1] != stream_id


async def test_a_get_carries_its_key_in_the_query_or_the_header(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    url = stream_url(server.url, idempotency_key="order-0001")
    first = await get_events(http, url)
    assert await get_events(http, url) == first
    assert await get_events(http, stream_url(server.url), headers=KEY) == first
    async with http.get(url, headers={"Idempotency-Key": "order-0002"}) as response:
        assert response.status == 422, "two keys"
    await server.record()
    assert len(server.records()) == 1


async def test_another_body_under_the_same_key_is_refused(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    await post_events(http, server.url, BODY, headers=KEY)
    for body in ({"prompt": "other words"}, {**BODY, "grace": 3}, {**BODY, "max_tokens": 7}):
        for path in ("/api/chat/stream", "/api/chat/streams"):
            async with http.post(server.url + path, json=body, headers=KEY) as response:
                assert response.status == 422
                problem = await response.json()
                assert (problem["code"], problem["field"]) == ("invalid_request", "Idempotency-Key")
                assert "other words" not in str(problem)
    async with http.get(stream_url(server.url, "other words", idempotency_key="order-0001")) as response:
        assert response.status == 422
    await server.record()
    assert len(server.records()) == 1


async def test_requests_at_the_same_moment_start_one_generation(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(answer("hello ", "big ", "world"))
    server = await start_server(openai_at(upstream))
    streams = await asyncio.gather(*(post_events(http, server.url, BODY, headers=KEY) for _ in range(15)))
    assert all(events == streams[0] for events in streams)
    assert text_of(streams[0]) == "hello big world"
    assert len(upstream.exchanges) == 1


async def test_keys_of_different_users_are_different_keys(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(environ={"STREAMSERVER_KEYS": "ann:key-of-ann,ben:key-of-ben"})
    ann, ben = ({**KEY, "X-API-Key": f"key-of-{name}"} for name in ("ann", "ben"))
    status, of_ann = await create(http, server, BODY, headers=ann)
    assert status == 201
    status, of_ben = await create(http, server, {"prompt": "other words"}, headers=ben)
    assert status == 201 and of_ben != of_ann
    assert await create(http, server, BODY, headers=ann) == (200, of_ann)


@pytest.mark.parametrize(("status", "freed"), [(500, True), (400, False)])
async def test_a_retryable_failure_before_the_first_token_frees_the_key(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, status: int, freed: bool
) -> None:
    async def fail(exchange: Exchange) -> None:
        await exchange.answer(status, '{"error": {"message": "no", "type": "x"}}')

    upstream = await start_upstream(fail)
    server = await start_server({**openai_at(upstream), "retry": {"attempts": 1}})
    failed = await post_events(http, server.url, BODY, headers=KEY)
    assert failed[-1].type == "error" and failed[-1].json()["retryable"] is freed
    upstream.script = answer("at ", "last")
    again = await post_events(http, server.url, BODY, headers=KEY)
    if freed:
        assert text_of(again) == "at last"
        assert await post_events(http, server.url, BODY, headers=KEY) == again
    else:
        assert again == failed
    assert len(upstream.exchanges) == 1 + freed


async def test_a_failure_after_the_first_token_keeps_the_key(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def break_off(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("half an "))

    upstream = await start_upstream(break_off)
    server = await start_server(openai_at(upstream))
    failed = await post_events(http, server.url, BODY, headers=KEY)
    assert failed[-1].json()["code"] == "upstream_disconnected" and failed[-1].json()["retryable"]
    assert await post_events(http, server.url, BODY, headers=KEY) == failed
    assert len(upstream.exchanges) == 1


async def test_a_key_is_free_when_its_stream_is_not_kept_any_more(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"resume": {"max_total_bytes": 1}})
    _, first = await create(http, server, BODY, headers=KEY)
    await server.record(first)
    status, second = await create(http, server, {"prompt": "other words"}, headers=KEY)
    assert status == 201 and second != first


async def test_the_stream_goes_on_when_the_first_of_two_readers_leaves(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    proceed = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("hello "))
        await proceed.wait()
        await exchange.send(chunk("world") + chunk(finish="stop") + DONE)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    streams = [
        await (await RawStream.request(server.port, "/api/chat/stream", method="POST", body=BODY, headers=KEY)).head()
        for _ in range(2)
    ]
    events = await streams[1].events(2)
    streams[0].close()
    proceed.set()
    events += await streams[1].events()
    streams[1].close()
    assert text_of(events) == "hello world" and events[-1].type == "done"
    assert len(upstream.exchanges) == 1


class Deaf(MemoryStore):
    """A store that publishes slowly, and swallows a cancellation meanwhile: some clients of a database do."""

    def __init__(self) -> None:
        super().__init__()
        self.publishing = asyncio.Event()

    async def publish(self, stream: LocalStream, claim: Claim | None, names: Sequence[str] = ()) -> ClaimHolder | None:
        claimed = await super().publish(stream, claim, names)
        self.publishing.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return claimed


async def test_a_client_that_is_cut_before_the_start_comes_back_with_its_key_within_its_grace(
    start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(answer("hello ", "world"))
    store = Deaf()
    async with running_app(openai_at(upstream), store=store) as (core, url):
        body = {**BODY, "grace": 30}
        port = int(url.rpartition(":")[2])
        cut = await RawStream.request(port, "/api/chat/stream", method="POST", body=body, headers=KEY)
        await store.publishing.wait()
        cut.close()
        async with asyncio.timeout(60):
            while core.supervisor.active:
                await asyncio.sleep(0.01)
        events = await post_events(http, url, body, headers=KEY)
    assert text_of(events) == "hello world" and events[-1].type == "done"
    assert len(upstream.exchanges) == 1


async def test_a_refused_request_claims_no_key(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server({"limits": {"max_prompt_chars": 20}})
    async with http.post(f"{server.url}/api/chat/stream", json={"prompt": "x" * 21}, headers=KEY) as response:
        assert response.status == 422
    assert text_of(await post_events(http, server.url, BODY, headers=KEY)) == BODY["prompt"]


class Remembering(MemoryStore):
    """A store that shows what it is told of a key."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[Claim] = []

    async def publish(self, stream: LocalStream, claim: Claim | None, names: Sequence[str] = ()) -> ClaimHolder | None:
        assert claim is not None
        self.claims.append(claim)
        return await super().publish(stream, claim, names)


async def test_fingerprints_of_equal_requests_differ(http: aiohttp.ClientSession) -> None:
    store = Remembering()
    async with running_app({"provider": {"default": "echo"}}, store=store, environ={}) as (_, url):
        for key in ("order-0001", "order-0002"):
            await post_events(http, url, BODY, headers={"Idempotency-Key": key})
    first, second = store.claims
    assert first.key != second.key
    assert first.fingerprint != second.fingerprint, "a reader of the store could guess the prompt, and see that it is"


class SlowToSay(MemoryStore):
    """A store that answers its first caller slowly, while all others see what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()
        self.answer = asyncio.Event()

    async def publish(self, stream: LocalStream, claim: Claim | None, names: Sequence[str] = ()) -> ClaimHolder | None:
        found = await super().publish(stream, claim, names)
        self.written.set()
        await self.answer.wait()
        return found


async def test_second_start_is_refused_when_the_last_slot_was_taken_meanwhile(
    http: aiohttp.ClientSession,
) -> None:
    store = SlowToSay()
    config = {"provider": {"default": "echo"}, "limits": {"max_readers_per_stream": 1}}
    asked: dict[str, Any] = {"json": {"prompt": "a b"}, "headers": {"Idempotency-Key": "one-and-only"}}
    async with running_app(config, store=store, environ={}) as (_, url):

        async def post() -> tuple[int, str]:
            async with http.post(f"{url}/api/chat/stream", **asked) as response:
                return response.status, await response.text()

        first = asyncio.create_task(post())
        await store.written.wait()
        async with http.post(f"{url}/api/chat/stream", **asked) as second:
            assert second.status == 200
            store.answer.set()
            status, refusal = await first
            assert (status, json.loads(refusal)["code"]) == (429, "rate_limited")
            events = parse(await second.read())
    assert text_of(events) == "a b" and events[-1].type == "done"


async def test_retry_finds_its_stream_running_when_a_keyed_request_was_cut(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    """A keyed request has a grace by itself: ``resume.keyed_grace_seconds``."""
    server = await start_server({"providers": {"echo": {"kind": "echo", "delay_ms": 50}}})
    body = {"prompt": "a b c d e f g h"}
    async with http.post(f"{server.url}/api/chat/stream", json=body, headers=KEY) as response:
        await response.content.readuntil(b"data: a\n\n")
    events = await post_events(http, server.url, body, headers=KEY)
    assert text_of(events) == body["prompt"] and events[-1].type == "done"
    await server.record()
    assert len(server.records()) == 1, "one generation"


async def test_retry_generates_anew_when_the_reader_left_without_a_grace(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"providers": {"echo": {"kind": "echo", "delay_ms": 50}}})
    body = {"prompt": "a b c d e f g h", "grace": 0}
    async with http.post(f"{server.url}/api/chat/stream", json=body, headers=KEY) as response:
        await response.content.readuntil(b"data: a\n\n")
    assert (await server.record())["status"] == "cancelled"
    events = await post_events(http, server.url, body, headers=KEY)
    assert text_of(events) == body["prompt"] and events[-1].type == "done"
