"""HTTP answers of providers: what a status means, what a header asks for, what an error's body holds."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Generic, TypeVar

import msgspec
from yarl import URL

from providers.errors import (
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ProviderAuth,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    UpstreamDetail,
    UpstreamError,
    loggable_identifier,
)
from providers.jsontext import loads
from providers.transport import HttpResponse

T = TypeVar("T")

MAX_ERROR_BYTES = 1024 * 1024
"""The limit for reading an error's body: some servers quote the whole request in it."""

ERROR_SECONDS = 2.0
"""The limit for waiting for an error's body: the status has come already, and says enough."""


async def read_error_body(response: HttpResponse, head: bytes = b"") -> object:
    """Return what an answer that is no stream says: its JSON, or that of its first event, or its text.

    ``head`` has been read of it. None if it says nothing that can be read: HTML from a proxy, cut short, too slow.
    """
    body = bytearray(head)
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            while len(body) < MAX_ERROR_BYTES and (chunk := await response.read()):
                body += chunk
    except (ProviderError, TimeoutError):
        pass
    value = as_json(bytes(body))
    if value is not None:
        return value
    event = _EVENT_LINE.search(body)
    if event is not None:
        return as_json(event[1])
    text = body.decode(errors="replace").strip()
    return text if text and text[0] not in "<{[" else None


_EVENT_LINE = re.compile(rb"^data: ?(\{.*)$", re.MULTILINE)
"""The data of an event: some servers send errors as events, whatever the status."""


def as_json(data: bytes) -> object:
    """Return ``data`` as JSON, None if it is none."""
    try:
        return loads(data)
    except (ValueError, RecursionError):
        return None


REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id")
"""OpenAI's, Anthropic's, that of Azure's gateway."""


def is_labelled(response: HttpResponse) -> bool:
    """Return whether the answer says that it is an event stream."""
    return "event-stream" in response.headers.get("Content-Type", "").lower()


def is_stream(response: HttpResponse) -> bool:
    """Return whether a 200 may be an event stream, by its headers. Some servers do not label theirs."""
    content_type = response.headers.get("Content-Type", "").lower()
    if is_labelled(response):
        return True
    return "json" not in content_type and "html" not in content_type and response.headers.get("Content-Length") != "0"


class _Annotated(Generic[T]):
    """A block in which ``annotate`` is called with each provider error that leaves it, and with ``source``."""

    __slots__ = ("_annotate", "_source")

    def __init__(self, annotate: Callable[[ProviderError, T], None], source: T) -> None:
        self._annotate = annotate
        self._source = source

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, ProviderError):
            self._annotate(error, self._source)


def annotate_errors(response: HttpResponse) -> AbstractContextManager[None]:
    """Add the status and the request id of ``response`` to the detail of each error raised in this block."""
    return _Annotated(_add_response, response)


def annotate_address(url: str) -> AbstractContextManager[None]:
    """Add ``url``, without credentials, to the detail of each error raised in this block.

    A 404 that names no model has a wrong address as its usual reason: it says which path was asked.
    """
    return _Annotated(_add_address, url)


def _add_response(error: ProviderError, response: HttpResponse) -> None:
    detail = error.detail
    ids = (loggable_identifier(response.headers.get(name)) for name in REQUEST_ID_HEADERS)
    error.detail = msgspec.structs.replace(
        detail,
        status=detail.status or response.status,
        request_id=detail.request_id or next(filter(None, ids), None),
    )


def _add_address(error: ProviderError, url: str) -> None:
    address = URL(url).with_user(None)
    error.detail = msgspec.structs.replace(error.detail, url=str(address))
    if error.detail.status == 404 and isinstance(error, InvalidRequest):
        error.message = (
            f"The model's provider has nothing at {address.path} (404). Check the provider's base_url: most end in "
            "/v1, and the path of the API is added to it."
        )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait, from ``Retry-After`` as seconds or a date (RFC 9110, 10.2.3), or ``retry-after-ms``.

    OpenAI's SDKs read the latter first. None if absent, malformed or past.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("Retry-After", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, OverflowError):
                continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def detail_of(status: int, error: Mapping[str, Any], request_id: str | None) -> UpstreamDetail:
    """Return the part of an error object that may be logged."""
    return UpstreamDetail(
        status=status,
        type=loggable_identifier(error.get("type")),
        code=loggable_identifier(error.get("code")),
        param=loggable_identifier(error.get("param")),
        request_id=loggable_identifier(request_id),
    )


TRANSIENT_STATUSES = frozenset({408, 409, 425, 499})
"""The 4xx of which the request is not the cause: it timed out, met another, came too early, or was given up."""


def by_status(status: int) -> type[ProviderError]:
    """Return the class for a status, where the body says nothing more."""
    match status:
        case 401 | 403:
            return ProviderAuth
        case 402:
            return QuotaExceeded
        case 404:
            return ModelNotFound
        case 429:
            return RateLimited
        case 503 | 529:
            return Overloaded
        case _ if 400 <= status < 500 and status not in TRANSIENT_STATUSES:
            return InvalidRequest
        case _:
            return UpstreamError
