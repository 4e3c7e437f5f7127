"""Firefox as Debian packages it, over WebDriver BiDi: Playwright drives only a Firefox of its own.

The protocol: https://w3c.github.io/webdriver-bidi/
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

START_SECONDS = 60.0
WAIT_SECONDS = 60
_LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
_WAIT = """new Promise((there, missing) => {
  setTimeout(() => missing(new Error("not within %d s")), %d * 1000);
  const look = () => (%s) ? there() : setTimeout(look, 20);
  look();
})"""


class FirefoxPage:
    """A page in Firefox. ``complaints`` are the errors of its scripts."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._context = ""
        self._count = 0
        self._turn = asyncio.Lock()
        self.complaints: list[str] = []

    async def begin(self) -> None:
        await self._command("session.new", capabilities={})
        await self._command("session.subscribe", events=["log.entryAdded"])
        tree = await self._command("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]

    async def open(self, url: str) -> None:
        await self._command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def reload(self) -> None:
        await self._command("browsingContext.reload", context=self._context, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """Return what ``expression`` gives, as plain data (a list of strings, a string, a number or None)."""
        target = {"context": self._context}
        result = await self._command("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert result["type"] == "success", result["exceptionDetails"]["text"]
        return _plain(result["result"])

    async def wait_for(self, condition: str) -> None:
        """Wait until ``condition`` holds."""
        await self.evaluate(_WAIT % (WAIT_SECONDS, WAIT_SECONDS, condition))

    async def close(self) -> None:
        await self._command("browser.close")

    async def _command(self, method: str, **params: Any) -> Any:
        async with self._turn:
            self._count += 1
            await self._socket.send_json({"id": self._count, "method": method, "params": params})
            return await self._result(self._count)

    async def _result(self, number: int) -> Any:
        while True:
            message = await self._socket.receive_json(timeout=2 * WAIT_SECONDS)
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.complaints.append(message["params"]["text"])
            if message.get("id") == number:
                assert message["type"] == "success", message
                return message["result"]


def _plain(value: dict[str, Any]) -> Any:
    return [_plain(each) for each in value["value"]] if value["type"] == "array" else value.get("value")


@asynccontextmanager
async def running_firefox(path: str, profile: Path) -> AsyncIterator[FirefoxPage]:
    """Run Firefox without a window, with one page."""
    arguments = ("--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0", "about:blank")
    process = await asyncio.create_subprocess_exec(
        path, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            found = None
            while found is None:
                line = await process.stderr.readline()
                assert line, "Firefox has ended"
                found = _LISTENING.search(line)
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{found[1].decode()}/session") as socket:
            page = FirefoxPage(socket)
            await page.begin()
            yield page
            await page.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
