"""The server as a part of another aiohttp application."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from loguru import logger

from streamserver import create_app, settings
from tests.support.client import get_events, stream_url
from tests.support.server import clean_environ
from tests.support.sse import text_of

EXAMPLE = Path(__file__).parents[1] / "docs/examples/embedded.py"
ON_PORT = """
import functools, runpy, sys
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
web.run_app = functools.partial(web.run_app, port=int(sys.argv[2]))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@asynccontextmanager
async def mounted(
    port: int, *, handler_cancellation: bool = True, middlewares: Sequence[Middleware] = (), **options: Any
) -> AsyncIterator[str]:
    app = web.Application(middlewares=middlewares)
    app.add_subapp("/llm/", create_app(settings({"provider": {"default": "echo"}}), environ={}))
    options = {"access_log": None, **options}
    runner = web.AppRunner(app, handler_cancellation=handler_cancellation, **options)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/llm"
    finally:
        await runner.cleanup()


async def test_mounted_server_serves_below_a_path(http: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    async with mounted(unused_tcp_port, handler_cancellation=True) as url:
        assert text_of(await get_events(http, stream_url(url))) == "hello big world"
        async with http.post(f"{url}/api/chat/streams", json={"prompt": "a b"}) as response:
            location = response.headers["Location"]
        assert location.startswith("/llm/api/chat/streams/")
        events = await get_events(http, f"http://127.0.0.1:{unused_tcp_port}{location}")
        assert text_of(events) == "a b"
        async with http.get(f"{url}/nothing") as response:
            assert (await response.json(content_type="application/problem+json"))["code"] == "not_found"


async def test_every_wire_serves_below_a_path(http: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    hello: list[Any] = [{"role": "user", "content": "hello"}]
    async with (
        mounted(unused_tcp_port) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as openai_client,
        anthropic.AsyncAnthropic(base_url=url, api_key="unused", max_retries=0) as anthropic_client,
    ):
        completion = await openai_client.chat.completions.create(model="echo", messages=hello)
        assert completion.choices[0].message.content == "hello"
        response = await openai_client.responses.create(model="echo", input="hello")
        assert (await openai_client.responses.retrieve(response.id)).output_text == "hello"
        message: Any = await anthropic_client.messages.create(model="echo", max_tokens=9, messages=hello)
        assert message.content[0].text == "hello"
        chat = {"id": "c", "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "hello"}]}]}
        async with http.post(f"{url}/api/ai/chat", json=chat) as answer:
            assert '"delta":"hello"' in await answer.text()
        with pytest.raises(openai.NotFoundError) as nothing:
            await openai_client.post("/nothing", cast_to=object)
        assert nothing.value.code == "not_found"
        with pytest.raises(anthropic.NotFoundError) as unknown:
            await anthropic_client.post("/v1/messages/nothing", cast_to=object)
        assert unknown.value.type == "not_found_error"


async def test_a_middleware_of_the_applications_may_end_the_answer(unused_tcp_port: int) -> None:
    @web.middleware
    async def ends(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        await response.write_eof()
        return response

    async with (
        mounted(unused_tcp_port, middlewares=[ends]) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http,
    ):
        connections = set()
        for _ in range(2):
            async with http.get(stream_url(url)) as response:
                assert response.connection is not None
                connections.add(response.connection.protocol)
                assert (await response.text()).count("event: done") == 1
        assert len(connections) == 1, "the connection was cut behind an answer"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, []),
        ({"handler_cancellation": False}, ["handler_cancellation=True"]),
        ({"access_log": logging.getLogger("aiohttp.access")}, ["access_log=None"]),
    ],
)
async def test_mounted_server_warns_once_when_its_runner_breaks_promises(
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


@asynccontextmanager
async def running_example(port: int, log: Path) -> AsyncIterator[str]:
    """Run the documented application in a process of its own until it listens; it has to end well."""
    command = (sys.executable, "-W", "error", "-c", ON_PORT, str(EXAMPLE), str(port))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, env=clean_environ())
    try:
        async with asyncio.timeout(60):
            while b"Running on" not in log.read_bytes():
                assert process.returncode is None, log.read_text("utf-8")
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0, log.read_text("utf-8")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_the_documented_application_serves(
    http: aiohttp.ClientSession, unused_tcp_port: int, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with running_example(unused_tcp_port, log) as url:
        assert text_of(await get_events(http, stream_url(f"{url}/llm"))) == "hello big world"
        async with http.get(stream_url(f"{url}/llm", "x" * 2001)) as response:
            assert response.status == 422
    assert "handler_cancellation" not in log.read_text("utf-8")
    assert "access_log" not in log.read_text("utf-8")


def test_the_documented_application_is_shown_as_it_is() -> None:
    _, _, code = EXAMPLE.read_text("utf-8").partition('"""\n\n')
    assert f"```python\n{code}```" in (EXAMPLE.parents[2] / "README.md").read_text("utf-8")
