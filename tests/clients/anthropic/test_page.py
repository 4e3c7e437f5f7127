"""The examples of the page about Anthropic's clients run as they are, but for the address."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from tests.client.project import run
from tests.client.runtimes import ROOT
from tests.clients.anthropic.conftest import FOLDER
from tests.conftest import StartServer
from tests.support.server import ServerProcess

PAGE = (ROOT / "docs" / "clients" / "anthropic.md").read_text("utf-8")
PYTHON: list[str] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(NODE,) = re.findall(r"^```js\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def at(server: ServerProcess, example: str) -> str:
    """Return the example with the address of ``server`` in it."""
    assert example.count("http://127.0.0.1:8080") == 1
    return example.replace("http://127.0.0.1:8080", server.url)


@pytest.mark.parametrize("example", PYTHON, ids=lambda example: example.split()[1])
async def test_python_example_prints_the_answer(
    request: pytest.FixtureRequest, start_server: StartServer, tmp_path: Path, example: str
) -> None:
    package = example.split()[1]
    if importlib.util.find_spec(package) is None and not request.config.getoption("--require-programs"):
        pytest.skip(f"needs {package}: pip install -e '.[clients]'")
    server = await start_server()
    assert await run(sys.executable, "-c", at(server, example), folder=tmp_path) == "hello"


async def test_node_example_prints_the_answer(start_server: StartServer, node: str) -> None:
    server = await start_server()
    assert await run(node, "--input-type=module", "-e", at(server, NODE), folder=FOLDER) == "hello"
