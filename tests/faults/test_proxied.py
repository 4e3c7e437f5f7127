"""Providers behind an outbound proxy, and with certificates of their own, through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream
from tests.faults.tls import HOST, with_own_authority
from tests.support.client import get_events, stream_url
from tests.support.sse import DispatchedEvent, text_of
from tests.support.upstream import Exchange, Upstream, answer, chunk, running_upstream

KEY = "sk-Quarkstrudel"
GREETING = answer("hello")


def at(url: str, **options: Any) -> dict[str, Any]:
    """Return the tables of a provider at ``url`` that has a key and is asked once."""
    table = {"kind": "openai", "model": "m", "base_url": f"{url}/v1", "api_key_env": "MY_API_KEY", **options}
    return {"provider": {"default": "up"}, "providers": {"up": table}, "retry": {"attempts": 1}}


class Tunnel:
    """A proxy that connects each CONNECT to ``target``, or answers with ``status``."""

    def __init__(self, target: int, status: int = 200) -> None:
        self.heads: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self._target = target
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {self._status} X\r\n\r\n".encode())
        if self._status != 200:
            return
        self.writers.append(writer)
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(_pass(reader, forth), _pass(back, writer))

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side has gone
    finally:
        writer.close()


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[tuple[Upstream, str]]:
    """Run an upstream that speaks TLS, and the file of its certificate authority."""
    context, authority = with_own_authority(tmp_path)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(running_upstream(GREETING, tls=context))
        yield upstream, str(authority)


async def ask(
    start_server: StartServer, http: aiohttp.ClientSession, config: dict[str, Any], **environ: str
) -> tuple[list[DispatchedEvent], dict[str, Any]]:
    """Start a server, ask it once, and return the events and the record."""
    server = await start_server(config, environ={"MY_API_KEY": KEY, **environ})
    events = await get_events(http, stream_url(server.url))
    assert KEY not in server.log
    return events, await server.record()


async def test_provider_is_asked_through_the_proxy_of_the_environment(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    proxy = await start_upstream(GREETING)
    events, record = await ask(start_server, http, at(f"http://{HOST}"), HTTP_PROXY=proxy.url)
    assert (text_of(events), record["status"]) == ("hello", "done")
    assert proxy.exchanges[0].head.startswith(f"POST http://{HOST}/v1/chat/completions HTTP/1.1\r\n")
    assert KEY not in proxy.exchanges[0].head, "over http:// the proxy could read it"


async def test_provider_with_tls_is_asked_through_a_tunnel_that_shows_no_key(
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
    secure: tuple[Upstream, str],
    tmp_path: Path,
) -> None:
    upstream, authority = secure
    tunnel = Tunnel(upstream.port)
    proxy = await start_upstream(GREETING)
    proxy.raw = tunnel.serve
    (tmp_path / ".netrc").write_text("default login someone password Quarkstrudel\n")
    url = proxy.url.replace("http://", "http://user:word@")
    config = at(f"https://{HOST}", ca_file=authority)
    events, _ = await ask(start_server, http, config, https_proxy=url, HOME=str(tmp_path))
    assert text_of(events) == "hello"
    (head,) = tunnel.heads
    assert head.startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in head, "user:word"
    assert "\r\nauthorization" not in head.lower() and KEY not in head
    assert upstream.exchanges[0].headers["authorization"] == f"Bearer {KEY}"
    assert "proxy-authorization" not in upstream.exchanges[0].headers


async def test_provider_on_loopback_is_asked_directly_when_a_proxy_was_inherited(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream, proxy = await start_upstream(GREETING), await start_upstream(GREETING)
    events, _ = await ask(start_server, http, at(upstream.url), HTTP_PROXY=proxy.url, ALL_PROXY=proxy.url)
    assert text_of(events) == "hello"
    assert (len(upstream.exchanges), proxy.accepted) == (1, 0)


@pytest.mark.parametrize("own", [True, False], ids=["another", "none"])
async def test_proxy_of_the_table_is_used_instead_of_the_inherited_one(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, own: bool
) -> None:
    inherited, named = await start_upstream(GREETING), await start_upstream(GREETING)
    config = at(f"http://{HOST}", proxy=named.url if own else "")
    _, record = await ask(start_server, http, config, HTTP_PROXY=inherited.url)
    assert (inherited.accepted, named.accepted) == (0, int(own))
    assert record["status"] == ("done" if own else "upstream_unavailable")


@pytest.mark.parametrize(("status", "reason"), [(407, "proxy_auth"), (403, "proxy_rejected"), (502, "proxy_rejected")])
async def test_stream_is_unavailable_when_the_proxy_refuses_the_tunnel(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, status: int, reason: str
) -> None:
    proxy = await start_upstream(GREETING)
    proxy.raw = Tunnel(0, status).serve
    events, record = await ask(start_server, http, at(f"https://{HOST}"), HTTPS_PROXY=proxy.url)
    assert events[-1].json()["code"] == "upstream_unavailable"
    assert events[-1].json()["message"] == "The model's provider could not be reached."
    assert (record["upstream_reason"], record.get("upstream_status")) == (reason, None)


async def test_stream_is_unavailable_when_the_proxy_asks_for_a_password(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(407, "")

    proxy = await start_upstream(script)
    events, record = await ask(start_server, http, at(f"http://{HOST}"), HTTP_PROXY=proxy.url)
    assert events[-1].json()["code"] == "upstream_unavailable"
    assert record["upstream_reason"] == "proxy_auth"


async def test_record_says_that_the_key_was_withheld_when_the_provider_misses_it(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(401, "{}")

    proxy = await start_upstream(script)
    events, record = await ask(start_server, http, at(f"http://{HOST}"), HTTP_PROXY=proxy.url)
    assert events[-1].json()["code"] == "provider_auth"
    assert record["upstream_reason"] == "key_withheld_from_proxy"


async def test_record_tells_an_absent_proxy_from_an_absent_provider(
    start_server: StartServer, http: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    nowhere = f"http://127.0.0.1:{unused_tcp_port}"
    _, record = await ask(start_server, http, at(f"http://{HOST}"), HTTP_PROXY=nowhere)
    assert record["upstream_reason"] == "proxy_refused"
    _, record = await ask(start_server, http, at(nowhere))
    assert record["upstream_reason"] == "refused"


async def test_stream_is_disconnected_when_its_proxy_dies(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, secure: tuple[Upstream, str]
) -> None:
    upstream, authority = secure
    tunnel = Tunnel(upstream.port)
    proxy = await start_upstream(GREETING)
    proxy.raw = tunnel.serve

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("hel"))
        asyncio.get_running_loop().call_later(0.2, tunnel.cut)
        await exchange.closed.wait()

    upstream.script = script
    config = at(f"https://{HOST}", ca_file=authority)
    events, _ = await ask(start_server, http, config, HTTPS_PROXY=proxy.url)
    assert (text_of(events), events[-1].json()["code"]) == ("hel", "upstream_disconnected")


async def test_provider_is_not_ready_when_its_proxy_cannot_be_used(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    environ = {"ALL_PROXY": "socks5://user:Quarkstrudel@127.0.0.1:1", "HTTPS_PROXY": "htp://x", "MY_API_KEY": KEY}
    server = await start_server(at(f"http://{HOST}"), environ=environ)
    async with http.get(f"{server.url}/api/providers") as response:
        (up,) = [each for each in (await response.json())["providers"] if each["name"] == "up"]
    assert not up["ready"] and up["reason"].startswith("ALL_PROXY names a socks5:// proxy")
    events = await get_events(http, stream_url(server.url))
    assert events[-1].json()["code"] == "upstream_unavailable"
    assert text_of(await get_events(http, stream_url(server.url, provider="echo"))) == "hello big world"
    assert "Quarkstrudel" not in server.log


@pytest.mark.parametrize("by", ["ca_file", "SSL_CERT_FILE"])
async def test_own_certificate_authority_is_trusted_and_its_connections_are_kept(
    start_server: StartServer, http: aiohttp.ClientSession, secure: tuple[Upstream, str], by: str
) -> None:
    upstream, authority = secure
    whole = chunk("hello") + chunk(finish="stop") + "data: [DONE]\n\n"

    async def script(exchange: Exchange) -> None:
        exchange.keep_alive = True
        await exchange.answer(200, whole, content_type="text/event-stream")

    upstream.script = script
    url = f"https://127.0.0.1:{upstream.port}"
    config = at(url, ca_file=authority) if by == "ca_file" else at(url)
    environ = {"MY_API_KEY": KEY, **({"SSL_CERT_FILE": authority} if by == "SSL_CERT_FILE" else {})}
    server = await start_server(config, environ=environ)
    for _ in range(3):
        assert text_of(await get_events(http, stream_url(server.url))) == "hello"
    assert upstream.accepted == 1


@pytest.mark.parametrize(
    ("options", "environ", "says"),
    [
        ({}, {"SSL_CERT_FILE": "/missing.pem"}, "environment: SSL_CERT_FILE = '/missing.pem': cannot be read: No such"),
        ({}, {"SSL_CERT_FILE": "/dev/null"}, "environment: SSL_CERT_FILE = '/dev/null': holds no certificate in PEM"),
        ({"ca_file": "/missing.pem"}, {}, "providers.up.ca_file = '/missing.pem': cannot be read: No such file"),
        ({"ca_file": "/"}, {}, "providers.up.ca_file = '/': cannot be read: Is a directory"),
        ({"proxy": "socks5://s:1"}, {}, "providers.up.proxy = 'socks5://s:1': expected an http:// or https:// address"),
        ({"proxy": "http://p:99999"}, {}, "providers.up.proxy: expected the address of a proxy, like http://"),
        ({"proxy": "http://user:word@p:1"}, {}, "providers.up.proxy: must not hold a password"),
    ],
)
async def test_start_is_refused_with_one_line(
    start_server: StartServer, options: dict[str, Any], environ: dict[str, str], says: str
) -> None:
    with pytest.raises(AssertionError, match="the server did not start") as refused:
        await start_server(at(f"https://{HOST}", **options), environ=environ)
    _, line, *rest = str(refused.value).splitlines()
    assert says in line and rest == [] and "word" not in line.replace("password", "")
