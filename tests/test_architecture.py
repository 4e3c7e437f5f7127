"""The rules of the code's structure and language."""

from __future__ import annotations

import ast
import pkgutil
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
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
MODULES = {name.removesuffix("/__init__.py").removesuffix(".py").replace("/", "."): name for name in FILES}
CORE = ("core", "log", "wire", "store", "redis", "admission")
MAY_START_TASKS = {
    "streamserver/core/stream.py": "the task of its generation",
    "streamserver/core/supervisor.py": "those that wait for a drain",
    "providers/testing.py": "the contract suite, which is no part of a server",
    "streamserver/redis/heartbeat.py": "one that sends, for as long as a connection lasts",
    "streamserver/redis/store.py": "one for each of its jobs, from its start to its end",
    "streamserver/redis/limiter.py": "one for its connection, one for its leases, from its start to its end",
    "streamserver/reload.py": "one that watches the file, and one for each catalog that is done with",
    "streamserver/loadtest/run.py": "a client's: they end with the run",
}
"""The modules that may start tasks, and which: each of these holds what it starts, and cancels it at its end."""

PRIVATE_USES = {
    "streamserver/redis/replicas.py": {"_wake"},
}
"""Private attributes of other objects that are used outside a module named ``_<dependency>.py``. The list may only
shrink."""

IDIOM = re.compile(r"\b(?:who|whose|whoever|whom|nobody|somebody|anybody)\b", re.IGNORECASE)
MOST_IDIOM = 9
"""How many of these words the code may have."""


def nodes_at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of ``tree`` outside ``if TYPE_CHECKING:``."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield from nodes_at_run_time(child)


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every module, and every name of a module, that is imported, at the top or in a function."""
    for node in nodes_at_run_time(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the modules that each module imports.

    A submodule does not count as an import of its package, although Python runs the package's ``__init__`` first.
    """
    graph: dict[str, set[str]] = {}
    for module, source in files.items():
        tree = ast.parse(source)
        found = {name for name in imports(tree) if name in files}
        packages = {name.rpartition(".")[0] for name in found}
        froms = (node for node in nodes_at_run_time(tree) if isinstance(node, ast.ImportFrom))
        # "from package import submodule" imports the submodule; "from package import name" the package.
        named = {
            node.module
            for node in froms
            if node.module in files and any(f"{node.module}.{alias.name}" not in files for alias in node.names)
        }
        graph[module] = {name for name in found if name not in packages or name in named} - {module}
    return graph


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one cycle of imports, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def forbidden(source: str, rooms: tuple[str, ...]) -> list[str]:
    """Return the imports from ``rooms``, also those for type checkers only."""
    tree = ast.parse(source.replace("if TYPE_CHECKING:", "if True:"))
    return [module for module in imports(tree) if any(within(module, room) for room in rooms)]


def private_uses(source: str) -> set[str]:
    """Return the private attributes that are used, but not defined, in a module."""
    nodes = list(ast.walk(ast.parse(source)))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr)}
    used |= {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if re.match(r"_[^_]", alias.name) and f"{node.module}.{alias.name}" not in MODULES
    }
    return used - set(_defined(nodes)) - {"_exit"}  # os._exit is documented


def _defined(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Constant(value=str(name)):  # in __slots__
                yield name


def tasks_started(source: str) -> list[int]:
    """Return the lines that start a task."""
    wanted = ("create_task", "ensure_future", "run_coroutine_threadsafe", "start_soon")
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if getattr(call.func, "attr", getattr(call.func, "id", "")) in wanted]


def is_core(name: str) -> bool:
    return any(name in (f"streamserver/{room}.py",) or name.startswith(f"streamserver/{room}/") for room in CORE)


def test_rules_have_files_to_check() -> None:
    assert len(FILES) > 40
    assert {name.split("/")[1].removesuffix(".py") for name in FILES if is_core(name)} == set(CORE)


