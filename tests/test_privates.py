"""What is private in aiohttp and aiohttp-sse and used all the same: an upgrade that drops it fails by its name."""

from __future__ import annotations

import ast
import inspect

import aiohttp
import pytest
from aiohttp import web
from aiohttp.http_writer import StreamWriter
from aiohttp.web_log import AccessLogger
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server
from aiohttp_sse import EventSourceResponse
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from loguru import logger

from streamserver._aiohttp import PROTOCOL_ATTRIBUTES, SERVER_ATTRIBUTES, HttpProtocol, HttpServer
from streamserver.gunicorn import BOOT_ERROR
from streamserver.http.responses.sse_response import SSEResponse
from streamserver.runner import AppRunner
from tests.support.application import running_app
from tests.support.client import get_events, stream_url

USED = [
    (web.AppRunner, "_make_server"),
    (web.StreamResponse, "_send_headers_immediately"),
    (RequestHandler, "access_logger"),
    *((RequestHandler, name) for name in PROTOCOL_ATTRIBUTES),
    (AccessLogger, "enabled"),
    (StreamWriter, "chunked"),
    (StreamWriter, "output_size"),
    (StreamWriter, "send_headers"),
]
"""What is overridden, or read, or called."""


@pytest.mark.parametrize(("owner", "name"), USED)
def test_private_attribute_of_a_class_exists(owner: type, name: str) -> None:
    assert hasattr(owner, name), f"{owner.__module__}.{owner.__qualname__}.{name} is gone"


SERVERS = (*SERVER_ATTRIBUTES, "handler_cancellation")


@pytest.mark.parametrize("name", SERVERS)
async def test_private_attribute_of_a_server_exists(name: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    assert hasattr(web.Server(handler, handler_cancellation=True), name), f"aiohttp.web.Server.{name} is gone"


@pytest.mark.parametrize("ours", [HttpProtocol, HttpServer, AppRunner, SSEResponse])
def test_nothing_private_is_used_that_is_not_listed_here(ours: type) -> None:
    nodes = [node for node in ast.walk(ast.parse(inspect.getsource(ours))) if isinstance(node, ast.Attribute)]
    private = {node.attr for node in nodes if node.attr.startswith("_") and not node.attr.startswith("__")}
    made_here = {node.attr for node in nodes if isinstance(node.ctx, ast.Store)}
    made_here |= {name for name in vars(ours) if not any(hasattr(base, name) for base in ours.__bases__)}
    assert private - made_here <= {*(name for _, name in USED), *SERVERS}


def test_no_name_of_aiohttps_is_taken_for_another_thing() -> None:
    tree = ast.parse(inspect.getsource(SSEResponse))
    stored = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    }
    response = EventSourceResponse(send_timeout=3.0)
    assert not [name for name in stored if hasattr(response, name)]


def test_a_write_need_not_drain() -> None:
    assert "drain" in inspect.signature(StreamWriter.write).parameters, "StreamWriter.write(drain=…) is gone"


def test_a_servers_class_can_be_ours() -> None:
    """``__class__`` is assigned: the two must have the same layout."""
    server = Server.__new__(Server)
    server.__class__ = HttpServer
    assert isinstance(server, HttpServer)


@pytest.mark.parametrize(
    "name", ["handle_error", "connection_lost", "connection_made", "data_received", "resume_reading"]
)
def test_the_protocols_overrides_take_what_the_originals_take(name: str) -> None:
    ours = inspect.signature(getattr(HttpProtocol, name)).parameters
    theirs = inspect.signature(getattr(RequestHandler, name)).parameters
    assert list(ours) == list(theirs), f"aiohttp.web_protocol.RequestHandler.{name} has changed"


async def test_streams_are_served_when_a_release_has_dropped_a_private_attribute(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamserver._aiohttp.PROTOCOL_ATTRIBUTES", ("_no_such_attribute",))
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="ERROR")
    try:
        tables = {"provider": {"default": "echo"}, "providers": {"echo": {"kind": "echo", "delay_ms": 0}}}
        async with running_app(tables, environ={}) as (_, url):
            assert (await get_events(http, stream_url(url)))[-1].type == "done"
    finally:
        logger.remove(sink)
    assert len(said) == 1 and "_no_such_attribute" in said[0]


def test_gunicorn_ends_at_the_status_of_a_worker_that_cannot_start() -> None:
    assert Arbiter.WORKER_BOOT_ERROR == BOOT_ERROR
