"""A program that performs numbered tasks: one line of JSON for each task, and one for each result."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any


class TaskProgram:
    """A running program, which performs several tasks at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()

    async def perform(self, task: Mapping[str, Any], *, seconds: float) -> Any:
        """Return what the program has seen of ``task``. Raises :class:`TimeoutError` after ``seconds``."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"n": number, **task}).encode() + b"\n")
        async with asyncio.timeout(seconds):
            return await future

    async def listen(self) -> None:
        """Take results until the program ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            result = json.loads(line)
            self._waiting.pop(result["n"]).set_result(result["seen"])
        for future in self._waiting.values():
            future.set_exception(AssertionError("the program has ended; its error is above"))


@asynccontextmanager
async def running_task_program(*command: str, **options: Any) -> AsyncIterator[TaskProgram]:
    """Run the program that ``command`` starts, with ``options`` of its process."""
    process: Any = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24, **options
    )
    program = TaskProgram(process)
    listening = asyncio.get_running_loop().create_task(program.listen())
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(listening, return_exceptions=True)
        process._transport.close()
