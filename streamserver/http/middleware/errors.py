"""Whatever escapes a handler, answered in the form the client can read."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.core.error_codes import failed
from streamserver.http.core import core_of
from streamserver.http.problems import Problem
from streamserver.http.state import OPEN_STREAM, REQUEST_ID, OpenStream, route_of
from streamserver.telemetry.tracebacks import log_crash


@web.middleware
async def answer_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Before the stream a ``problem+json``, in it the final error event of its own wire format.

    A cancelled request (its reader has gone) gets nothing written.
    """
    try:
        return await handler(request)
    except Problem as problem:
        core_of(request).metrics.refused(problem.code, problem.limit)
        return problem.response(request[REQUEST_ID])
    except web.HTTPException as refusal:
        routing = _from_aiohttp(refusal)
        core_of(request).metrics.refused(routing.code, None)
        return routing.response(request[REQUEST_ID])
    except ConnectionError:
        # The reader has gone, or is to come back remote_readers: a body that ended properly would look whole to it.
        opened: OpenStream | None = request.get(OPEN_STREAM)
        if opened is None or not opened.response.prepared:
            raise
        opened.response.abort()
        return opened.response
    except Exception as error:
        request_id = request[REQUEST_ID]
        log_crash("a handler failed", error, request_id=request_id, route=route_of(request))
        opened = request.get(OPEN_STREAM)
        if opened is not None and opened.response.prepared:
            return await end_with(opened, "internal")
        core_of(request).metrics.refused("internal", None)
        return Problem("internal", "Something went wrong in this server. Its log has the details.").response(request_id)


async def end_with(opened: OpenStream, code: str, message: str | None = None) -> web.StreamResponse:
    """Write the final error event to an open response that has had no ending."""
    response = opened.response
    if not response.complete:
        response.complete = True
        failure = failed(code, request_id=opened.request_id, message=message)
        await response.send_batch(opened.encoder.encode_last(opened.stream_id, failure))
    return response


def _from_aiohttp(refusal: web.HTTPException) -> Problem:
    """aiohttp's own refusals, of routing for the most part."""
    match refusal:
        case web.HTTPNotFound():
            return Problem("not_found", "There is nothing at this address.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(refusal.allowed_methods))
            return Problem("method_not_allowed", f"This address takes {allowed}.", headers={"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return Problem("body_too_large", "The body is too large.")
        case web.HTTPUnsupportedMediaType():
            return Problem("unsupported_media_type", "The body is of a type that is not taken here.")
        case web.HTTPForbidden():
            return Problem("forbidden", "This is not allowed.")
        case web.HTTPBadRequest():
            return Problem("malformed", "The request cannot be understood.")
        case _:
            raise refusal
