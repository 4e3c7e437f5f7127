"""What the scripted provider does in these tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tests.browser.conftest import Watched
from tests.support.upstream import DONE, Exchange, Script, chunk, usage_chunk


async def endless(exchange: Exchange) -> None:
    """Send one word, and then nothing, for as long as the connection is open."""
    await exchange.start_stream()
    await exchange.send(chunk("word"))
    await exchange.closed.wait()


async def nothing() -> None:
    """Do nothing between two pieces."""


def shown_one_by_one(
    watched: Watched, pieces: Sequence[str], *, before_last: Callable[[], Awaitable[object]] = nothing
) -> Script:
    """Send each piece when the page shows the one before: a proxy that holds one back gets no further."""

    async def script(exchange: Exchange) -> None:
        answer = watched.page.locator(".turn").last.locator(".answer")
        await exchange.start_stream()
        for number, piece in enumerate(pieces, start=1):
            if number == len(pieces):
                await before_last()
            await exchange.send(chunk(piece))
            await answer.filter(has_text=piece.split()[-1]).wait_for()
        await exchange.send(chunk(finish="stop") + usage_chunk(7, len(pieces)) + DONE)

    return script
