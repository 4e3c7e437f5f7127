"""Under gunicorn, with aiohttp's uvloop worker."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import tomli_w

from tests.conftest import openai_at
from tests.redis.asking import STREAMS
from tests.support.client import RawStream, get_events, stream_url
from tests.support.ports import free_port
from tests.support.redis import RedisProcess
from tests.support.server import clean_environ
from tests.support.sse import text_of
from tests.support.upstream import Tap, Upstream

pytest.importorskip("gunicorn")


@asynccontextmanager
async def gunicorn(folder: Path, config: dict[str, Any]) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    (folder / "gunicorn.toml").write_text(tomli_w.dumps(config))
    port = free_port()
    with (folder / "gunicorn.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gunicorn", "streamserver.gunicorn:app", "--workers", "2"),
            *("--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--bind", f"127.0.0.1:{port}"),
            stderr=log,
            stdout=log,
            cwd=folder,
            env={**clean_environ(), "STREAMSERVER_CONFIG": str(folder / "gunicorn.toml")},
        )
    try:
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def until_ready(port: int, folder: Path) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def test_streams_are_shared_cancelled_and_ended_properly(
    tmp_path: Path, upstream: Upstream, tap: Tap, redis: RedisProcess
) -> None:
    config = {**openai_at(upstream), "resume": {"store": redis.url}, "auth": {"allow_anonymous": True}}
    async with gunicorn(tmp_path, config) as (process, port):
        await until_ready(port, tmp_path)
        tap("hello ", "world", None)
        async with aiohttp.ClientSession() as http:
            events = await get_events(http, stream_url(f"http://127.0.0.1:{port}"))
        assert text_of(events) == "hello world"
        for _ in range(6):
            async with aiohttp.ClientSession() as http:
                again = await get_events(http, f"http://127.0.0.1:{port}{STREAMS}/{events[0].json()['stream_id']}")
            assert again == events
        left = await RawStream.request(port, stream_url(""))
        await left.head()
        tap("hello ")
        await left.events(2)
        left.close()
        await (await upstream.exchange(1)).until_closed()

        running = await RawStream.request(port, stream_url(""))
        await running.head()
        tap("hello ")
        await running.events(2)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            while True:  # no request is let in while it drains
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    break
                writer.close()
                await asyncio.sleep(0.05)
        tap("world", None)
        rest = await running.events()
        assert text_of(rest) == "world" and rest[-1].type == "done", "what runs may finish"
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_a_stream_that_outlives_the_drain_is_told_so(
    tmp_path: Path, upstream: Upstream, tap: Tap, redis: RedisProcess
) -> None:
    config = {
        **openai_at(upstream),
        "server": {"drain_seconds": 1},
        "resume": {"store": redis.url},
        "auth": {"allow_anonymous": True},
    }
    async with gunicorn(tmp_path, config) as (process, port):
        await until_ready(port, tmp_path)
        running = await RawStream.request(port, stream_url(""))
        await running.head()
        tap("hello ")
        await running.events(2)
        process.send_signal(signal.SIGTERM)
        (end,) = await running.events()
        assert end.json()["code"] == "shutting_down"
        await upstream.all_closed()
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_an_open_server_is_refused(tmp_path: Path) -> None:
    async with gunicorn(tmp_path, {"provider": {"default": "echo"}, "providers": {"echo": {"kind": "echo"}}}) as (
        process,
        _,
    ):
        assert await asyncio.wait_for(process.wait(), 60) != 0
    assert "auth.allow_anonymous" in (tmp_path / "gunicorn.log").read_text()
