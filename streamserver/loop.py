"""The event loop of ``streamserver serve``."""

from __future__ import annotations

import socket
from typing import Any

import uvloop


class EventLoop(uvloop.Loop):
    """uvloop's event loop, with connections to an address that do not resolve it in a thread.

    uvloop resolves every address that a socket connects to in a thread of its pool. That doubles the cost of a
    connection to a provider, and while four lookups of names hang, which is all the pool has, no connection is made.
    uvloop needs no thread for an address if it is told the type of the socket
    (https://github.com/MagicStack/uvloop/blob/v0.23.0/uvloop/dns.pyx, ``__static_getaddrinfo``).
    """

    async def getaddrinfo(  # type: ignore[override]
        self,
        host: str | None,
        port: str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002  # the standard library's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Resolve as :meth:`asyncio.loop.getaddrinfo` does; without a type, for stream sockets."""
        # Without a thread uvloop loses the scope of an address such as fe80::1%eth0 (`__static_getaddrinfo_pyaddr`).
        scoped = host is not None and "%" in host
        if not type and proto in (0, socket.IPPROTO_TCP) and not scoped:
            type = socket.SOCK_STREAM  # noqa: A001
        return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
