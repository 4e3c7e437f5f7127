"""Clients of other people, and the programs that run them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from tests.support.server import clean_environ
from tests.support.task_program import TaskProgram, running_task_program

ROOT = Path(__file__).parents[2]
NODE_VARIABLE = "STREAMSERVER_CLIENT_NODE"
"""Names a folder to run the Node clients in instead: a copy with other versions of them, for the table."""
NODE_FOLDER = Path(os.environ.get(NODE_VARIABLE) or Path(__file__).parent / "node")
FEATURES = ("whole", "streamed", "tools", "reasoning", "errors", "retries", "cancel", "timeouts")
"""What a client is tested for: the columns of the table."""
TASK_SECONDS = 60.0


class OtherClient(msgspec.Struct, frozen=True):
    """A client and the protocol that it speaks. ``package`` is what its version is of, ``page`` documents it.

    ``lacks`` names the features that it does not have, whatever the server does. Beside those of the table these are
    ``leaving`` an answer other than by ending the process, and an ``own timeout``.
    """

    name: str
    package: str
    protocol: str
    page: str
    program: str
    """The name by which the program of its language knows it."""
    language: str = "python"
    lacks: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.language}-{self.program}"


def node_version(package: str) -> str:
    """Return the version of an npm package that the tests run."""
    packages = msgspec.json.decode((NODE_FOLDER / "package.json").read_bytes())["devDependencies"]
    version: str = packages[package]
    return version


class Task(msgspec.Struct, frozen=True, rename="camel"):
    """What a client is to do. ``tools``: run both calls of the tool ``get_time``, and send their results.
    ``leave``: cancel after the first piece of text. ``timeout``: seconds, set in the client."""

    client: str
    url: str
    key: str
    model: str
    streamed: bool = True
    tools: bool = False
    leave: bool = False
    retries: int = 0
    timeout: float | None = None


class ClientFailure(msgspec.Struct):
    """The error that a client raised: its class, and the HTTP status that it tells."""

    name: str
    status: int | None = None
    message: str = ""


class Seen(msgspec.Struct):
    """What the caller of a client saw. ``usage`` is of the last answer, ``missing`` a package that is not installed."""

    version: str = ""
    missing: str | None = None
    pieces: list[str] = []
    reasoning: str = ""
    calls: list[dict[str, str]] = []
    usage: tuple[int, int] | None = None
    error: ClientFailure | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Runner:
    """A program that performs tasks with the clients of one language, several at a time."""

    def __init__(self, program: TaskProgram) -> None:
        self._program = program

    async def perform(self, task: Task) -> Seen:
        """Perform a task, and return what its caller saw."""
        seen = await self._program.perform({"task": msgspec.to_builtins(task)}, seconds=TASK_SECONDS)
        return msgspec.convert(seen, Seen)


@asynccontextmanager
async def running_clients(command: tuple[str, ...], environ: Mapping[str, str]) -> AsyncIterator[Runner]:
    """Run the program that ``command`` starts."""
    async with running_task_program(*command, cwd=ROOT, env={**clean_environ(), **environ}) as program:
        yield Runner(program)
