"""What is private in aiohttp and aiohttp-sse and used all the same: an upgrade that drops it fails by its name."""

from __future__ import annotations

import ast
import inspect

import pytest
from aiohttp import web
from aiohttp.http_writer import StreamWriter
from aiohttp.web_log import AccessLogger
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server
from aiohttp_sse import EventSourceResponse

from streamserver.http.responses.sse_response import StreamResponse
from streamserver.protocol import Protocol
from streamserver.protocol import Server as OurServer
from streamserver.runner import AppRunner

USED = [
    (web.AppRunner, "_make_server"),
    (web.StreamResponse, "_payload_writer"),
    (web.StreamResponse, "_send_headers_immediately"),
    (EventSourceResponse, "_abort_transport"),
    (EventSourceResponse, "_ping"),
    (EventSourceResponse, "_restore_tcp_user_timeout"),
    (RequestHandler, "_close"),
    (RequestHandler, "_current_request"),
    (RequestHandler, "_force_close"),
    (RequestHandler, "_keepalive_handle"),
    (RequestHandler, "_loop"),
    (RequestHandler, "_manager"),
    (RequestHandler, "_messages"),
    (RequestHandler, "_next_keepalive_close_time"),
    (RequestHandler, "_pause_transport_reading"),
    (RequestHandler, "_process_keepalive"),
    (RequestHandler, "_request_count"),
    (RequestHandler, "access_logger"),
    (RequestHandler, "connection_lost"),
    (RequestHandler, "connection_made"),
    (RequestHandler, "data_received"),
    (RequestHandler, "force_close"),
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


SERVERS = ("_kwargs", "_loop", "handler_cancellation")
RESPONSES = ("_send_timeout",)


@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_has_it(name: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    assert hasattr(web.Server(handler, handler_cancellation=True), name), f"aiohttp.web.Server.{name} is gone"


@pytest.mark.parametrize("name", RESPONSES)
async def test_a_response_has_it(name: str) -> None:
    assert hasattr(EventSourceResponse(send_timeout=3.0), name), f"EventSourceResponse.{name} is gone"


@pytest.mark.parametrize("ours", [Protocol, OurServer, AppRunner, StreamResponse])
def test_nothing_private_is_used_that_is_not_listed_here(ours: type) -> None:
    nodes = [node for node in ast.walk(ast.parse(inspect.getsource(ours))) if isinstance(node, ast.Attribute)]
    private = {node.attr for node in nodes if node.attr.startswith("_") and not node.attr.startswith("__")}
    made_here = {node.attr for node in nodes if isinstance(node.ctx, ast.Store)}
    made_here |= {name for name in vars(ours) if not any(hasattr(base, name) for base in ours.__bases__)}
    assert private - made_here <= {*(name for _, name in USED), *SERVERS, *RESPONSES}


def test_no_name_of_aiohttps_is_taken_for_another_thing() -> None:
    tree = ast.parse(inspect.getsource(StreamResponse))
    stored = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    response = EventSourceResponse(send_timeout=3.0)
    assert not [name for name in stored if hasattr(response, name)]


def test_a_write_need_not_drain() -> None:
    assert "drain" in inspect.signature(StreamWriter.write).parameters, "StreamWriter.write(drain=…) is gone"


def test_a_servers_class_can_be_ours() -> None:
    """``__class__`` is assigned: the two must have the same layout."""
    server = Server.__new__(Server)
    server.__class__ = OurServer
    assert isinstance(server, OurServer)


@pytest.mark.parametrize("name", ["handle_error", "connection_lost", "connection_made", "data_received"])
def test_the_protocols_overrides_take_what_the_originals_take(name: str) -> None:
    ours = inspect.signature(getattr(Protocol, name)).parameters
    theirs = inspect.signature(getattr(RequestHandler, name)).parameters
    assert list(ours) == list(theirs), f"aiohttp.web_protocol.RequestHandler.{name} has changed"
