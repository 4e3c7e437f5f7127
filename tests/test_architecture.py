"""Arrows point one way, and the supervisor owns the tasks."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import providers
import streamserver

ROOT = Path(__file__).parents[1]
FILES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for package in ("providers", "streamserver")
    for path in (ROOT / package).rglob("*.py")
}
CORE = ("core", "log", "wire", "store", "redis", "admission")
MAY_START_TASKS = {
    "streamserver/core/stream.py": "the task of its generation",
    "streamserver/core/supervisor.py": "those that wait for a drain",
    "providers/testing.py": "the contract suite, which is no part of a server",
    "streamserver/redis/store.py": "one for each of its jobs, from its start to its end",
    "streamserver/redis/limiter.py": "one for its connection, one for its leases, from its start to its end",
    "streamserver/reload.py": "one that watches the file, and one for each catalog that is done with",
    "streamserver/loadtest/run.py": "a client's: they end with the run",
}
"""Who may start tasks, and which: each of these holds what it starts, and cancels it at its end."""


def imports(source: str, name: str = "x.py") -> Iterator[str]:
    """Every module, and every name of a module, that ``source`` imports, at its top or in a function."""
    package = name.removesuffix("/__init__.py").removesuffix(".py").split("/")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join([*package[: -node.level], node.module or ""]) if node.level else node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def forbidden(source: str, rooms: tuple[str, ...]) -> list[str]:
    return [module for module in imports(source) if any(within(module, room) for room in rooms)]


def tasks_started(source: str) -> list[int]:
    """The lines that start a task which nobody may own."""
    wanted = ("create_task", "ensure_future", "run_coroutine_threadsafe", "start_soon")
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if getattr(call.func, "attr", getattr(call.func, "id", "")) in wanted]


def is_core(name: str) -> bool:
    return any(name in (f"streamserver/{room}.py",) or name.startswith(f"streamserver/{room}/") for room in CORE)


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 40
    assert {name.split("/")[1].removesuffix(".py") for name in FILES if is_core(name)} == set(CORE)


@pytest.mark.parametrize("name", sorted(name for name in FILES if name.startswith("providers/")))
def test_providers_import_nothing_of_the_server(name: str) -> None:
    assert forbidden(FILES[name], ("streamserver", "aiohttp_sse", "aiohttp.web")) == []


@pytest.mark.parametrize("name", sorted(filter(is_core, FILES)))
def test_the_core_knows_no_edge(name: str) -> None:
    edges = ("streamserver.http", "streamserver.config", "streamserver.app", "streamserver.cli", "streamserver.runner")
    assert forbidden(FILES[name], (*edges, "streamserver.commands", "aiohttp", "aiohttp_sse")) == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_tasks_are_started_only_where_they_are_owned(name: str) -> None:
    assert name in MAY_START_TASKS or tasks_started(FILES[name]) == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(ast.parse(FILES[name])), f"{name} has no docstring"


def test_these_tests_can_fail() -> None:
    source = "def f():\n    from streamserver.http import keys\n    asyncio.create_task(x)\n    loop.create_task(y)"
    assert forbidden(source, ("streamserver.http",)) == ["streamserver.http", "streamserver.http.keys"]
    assert forbidden("from streamserver import http", ("streamserver.http",)) == ["streamserver.http"]
    assert "streamserver.http.keys" in imports("from ..http import keys", "streamserver/log/memory.py")
    assert tasks_started(source) == [3, 4]


@pytest.mark.parametrize("package", [providers, streamserver])
def test_no_public_name_is_that_of_a_module_which_would_take_its_place(package: ModuleType) -> None:
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not modules & set(package.__all__)
