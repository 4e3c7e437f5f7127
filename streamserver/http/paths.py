"""Which addresses are guarded, wherever the application is mounted."""

from __future__ import annotations

from aiohttp import web

_API = frozenset({"api", "v1"})
_PRIVATE = _API | {"metrics"}


def is_api(request: web.Request) -> bool:
    """Whether it is for what is under ``/api`` or ``/v1``, where money is spent: no stranger's page may ask for it."""
    return not _API.isdisjoint(request.path.split("/"))


def is_private(request: web.Request) -> bool:
    """Whether it is for what takes a key, where there are keys: the API, and the metrics."""
    return not _PRIVATE.isdisjoint(request.path.split("/"))
