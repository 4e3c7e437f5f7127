"""Attaching: to a stream as it runs and after its end, from its start or from a position."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import RawStream, get_events, post_events, stream_url
from tests.support.server import ServerProcess
from tests.support.sse import parse, text_of
from tests.support.upstream import Exchange, answer, chunk

STREAMS = "/api/chat/streams"


async def create(http: aiohttp.ClientSession, server: ServerProcess, prompt: str = "hello big world") -> str:
    async with http.post(server.url + STREAMS, json={"prompt": prompt}) as response:
        assert response.status == 201
        body = await response.json()
        assert response.headers["Location"] == body["url"] == f"{STREAMS}/{body['stream_id']}"
        assert response.headers["X-Stream-ID"] == body["stream_id"]
        return str(body["stream_id"])


async def test_stream_that_is_created_has_no_position(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server()
    for query, headers in (("", {"Last-Event-ID": "a:1"}), ("?last_event_id=a:1", {}), ("?last_event_id=", {})):
        async with http.post(f"{server.url}{STREAMS}{query}", json={"prompt": "hello"}, headers=headers) as response:
            problem = await response.json()
            assert (response.status, problem.get("code")) == (
                (201, None) if query.endswith("=") else (400, "malformed")
            )


async def test_created_stream_is_read_from_its_start_any_number_of_times(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    stream_id = await create(http, server)
    bodies = []
    for _ in range(3):
        async with http.get(f"{server.url}{STREAMS}/{stream_id}") as response:
            assert response.headers["X-Stream-ID"] == stream_id
            bodies.append(await response.read())
    assert text_of(parse(bodies[0])) == "hello big world"
    assert bodies[0] == bodies[1] == bodies[2]


async def test_a_position_gets_what_follows_it_at_every_path(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    async with http.get(stream_url(server.url)) as response:
        whole = await response.read()
    events = parse(whole)
    stream_id = events[0].json()["stream_id"]
    for cut, event in enumerate(events[:-1]):
        rest = whole[whole.index(b"\n\n", whole.index(f"id: {event.id}\n".encode())) + 2 :]
        for url, headers in (
            (stream_url(server.url, "other words"), {"Last-Event-ID": event.id}),
            (f"{server.url}{STREAMS}/{stream_id}", {"Last-Event-ID": event.id}),
            (f"{server.url}{STREAMS}/{stream_id}?last_event_id={event.id}", {}),
            (f"{server.url}/api/chat/stream?last_event_id={event.id}", {}),
            (f"{server.url}{STREAMS}/{stream_id}?last_event_id={events[-1].id}", {"Last-Event-ID": event.id}),
        ):
            async with http.get(url, headers=headers) as response:
                assert response.status == 200
                assert await response.read() == rest, "the suffix, byte for byte"
        posted = await post_events(http, server.url, {"prompt": "other words"}, headers={"Last-Event-ID": event.id})
        assert posted == events[cut + 1 :]
    await server.record()
    assert len(server.records()) == 1, "nothing was generated again"


async def test_position_after_the_end_gets_a_204(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server()
    last = (await get_events(http, stream_url(server.url)))[-1]
    stream_id = last.id.partition(":")[0]
    for url, position in (
        (stream_url(server.url), last.id),
        (f"{server.url}{STREAMS}/{stream_id}", last.id),
        (f"{server.url}{STREAMS}/{stream_id}", f"{stream_id}:end"),
        (stream_url(server.url), "never-was-such-a-stream:end"),
    ):
        async with http.get(url, headers={"Last-Event-ID": position}) as response:
            assert response.status == 204
            assert await response.read() == b""


async def test_a_position_past_the_end_gets_the_terminal_event(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    last = (await get_events(http, stream_url(server.url)))[-1]
    stream_id = last.id.partition(":")[0]
    assert await get_events(http, stream_url(server.url), headers={"Last-Event-ID": f"{stream_id}:99"}) == [last]


async def test_position_past_the_newest_event_waits(start_server: StartServer, start_upstream: StartUpstream) -> None:
    more = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one"))
        await more.wait()
        await exchange.send(chunk("two") + chunk("three") + chunk(finish="stop"))

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    first = await (await RawStream.request(server.port, "/api/chat/stream?prompt=x")).head()
    stream_id = (await first.events(2))[0].json()["stream_id"]
    ahead = await (await RawStream.request(server.port, f"{STREAMS}/{stream_id}?last_event_id={stream_id}:2")).head()
    more.set()
    assert [(event.type, event.offset) for event in await ahead.events()] == [("message", "3"), ("done", "4")]
    first.close()
    ahead.close()


async def test_unknown_stream_has_expired_with_a_position_and_is_404_without(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    unknown = "AAAAAAAAAAAAAAAAAAAAAA"
    for url in (stream_url(server.url), f"{server.url}{STREAMS}/{unknown}"):
        (event,) = await get_events(http, url, headers={"Last-Event-ID": f"{unknown}:3"})
        assert (event.type, event.id, event.json()["code"]) == ("error", f"{unknown}:end", "stream_expired")
        assert event.json()["usage"] is None and event.json()["retryable"] is False
    for method in ("GET", "DELETE"):
        async with http.request(method, f"{server.url}{STREAMS}/{unknown}") as response:
            assert response.status == 404
            assert (await response.json(content_type=None))["code"] == "not_found"


async def test_a_position_of_another_stream_than_the_paths_is_malformed(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    stream_id = await create(http, server)
    headers = {"Last-Event-ID": "AAAAAAAAAAAAAAAAAAAAAA:1"}
    async with http.get(f"{server.url}{STREAMS}/{stream_id}", headers=headers) as response:
        assert response.status == 400


async def test_an_empty_position_is_none(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server()
    events = await get_events(http, stream_url(server.url, last_event_id=""), headers={"Last-Event-ID": ""})
    assert text_of(events) == "hello big world"


async def test_a_stream_is_forgotten_after_its_retention(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"resume": {"retention_seconds": 0.05}})
    last = (await get_events(http, stream_url(server.url)))[-1]
    position = {"Last-Event-ID": last.id.partition(":")[0] + ":0"}
    async with asyncio.timeout(60):
        while (await get_events(http, stream_url(server.url), headers=position))[0].type != "error":
            await asyncio.sleep(0.02)


async def test_the_oldest_finished_stream_goes_first_when_there_is_no_room(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"resume": {"max_total_bytes": 800}})
    ids = []
    for _ in range(3):
        events = await get_events(http, stream_url(server.url))
        ids.append(events[0].json()["stream_id"])
    statuses = []
    for stream_id in ids:
        async with http.get(f"{server.url}{STREAMS}/{stream_id}") as response:
            statuses.append(response.status)
    assert statuses == [404, 200, 200]


async def test_more_readers_than_may_read_one_stream_are_refused(start_server: StartServer) -> None:
    server = await start_server(
        {"limits": {"max_readers_per_stream": 2}, "providers": {"echo": {"kind": "echo", "hang_after": 1}}}
    )
    readers = [await (await RawStream.request(server.port, "/api/chat/stream?prompt=a+b")).head()]
    stream_id = readers[0].headers["x-stream-id"]
    for status in (200, 429):
        readers.append(await (await RawStream.request(server.port, f"{STREAMS}/{stream_id}")).head())
        assert readers[-1].status == status
    problem = json.loads(await readers[-1].reader.readexactly(int(readers[-1].headers["content-length"])))
    assert problem["code"] == "rate_limited" and int(readers[-1].headers["retry-after"]) >= 1
    for reader in readers:
        reader.close()


async def test_many_readers_at_different_places_all_get_everything(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    words = [f"w{number} " for number in range(500)]
    upstream = await start_upstream(answer(*words))
    server = await start_server({**openai_at(upstream), "limits": {"max_prompt_chars": 100_000}})
    stream_id = await create(http, server)
    url = f"{server.url}{STREAMS}/{stream_id}"
    bodies = await asyncio.gather(*(get_events(http, url) for _ in range(15)))
    assert all(text_of(body) == "".join(words) for body in bodies)
    assert len(upstream.exchanges) == 1


@pytest.mark.parametrize(("version", "asked"), [("1.0", "keep-alive"), ("1.1", "keep-alive"), ("1.1", "close")])
async def test_the_response_ends_after_the_terminal_event(start_server: StartServer, version: str, asked: str) -> None:
    """Its header says whether the connection ends with it (RFC 9112, section 9.6)."""
    server = await start_server()
    stream = await RawStream.request(
        server.port, "/api/chat/stream?prompt=hello", version=version, headers={"Connection": asked}
    )
    await stream.head()
    assert [event.type for event in await stream.events()] == ["start", "message", "done"]
    closes = (version, asked) != ("1.1", "keep-alive")
    assert stream.headers["connection"] == ("close" if closes else "keep-alive")
    if closes:
        assert await stream.reader.read() == b"", "the connection is closed"
    stream.close()
