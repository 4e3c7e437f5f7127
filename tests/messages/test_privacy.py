"""No words in the logs: marked prompts, tokens and keys go through every outcome of Messages, and none is found."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from tests.conftest import StartServer, StartUpstream
from tests.messages.upstreams import speaks
from tests.support.client import RawStream
from tests.support.upstream import Exchange
from tests.telemetry.test_privacy import KEY, MARKS, PROMPT, SCRIPTS, TOKEN, USER_KEY
from tests.wire.test_messages import REPLAYED

CONTENT: list[dict[str, Any]] = [
    {"type": "text", "text": PROMPT},
    {"type": "image", "source": {"type": "base64", "media_type": f"image/{PROMPT}", "data": PROMPT}},
]
ASKED: dict[str, Any] = {"max_tokens": 50, "system": PROMPT, "metadata": {"user_id": PROMPT}}
ASKED["messages"] = [{"role": "user", "content": CONTENT}]


async def counts(exchange: Exchange) -> None:
    await exchange.answer(400, f'{{"type":"error","error":{{"type":"{PROMPT}","message":"{KEY}"}}}}')


async def test_no_outcome_of_messages_leaves_a_word_or_a_key_in_the_log(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(counts)
    up = {"model": "m", "api_key_env": "UP_KEY"}
    server = await start_server(
        {
            "provider": {"default": "up"},
            "providers": {
                "up": {"kind": "openai", "base_url": f"{upstream.url}/v1", **up},
                "claude": {"kind": "anthropic", "base_url": upstream.url, **up},
            },
            "timeouts": {"first_token": 1, "idle": 0.3},
            "retry": {"attempts": 1},
            "log": {"level": "DEBUG"},
        },
        environ={"UP_KEY": KEY, "STREAMSERVER_KEYS": f"anna:{USER_KEY}"},
    )
    url, headers = f"{server.url}/v1/messages", {"x-api-key": USER_KEY, "anthropic-beta": PROMPT}
    frames = (f"event: {each.type}\ndata: {each.data.decode()}\n\n".replace('"a"', f'"{TOKEN}"') for each in REPLAYED)
    shown, ids = "", []
    for script in (*SCRIPTS, speaks(*frames)):
        upstream.script = script
        for model in ("up", "claude"):
            for streamed in (True, False):
                body = {**ASKED, "model": model, "stream": streamed}
                async with http.post(url, json=body, headers=headers) as response:
                    text = await response.text()
                    ids.append(response.headers["X-Stream-ID"])
                    if TOKEN not in text:
                        assert all(mark not in text for mark in MARKS), "a provider's words reach no client"
    upstream.script = counts
    for path, body, extra in (
        ("/count_tokens", {**ASKED, "model": "claude"}, {}),
        ("/count_tokens", {**ASKED, "model": "up"}, {}),
        ("", {**ASKED, "model": PROMPT}, {}),
        ("", {**ASKED, "model": "up", "temperature": PROMPT}, {}),
        ("", {**ASKED, "model": "up", "messages": [{"role": PROMPT, "content": PROMPT}]}, {}),
        ("", {**ASKED, "model": "up"}, {"x-api-key": KEY}),
        (f"/{PROMPT}?beta={PROMPT}", {}, {}),
        ("", {}, {"Idempotency-Key": f"{PROMPT} {KEY}"}),
    ):
        async with http.post(f"{url}{path}", json=body, headers={**headers, **extra}) as response:
            shown += await response.text()
    stream = await RawStream.request(server.port, f"/v1/messages?{PROMPT}={KEY}", headers=headers)
    await stream.head()
    stream.close()
    async with asyncio.timeout(60):
        while len(server.records()) < len(ids):
            await asyncio.sleep(0.02)
    async with http.get(f"{server.url}/metrics", headers=headers) as response:
        shown += await response.text()
    server.terminate()
    assert await server.wait() == 0
    for mark in MARKS:
        assert mark not in server.log and mark not in shown
    assert not [each for each in ids if each in server.log], "a whole id reads the stream"
    assert {record["wire"] for record in server.records()} == {"messages"}
