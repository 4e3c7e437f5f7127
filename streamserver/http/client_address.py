"""The address of the client, also behind proxies."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TypeAlias

from aiohttp import web

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_HOPS = 32
"""The most proxies in a row that are believed."""

_FOR = re.compile(r'(?:^|;)\s*for=(?:"([^"\\]*)"|([^;,"\s]*))\s*(?=;|$)', re.IGNORECASE)
_UNKNOWN = "unknown"


def client_of(request: web.Request, trusted_proxies: tuple[str, ...]) -> str:
    """Return the client's address: IPv4, or the /64 of an IPv6, which is what one customer has.

    It is the connection's, unless that is one of ``trusted_proxies`` (addresses or networks) or comes over a Unix
    socket: then it is the last one in ``Forwarded`` (RFC 7239) or ``X-Forwarded-For`` that is no trusted
    proxy. Anyone could have written what stands left of that. Where both headers are there and disagree, the client
    may have written one of them: neither is believed.
    """
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if peer is None:
        return _UNKNOWN
    if isinstance(peer, tuple) and not trusted_proxies:
        return _user_of(peer[0])
    trusted = _networks(trusted_proxies)
    # A peer on a Unix socket has no address. It is a proxy on this machine, with permission to use the socket.
    address = _parse(peer[0]) if isinstance(peer, tuple) else None
    if isinstance(peer, tuple) and (address is None or not _is_in(address, trusted)):
        return _user_of(peer[0])
    candidates = {_last_untrusted(hops, trusted) for hops in (_forwarded(request), _x_forwarded_for(request)) if hops}
    found = (candidates.pop() if len(candidates) == 1 else None) or address
    return _UNKNOWN if found is None else _shown(found)


def _last_untrusted(hops: list[str], trusted: tuple[_Network, ...]) -> _Address | None:
    """Return the first hop from the right that is no trusted proxy; else the leftmost that is an address at all."""
    last = None
    for hop in reversed(hops[-MAX_HOPS:]):
        address = _parse(hop)
        if address is None:
            return last
        last = address
        if not _is_in(address, trusted):
            return address
    return last


def _x_forwarded_for(request: web.Request) -> list[str]:
    return _elements(request, "X-Forwarded-For")


def _forwarded(request: web.Request) -> list[str]:
    hops = []
    for element in _elements(request, "Forwarded"):
        match = _FOR.search(element)
        hops.append((match[1] or match[2] or "") if match else "")
    return hops


def _elements(request: web.Request, name: str) -> list[str]:
    """Return the last elements of a list header, however many lines it came in."""
    return ",".join(request.headers.getall(name, ())).rsplit(",", MAX_HOPS) if name in request.headers else []


def _parse(text: str) -> _Address | None:
    """Return an address with or without a port, in brackets or not; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def _user_of(peer: str) -> str:
    address = _parse(peer)
    return _UNKNOWN if address is None else _shown(address)


def _shown(address: _Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _is_in(address: _Address, networks: tuple[_Network, ...]) -> bool:
    return any(address in network for network in networks)
