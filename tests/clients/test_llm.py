"""Simon Willison's ``llm`` as a program of its own, with the file of models that its page shows."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.bench import KEY, ClientHarness
from tests.clients.client import ROOT, OtherClient
from tests.clients.clients import CLIENTS
from tests.clients.feature import feature
from tests.clients.upstreams import answering
from tests.support.server import clean_environ

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("client", [each for each in CLIENTS if each.package == "llm"], ids=str),
]
PAGE = (ROOT / "docs" / "clients" / "llm.md").read_text("utf-8")
(MODELS,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NAMES = {"llm": "echo", "llm-responses": "echo-responses"}
"""The models of the page that speak the protocol of a client."""
VERSION = version("llm") if find_spec("llm") else ""
RUN_SECONDS = 60.0
Run = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="module")
async def llm(tmp_path: Path, bench: ClientHarness) -> AsyncIterator[Run]:
    """Return ``await llm(url, "-m", "echo", "hello")``: the program, with the models of the page at a server."""
    if not VERSION:
        bench.needs.package(CLIENTS[0], "llm")
    async with AsyncExitStack() as stack:

        async def run(url: str, *arguments: str, model: str = "echo") -> Process:
            models = MODELS.replace("http://127.0.0.1:8080", url).replace("model_name: echo", f"model_name: {model}")
            (tmp_path / "extra-openai-models.yaml").write_text(models, "utf-8")
            (tmp_path / "keys.json").write_text(f'{{"streamserver": "{KEY}"}}', "utf-8")
            process: Any = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "llm", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                env={**clean_environ(), "LLM_USER_PATH": str(tmp_path)},
            )
            stack.callback(process._transport.close)
            return process  # type: ignore[no-any-return]

        yield run


async def output(process: Process) -> tuple[int | None, str, str]:
    out, errors = await asyncio.wait_for(process.communicate(), RUN_SECONDS)
    return process.returncode, out.decode(), errors.decode()


async def test_program_prints_the_answer_of_the_models_on_its_page(
    bench: ClientHarness, llm: Run, client: OtherClient
) -> None:
    assert KEY not in MODELS and MODELS.count("http://127.0.0.1:8080/v1") == len(NAMES)
    bench.upstream.script = answering(None, "reasoning", "text")
    server = await bench.start()
    status, out, errors = await output(await llm(server.url, "-m", NAMES[client.program], "hello", model="chat"))
    assert (status, out) == (0, "Four\n"), errors


@feature("cancel")
async def test_interrupted_program_closes_the_providers_connection(
    bench: ClientHarness, llm: Run, client: OtherClient
) -> None:
    bench.upstream.script = answering(None, "text", end=False)
    server = await bench.start()
    process = await llm(server.url, "-m", NAMES[client.program], "hello", model="chat")
    async with asyncio.timeout(RUN_SECONDS):
        assert await process.stdout.readexactly(2) == b"Fo"
    os.kill(process.pid, signal.SIGINT)
    await output(process)
    await bench.upstream.all_closed()
