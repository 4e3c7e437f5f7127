"""The examples on the pages of the clients run as they are, but for the server's address."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.client import NODE_FOLDER, ROOT
from tests.support.commands import output_of
from tests.support.programs import miss
from tests.support.server import running_server

on_one_loop = pytest.mark.asyncio(loop_scope="module")
ADDRESS = "http://127.0.0.1:8080"
PROGRAM = Path(__file__).parent / "python" / "examples.py"
PACKAGES = ("anthropic", "langchain_anthropic", "langchain_openai", "openai", "pydantic_ai")


def examples(language: str) -> Iterator[tuple[str, str]]:
    """Yield the page and the text of every example that asks a server."""
    for page in sorted((ROOT / "docs" / "clients").glob("*.md")):
        for code in re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            if ADDRESS in code:
                yield page.name, code


PYTHON, NODE = list(examples("python")), list(examples("js"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Return the address of a server."""
    async with running_server(tmp_path_factory.mktemp("pages")) as server:
        yield server.url


def test_pages_have_examples_of_every_package_that_is_tested() -> None:
    text = "".join(code for _, code in (*PYTHON, *NODE))
    packages = json.loads((NODE_FOLDER / "package.json").read_text("utf-8"))["devDependencies"]
    for name in {*PACKAGES, *packages} - {"react", "@ai-sdk/react"}:  # those are for pages, which a browser runs
        assert f"from {name}" in text or f'from "{name}"' in text, name


@on_one_loop
async def test_python_examples_print_the_answer(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        if find_spec(package) is None:
            miss(f"needs {package}: pip install -e '.[clients]'", request)
    codes = [code.replace(ADDRESS, url) for _, code in PYTHON]
    printed = json.loads(await output_of(sys.executable, PROGRAM, json.dumps(codes), cwd=tmp_path))
    assert [text.strip() for text in printed] == ["hello"] * len(codes)


@on_one_loop
@pytest.mark.parametrize(("page", "code"), NODE, ids=lambda value: value if value.endswith(".md") else "")
async def test_node_example_prints_the_answer(
    request: pytest.FixtureRequest, find_program: Callable[[str], str], url: str, page: str, code: str
) -> None:
    if not (NODE_FOLDER / "node_modules").is_dir():
        miss("needs npm ci --ignore-scripts --prefix tests/clients/node", request)
    program = code.replace(ADDRESS, url)
    assert await output_of(find_program("node"), "--input-type=module", "-e", program, cwd=NODE_FOLDER) == "hello", page
