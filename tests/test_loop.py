"""The event loop of ``streamserver serve``."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from streamserver.loop import EventLoop
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import get_events, stream_url
from tests.support.upstream import DONE, Exchange, chunk


async def answers(exchange: Exchange) -> None:
    await exchange.start_stream()
    for part in (chunk("a"), chunk(finish="stop"), DONE):
        await exchange.send(part)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux says which threads a process has")
async def test_loop_uses_no_thread_when_it_connects_to_an_address(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    """The threads that look names up are four; hanging ones must not keep others from connecting."""
    upstream = await start_upstream(answers)
    server = await start_server(openai_at(upstream))
    threads = Path(f"/proc/{server.process.pid}/task")
    await get_events(http, stream_url(server.url))
    await server.record()  # the thread that writes logs has started
    before = len(list(threads.iterdir()))
    events = await get_events(http, stream_url(server.url))
    assert events[-1].type == "done"
    assert len(list(threads.iterdir())) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loop_resolves_names_and_addresses_for_stream_sockets(host: str) -> None:
    async def look_up() -> None:
        found = await asyncio.get_running_loop().getaddrinfo(host, 80, family=socket.AF_INET)
        assert ("127.0.0.1", 80) in [address for *_, address in found]
        assert {kind for _, kind, *_ in found} == {socket.SOCK_STREAM}

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(look_up())


def test_loop_keeps_the_scope_of_an_address() -> None:
    """A provider in the same network segment may have no other, nor may its name."""
    index, interface = socket.if_nameindex()[0]

    async def look_up() -> None:
        ((*_, address),) = await asyncio.get_running_loop().getaddrinfo(
            f"fe80::1%{interface}", 80, family=socket.AF_INET6, proto=socket.IPPROTO_TCP
        )
        assert address == ("fe80::1", 80, 0, index)

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(look_up())


def test_loop_resolves_for_another_protocol_when_asked() -> None:
    async def look_up() -> None:
        found = await asyncio.get_running_loop().getaddrinfo("localhost", 80, proto=socket.IPPROTO_UDP)
        assert {kind for _, kind, *_ in found} == {socket.SOCK_DGRAM}

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(look_up())
