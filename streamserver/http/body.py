"""A request's body: read in bounded memory, and as JSON."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from providers.jsontext import DoubledKey, loads
from streamserver.http.problems import Problem, invalid

MAX_VALUES = 10_000
"""So many commas and brackets a body may hold. What is large and honest is text, or an image in one string; a
megabyte of empty objects would keep all other streams waiting for half a second, and these do for 15 ms."""


async def read_object(request: web.Request, max_bytes: int) -> dict[str, Any]:
    """The body as a JSON object. Raises :class:`Problem` for anything else."""
    data = await read_body(request, max_bytes)
    if not data.strip():
        raise Problem("malformed", "The body is empty; send a JSON object.")
    if sum(map(data.count, (b",", b"{", b"["))) > MAX_VALUES:
        raise Problem("malformed", f"The body has more than {MAX_VALUES} values.")
    content_type = request.headers.get("Content-Type", "application/json")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Problem("unsupported_media_type", "Send JSON, with Content-Type: application/json.")
    try:
        value = loads(data, unique=True)
    except DoubledKey as error:
        raise invalid(shown(error.path), "The field is given more than once.") from None
    except UnicodeDecodeError:
        raise Problem("malformed", "The body is not UTF-8.") from None
    except (ValueError, RecursionError):
        raise Problem("malformed", "The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise Problem("malformed", "The body is not a JSON object.")
    return value


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """The whole body. Raises a 413 as soon as it is known to be larger than ``max_bytes``, and a 400 if it is not
    in the transfer or content coding that its headers say."""
    too_large = Problem("body_too_large", f"The body is larger than {max_bytes} bytes.")
    if (request.content_length or 0) > max_bytes:
        raise too_large
    data = bytearray()
    try:
        while chunk := await request.content.readany():
            data += chunk
            if len(data) > max_bytes:
                raise too_large
    except (web.RequestPayloadError, HttpProcessingError, aiohttp.ClientPayloadError):
        raise Problem("malformed", "The body is not in the coding that its headers say.") from None
    return bytes(data)


async def discard_body(request: web.Request, max_bytes: int) -> None:
    """Read a body that does not matter.

    While it is unread aiohttp stops reading from the connection, and would not see that the reader leaves.
    """
    if not request.content.is_eof():
        await read_body(request, max_bytes)


def shown(name: str) -> str:
    """The name of a field that a client made up, as much of it as may be quoted back."""
    return name if len(name) <= 100 and name.isprintable() else f"{name[:100]!a}"
