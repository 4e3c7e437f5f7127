"""The errors of aiohttp's client as a provider's."""

from __future__ import annotations

import aiohttp

from providers._aiohttp import UnaskedAnswer
from providers.errors import (
    ProviderError,
    UpstreamDetail,
    UpstreamError,
    UpstreamUnavailable,
    disconnected,
    malformed_response,
)


def translate(error: BaseException) -> ProviderError:
    """What happened, by what happened rather than by the class's family."""
    match error:
        case UnaskedAnswer():
            return UpstreamError(
                "The model's provider sent an answer before it was asked.",
                detail=UpstreamDetail(reason="unasked_answer"),
                sent=False,
            )
        case aiohttp.ServerDisconnectedError():
            return disconnected("closed")
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return UpstreamUnavailable(detail=UpstreamDetail(reason=_why_unavailable(error)), sent=False)
        case aiohttp.InvalidURL() | ValueError():
            return UpstreamUnavailable(
                "The provider's base_url is not a valid address.", detail=UpstreamDetail(reason="address"), sent=False
            )
        case aiohttp.ClientOSError() | OSError():
            return disconnected("reset")
        case _:  # a ClientResponseError: what came is not HTTP
            return malformed_response("not_http")


def _why_unavailable(error: BaseException) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientConnectorCertificateError():
            return "certificate"
        case aiohttp.ClientSSLError():
            return "tls"
        case aiohttp.ConnectionTimeoutError():
            return "connect_timeout"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "refused"
        case _:
            return "unreachable"
