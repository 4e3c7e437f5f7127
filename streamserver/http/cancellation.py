"""Whether aiohttp tells us that a reader has gone."""

from __future__ import annotations

from aiohttp import web
from loguru import logger

_WARNED = web.AppKey("leaving_goes_unseen", list[bool])


def prepare(app: web.Application) -> None:
    """Make room for the one warning an application gives."""
    app[_WARNED] = []


def warn_if_leaving_goes_unseen(request: web.Request) -> None:
    """Log an error, once, if the application is run without ``handler_cancellation``.

    Then a reader that leaves is noticed at the next write to it, and until then its generation is paid for.
    Our own runner sets it; whoever mounts the application in another has to.
    """
    warned = request.config_dict[_WARNED]
    server = getattr(request.protocol, "_manager", None)
    if warned or getattr(server, "handler_cancellation", True):
        return
    warned.append(True)
    logger.bind(event="misconfigured").error(
        "readers that leave go unnoticed: run the application with handler_cancellation=True"
    )
