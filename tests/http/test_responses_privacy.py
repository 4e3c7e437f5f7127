"""No words of a Responses request or answer, no key and no whole stream id in the logs."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.clients.upstreams import answering, tables
from tests.conftest import StartServer, StartUpstream
from tests.telemetry.test_privacy import KEY, MARKS, PROMPT, SCRIPTS, USER_KEY


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_no_outcome_of_a_response_leaves_a_word_or_a_key_in_the_log(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, api: str
) -> None:
    upstream = await start_upstream(answering(api, "reasoning", "call"))
    config = tables(
        upstream, api, timeouts={"idle": 0.3, "first_token": 0.5}, retry={"attempts": 1}, log={"level": "DEBUG"}
    )
    config["providers"]["up"]["api_key_env"] = "UP_KEY"
    environ = {"UP_KEY": KEY, "STREAMSERVER_KEYS": f"anna:{USER_KEY}"}
    server = await start_server(config, environ=environ, crashes=True)
    url, headers = f"{server.url}/v1/responses", {"Authorization": f"Bearer {USER_KEY}"}
    ids = []
    for script in [upstream.script, *SCRIPTS]:
        upstream.script = script
        for fields in ({"stream": True}, {}, {"background": True}):
            body = {"model": "up", "input": PROMPT, "instructions": PROMPT, "metadata": {PROMPT: PROMPT}, **fields}
            async with http.post(url, json=body, headers=headers) as response:
                await response.read()
                ids.append(response.headers["X-Stream-ID"])
    reference = [{"type": "item_reference", "id": PROMPT}]
    for wrong in ({"input": reference}, {"input": PROMPT, "tools": [{"type": PROMPT}]}, {"model": PROMPT}):
        async with http.post(url, json={"model": "up", "input": PROMPT, **wrong}, headers=headers) as response:
            assert response.status >= 400
    for path in (PROMPT, f"{PROMPT}/cancel", f"{PROMPT}/{PROMPT}"):
        async with http.get(f"{url}/{path}?starting_after={PROMPT}", headers=headers) as response:
            assert response.status in (404, 405)
    async with asyncio.timeout(60):
        while len(server.records()) < len(ids):
            await asyncio.sleep(0.02)
    server.terminate()
    assert await server.wait() == 0
    for mark in (*MARKS, *ids):
        assert mark not in server.log
