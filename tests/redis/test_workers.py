"""``server.workers``: several processes on one port."""

from __future__ import annotations

import asyncio
import os
import signal
import tomllib
from pathlib import Path

import aiohttp
import pytest
import tomli_w

from tests.conftest import StartServer, StartUpstream
from tests.redis.asking import STREAMS
from tests.redis.conftest import StartNode
from tests.support.client import RawStream, get_events, post_events, stream_url
from tests.support.redis import RedisProcess
from tests.support.server import ServerProcess
from tests.support.sse import text_of
from tests.support.upstream import Exchange


def workers_of(server: ServerProcess) -> set[int]:
    """Return the processes that the server has started."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == server.process.pid:
                found.add(int(folder.name))
    return found


async def start(start_node: StartNode, count: int = 3, **server: object) -> ServerProcess:
    echo = {"echo": {"kind": "echo", "delay_ms": 20}}
    return await start_node(
        {"server": {"workers": count, "drain_seconds": 20, **server}, "providers": echo}, grace_seconds=20
    )


async def gone(pids: set[int], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            await asyncio.sleep(0.02)


async def test_every_worker_serves_every_stream(start_node: StartNode) -> None:
    server = await start(start_node)
    assert len(workers_of(server)) == 3
    assert server.announced.count("serves on") == 1
    for number in range(6):
        # A session each: connections of their own, so that other workers take them.
        async with aiohttp.ClientSession() as http:
            events = await post_events(http, server.url, {"prompt": f"hello number {number}"})
        stream_id = events[0].json()["stream_id"]
        for _ in range(4):
            async with aiohttp.ClientSession() as http:
                assert await get_events(http, f"{server.url}{STREAMS}/{stream_id}") == events


async def test_a_worker_that_dies_is_replaced_and_its_readers_are_told(
    start_node: StartNode, http: aiohttp.ClientSession
) -> None:
    server = await start(start_node)
    before = workers_of(server)
    long = " ".join(map(str, range(500)))
    async with http.post(server.url + STREAMS, json={"prompt": long}) as response:
        stream_id = (await response.json())["stream_id"]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await gone(before)
    async with asyncio.timeout(60):
        while len(workers_of(server)) < 3:
            await asyncio.sleep(0.02)
    assert not workers_of(server) & before
    events = await get_events(http, f"{server.url}{STREAMS}/{stream_id}")
    assert events[-1].json()["code"] == "producer_lost"
    assert text_of(await get_events(http, stream_url(server.url))) == "hello big world"
    assert len(await server.logged("worker", 3)) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_all_of_them_stop_cleanly(start_node: StartNode, number: signal.Signals) -> None:
    server = await start(start_node)
    workers = workers_of(server)
    streams = [await RawStream.request(server.port, stream_url("", "a b c d e f g")) for _ in range(6)]
    for stream in streams:
        assert (await stream.head()).status == 200
    server.send(number)
    for stream in streams:
        assert (await stream.events())[-1].type == "done"
        stream.close()
    assert await server.wait() == 0
    await gone(workers)


async def reading(server: ServerProcess, words: int) -> list[RawStream]:
    """Start streams that run for a while, on any of the workers."""
    target = stream_url("", " ".join(map(str, range(words))))
    streams = [await (await RawStream.request(server.port, target)).head() for _ in range(6)]
    for stream in streams:
        await stream.events(2)
    return streams


async def until_draining(server: ServerProcess, count: int = 3) -> None:
    async with asyncio.timeout(60):
        while len(server.records("drain")) < count:
            await asyncio.sleep(0.01)


async def ends(streams: list[RawStream]) -> set[str]:
    found = {(await stream.events())[-1] for stream in streams}
    for stream in streams:
        stream.close()
    return {end.json().get("code", end.type) for end in found}


async def test_workers_have_their_whole_drain_when_every_process_gets_the_signal(start_node: StartNode) -> None:
    """So does systemd: a worker has the signal from it, and once more from the process that keeps it."""
    server = await start(start_node)
    streams = await reading(server, words=200)
    server.terminate()
    await until_draining(server)
    for pid in workers_of(server):
        os.kill(pid, signal.SIGTERM)
    assert await ends(streams) == {"done"}
    assert await server.wait() == 0


async def test_a_second_signal_shortens_their_drain(start_node: StartNode) -> None:
    server = await start(start_node)
    streams = await reading(server, words=900)
    server.terminate()
    await until_draining(server)
    server.terminate()
    assert await ends(streams) == {"shutting_down"}
    assert await server.wait() == 0


async def test_workers_end_with_the_process_that_keeps_them(start_node: StartNode) -> None:
    server = await start(start_node)
    workers = workers_of(server)
    server.process.kill()
    await server.wait()
    await gone(workers)


async def test_several_workers_without_a_shared_store_are_refused(tmp_path: Path, start_node: StartNode) -> None:
    with pytest.raises(AssertionError, match=r'server\.workers = 2: .*set resume\.store = "redis://'):
        await start_node({"server": {"workers": 2}}, store="memory")


async def test_any_of_them_shows_the_metrics_of_all(start_node: StartNode) -> None:
    server = await start(start_node)
    counted = 'streamserver_streams_total{code="stop",model="echo",outcome="done",provider="echo",wire="native"} 9.0'
    for _ in range(9):
        async with aiohttp.ClientSession() as session:  # a connection of its own: any worker takes it
            assert (await get_events(session, stream_url(server.url)))[-1].type == "done"
    async with asyncio.timeout(60):
        for _ in range(6):
            shown = ""
            while counted not in shown:
                async with aiohttp.ClientSession() as session, session.get(f"{server.url}/metrics") as response:
                    shown = await response.text()


async def test_all_of_them_reload(start_node: StartNode, tmp_path: Path) -> None:
    server = await start(start_node)
    workers = workers_of(server)
    assert [await asked_alone(server, pid, workers) for pid in workers] == [200] * 3
    path = tmp_path / "server1" / "config.toml"
    config = tomllib.loads(path.read_text())
    path.write_text(tomli_w.dumps({**config, "limits": {**config["limits"], "max_prompt_chars": 3}}))
    server.send(signal.SIGHUP)
    async with asyncio.timeout(60):
        while len(server.records("reload")) < 3:
            await asyncio.sleep(0.02)
    assert {record["level"] for record in server.records("reload")} == {"INFO"}
    assert [await asked_alone(server, pid, workers) for pid in workers] == [422] * 3


async def asked_alone(server: ServerProcess, pid: int, workers: set[int]) -> int:
    """Return the status of an answer of that worker: the others stand still meanwhile, and take no connection."""
    for other in workers - {pid}:
        os.kill(other, signal.SIGSTOP)
    try:
        async with aiohttp.ClientSession() as http, http.get(stream_url(server.url, "four")) as response:
            return response.status
    finally:
        for other in workers - {pid}:
            os.kill(other, signal.SIGCONT)


async def test_a_workers_last_spans_are_sent_before_it_ends(
    start_server: StartServer, redis: RedisProcess, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def take(exchange: Exchange) -> None:
        await exchange.answer(200, b"", content_type="application/x-protobuf")

    collector = await start_upstream(take)
    server = await start_server(
        {"server": {"workers": 2}, "resume": {"store": redis.url}},
        environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "600000"},
    )
    events = await get_events(http, stream_url(server.url))
    assert collector.exchanges == []
    server.terminate()
    assert await server.wait() == 0
    assert events[0].json()["stream_id"][:6].encode() in b"".join(each.body for each in collector.exchanges)
