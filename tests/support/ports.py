"""Ports for programs that cannot be told to take any free one."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 11_000, 30_000
"""Below the ports that the kernel gives to connections, and to listeners that take any."""


def free_port() -> int:
    """Return a port of the loopback without a listener. Nothing else takes it before or between its uses."""
    chance = random.SystemRandom()  # other processes that test draw other ports, whatever seed they share
    while True:
        port = chance.randint(FIRST, LAST)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
