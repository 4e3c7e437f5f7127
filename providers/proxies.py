"""Outbound proxies, as the environment names them.

The rules are those of httpx, which the vendors' SDKs use: ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``ALL_PROXY``, in lower
case first, and ``NO_PROXY`` (https://www.python-httpx.org/environment_variables/). In addition, loopback addresses are
never asked through a proxy that was only inherited.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec
from yarl import URL

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,15}", re.IGNORECASE)


class UnusableProxy(ValueError):
    """A proxy that cannot be used. The message names the variable or key, never its value: it may hold a password."""


class Exemption(msgspec.Struct, frozen=True):
    """An entry of ``NO_PROXY``. What is None, or empty, matches anything."""

    scheme: str = ""
    host: str = ""
    port: int | None = None
    subdomains: bool = False
    itself: bool = True
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None

    def matches(self, url: URL) -> bool:
        if self.scheme and self.scheme != url.scheme:
            return False
        if self.port is not None and self.port != url.port:
            return False
        host = url.host or ""
        if self.network is not None:
            address = _address(host)
            return address is not None and address in self.network
        if not self.host:
            return True
        return (self.itself and host == self.host) or (self.subdomains and host.endswith(f".{self.host}"))


class Proxies:
    """The proxies that ``environ`` names. An unusable one is an error only for the addresses that it is for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._variables = {scheme: _variable(environ, f"{scheme}_proxy") for scheme in ("http", "https", "all")}
        if "REQUEST_METHOD" in environ:
            # A CGI script's HTTP_PROXY may be a client's header (https://httpoxy.org).
            self._variables["http"] = ("http_proxy", environ.get("http_proxy", ""))
        _, exempt = _variable(environ, "no_proxy")
        entries = [entry.strip() for entry in exempt.split(",")]
        self._never = "*" in entries
        self._exemptions = [exemption for entry in entries if entry for exemption in _exemptions(entry)]

    def __bool__(self) -> bool:
        return any(value for _, value in self._variables.values())

    def find(self, url: URL) -> URL | None:
        """Return the proxy for ``url``, None if it is asked directly. Raises :class:`UnusableProxy`."""
        if self._never or is_loopback(url) or any(each.matches(url) for each in self._exemptions):
            return None
        for scheme in (url.scheme, "all"):
            variable, value = self._variables.get(scheme, ("", ""))
            if value:
                return read_proxy(value, variable)
        return None


def read_proxy(value: str, name: str) -> URL:
    """Return the address of a proxy. Raises :class:`UnusableProxy`, which calls it ``name``."""
    scheme, separator, _ = value.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        shown = f"a {scheme}:// proxy" if _SCHEME.fullmatch(scheme) else "no address"
        raise UnusableProxy(f"{name} names {shown}; expected an http:// or https:// address")
    try:
        url = URL(value if separator else f"http://{value}")
        usable = bool(url.host) and url.port is not None and url.path in ("", "/") and not url.query_string
    except ValueError:
        usable = False
    if not usable:
        raise UnusableProxy(f"{name} is not the address of a proxy; expected one like http://proxy.example:3128")
    return url


def is_loopback(url: URL) -> bool:
    host = (url.host or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address is not None and (mapped or address).is_loopback


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the name and the value of a variable. In lower case it wins, also if it is empty."""
    used = name if name in environ else name.upper()
    return used, environ.get(used, "").strip()


def _exemptions(entry: str) -> Iterator[Exemption]:
    """Yield what an entry of ``NO_PROXY`` exempts; nothing for one that cannot be read."""
    scheme, separator, rest = entry.rpartition("://")
    name = rest.lower()
    network = _network(name)
    if network is not None:
        yield Exemption(scheme=_scheme(scheme), network=network)
        return
    anywhere = name.startswith((".", "*."))
    try:
        url = URL(f"http://{name.removeprefix('*').removeprefix('.')}")
        host, port = url.host or "", url.explicit_port
    except ValueError:
        return
    if "/" in name:
        return
    address = _address(host)
    exact = bool(separator) or host == "localhost" or address is not None
    yield Exemption(scheme=_scheme(scheme), host=host, port=port, subdomains=anywhere or not exact, itself=not anywhere)


def _scheme(scheme: str) -> str:
    return "" if scheme.lower() == "all" else scheme.lower()


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    address, bracket, rest = text.removeprefix("[").partition("]")
    if bracket and rest[:1] not in ("", "/"):
        return None  # a port
    try:
        return ipaddress.ip_network(address + rest, strict=False)
    except ValueError:
        return None


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
