"""Starting a stream, for every wire format: what it asks, whether it may, and what it occupies until its end."""

from __future__ import annotations

from contextlib import ExitStack

from aiohttp import web

from streamserver.admission import LimitReached, Quota, StoreUnavailable
from streamserver.http.chat import ChatFields, resolve
from streamserver.http.clients import client_of
from streamserver.http.core import Core, core_of
from streamserver.http.problems import Problem
from streamserver.http.quotas import quota_of, refusal, user_named
from streamserver.http.state import KEY_NAME, REQUEST_ID
from streamserver.supervisor import Draining, Stream, TooManyStreams


async def start(request: web.Request, fields: ChatFields, *, grace: float | None) -> Stream:
    """Open a stream for ``fields``, if its user may have one; it is to be launched.

    What it occupies (the user's slot) belongs to the stream from then on, and is given back at its end.
    Raises :class:`Problem`.
    """
    core = core_of(request)
    name = request[KEY_NAME]
    settings = core.settings
    user = user_named(name, settings)
    asked = resolve(fields, settings, core.catalog, user, grace=grace)
    quota = quota_of(user, settings)
    account = f"key:{name}" if name else client_of(request, settings.server.trusted_proxies)
    with ExitStack() as held:
        try:
            core.supervisor.check_room()
            await core.limiter.admit(account, quota, held)
            stream = core.supervisor.open(
                asked.request,
                asked.configured,
                request_id=request[REQUEST_ID],
                user=name,
                grace_seconds=asked.grace_seconds,
                held=held,
            )
        except LimitReached as reached:
            raise refusal(reached) from None
        except StoreUnavailable:
            raise Problem("store_unavailable", "The server's store is away. Try again.", retry_after=1) from None
        except TooManyStreams:
            raise Problem("overloaded", "The server runs as many streams as it can. Try again.", retry_after=1) from None
        except Draining:
            raise Problem("shutting_down", "The server is restarting. Try again.", retry_after=1) from None
    stream.held.callback(_charge, core, account, quota, stream)
    return stream


def _charge(core: Core, account: str, quota: Quota, stream: Stream) -> None:
    usage = stream.log.terminal.usage if stream.log.terminal is not None else None
    if usage is not None:
        core.limiter.charge(account, quota, usage.total_tokens)
