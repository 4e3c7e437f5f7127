"""The kernel's part of the send timeout."""

from __future__ import annotations

import asyncio
import socket

_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
"""Linux alone has it."""


def set_send_timeout(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have the kernel give up on a peer that acknowledges nothing for ``seconds``, also while the connection is being
    closed. With uvloop this takes five system calls."""
    sock = transport.get_extra_info("socket")
    if _TCP_USER_TIMEOUT is not None and sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(seconds * 1000))
