"""A failing close keeps nothing else open and does not keep the process from ending."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from loguru import logger

from providers.base import ChatRequest, Event, Finish, Provider, Text
from providers.options import Context, Options
from providers.registry import Kind, Registry
from providers.transport import HttpRequest, HttpResponse
from streamserver import create_app, settings
from streamserver.admission import MemoryLimiter
from streamserver.http.services import SERVICES
from streamserver.reload import _close
from streamserver.store import MemoryStore
from streamserver.store.base import LocalStreams
from tests.support.clock import FakeClock

SECRET = "sk-secret"


class Closed(list[str]):
    """What was closed, in order; those in ``failing`` raise."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing

    def close(self, name: str) -> None:
        self.append(name)
        if name in self.failing:
            raise RuntimeError(SECRET)


class Named:
    """A provider known by its name."""

    def __init__(self, name: str, closed: Closed) -> None:
        self._name, self._closed = name, closed

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        yield Text("hello")
        yield Finish("stop")

    async def aclose(self) -> None:
        self._closed.close(self._name)


class FakeTransport:
    def __init__(self, closed: Closed) -> None:
        self._closed = closed

    async def send(self, request: HttpRequest) -> HttpResponse:
        raise NotImplementedError

    async def aclose(self) -> None:
        self._closed.close("transport")


class FakeStore(MemoryStore):
    def __init__(self, closed: Closed) -> None:
        super().__init__()
        self._noted = closed

    async def start(self, local: LocalStreams) -> None:
        if "start" in self._noted.failing:
            raise RuntimeError(SECRET)

    async def aclose(self) -> None:
        self._noted.close("store")


class Limits(MemoryLimiter):
    def __init__(self, closed: Closed) -> None:
        super().__init__(FakeClock())
        self._noted = closed

    async def aclose(self) -> None:
        self._noted.close("limiter")


def app_noting(closed: Closed) -> web.Application:
    def create(options: Options, context: Context) -> Provider:
        return Named(context.name, closed)

    registry = Registry({"named": lambda: Kind(Options, create)}, {})
    table = {"kind": "named", "model": "m"}
    tables = {"provider": {"default": "one"}, "providers": {"one": table, "two": table}}
    return create_app(
        settings(tables, registry=registry),
        registry=registry,
        transport=FakeTransport(closed),
        store=FakeStore(closed),
        limiter=Limits(closed),
        environ={},
    )


@pytest.fixture
def crashes() -> Iterator[list[str]]:
    """Return the crashes that were logged, with all that is said of them."""
    found: list[str] = []
    sink = logger.add(
        lambda message: found.append(f"{message.record}"), filter=lambda r: r["extra"]["event"] == "crash"
    )
    yield found
    logger.remove(sink)


ORDER = ["limiter", "store", "one", "two", "transport"]


@pytest.mark.parametrize("failing", [[], ["two"], ["one", "two"], ["transport"], ["store"], ["limiter"], ORDER])
async def test_everything_is_closed_when_one_closing_fails(failing: list[str], crashes: list[str]) -> None:
    closed = Closed(*failing)
    outer = web.Application()
    outer.add_subapp("/llm/", app_noting(closed))
    outer.on_cleanup.append(lambda _: closed_outside(closed))
    async with TestClient(TestServer(outer)) as client:
        async with client.get("/llm/api/chat/stream?prompt=x") as response:
            assert "event: done" in await response.text()
        assert closed == []
    assert closed == [*ORDER, "outside"]
    assert len(crashes) == len({"catalog" if name in ("one", "two", "transport") else name for name in failing})
    assert SECRET not in "".join(crashes)


async def closed_outside(closed: Closed) -> None:
    closed.append("outside")


async def test_failed_start_closes_what_was_open() -> None:
    closed = Closed("start")
    app = app_noting(closed)
    runner = web.AppRunner(app)
    with pytest.raises(RuntimeError):
        await runner.setup()
    await runner.cleanup()
    assert closed == ORDER


async def test_catalog_of_a_reload_is_closed_at_the_end() -> None:
    """A reload has put another one into force."""
    closed, late = Closed(), Closed()
    app, other = app_noting(closed), app_noting(late)
    async with TestClient(TestServer(app)):
        app[SERVICES].streams.catalog = other[SERVICES].catalog
    assert closed == ["limiter", "store"]
    assert late == ["one", "two", "transport"]


async def test_replaced_catalog_is_closed_when_its_wait_fails(crashes: list[str]) -> None:
    closed = Closed("one")
    await _close(app_noting(closed)[SERVICES].catalog)
    assert closed == ["one", "two", "transport"]
    assert len(crashes) == 1 and SECRET not in crashes[0]
