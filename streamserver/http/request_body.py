"""A request's body, read in bounded memory, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from providers.jsontext import DuplicateKey, OutOfRange, loads
from streamserver.core.refusals import Refusal, invalid

if TYPE_CHECKING:
    from streamserver.http.context import RequestContext
    from streamserver.http.deadline import RequestDeadline

MAX_VALUES = 30_000
"""The most commas and brackets in a body. A large honest body is text, or an image in one string; a megabyte of empty
objects would block the event loop for half a second, and these do for 45 ms."""


async def read_object(request: web.Request, max_bytes: int) -> dict[str, Any]:
    """Return the body as a JSON object. Raises :class:`~streamserver.core.refusals.Refusal` for anything else."""
    data = await read_body(request, max_bytes)
    if not data.strip():
        raise Refusal("malformed", "The body is empty; send a JSON object.")
    if sum(map(data.count, (b",", b"{", b"["))) > MAX_VALUES:
        raise Refusal("malformed", f"The body has more than {MAX_VALUES} values.")
    content_type = request.headers.get("Content-Type", "application/json")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal("unsupported_media_type", "Send JSON, with Content-Type: application/json.")
    try:
        value = loads(data, unique=True)
    except DuplicateKey as error:
        raise invalid(quotable(error.path), "The field is given more than once.") from None
    except OutOfRange as error:
        raise invalid(quotable(error.path), "The number is out of range.") from None
    except UnicodeDecodeError:
        raise Refusal("malformed", "The body is not UTF-8.") from None
    except (ValueError, RecursionError):
        raise Refusal("malformed", "The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise Refusal("malformed", "The body is not a JSON object.")
    return value


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """Return the whole body.

    Raises a refusal: ``body_too_large`` as soon as the body is known to be larger than ``max_bytes``, ``malformed`` if
    it has not the transfer or content encoding of its headers.
    """
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    content = request.content
    data = bytearray()
    try:
        while True:
            data += await content.readany()
            if len(data) > max_bytes:
                raise _too_large(max_bytes)
            if content.at_eof():
                return bytes(data)
    except (web.RequestPayloadError, HttpProcessingError, aiohttp.ClientPayloadError):
        raise Refusal("malformed", "The body has an invalid transfer or content encoding.") from None


def _too_large(max_bytes: int) -> Refusal:
    return Refusal("body_too_large", f"The body is larger than {max_bytes} bytes.")


async def discard_body(request: web.Request, max_bytes: int) -> None:
    """Read a body, and ignore it.

    While it is unread aiohttp stops reading from the connection, and a disconnect is not seen.
    """
    if not request.content.is_eof():
        await read_body(request, max_bytes)


def quotable(name: str) -> str:
    """Return the name of a field that a client made up, shortened and escaped so that it may be quoted back."""
    return name if len(name) <= 100 and name.isprintable() else f"{name[:100]!a}"


def body_deadline(context: RequestContext) -> RequestDeadline:
    """Give the rest of the body its deadline, ``timeouts.body``, until the block ends that this is entered for."""
    deadline = context.deadline
    if not context.http.content.is_eof():
        deadline.set(context.settings.timeouts.body)
    return deadline
