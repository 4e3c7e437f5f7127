"""The harness: servers under test, an upstream that does as a row says, and a check of what is left after it."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from streamserver.app import create_app
from streamserver.config.settings import LimitSettings, ServerSettings, Settings
from streamserver.runner import AppRunner
from streamserver.telemetry.logs import handle_loop_failure
from tests.faults.case import MARK, Case
from tests.faults.tls import untrusted
from tests.faults.upstreams import unused
from tests.faults.wire_answers import FORMS, WireAnswer, ask
from tests.support.logs import log_to_memory, restored_logs
from tests.support.ports import free_port
from tests.support.sse import DispatchedEvent, Parser
from tests.support.upstream import Upstream, running_upstream

LIMIT_SECONDS = 60.0
SHORT_SECONDS = 0.2
LONG_SECONDS = 600.0


class RowResult(msgspec.Struct):
    """The outcome of a row."""

    events: list[DispatchedEvent]
    """Those of the native wire."""
    answers: list[WireAnswer]
    """Those of the client wires."""
    kind: str
    records: list[dict[str, Any]]
    log: str
    left: str
    """What was there before and is not now, or the other way round; empty if all is as before."""

    @property
    def end(self) -> Any:
        return self.events[-1].json()


class FaultHarness:
    """Servers for a ``kind`` of provider, one for each deadline that a row wants short.

    The kind ``responses`` is that of ``openai`` with ``api = "responses"``.
    """

    def __init__(self, kind: str, upstream: Upstream, addresses: dict[str, str], log: io.StringIO) -> None:
        self._kind = kind
        self._addresses = addresses
        self._log = log
        self._ports: dict[str | None, int] = {}
        self._stack = AsyncExitStack()
        self.upstream = upstream

    async def run(self, case: Case) -> RowResult:
        """Ask, and wait until everything that the row used is gone again."""
        port = await self._port(case.short)
        self.upstream.script, self.upstream.raw = case.upstream, case.raw
        self._log.seek(0)
        self._log.truncate()
        before = _open()
        async with asyncio.timeout(LIMIT_SECONDS), aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{port}"
            forms = () if case.is_large else FORMS
            wires = asyncio.gather(*(ask(http, url, form, case.at) for form in forms))
            events, answers = await asyncio.gather(_ask(http, url, case), wires)
        await self.upstream.all_closed()
        left = await _left(before)
        await self._logged(1 + len(forms))
        return RowResult(events, answers, self._kind, self._records(), self._log.getvalue(), left)

    async def _logged(self, streams: int) -> None:
        """Wait for the records of so many streams: those of streams that end together are made together, later."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_SECONDS):
                while len(self._records()) < streams:
                    await asyncio.sleep(0.005)

    def _records(self) -> list[dict[str, Any]]:
        records = map(json.loads, self._log.getvalue().splitlines())
        return [record for record in records if record.get("event") == "stream"]

    async def _port(self, short: str | None) -> int:
        if short not in self._ports:
            self._ports[short] = await self._stack.enter_async_context(_serving(self._settings(short)))
        return self._ports[short]

    def _settings(self, short: str | None) -> Settings:
        kind = {"kind": "openai", "api": "responses"} if self._kind == "responses" else {"kind": self._kind}
        table = {**kind, "model": "the-model", "api_key_env": "THE_KEY"}
        suffix = "/v1" if kind["kind"] == "openai" else ""
        settings = Settings(
            providers={name: {**table, "base_url": f"{url}{suffix}"} for name, url in self._addresses.items()},
            server=ServerSettings(keepalive_seconds=1000),  # a ping would come when the machine is slow
            limits=LimitSettings(max_streams_per_user=10_000, requests_per_minute=10_000),
        )
        deadlines = {
            name: SHORT_SECONDS if name == short else LONG_SECONDS for name in ("first_token", "idle", "total")
        }
        replace = msgspec.structs.replace
        return replace(
            settings,
            provider=replace(settings.provider, default="up"),
            timeouts=replace(settings.timeouts, **deadlines),
            retry=replace(settings.retry, attempts=1),
        )

    async def aclose(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def start_harness(kind: str, folder: Path) -> AsyncIterator[FaultHarness]:
    """Yield everything that the matrix of one kind needs. The log is at DEBUG: nothing may leak at any level."""
    async with AsyncExitStack() as stack:
        log = stack.enter_context(_logging())
        upstream = await stack.enter_async_context(running_upstream(unused))
        stranger = await stack.enter_async_context(running_upstream(unused, tls=untrusted(folder)))
        addresses = {
            "up": upstream.url,
            "tls": f"https://127.0.0.1:{upstream.port}",
            "untrusted": f"https://127.0.0.1:{stranger.port}",
            "refused": f"http://127.0.0.1:{free_port()}",
            "unknown": "http://provider.invalid",
        }
        stack.enter_context(_no_names())
        harness = FaultHarness(kind, upstream, addresses, log)
        stack.push_async_callback(harness.aclose)
        yield harness


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[int]:
    runner = AppRunner(create_app(settings, environ={"THE_KEY": MARK}))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _ask(http: aiohttp.ClientSession, url: str, case: Case) -> list[DispatchedEvent]:
    """Return all events of the native stream, by the time the response has ended."""
    body = {"prompt": f"What is {MARK}?", "provider": case.at}
    parser = Parser()
    events: list[DispatchedEvent] = []
    async with http.post(f"{url}/api/chat/stream", json=body) as response:
        assert response.status == 200
        async for data in response.content.iter_any():
            for start in range(0, len(data), 4096):  # the parser's cost is the square of what it is fed
                events += parser.feed(data[start : start + 4096])
    return events


def _open() -> tuple[set[asyncio.Task[Any]], list[str]]:
    return asyncio.all_tasks(), sorted(_descriptors())


def _descriptors() -> Iterator[str]:
    """Yield what every open descriptor is of."""
    for path in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # that of the listing itself
            yield str(path.readlink())


async def _left(before: tuple[set[asyncio.Task[Any]], list[str]]) -> str:
    """Wait until it is as before; what is not, when it takes too long."""
    try:
        async with asyncio.timeout(60):
            while _open() != before:
                await asyncio.sleep(0.005)
    except TimeoutError:
        tasks, descriptors = _open()
        return f"tasks {tasks ^ before[0]}, descriptors {set(descriptors) ^ set(before[1])}"
    return ""


@contextmanager
def _logging() -> Iterator[io.StringIO]:
    """Collect the server's own log, as JSON, instead of pytest's; asyncio's complaints and warnings too."""
    loop = asyncio.get_running_loop()
    with restored_logs():
        log = log_to_memory(level="DEBUG", format="json")
        loop.set_exception_handler(handle_loop_failure)
        try:
            yield log
        finally:
            loop.set_exception_handler(None)


@contextmanager
def _no_names() -> Iterator[None]:
    """Resolve no names outside: a name under ``.invalid`` is unknown."""
    resolver = aiohttp.ThreadedResolver
    resolve = resolver.resolve

    async def unknown(self: Any, host: str, *arguments: Any, **options: Any) -> Any:
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return await resolve(self, host, *arguments, **options)

    resolver.resolve = unknown  # type: ignore[method-assign]
    try:
        yield
    finally:
        resolver.resolve = resolve  # type: ignore[method-assign]
