"""Opening a new stream: whether its user may have one, and what it occupies until its end."""

from __future__ import annotations

from contextlib import ExitStack

from aiohttp import web

from providers.catalog import ProviderEntry
from streamserver.admission import LimitReached, Quota
from streamserver.core.refusals import Draining, TooManyStreams
from streamserver.core.supervisor import Stream
from streamserver.http.apis.native.chat import Asked
from streamserver.http.client_address import client_of
from streamserver.http.core import Core, core_of
from streamserver.http.problems import Problem
from streamserver.http.quotas import quota_of, refusal, user_of
from streamserver.http.state import KEY_NAME, REQUEST_ID
from streamserver.store.base import StoreUnavailable

RETRY_SECONDS = 1.0
"""When to come again after a refusal that may soon have passed."""


async def open_stream(request: web.Request, asked: Asked) -> Stream:
    """Open a stream for what is asked, if its user may have one; it is to be launched.

    What it occupies (the user's slot) belongs to the stream from then on, and is given back at its end,
    however it ends. Raises :class:`Problem`.
    """
    core = core_of(request)
    account = account_of(request)
    quota = quota_of(user_of(request), core.settings)
    with ExitStack() as held:
        try:
            core.supervisor.check_room()
            await core.limiter.admit(account, quota, held)
            configured = _still_configured(core, asked)
            held.enter_context(core.catalog.lease())
            stream = core.supervisor.open(
                asked.request,
                configured,
                request_id=request[REQUEST_ID],
                user=request[KEY_NAME],
                grace_seconds=asked.grace_seconds,
                held=held,
            )
        except LimitReached as reached:
            raise refusal(reached) from None
        except StoreUnavailable:
            raise store_unavailable() from None
        except TooManyStreams:
            raise Problem(
                "overloaded",
                "The server runs as many streams as it can. Try again.",
                retry_after=RETRY_SECONDS,
                limit="max_streams",
            ) from None
        except Draining:
            raise Problem("shutting_down", "The server is restarting. Try again.", retry_after=RETRY_SECONDS) from None
    core.metrics.stream_opened()
    stream.held.callback(core.metrics.stream_closed)
    stream.held.callback(_charge, core, account, quota, stream)
    return stream


def _still_configured(core: Core, asked: Asked) -> ProviderEntry:
    """The provider by its name, as it is now: while the request waited, the configuration may have been replaced."""
    configured = core.catalog.get(asked.configured.name)
    if configured is None or not configured.offers(asked.request.model):
        raise Problem("overloaded", "The configuration has just changed. Try again.", retry_after=RETRY_SECONDS)
    return configured


def store_unavailable() -> Problem:
    """The refusal of what needs the store while it is away."""
    return Problem("store_unavailable", "The server cannot reach its store. Try again.", retry_after=RETRY_SECONDS)


def account_of(request: web.Request) -> str:
    """Whose limits a start counts against: the key's, by its name, else the client's address."""
    name = request[KEY_NAME]
    return f"key:{name}" if name else client_of(request, core_of(request).settings.server.trusted_proxies)


def _charge(core: Core, account: str, quota: Quota, stream: Stream) -> None:
    terminal = stream.log.terminal
    if terminal is not None and terminal.usage is not None:
        core.limiter.charge(account, quota, terminal.usage.total_tokens)
