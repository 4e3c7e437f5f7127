"""The errors of aiohttp's client as a provider's."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import aiohttp
from yarl import URL

from providers.connection_pool import UnsolicitedData
from providers.errors import (
    ProviderError,
    UpstreamDetail,
    UpstreamError,
    UpstreamUnavailable,
    disconnected,
    malformed_response,
)

PROXY_AUTHENTICATION = 407
"""The status with which a proxy asks for a password: never the provider's."""

EXPLANATIONS: Mapping[str, str] = {
    "refused": "nothing listens at this address and port",
    "dns": "the name of the host is not known",
    "tls": "the TLS handshake failed",
    "tls_to_plain_port": "the port does not speak TLS: is it http:// rather than https://?",
    "certificate": "the certificate is not trusted: an own authority is named by ca_file or SSL_CERT_FILE",
    "connect_timeout": "no connection was established in time",
    "unreachable": "the network has no way to this address",
    "address": "base_url is not a valid address",
    "proxy_setting": "the proxy that the environment names cannot be used",
    "proxy_refused": "nothing listens at the address and port of the proxy",
    "proxy_dns": "the name of the proxy is not known",
    "proxy_unreachable": "no connection to the proxy could be established",
    "proxy_auth": "the proxy asks for a password: put it into HTTPS_PROXY, or HTTP_PROXY",
    "proxy_rejected": "the proxy does not connect to this address",
    "key_withheld_from_proxy": "the key is not sent over http:// through a proxy, which could read it",
    "unasked_answer": "the server sent bytes before it was asked: is it an HTTP server?",
}
"""What an operator is told of a ``reason`` in :class:`~providers.errors.UpstreamDetail`."""

# What OpenSSL makes of a peer that speaks something else than TLS; the first before 3.2, the second since.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")


def translate(error: BaseException, *, proxy: str | None = None) -> ProviderError:
    """Return the provider error for what happened; ``proxy`` is the address of the proxy that was asked."""
    match error:
        case UnsolicitedData():
            return UpstreamError(
                "The model's provider sent an answer before it was asked.",
                detail=UpstreamDetail(reason="unasked_answer"),
                sent=False,
            )
        case aiohttp.ClientHttpProxyError():
            return refused_by_proxy(error.status)
        case aiohttp.ServerDisconnectedError():
            return disconnected("closed")
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return _unavailable(_why_unavailable(error, proxy))
        case aiohttp.InvalidURL() | ValueError():
            return UpstreamUnavailable(
                "The provider's base_url is not a valid address.", detail=UpstreamDetail(reason="address"), sent=False
            )
        case aiohttp.ClientOSError() | OSError():
            return disconnected("reset")
        case _:  # a ClientResponseError: what came is not HTTP
            return malformed_response("not_http")


def refused_by_proxy(status: int) -> UpstreamUnavailable:
    """Return the error for a proxy that answered with ``status`` itself."""
    return _unavailable("proxy_auth" if status == PROXY_AUTHENTICATION else "proxy_rejected")


def _unavailable(reason: str) -> UpstreamUnavailable:
    return UpstreamUnavailable(detail=UpstreamDetail(reason=reason), sent=False)


def _why_unavailable(error: BaseException, proxy: str | None) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "proxy_dns" if proxy is not None and error.host == URL(proxy).raw_host else "dns"
        case aiohttp.ClientProxyConnectionError():
            return "proxy_refused" if isinstance(error.os_error, ConnectionRefusedError) else "proxy_unreachable"
        case aiohttp.ClientConnectorCertificateError():
            return "certificate"
        case aiohttp.ClientSSLError():
            return "tls_to_plain_port" if _is_not_tls(error.os_error) else "tls"
        case aiohttp.ConnectionTimeoutError():
            return "connect_timeout"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "refused"
        case _:
            return "unreachable"


def _is_not_tls(error: OSError) -> bool:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return (reason or "").upper().replace(" ", "_") in _NOT_TLS
