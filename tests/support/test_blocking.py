"""The detection of blocking calls that every test runs with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from blockbuster import BlockingError

import streamserver

SOURCE = """
import os, pathlib, time
def sleep(): time.sleep(0.001)
def read(): pathlib.Path(os.devnull).read_bytes()
"""


def function_of_the_server(name: str) -> Callable[[], None]:
    """Return a function that blocks, and that is a part of the server as far as tracebacks know."""
    path = Path(streamserver.__file__).parent / "blocks.py"
    names: dict[str, Callable[[], None]] = {}
    exec(compile(SOURCE, path, "exec"), names)
    return names[name]


async def run_in_loop(function: Callable[[], None]) -> None:
    """Run ``function`` as the event loop runs a callback: without a test on the stack."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def fail(loop: asyncio.AbstractEventLoop, context: dict[str, Exception]) -> None:
        done.set_exception(context["exception"])

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    loop.set_exception_handler(fail)
    loop.call_soon(function)
    loop.call_soon(finish)
    await done


@pytest.mark.parametrize("name", ["sleep", "read"])
async def test_server_code_raises_when_it_blocks_the_event_loop(name: str) -> None:
    with pytest.raises(BlockingError):
        await run_in_loop(function_of_the_server(name))


async def test_test_may_block_its_own_loop_through_the_server() -> None:
    function_of_the_server("sleep")()
