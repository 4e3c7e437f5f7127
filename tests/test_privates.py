"""What is private in aiohttp and aiohttp-sse and used all the same: an upgrade that drops it fails by its name."""

from __future__ import annotations

import inspect

import pytest
from aiohttp import web
from aiohttp.http_writer import StreamWriter
from aiohttp.web_log import AccessLogger
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server
from aiohttp_sse import EventSourceResponse

from streamserver.runner import _Protocol, _Server

USED = [
    (web.AppRunner, "_make_server"),
    (web.StreamResponse, "_payload_writer"),
    (web.StreamResponse, "_send_headers_immediately"),
    (EventSourceResponse, "_abort_transport"),
    (EventSourceResponse, "_ping"),
    (EventSourceResponse, "_restore_tcp_user_timeout"),
    (RequestHandler, "_manager"),
    (RequestHandler, "access_logger"),
    (RequestHandler, "connection_lost"),
    (RequestHandler, "handle_error"),
    (RequestHandler, "log_exception"),
    (AccessLogger, "enabled"),
    (StreamWriter, "chunked"),
    (StreamWriter, "output_size"),
    (StreamWriter, "send_headers"),
]
"""What is overridden, or read, or called."""


@pytest.mark.parametrize(("owner", "name"), USED)
def test_it_is_there(owner: type, name: str) -> None:
    assert hasattr(owner, name), f"{owner.__module__}.{owner.__qualname__}.{name} is gone"


@pytest.mark.parametrize("name", ["_kwargs", "_loop", "handler_cancellation"])
async def test_a_server_has_it(name: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    assert hasattr(web.Server(handler, handler_cancellation=True), name), f"aiohttp.web.Server.{name} is gone"


async def test_a_response_has_its_send_timeout() -> None:
    assert hasattr(EventSourceResponse(send_timeout=3.0), "_send_timeout"), "EventSourceResponse._send_timeout is gone"


def test_a_write_need_not_drain() -> None:
    assert "drain" in inspect.signature(StreamWriter.write).parameters, "StreamWriter.write(drain=…) is gone"


def test_a_servers_class_can_be_ours() -> None:
    """``__class__`` is assigned: the two must have the same layout."""
    server = Server.__new__(Server)
    server.__class__ = _Server
    assert isinstance(server, _Server)


@pytest.mark.parametrize("name", ["handle_error", "connection_lost"])
def test_the_protocols_overrides_take_what_the_originals_take(name: str) -> None:
    ours = inspect.signature(getattr(_Protocol, name)).parameters
    theirs = inspect.signature(getattr(RequestHandler, name)).parameters
    assert list(ours) == list(theirs), f"aiohttp.web_protocol.RequestHandler.{name} has changed"
