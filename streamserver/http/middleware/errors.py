"""Failures that escape a handler, answered in the form of the request's API."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.core.refusals import Refusal
from streamserver.http.context import RequestContext, context_of
from streamserver.http.responses.ending import end_with, to_response
from streamserver.http.responses.sse_response import ReadingPaused
from streamserver.telemetry.tracebacks import log_crash

_TOO_MUCH_BEHIND = (
    "Too much was sent behind this request before it was answered. Send the next request after the response, or on "
    "another connection."
)


@web.middleware
async def answer_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with the API's own refusal before a stream has begun, and with its own last event after that.

    A cancelled request (a client disconnect) gets nothing written.
    """
    context = context_of(request)
    try:
        return await handler(request)
    except Refusal as refusal:
        return _refuse(context, refusal)
    except web.HTTPException as error:
        return _refuse(context, _from_aiohttp(error))
    except ReadingPaused:  # before its base: this client is connected
        response = _refuse(context, Refusal("malformed", _TOO_MUCH_BEHIND))
        response.force_close()  # what was sent behind the request is not read any more
        return response
    except ConnectionError:
        # The client has disconnected, or is to reconnect elsewhere: a body that ended properly would look whole to it.
        opened = context.open_response
        if opened is None or not opened.response.prepared:
            raise
        opened.response.abort()
        return opened.response
    except Exception as error:
        log_crash("a handler failed", error, request_id=context.request_id, route=context.route_path)
        opened = context.open_response
        if opened is not None and opened.response.prepared:
            return await end_with(opened, "internal")
        return _refuse(context, Refusal("internal", "Something went wrong in this server. Its log has the details."))


def _refuse(context: RequestContext, refusal: Refusal) -> web.Response:
    context.services.metrics.refused(refusal.code, None if refusal.limit is None else refusal.limit.name)
    return to_response(context.api.refusal(refusal, context.request_id))


def _from_aiohttp(error: web.HTTPException) -> Refusal:
    """Return aiohttp's own refusal, of routing for the most part, as ours."""
    match error:
        case web.HTTPNotFound():
            return Refusal("not_found", "There is nothing at this address.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Refusal("method_not_allowed", f"This address takes {allowed}.", headers={"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return Refusal("body_too_large", "The body is too large.")
        case web.HTTPUnsupportedMediaType():
            return Refusal("unsupported_media_type", "The body is of a type that is not taken here.")
        case web.HTTPForbidden():
            return Refusal("forbidden", "This is not allowed.")
        case web.HTTPBadRequest():
            return Refusal("malformed", "The request cannot be understood.")
        case _:
            raise error
