"""Every token leaves when it is there: nothing on the way holds it back.

No clock proves it: the provider sends its next token only when the client has read the one before.
Were anything buffered, it would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import RawStream
from tests.support.programs import running_program
from tests.support.upstream import Exchange, chunk

TOKENS = [f"token-{number} " for number in range(10)]


class Lockstep:
    """A script that sends each token only when :meth:`seen` was called for the one before."""

    def __init__(self) -> None:
        self._read = asyncio.Semaphore(0)

    def seen(self) -> None:
        self._read.release()

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.start_stream()
        for token in TOKENS:
            await self._read.acquire()
            await exchange.send(chunk(token))
        await self._read.acquire()
        await exchange.send(chunk(finish="stop"))


async def read_in_step(stream: RawStream, lockstep: Lockstep) -> None:
    await stream.head()
    (start,) = await stream.events(1)
    assert start.type == "start", "before the provider has said anything"
    lockstep.seen()
    for token in TOKENS:
        (event,) = await stream.events(1)
        assert event.data == token
        lockstep.seen()
    (done,) = await stream.events()
    assert done.type == "done"
    stream.close()


async def test_a_raw_socket_reads_each_token_as_it_is_produced(
    start_server: StartServer, start_upstream: StartUpstream
) -> None:
    lockstep = Lockstep()
    server = await start_server(openai_at(await start_upstream(lockstep)))
    async with asyncio.timeout(60):
        await read_in_step(await RawStream.request(server.port, "/api/chat/stream?prompt=x"), lockstep)


async def test_nginx_with_its_default_settings_passes_each_token_on(
    start_server: StartServer,
    start_upstream: StartUpstream,
    find_program: Callable[[str], str],
    tmp_path: Path,
    unused_tcp_port: int,
) -> None:
    nginx = find_program("nginx")
    lockstep = Lockstep()
    server = await start_server(openai_at(await start_upstream(lockstep)))
    async with running_nginx(nginx, tmp_path, unused_tcp_port, server.port), asyncio.timeout(60):
        await read_in_step(await RawStream.request(unused_tcp_port, "/api/chat/stream?prompt=x"), lockstep)


async def test_behind_nginx_a_reader_that_leaves_closes_the_providers_connection(
    start_server: StartServer,
    start_upstream: StartUpstream,
    find_program: Callable[[str], str],
    tmp_path: Path,
    unused_tcp_port: int,
) -> None:
    nginx = find_program("nginx")
    lockstep = Lockstep()
    upstream = await start_upstream(lockstep)
    server = await start_server(openai_at(upstream))
    async with running_nginx(nginx, tmp_path, unused_tcp_port, server.port):
        stream = await (await RawStream.request(unused_tcp_port, "/api/chat/stream?prompt=x")).head()
        await stream.events(1)
        exchange = await upstream.exchange()
        stream.close()
        await exchange.until_closed()
    assert (await server.record())["status"] == "cancelled"


@asynccontextmanager
async def running_nginx(nginx: str, folder: Path, port: int, backend: int) -> AsyncIterator[None]:
    """Run a reverse proxy with nothing configured but where to: buffering on, HTTP/1.0 to the backend."""
    config = folder / "nginx.conf"
    config.write_text(
        f"""
        daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; user root;
        events {{}}
        http {{
          access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
          fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
          server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{backend}; }} }}
        }}"""
    )
    async with running_program(nginx, ["-c", str(config), "-p", str(folder)], folder, port):
        yield
