"""Servers that clients are run against: one before a scripted upstream, and one before that server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol

from tests.clients.client import NODE_FOLDER, OtherClient, Runner, Seen, Task, running_clients
from tests.clients.upstreams import answering
from tests.support.server import ServerProcess, running_server
from tests.support.upstream import Exchange, Script, Upstream, running_upstream

KEY = "key-of-anna"
PROTOCOLS = ("chat", "responses", "messages")
"""The names of the models of a server, each of a provider of that protocol."""
CHAINED = tuple(f"{link}-{protocol}" for link in PROTOCOLS for protocol in PROTOCOLS)
"""The models of a server before a server: the protocol between the two, and that of the upstream."""
SHORT_SECONDS = 0.2
PYTHON_VARIABLE = "STREAMSERVER_CLIENT_PYTHON"
"""Names the Python that runs the clients: one with other versions of them, for the table."""


def _table(protocol: str, url: str, model: str) -> dict[str, Any]:
    table: dict[str, Any] = {"kind": "openai", "base_url": f"{url}/v1", "api": "chat"}
    if protocol == "responses":
        table["api"] = "responses"
    if protocol == "messages":
        table = {"kind": "anthropic", "base_url": url}
    return {**table, "model": model, "api_key_env": "OWN_KEY"}


class Needs(Protocol):
    """Programs and packages that may be missing: the test is skipped then, or fails."""

    def program(self, name: str) -> str:
        """Return the path of a program."""
        ...

    def package(self, client: OtherClient, name: str) -> NoReturn:
        """Skip or fail the test of a client without its package."""
        ...


class ClientHarness:
    """An upstream, servers before it, and the clients. ``upstream.script`` is what the upstream does.

    ``start("idle")`` is a server with a short deadline of that name.
    """

    def __init__(self, upstream: Upstream, stack: AsyncExitStack, folder: Path, needs: Needs) -> None:
        self.upstream = upstream
        self.versions: dict[OtherClient, str] = {}
        """The version of each client that was run."""
        self._stack = stack
        self._folder = folder
        self.needs = needs
        self._servers: dict[str, ServerProcess] = {}
        self._runners: dict[str, Runner] = {}

    async def start(self, deadline: str = "") -> ServerProcess:
        """Return the server with that deadline short; start it first, if it does not run."""
        if deadline not in self._servers:
            tables = {name: _table(name, self.upstream.url, "m") for name in PROTOCOLS}
            timeouts = {deadline: SHORT_SECONDS} if deadline else {}
            self._servers[deadline] = await self._start(deadline or "direct", tables, timeouts)
        return self._servers[deadline]

    async def start_chain(self) -> ServerProcess:
        """Return the server with providers that are at the other server."""
        if "chain" not in self._servers:
            inner = await self.start()
            tables = {name: _table(name.partition("-")[0], inner.url, name.rpartition("-")[2]) for name in CHAINED}
            self._servers["chain"] = await self._start("chain", tables, {})
        return self._servers["chain"]

    async def _start(self, name: str, providers: dict[str, Any], timeouts: dict[str, float]) -> ServerProcess:
        config = {
            "provider": {"default": next(iter(providers))},
            "providers": providers,
            "retry": {"attempts": 1},
            "timeouts": timeouts,
            "limits": {"max_tokens": 32_000},  # pydantic-ai asks Anthropic's models for 16,384 by itself
        }
        environ = {"STREAMSERVER_KEYS": f"anna:{KEY}", "OWN_KEY": KEY}
        return await self._stack.enter_async_context(running_server(self._folder / name, config, environ=environ))

    async def ask(
        self, client: OtherClient, script: Script, *, at: ServerProcess | None = None, **options: Any
    ) -> Seen:
        """Return what the client's caller saw of an upstream that does as ``script`` says."""
        self.upstream.script = script
        server = at or await self.start()
        runner = await self._runner(client.language)
        seen = await runner.perform(Task(**{"client": client.program, "url": server.url, "key": KEY, **options}))
        if seen.missing is not None:
            self.needs.package(client, seen.missing)
        self.versions[client] = seen.version
        return seen

    async def _runner(self, language: str) -> Runner:
        if language not in self._runners:
            home = self._folder / "home"
            home.mkdir(exist_ok=True)
            command: tuple[str, ...] = (os.environ.get(PYTHON_VARIABLE) or sys.executable, "-m", "tests.clients.python")
            if language == "node":
                command = (self.needs.program("node"), str(NODE_FOLDER / "runner.js"))
            self._runners[language] = await self._stack.enter_async_context(
                running_clients(command, {"LLM_USER_PATH": str(home), "LANGSMITH_TRACING": "false"})
            )
        return self._runners[language]


@asynccontextmanager
async def running_bench(folder: Path, needs: Needs) -> AsyncIterator[ClientHarness]:
    """Run an upstream. The servers and the clients start when they are used."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(running_upstream(answering(None, "text")))
        yield ClientHarness(upstream, stack, folder, needs)


def refusing(status: int, code: str | None = None) -> Script:
    """Return a script that answers with an error, in the form that all protocols share."""

    async def script(exchange: Exchange) -> None:
        await exchange.answer(
            status, json.dumps({"type": "error", "error": {"message": "no", "type": code, "code": code}})
        )

    return script


async def conversing(exchange: Exchange) -> None:
    """Answer a question with two calls, and their results with text."""
    has_results = b"noon in" in exchange.body
    steps = ("reasoning", "text") if has_results else ("reasoning", "text", "call", "call")
    await answering(None, *steps)(exchange)


async def hanging(exchange: Exchange) -> None:
    """Accept the request, and say nothing."""
    await exchange.start_stream()
    await asyncio.sleep(3600)
