"""The event loop of ``streamserver serve``."""

from __future__ import annotations

import socket
from typing import Any

import uvloop


class EventLoop(uvloop.Loop):
    """uvloop's, which connects to an address without looking it up as if it were a name.

    uvloop has each address that a socket connects to looked up by a thread of its pool. A connection to a provider
    costs twice as much for it, and while four lookups of names hang, which is all the pool has, nothing connects
    anywhere. What is an address needs no thread: uvloop itself sees that, but only if it is told the type of socket.
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
        """As :meth:`asyncio.loop.getaddrinfo`; of an unnamed type, what there is for streams."""
        # Of an address with a scope (fe80::1%eth0) uvloop, where it needs no thread, loses the scope.
        scoped = host is not None and "%" in host
        if not type and proto in (0, socket.IPPROTO_TCP) and not scoped:
            type = socket.SOCK_STREAM  # noqa: A001
        return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
