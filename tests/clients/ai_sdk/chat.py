"""A chat of the hook ``useChat`` in Node, without a page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tests.clients.client import NODE_FOLDER

ANSWER_SECONDS = 60.0
_POLL_SECONDS = 0.02
PROGRAM = NODE_FOLDER / "chat.js"


class Shown(msgspec.Struct, rename="camel"):
    """What the page shows. ``requests`` are method, status and stream id of each request that was made; ``stopped`` is
    the status of the newest request to stop the chat's answer."""

    status: str
    error: str | None
    messages: list[dict[str, Any]]
    tool_calls: list[str]
    requests: list[tuple[str, int, str | None]]
    stopped: int | None

    @property
    def last(self) -> dict[str, Any]:
        return self.messages[-1]

    def parts(self, kind: str) -> list[dict[str, Any]]:
        """Return the parts of the last message that are of that type."""
        return [part for part in self.last["parts"] if part["type"] == kind]

    @property
    def text(self) -> str:
        return "".join(part["text"] for part in self.parts("text"))


class Chat:
    """One chat. A reload of its page is another :class:`Chat` with its id and messages."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def perform(self, name: str, **options: Any) -> Shown:
        """Perform a command, and return what the page shows then."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": name, **options}).encode() + b"\n")
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await self._process.stdout.readline()
        assert line, "the program has ended; its error is above"
        return msgspec.json.decode(line, type=Shown)

    async def ask(self, text: str) -> Shown:
        """Send a message, and return what the page shows at the end of the answer."""
        await self.perform("send", message={"text": text})
        return await self.perform("wait")

    async def until(self, condition: Callable[[Shown], bool]) -> Shown:
        """Wait until the page shows what ``condition`` says."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while not condition(shown := await self.perform("look")):
                await asyncio.sleep(_POLL_SECONDS)
        return shown


@asynccontextmanager
async def running_chat(node: str, server: str, **options: Any) -> AsyncIterator[Chat]:
    """Run a page with a chat at ``server``. ``options``: ``id``, ``messages``, ``headers``, ``body``, ``automatic``."""
    process = await asyncio.create_subprocess_exec(
        node, str(PROGRAM), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24
    )
    try:
        chat = Chat(process)
        await chat.perform("open", api=f"{server}/api/ai/chat", **options)
        yield chat
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
