"""What is looked at before a load test starts: a test of an hour must not fail at its end."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

PREFLIGHT_CONNECT_SECONDS = 5.0


def unreachable(url: str | None) -> str | None:
    """Return what keeps a client from connecting to ``url``; None if nothing does."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            return f"--url {url}: there is no host in it"
        socket.create_connection((parts.hostname, port_of(parts)), timeout=PREFLIGHT_CONNECT_SECONDS).close()
    except (ValueError, socket.gaierror):
        return f"--url {url}: there is no such host or port"
    except OSError as error:
        return f"--url {url}: nothing answers there: {error.strerror or 'timed out'}"
    return None


def port_of(parts: SplitResult) -> int:
    """Return the port of a URL, that of its scheme if it names none."""
    return parts.port or (443 if parts.scheme == "https" else 80)


def unwritable(path: str | None) -> str | None:
    """Return what keeps the report from being written to ``path``; None if nothing does."""
    if path is None:
        return None
    report = Path(path)
    existed = report.exists()
    try:
        with report.open("ab"):
            pass
    except OSError as error:
        return f"cannot write {path}: {error.strerror}"
    if not existed:
        report.unlink()
    return None
