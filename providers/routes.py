"""The way to a provider: through a proxy or not, and the certificate authorities that it is checked against."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from yarl import URL

from providers.errors import ProviderAuth, UpstreamDetail, UpstreamUnavailable
from providers.options import ApiOptions, Options
from providers.proxies import Proxies, UnusableProxy, read_proxy
from providers.transport import HttpRequest, HttpResponse, ProxyRoute, Transport
from providers.validation import Invalid

CERTIFICATES_VARIABLE = "SSL_CERT_FILE"


class ProxyRoutes:
    """The ways to all providers, by their tables and by the environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._proxies = Proxies(environ)
        self._certificates = environ.get(CERTIFICATES_VARIABLE) or None

    def for_provider(self, name: str, options: Options) -> ProviderProxy:
        """Return the way to ``[providers.NAME]``. Raises :class:`~providers.validation.Invalid` as its parts do."""
        proxies: Proxies | URL | None = self._proxies
        tls = None
        if isinstance(options, ApiOptions) and options.proxy is not None:
            proxies = read_own_proxy(options.proxy, f"providers.{name}.proxy")
        if isinstance(options, ApiOptions) and options.ca_file is not None:
            tls = read_certificates(options.ca_file, f"providers.{name}.ca_file")
        elif self._certificates is not None:
            tls = read_certificates(self._certificates, CERTIFICATES_VARIABLE)
        return ProviderProxy(proxies, tls)


class ProviderProxy:
    """The way to one provider."""

    def __init__(self, proxies: Proxies | URL | None, tls: ssl.SSLContext | None) -> None:
        self._proxies = proxies
        self._tls = tls

    @property
    def is_direct(self) -> bool:
        """Whether every request goes directly, and is checked against the authorities of the system."""
        return not self._proxies and self._tls is None

    def to(self, address: str) -> ProxyRoute:
        """Return the way to ``address``. Raises :class:`~providers.proxies.UnusableProxy`."""
        proxy = self._proxies.find(URL(address)) if isinstance(self._proxies, Proxies) else self._proxies
        return ProxyRoute(proxy=None if proxy is None else str(proxy), tls=self._tls)

    def problem(self, options: Options) -> str | None:
        """Return in one line why no request can be sent, None if nothing is known."""
        address = getattr(options, "base_url", None)
        try:
            if isinstance(address, str):
                self.to(address)
        except UnusableProxy as error:
            return str(error)
        return None


class RoutedTransport:
    """A ``transport`` over the way to one provider. ``key`` is the provider's, which no proxy gets to read.

    Over https:// a proxy only passes on what is encrypted. Over http:// it reads everything, so the key is left out.
    """

    def __init__(self, transport: Transport, route: ProviderProxy, key: str | None) -> None:
        self._transport = transport
        self._route = lru_cache(route.to)
        self._key = key

    async def send(self, request: HttpRequest) -> HttpResponse:
        try:
            route = self._route(request.url)
        except UnusableProxy as error:
            raise UpstreamUnavailable(detail=UpstreamDetail(reason="proxy_setting"), sent=False) from error
        headers = request.headers
        withheld = False
        if route.proxy is not None and request.url.startswith("http://") and self._key is not None:
            headers = {name: value for name, value in headers.items() if self._key not in value}
            withheld = len(headers) < len(request.headers)
        response = await self._transport.send(HttpRequest(request.url, headers, request.body, route))
        if withheld and response.status in (401, 403):
            response.close()
            detail = UpstreamDetail(status=response.status, reason="key_withheld_from_proxy")
            raise ProviderAuth(detail=detail)
        return response

    async def aclose(self) -> None:
        """Do nothing: the transport belongs to the catalog."""


def read_certificates(path: str, name: str) -> ssl.SSLContext:
    """Return a context that trusts the authorities in the file ``path`` alone.

    Raises :class:`~providers.validation.Invalid`, which calls the file ``name``.
    """
    try:
        found = Path(path).stat()
        return _context(path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    except ssl.SSLError:
        raise Invalid(name, "holds no certificate in PEM format", path) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise Invalid(name, f"cannot be read: {reason}", path) from None


@lru_cache(maxsize=8)
def _context(path: str, state: tuple[int, ...]) -> ssl.SSLContext:
    """Return the context for the file in that ``state``, which tells a new file from the old one.

    A bundle takes 20 ms, and a start asks for it several times.
    """
    context = ssl.create_default_context(cafile=path)
    context.set_alpn_protocols(("http/1.1",))
    return context


def read_own_proxy(address: str, key: str) -> URL | None:
    """Return the proxy that the table's ``key`` names, None for "". Raises :class:`~providers.validation.Invalid`."""
    if not address:
        return None
    try:
        proxy = read_proxy(address, key)
    except UnusableProxy:
        raise Invalid(key, "expected the address of a proxy, like http://proxy.example:3128") from None
    if proxy.user or proxy.password:
        raise Invalid(key, "must not hold a password; name this proxy in HTTPS_PROXY or HTTP_PROXY instead")
    return proxy


def check_route(options: ApiOptions, key: str) -> None:
    """Raise :class:`~providers.validation.Invalid` for a proxy or a file in the table ``key`` that cannot be used."""
    if options.proxy is not None:
        read_own_proxy(options.proxy, f"{key}.proxy")
    if options.ca_file is not None:
        read_certificates(options.ca_file, f"{key}.ca_file")


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise :class:`~providers.validation.Invalid` for an ``SSL_CERT_FILE`` that cannot be used."""
    if environ.get(CERTIFICATES_VARIABLE):
        read_certificates(environ[CERTIFICATES_VARIABLE], CERTIFICATES_VARIABLE)
