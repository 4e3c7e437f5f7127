"""The pictures of the page. ``python -m tests.browser.record`` writes ``docs/demo.webp`` and ``docs/demo.png``.

An answer streams to the page, its connection is cut in the middle, and it is read on. The recording fails if anything
is lost, repeated, or asked for twice. It needs Chromium.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Page

from tests.browser.conftest import Watched, running_chromium
from tests.browser.relay import BreakableRelay, running_breakable_relay
from tests.support.programs import found
from tests.support.server import running_server
from tests.support.upstream import DONE, Exchange, Upstream, chunk, running_upstream, usage_chunk

DOCS = Path(__file__).parents[2] / "docs"
SIZE = {"width": 960, "height": 640}
FRAME_SECONDS = 0.12
TOKEN_SECONDS = 0.07
LAST_FRAME_MS = 3000
CUT_AFTER = 0.4
"""The share of the answer that is there when the connection is cut."""
AWAY_SECONDS = 1.5
MOST_BYTES = 1_000_000

PROMPT = "What happens when my train enters a tunnel?"
ANSWER = """\
Your connection breaks, and **the answer goes on** without you.

1. The server keeps every token in a log.
2. Your browser comes back by itself, and says which event it had last.
3. The server sends what follows it.

| | lost | doubled | paid twice |
|---|---:|---:|---:|
| tokens | 0 | 0 | 0 |

```js
new EventSource("/api/chat/stream?prompt=hi&grace=15");
```

That is all that a page needs.
"""
PIECES = re.findall(r"\s*\S+\s*?(?=\s|$)", ANSWER)


class Film:
    """The screenshots of a page, with the time at which each was taken."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._frames: list[tuple[float, Image.Image]] = []

    async def record(self) -> None:
        """Take pictures until it is cancelled."""
        while True:
            started = time.monotonic()
            picture = await self._page.screenshot()
            self._frames.append((started, Image.open(io.BytesIO(picture)).convert("RGB")))
            await asyncio.sleep(max(0.0, started + FRAME_SECONDS - time.monotonic()))

    def save(self, path: Path) -> None:
        """Write the frames that differ from the one before, each for as long as it was to be seen."""
        kept: list[tuple[float, Image.Image]] = []
        for at, frame in self._frames:
            if not kept or frame.tobytes() != kept[-1][1].tobytes():
                kept.append((at, frame))
        ends = [at for at, _ in kept[1:]]
        shown = [round((end - at) * 1000) for (at, _), end in zip(kept, ends, strict=False)]
        first, *others = (frame for _, frame in kept)
        durations = [*shown, LAST_FRAME_MS]
        first.save(path, save_all=True, append_images=others, duration=durations, loop=0, quality=60, method=4)


async def main() -> int:
    """Record, and return the exit status."""
    relay: BreakableRelay | None = None

    async def answer(exchange: Exchange) -> None:
        assert relay is not None
        await exchange.start_stream()
        for number, piece in enumerate(PIECES):
            if number == int(len(PIECES) * CUT_AFTER):
                relay.cut()
                asyncio.get_running_loop().call_later(AWAY_SECONDS, relay.mend)
            await exchange.send(chunk(piece))
            await asyncio.sleep(TOKEN_SECONDS)
        await exchange.send(chunk(finish="stop") + usage_chunk(9, len(PIECES)) + DONE)

    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_upstream(answer) as upstream,
            running_server(Path(folder), config_for(upstream)) as server,
            running_breakable_relay(server.port) as relay,
            running_chromium(found("chromium")) as browser,
        ):
            page = await (await browser.new_context(viewport=SIZE)).new_page()  # type: ignore[arg-type]
            await film(page, relay.url)
            copied = await page.locator(".turn .answer").inner_text()
            assert len(upstream.exchanges) == 1, "the prompt was sent once"
    words = re.findall(r"\w+", ANSWER.replace("```js", ""))
    shown = [word for word in re.findall(r"\w+", copied) if not word.isdecimal()]
    assert [word for word in words if not word.isdecimal()] == [word for word in shown if word in words], copied
    size = (DOCS / "demo.webp").stat().st_size
    print(f"docs/demo.webp: {size} bytes", file=sys.stderr)
    return 0 if size < MOST_BYTES else 1


def config_for(upstream: Upstream) -> dict[str, Any]:
    openai = {"kind": "openai", "model": "gpt-4o-mini", "base_url": f"{upstream.url}/v1"}
    return {"provider": {"default": "openai"}, "providers": {"openai": openai}}


async def film(page: Page, url: str) -> None:
    """Ask on the page at ``url`` while pictures are taken, until the answer is complete."""
    watched = Watched(page)
    await watched.open(url)
    await watched.message.press_sequentially(PROMPT, delay=1)
    film = Film(page)
    recording = asyncio.get_running_loop().create_task(film.record())
    await asyncio.sleep(3 * FRAME_SECONDS)
    turn = await watched.ask(PROMPT)
    await turn.until("done")
    await asyncio.sleep(3 * FRAME_SECONDS)
    recording.cancel()
    with suppress(asyncio.CancelledError):
        await recording
    film.save(DOCS / "demo.webp")
    await page.set_viewport_size({"width": 1280, "height": 800})
    await watched.button("Under the hood").click()
    await page.screenshot(path=DOCS / "demo.png")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
