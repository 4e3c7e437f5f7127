"""Perform the tasks on standard input, one JSON object a line, and print what their callers saw."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tests.clients.python.seen import Left, Seen, Task

PROGRAMS = {
    "openai-chat": ("openai", "openai_sdk", "chat"),
    "openai-responses": ("openai", "openai_sdk", "responses"),
    "anthropic": ("anthropic", "anthropic_sdk", "messages"),
    "langchain-openai": ("langchain-openai", "langchain_models", "chat"),
    "langchain-openai-responses": ("langchain-openai", "langchain_models", "responses"),
    "langchain-anthropic": ("langchain-anthropic", "langchain_models", "messages"),
    "llm": ("llm", "llm_models", "chat"),
    "llm-responses": ("llm", "llm_models", "responses"),
    "pydantic-ai": ("pydantic-ai-slim", "pydantic_agents", "chat"),
    "pydantic-ai-responses": ("pydantic-ai-slim", "pydantic_agents", "responses"),
    "pydantic-ai-anthropic": ("pydantic-ai-slim", "pydantic_agents", "messages"),
}
"""Of each client its package, the module that runs it, and the function."""
_results, sys.stdout = sys.stdout, sys.stderr  # some packages print warnings


async def perform(task: Task) -> Seen:
    """Perform a task. An error that the client raises is part of what its caller saw."""
    package, module, function = PROGRAMS[task.client]
    seen = Seen()
    try:
        seen.version = version(package)
    except PackageNotFoundError:
        seen.missing = package
        return seen
    try:
        await getattr(importlib.import_module(f"tests.clients.python.{module}"), function)(task, seen)
    except Left:
        pass
    except Exception as error:
        status = getattr(error, "status_code", None)
        seen.error = {"name": type(error).__name__, "status": status, "message": str(error)}
    return seen


async def answer(number: int, task: Task) -> None:
    seen = await perform(task)
    _results.write(json.dumps({"n": number, "seen": vars(seen)}) + "\n")
    _results.flush()


async def main() -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked: dict[str, Any] = json.loads(line)
        task = loop.create_task(answer(asked["n"], Task(**asked["task"])))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