def test_modules_import_each_other_without_cycles() -> None:
    assert cycle(import_graph({module: FILES[name] for module, name in MODULES.items()})) == []


@pytest.mark.parametrize("name", sorted(name for name in FILES if name.startswith("providers/")))
def test_providers_do_not_import_the_server(name: str) -> None:
    assert forbidden(FILES[name], ("streamserver", "aiohttp_sse", "aiohttp.web")) == []


@pytest.mark.parametrize("name", sorted(filter(is_core, FILES)))
def test_core_does_not_import_the_edge(name: str) -> None:
    edges = ("streamserver.http", "streamserver.config", "streamserver.app", "streamserver.cli", "streamserver.runner")
    assert forbidden(FILES[name], (*edges, "streamserver.commands", "aiohttp", "aiohttp_sse")) == []


@pytest.mark.parametrize("name", sorted(name for name in FILES if not Path(name).name.startswith("_")))
def test_private_attributes_of_others_are_used_only_in_modules_for_a_dependency(name: str) -> None:
    assert private_uses(FILES[name]) - PRIVATE_USES.get(name, set()) == set()


@pytest.mark.parametrize("name", PRIVATE_USES)
def test_private_uses_that_are_excepted_still_exist(name: str) -> None:
    assert PRIVATE_USES[name] - private_uses(FILES.get(name, "")) == set(), "remove them from PRIVATE_USES"


@pytest.mark.parametrize("name", sorted(FILES))
def test_tasks_are_started_only_where_they_are_owned(name: str) -> None:
    assert name in MAY_START_TASKS or tasks_started(FILES[name]) == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_module_has_a_docstring(name: str) -> None:
    assert ast.get_docstring(ast.parse(FILES[name])), f"{name} has no docstring"


def test_code_calls_things_by_their_names() -> None:
    found = {name: len(IDIOM.findall(source)) for name, source in FILES.items()}
    worst = sorted(((count, name) for name, count in found.items() if count), reverse=True)
    assert sum(found.values()) <= MOST_IDIOM, worst[:20]


@pytest.mark.parametrize("package", [providers, streamserver])
def test_no_public_name_hides_a_module(package: ModuleType) -> None:
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not modules & set(package.__all__)


class TestTheseRules:
    """Each rule finds what it forbids."""

    def test_forbidden_imports_are_found_in_functions_and_for_type_checkers(self) -> None:
        source = "def f():\n    from streamserver.http import keys\nif TYPE_CHECKING:\n    import streamserver.app"
        assert forbidden(source, ("streamserver.http",)) == ["streamserver.http", "streamserver.http.keys"]
        assert forbidden(source, ("streamserver.app",)) == ["streamserver.app"]
        assert forbidden("from streamserver import http", ("streamserver.http",)) == ["streamserver.http"]

    def test_cycles_are_found_between_modules_and_inside_a_package(self) -> None:
        between = {"a": "def f():\n    import b", "b": "import c", "c": "from a import x"}
        assert set(cycle(import_graph(between))) == {"a", "b", "c"}
        inside = {"p": "from p.a import A", "p.a": "from p import B"}
        assert set(cycle(import_graph(inside))) == {"p", "p.a"}

    def test_a_package_that_imports_its_modules_is_no_cycle(self) -> None:
        files = {"p": "from p.a import A", "p.a": "from p import b", "p.b": "if TYPE_CHECKING:\n    from p.a import A"}
        assert cycle(import_graph(files)) == []

    def test_private_uses_are_found(self) -> None:
        source = "from x import _a\nclass B(C):\n    def _own(self):\n        self._mine = x._b\n        self._c()\n"
        assert private_uses(source) == {"_a", "_b", "_c"}
        assert private_uses("class A:\n    __slots__ = ('_s',)\n    def f(self):\n        return self._s") == set()

    def test_starts_of_tasks_are_found(self) -> None:
        assert tasks_started("def f():\n    asyncio.create_task(x)\n    loop.create_task(y)") == [2, 3]
