"""Whether the application is run in a way that lets it keep its promises."""

from __future__ import annotations

from aiohttp import web
from aiohttp.web_log import AccessLogger
from loguru import logger

from streamserver._aiohttp import cancels_on_disconnect


def warn_if_misconfigured(request: web.Request) -> None:
    """Log an error if the application is run in a way that breaks what it promises.

    Without ``handler_cancellation`` a client disconnect is detected at the next write, and until then its generation
    is paid for. With aiohttp's own access log, URLs are logged, which hold prompts and streams' ids.
    Our own runner sets both; an application that mounts this one has to.
    """
    if not cancels_on_disconnect(request.protocol):
        logger.bind(event="misconfigured").error(
            "client disconnects go undetected: run the application with handler_cancellation=True"
        )
    access_logger = getattr(request.protocol, "access_logger", None)
    if type(access_logger) is AccessLogger and access_logger.enabled:
        logger.bind(event="misconfigured").error(
            "aiohttp's access log writes prompts and the ids of streams: run the application with access_log=None"
        )
