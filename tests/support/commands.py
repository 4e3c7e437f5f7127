"""Commands that a test runs to their end."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any, NamedTuple

COMMAND_SECONDS = 180.0
"""More than any command needs on a busy machine. One that hangs is killed."""


class CommandResult(NamedTuple):
    """A command that has ended: its exit status, and what it printed."""

    status: int
    out: str
    errors: str


async def run_command(*command: str | Path, seconds: float = COMMAND_SECONDS, **options: Any) -> CommandResult:
    """Run a command to its end. ``options`` are those of :func:`asyncio.create_subprocess_exec`."""
    process = await asyncio.create_subprocess_exec(*map(str, command), **{"stdout": PIPE, "stderr": PIPE, **options})
    try:
        out, errors = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return CommandResult(process.returncode, (out or b"").decode(), (errors or b"").decode())


async def output_of(*command: str | Path, seconds: float = COMMAND_SECONDS, **options: Any) -> str:
    """Return what a command prints that must succeed."""
    ended = await run_command(*command, seconds=seconds, **options)
    assert ended.status == 0, f"{ended.out}{ended.errors}"
    return ended.out
