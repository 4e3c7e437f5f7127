"""Wherever a connection is cut, what its reader pieces together is what an uncut one gets."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

import streamserver
from streamserver.http.services import SERVICES
from tests.support.properties import examples
from tests.support.sse import DispatchedEvent, Parser, parse

STREAM = "/api/chat/stream"
WORDS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), min_size=1, max_size=12)


class EventSourceReader:
    """An ``EventSource``: keeps its bytes as far as whole events go, and comes back with the last id."""

    def __init__(self) -> None:
        self.whole = b""
        self._parser = Parser()

    @property
    def position(self) -> str:
        return self._parser.last_event_id

    def take(self, data: bytes, cut: int | None) -> None:
        """Take all of a body, or its first ``cut`` bytes; what is no whole event is lost."""
        data = data if cut is None else data[: max(cut, data.index(b"\n\n") + 2)]
        data = data[: data.rindex(b"\n\n") + 2] if b"\n\n" in data else b""
        self._parser = Parser(last_event_id=self.position)
        self._parser.feed(data)
        self.whole += data


def app_client(**tables: object) -> TestClient[aiohttp.web.Request, aiohttp.web.Application]:
    echo = {"kind": "echo", "delay_ms": 0}
    config = streamserver.settings(
        {
            "providers": {"echo": {**echo, **tables}},
            "provider": {"default": "echo"},
            "limits": {"requests_per_minute": 10**9, "max_streams_per_user": 10**6, "max_streams": 10**6},
            "resume": {"max_total_bytes": 1 << 22},
        }
    )
    return TestClient(TestServer(streamserver.create_app(config, on_end=lambda _: None)))


@given(words=WORDS, cuts=st.lists(st.integers(0, 4000), max_size=12), by_query=st.booleans())
@examples(60)
def test_over_any_cuts_a_finished_stream_reads_as_if_uncut(words: list[str], cuts: list[int], by_query: bool) -> None:
    async def run() -> None:
        async with app_client() as client:
            response = await client.post(STREAM, json={"prompt": "\n".join(words)})
            uncut = await response.read()
            events = parse(uncut)
            stream_id = events[0].json()["stream_id"]
            reader = EventSourceReader()
            for cut in [*cuts, None]:
                where: dict[str, dict[str, str]] = {}
                if reader.position:
                    name = "params" if by_query else "headers"
                    where = {name: {"last_event_id" if by_query else "Last-Event-ID": reader.position}}
                async with client.get(f"/api/chat/streams/{stream_id}", **where) as response:  # type: ignore[arg-type]
                    if response.status == 204:
                        break
                    assert response.status == 200
                    reader.take(await response.read(), cut)
            assert reader.whole == uncut
            assert client.app is not None and client.app[SERVICES].supervisor.active == 0

    asyncio.run(run())


@given(pauses=st.lists(st.integers(1, 5), min_size=1, max_size=8), prompt=WORDS)
@examples(25)
def test_over_any_cuts_a_running_stream_reads_as_if_uncut_and_is_generated_once(
    pauses: list[int], prompt: list[str]
) -> None:
    """The connections are real, and each is cut after some events: at any moment of the generation."""

    async def run() -> None:
        text = " ".join(prompt)
        async with app_client(delay_ms=1) as client:
            response = await client.get(STREAM, params={"prompt": f"x{text}", "grace": "20"})
            parser = Parser()
            events = await _some(response, parser, pauses[0])
            for pause in [*pauses[1:], 10**6]:
                response.close()
                response = await client.get(STREAM, headers={"Last-Event-ID": parser.last_event_id})
                if response.status == 204:
                    break
                parser = Parser(last_event_id=parser.last_event_id)
                events += await _some(response, parser, pause)
            response.close()
            stream_id = events[0].json()["stream_id"]
            uncut = parse(await (await client.get(f"/api/chat/streams/{stream_id}")).read())
            assert events == uncut
            assert client.app is not None
            assert client.app[SERVICES].supervisor.retained == 1, "one generation"

    asyncio.run(run())


async def _some(response: aiohttp.ClientResponse, parser: Parser, count: int) -> list[DispatchedEvent]:
    """Return the next events, ``count`` at least if there are so many; those of one read come together."""
    events: list[DispatchedEvent] = []
    while len(events) < count and (data := await response.content.readany()):
        events += parser.feed(data)
    return events
