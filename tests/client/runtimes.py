"""The places where a client runs: Python, Node and Chromium. Each performs a task and tells what its caller saw."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec
from aiohttp import web
from playwright.async_api import Browser, Page

from streamserver.client import Answer, Client, StreamError, TextEvent
from tests.support.task_program import TaskProgram, running_task_program

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "web/client/client.js"
CLIENT_VARIABLE = "STREAMSERVER_TESTS_CLIENT"
SOURCE = Path(os.environ.get(CLIENT_VARIABLE) or ROOT / "web/client/src/client.js")
SCRIPT_RUNTIME = os.environ.get("STREAMSERVER_TESTS_RUNTIME") or "node"
"""What runs the JavaScript client outside of a page: a key of ``COMMANDS``."""
PROGRAMS = Path(__file__).parent / "programs"
TASK_SECONDS = 120.0


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client is to do: at the event number ``at`` (in order of arrival) it acts once."""

    url: str
    prompt: str
    grace: float = 30
    give_up_after: float = 60
    keepalive: float = 15
    action: str = "read"
    """``read`` to the end, ``stop``, ``stop_again`` (twice), ``reload``: leave, and resume after the last event, or
    ``tell`` the relay at ``url`` that the event was read: a browser drops what its page has not read at a cut."""
    at: int = 0
    ignores_abort: bool = False
    """JavaScript's ``fetch`` does not notice that its signal aborts."""


class Seen(msgspec.Struct):
    """What the client's caller saw. ``ending`` is ``end`` or an error's code, ``stopped`` what ``stop()`` returned."""

    text: str = ""
    types: list[str] = []
    positions: list[int] = []
    statuses: list[str] = []
    ending: str | None = None
    stopped: str | None = None
    id: str | None = None


class Runtime(Protocol):
    """A performer of tasks, several at a time."""

    async def observe(self, task: Task) -> Seen: ...


def _for_javascript(task: Task) -> dict[str, Any]:
    options = {"grace": task.grace, "giveUpAfter": task.give_up_after}
    return {**msgspec.structs.asdict(task), "options": options}


class PythonRuntime:
    """``streamserver.client`` in this process."""

    async def observe(self, task: Task) -> Seen:
        seen = Seen()
        async with asyncio.timeout(TASK_SECONDS), Client(task.url, give_up_after=task.give_up_after) as client:
            answer = client.stream(task.prompt, grace=task.grace, on_status=seen.statuses.append)
            try:
                if await self._read(answer, seen, task) and answer.id is not None:
                    rest = client.resume(
                        answer.id,
                        after=answer.position,
                        keepalive_seconds=task.keepalive,
                        on_status=seen.statuses.append,
                    )
                    await self._read(rest, seen, Task(task.url, task.prompt))
                seen.ending = "end"
            except StreamError as error:
                seen.ending = error.code
            seen.id = answer.id
        return seen

    async def _read(self, answer: Answer, seen: Seen, task: Task) -> bool:
        """Read, and act; True if the answer was left before its end."""
        acted = task.action == "read"
        stopping: asyncio.Task[Any] | None = None
        async with answer:
            try:
                async for event in answer:
                    seen.types.append(event.type)
                    seen.positions.append(-1 if answer.position is None else answer.position)
                    if isinstance(event, TextEvent):
                        seen.text += event.text
                    if acted or len(seen.types) <= task.at:
                        continue
                    acted = True
                    if task.action == "reload":
                        return event.type != "done"
                    if task.action == "tell":
                        await _tell(task.url)
                        continue
                    stopping = asyncio.get_running_loop().create_task(_stop(answer, again=task.action == "stop_again"))
            finally:
                if stopping is not None:
                    ending = await stopping
                    seen.stopped = ending.code if isinstance(ending, StreamError) else "done"
        return False


async def _tell(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        with suppress(aiohttp.ClientError):  # the relay closes without an answer
            await session.get(f"{url}/told")


async def _stop(answer: Answer, *, again: bool) -> Any:
    if not again:
        return await answer.stop()
    first = asyncio.get_running_loop().create_task(answer.stop())
    await asyncio.sleep(0.5)
    await answer.stop()
    return await first


COMMANDS = {"node": (), "bun": ("run",), "deno": ("run", "--allow-all")}
"""What runs JavaScript outside of a page, and the arguments before a program's path."""


class ScriptRuntime:
    """A process of Node, Deno or Bun that performs any number of tasks."""

    def __init__(self, program: TaskProgram) -> None:
        self._program = program

    async def observe(self, task: Task) -> Seen:
        seen = await self._program.perform(_for_javascript(task), seconds=TASK_SECONDS)
        return msgspec.convert(seen, Seen)


def script_command(program: str, script: str) -> list[str]:
    """Return the command that runs one of ``PROGRAMS`` in the Node, Deno or Bun at ``program``."""
    return [program, *COMMANDS[Path(program).name], str(PROGRAMS / script)]


@asynccontextmanager
async def running_script(program: str, client: Path = SOURCE) -> AsyncIterator[ScriptRuntime]:
    """Run the JavaScript client at ``client`` in the Node, Deno or Bun at ``program``."""
    async with running_task_program(*script_command(program, "runner.js"), str(client)) as running:
        yield ScriptRuntime(running)


class ChromiumRuntime:
    """A page of another origin than the server's."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def observe(self, task: Task) -> Seen:
        async with asyncio.timeout(TASK_SECONDS):
            seen = await self.page.evaluate("(task) => window.observe(task)", _for_javascript(task))
        return msgspec.convert(seen, Seen)


PAGE = """<!doctype html><title>client</title><script type="module">
import * as client from "./client.js";
import { observe } from "./observe.js";
window.client = client;
window.observe = (task) => observe(client, task);
window.begin = async (url, prompt) => {
  window.text = "";
  try {
    for await (const event of client.stream(url, { prompt, grace: 60 })) if (event.type === "text") text += event.text;
    window.ending = "end";
  } catch (error) {
    window.ending = error.code;
  }
};
</script>"""


@asynccontextmanager
async def running_site(port: int, client: Path = CLIENT) -> AsyncIterator[str]:
    """Serve a page with the client on ``port`` of the loopback; its address."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def script(request: web.Request) -> web.FileResponse:
        path = client if request.path == "/client.js" else PROGRAMS / "observe.js"
        return web.FileResponse(path, headers={"Content-Type": "text/javascript"})

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/client.js", script)
    app.router.add_get("/observe.js", script)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running_page(browser: Browser, url: str) -> AsyncIterator[ChromiumRuntime]:
    """Open the page at ``url``, with the client loaded."""
    context = await browser.new_context()
    try:
        page = await context.new_page()
        await page.goto(url)
        await page.wait_for_function("window.observe !== undefined")
        yield ChromiumRuntime(page)
    finally:
        await context.close()
