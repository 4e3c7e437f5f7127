"""The server as a part of somebody's own aiohttp application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from loguru import logger

from streamserver import Settings, create_app
from streamserver.config.settings import Default
from tests.support.client import get_events, stream_url
from tests.support.sse import text_of


@asynccontextmanager
async def mounted(port: int, *, handler_cancellation: bool = True, **options: Any) -> AsyncIterator[str]:
    app = web.Application()
    app.add_subapp("/llm/", create_app(Settings(provider=Default(default="echo")), environ={}))
    options = {"access_log": None, **options}
    runner = web.AppRunner(app, handler_cancellation=handler_cancellation, **options)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/llm"
    finally:
        await runner.cleanup()


async def test_it_serves_below_a_path(http: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    async with mounted(unused_tcp_port, handler_cancellation=True) as url:
        assert text_of(await get_events(http, stream_url(url))) == "hello big world"
        async with http.post(f"{url}/api/chat/streams", json={"prompt": "a b"}) as response:
            location = response.headers["Location"]
        assert location.startswith("/llm/api/chat/streams/")
        events = await get_events(http, f"http://127.0.0.1:{unused_tcp_port}{location}")
        assert text_of(events) == "a b"
        async with http.get(f"{url}/nothing") as response:
            assert (await response.json(content_type="application/problem+json"))["code"] == "not_found"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, []),
        ({"handler_cancellation": False}, ["handler_cancellation=True"]),
        ({"access_log": logging.getLogger("aiohttp.access")}, ["access_log=None"]),
    ],
)
async def test_it_says_once_if_it_is_run_in_a_way_that_breaks_its_promises(
    http: aiohttp.ClientSession,
    unused_tcp_port: int,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    said: list[str],
) -> None:
    caplog.set_level(logging.INFO, "aiohttp.access")
    errors: list[str] = []
    sink = logger.add(lambda message: errors.append(str(message)), level="ERROR", format="{message}")
    try:
        async with mounted(unused_tcp_port, **options) as url:
            for _ in range(3):
                await get_events(http, stream_url(url))
    finally:
        logger.remove(sink)
    assert len(errors) == len(said)
    assert all(word in error for word, error in zip(said, errors, strict=True))
