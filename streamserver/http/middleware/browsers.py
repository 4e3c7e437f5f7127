"""Protection against other sites' pages: cross-site requests, CORS and DNS rebinding.

A browser sends requests in its user's name for any page: an ``EventSource`` or a form on another site
reaches a server on this machine as well. Sources: Fetch Metadata Request Headers (W3C), the Fetch
standard's CORS protocol, and, for ``Host``, the DNS rebinding attacks it prevents.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.config.settings import Settings
from streamserver.core.refusals import Refusal
from streamserver.http.context import CONTEXT, context_of

EXPOSED_HEADERS = "X-Request-ID, X-Stream-ID, Location, Retry-After, X-Error-Code"
ALLOWED_HEADERS = "Authorization, X-API-Key, Content-Type, Last-Event-ID, Idempotency-Key, X-Request-ID, X-Stream-Grace"
_VENDOR_HEADER = re.compile(r"(?:anthropic|openai|x-stainless|x-vercel|user-agent)[a-z0-9-]{0,64}")
"""Headers that the vendors' SDKs send from a page; all of them are ignored, or forwarded to their vendor."""


@web.middleware
async def guard_browsers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse foreign hosts and cross-site requests; answer preflights."""
    context = context_of(request)
    settings = context.settings
    if not _is_own_host(request, settings):
        raise Refusal("forbidden", "This server does not answer to that Host; server.allowed_hosts adds names.")
    if not context.api.guarded:
        return await handler(request)
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return _preflight(request, settings)
    if _is_cross_site(request) and _origin(request) not in settings.auth.cors_origins:
        raise Refusal("forbidden", "Requests from other sites are refused; auth.cors_origins allows some.")
    return await handler(request)


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Let an allowed origin's page read the answer, streams included."""
    context = request.get(CONTEXT)
    if context is None or not (context.api.guarded or (context.route is not None and context.route.cors)):
        return
    response.headers.add("Vary", "Origin")
    if _origin(request) in context.settings.auth.cors_origins:
        response.headers["Access-Control-Allow-Origin"] = _origin(request)
        response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS


def _preflight(request: web.Request, settings: Settings) -> web.Response:
    if _origin(request) not in settings.auth.cors_origins:
        raise Refusal("forbidden", "Requests from this origin are refused; auth.cors_origins allows some.")
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": ", ".join((ALLOWED_HEADERS, *_vendor_headers(request))),
            "Access-Control-Max-Age": "600",
        },
    )


def _vendor_headers(request: web.Request) -> Iterator[str]:
    for name in request.headers.get("Access-Control-Request-Headers", "").lower().split(","):
        if _VENDOR_HEADER.fullmatch(name.strip()):
            yield name.strip()


def _is_cross_site(request: web.Request) -> bool:
    """Return whether a page of another site sends this, as far as the browser tells.

    ``Sec-Fetch-Site`` goes only to addresses that the browser takes for safe: ``https``, and this machine. To any other
    an ``EventSource``, or a ``fetch`` with a body, says its ``Origin``, which is compared by name alone: what
    a proxy passes on as ``Host`` may lack the port.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site.lower() not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    name = _name_in(origin.partition("://")[2])
    return not name or name != _name_in(request.headers.get("Host", ""))


def _origin(request: web.Request) -> str:
    """Return the Origin header, or an empty string for ``null``, which any page can send."""
    origin = request.headers.get("Origin", "")
    return "" if origin == "null" else origin


def _is_own_host(request: web.Request, settings: Settings) -> bool:
    """Return whether ``Host`` names this server. One that only this machine can reach has only this machine's names.

    A rebound name is always a name, and always sent: an address, or no Host at all, is no attack.
    """
    address = request.transport.get_extra_info("sockname") if request.transport else None
    host = request.headers.get("Host", "")
    if not host or not isinstance(address, tuple) or not _is_loopback(address[0].partition("%")[0]):
        return True
    name = _name_in(host)
    return name == "localhost" or name in settings.server.allowed_hosts or _is_loopback(name.strip("[]"))


def _name_in(host: str) -> str:
    """Return ``host`` without its port."""
    return (host if host.endswith("]") else host.rpartition(":")[0] or host).lower()


@lru_cache(maxsize=256)
def _is_loopback(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
