"""The last event of a response that failed by itself, and answers without a stream."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from streamserver.core.error_codes import failed
from streamserver.http.context import OpenResponse
from streamserver.wire.base import HTTPAnswer


async def end_with(opened: OpenResponse, code: str, message: str | None = None) -> web.StreamResponse:
    """Write the final error event to an open response, unless it has had its ending."""
    response = opened.response
    if not response.complete:
        response.complete = True
        failure = failed(code, request_id=opened.request_id, message=message)
        await response.send_batch(opened.encoder.encode_failure(failure))
    return response


def to_response(answer: HTTPAnswer, headers: Mapping[str, str] = {}) -> web.Response:
    """Return ``answer`` as an aiohttp response that is never cached."""
    return web.Response(
        status=answer.status,
        body=answer.body,
        headers={"Cache-Control": "no-store", **answer.headers, **headers, "Content-Type": answer.content_type},
    )
