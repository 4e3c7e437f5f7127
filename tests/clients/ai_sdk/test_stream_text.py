"""``streamText`` of the package ``ai`` with ``@ai-sdk/openai-compatible``, against chat completions."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.clients.ai_sdk.conftest import version_of
from tests.clients.ai_sdk.upstreams import two_calls_then_text
from tests.clients.table import Client
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import Exchange, Tap, answer

CLIENTS = (
    Client(
        "AI SDK, `@ai-sdk/openai-compatible`", version_of("@ai-sdk/openai-compatible"), "chat completions", "ai-sdk.md"
    ),
)
PROGRAM = Path(__file__).parent / "programs" / "stream_text.js"
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "clients" / "ai-sdk.md"
RUN_SECONDS = 60.0


async def run(*command: str) -> str:
    """Run a program that must succeed, beside the packages. Return its standard output."""
    process = await asyncio.create_subprocess_exec(*command, cwd=PROGRAM.parent, stdout=asyncio.subprocess.PIPE)
    try:
        out, _ = await asyncio.wait_for(process.communicate(), RUN_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return out.decode()


async def stream_text(node: str, server: str, **options: Any) -> dict[str, Any]:
    """Return what one call of ``streamText`` saw."""
    arguments = {"baseURL": f"{server}/v1", "model": "up", "prompt": "Hi", **options}
    seen: dict[str, Any] = json.loads(await run(node, str(PROGRAM), json.dumps(arguments)))
    return seen


async def test_text_and_usage_arrive(start_server: StartServer, start_upstream: StartUpstream, node: str) -> None:
    server = await start_server(openai_at(await start_upstream(answer("one ", "two"))))
    seen = await stream_text(node, server.url)
    assert (seen["text"], seen["finishReason"], seen["error"]) == ("one two", "stop", None)
    assert (seen["usage"]["inputTokens"], seen["usage"]["outputTokens"]) == (7, 2)


async def test_two_parallel_calls_are_run_and_answered(
    start_server: StartServer, start_upstream: StartUpstream, node: str
) -> None:
    upstream = await start_upstream(two_calls_then_text)
    server = await start_server(openai_at(upstream))
    seen = await stream_text(node, server.url, withTools=True)
    assert sorted(call["city"] for call in seen["calls"]) == ["Oslo", "Rome"]
    assert seen["text"].endswith("Both are fine.") and seen["error"] is None
    assert [turn["role"] for turn in upstream.exchanges[1].json()["messages"]] == ["user", "assistant", "tool", "tool"]


@pytest.mark.parametrize(("status", "requests"), [(400, 1), (401, 3), (429, 3), (500, 3)])
async def test_failure_before_the_first_piece_is_a_status_that_the_sdk_retries_where_it_helps(
    start_server: StartServer, start_upstream: StartUpstream, node: str, status: int, requests: int
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, '{"error":{"message":"no"}}', extra="retry-after: 0\r\n")

    server = await start_server({**openai_at(await start_upstream(script)), "retry": {"attempts": 1}})
    seen = await stream_text(node, server.url)
    assert seen["error"] is not None and len(seen["statuses"]) == requests, seen


async def test_abort_closes_the_providers_connection(
    start_server: StartServer, start_upstream: StartUpstream, node: str
) -> None:
    tap = Tap()
    upstream = await start_upstream(tap.script)
    server = await start_server(openai_at(upstream))
    tap("one ")
    seen = await stream_text(node, server.url, stopAfter=4)
    assert (seen["text"], seen["finishReason"]) == ("one ", "abort")
    await (await upstream.exchange()).until_closed()


async def test_example_of_the_documentation_prints_the_answer(start_server: StartServer, node: str) -> None:
    examples = re.findall(r"^```js\n(.*?)^```", DOCUMENTATION.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (example,) = (each for each in examples if "streamText" in each)
    server = await start_server()
    program = example.replace("http://127.0.0.1:8080", server.url)
    assert await run(node, "--input-type=module", "--eval", program) == "hello"
