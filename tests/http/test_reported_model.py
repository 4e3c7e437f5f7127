"""The model in an answer, streamed or whole: the one that the provider reports, whichever provider answered."""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp

from tests.clients.upstreams import answering as answers
from tests.clients.upstreams import protocol_of
from tests.conftest import StartServer, StartUpstream
from tests.faults.wire_answers import Form, WireAnswer, ask
from tests.support.upstream import Exchange, Script

REPORTED = "reported-1"
STREAMS = [Form(wire, streamed=True) for wire in ("chat", "messages", "responses")]
"""The wires with a model in their events."""


def reporting(script: Script) -> Script:
    """Return ``script``, in which the provider reports another model than the one that it was asked for."""

    async def renamed(exchange: Exchange) -> None:
        send = exchange.send

        async def rename(data: bytes | str) -> None:
            text = data if isinstance(data, str) else data.decode()
            await send(re.sub(r'"model": "[^"]+"', f'"model": "{REPORTED}"', text))

        exchange.send = rename  # type: ignore[method-assign]
        await script(exchange)

    return renamed


async def refusing(exchange: Exchange) -> None:
    if protocol_of(exchange) != "messages":
        await exchange.answer(503, "{}")
    else:
        await reporting(answers("messages", "text"))(exchange)


def providers(url: str) -> dict[str, Any]:
    chat = {"kind": "openai", "model": "m", "base_url": f"{url}/v1"}
    return {
        "chat": chat,
        "responses": {**chat, "api": "responses"},
        "messages": {"kind": "anthropic", "model": "m", "base_url": url},
    }


def models_of(answer: WireAnswer) -> set[str]:
    """Return every model that an answer names."""
    assert answer.status == 200, answer.body
    bodies = [json.loads(event.data) for event in answer.events() if event.data != "[DONE]"]
    tables = [body.get("response") or body.get("message") or body for body in bodies]
    return {table["model"] for table in tables if "model" in table}


async def test_every_event_names_the_model_that_the_provider_reports(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(reporting(answers(None, "reasoning", "text")))
    server = await start_server({"provider": {"default": "chat"}, "providers": providers(upstream.url)})
    for form in STREAMS:
        for provider in ("chat", "responses", "messages"):
            answer = await ask(http, server.url, form, provider)
            assert models_of(answer) == {REPORTED}, (form.name, provider)


async def test_every_event_names_the_model_of_the_provider_that_was_fallen_back_to(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(refusing)
    tables = {**providers(upstream.url), "spare": {"kind": "echo", "model": "echo-2", "delay_ms": 0}}
    for fallback, model in (("messages", REPORTED), ("spare", "echo-2")):
        server = await start_server(
            {
                "provider": {"default": "chat", "fallback": [fallback]},
                "providers": tables,
                "retry": {"attempts": 1},
            }
        )
        for form in STREAMS:
            assert models_of(await ask(http, server.url, form, "chat")) == {model}, form.name


async def test_background_response_is_read_again_with_the_same_models(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(reporting(answers("messages", "text")))
    server = await start_server({"provider": {"default": "messages"}, "providers": providers(upstream.url)})
    background = Form("responses", streamed=True, fields={"background": True})
    first = (await ask(http, server.url, background, "messages")).events()
    responses = [event.json()["response"] for event in first if "response" in event.json()]
    models = [response["model"] for response in responses]
    assert models == ["m", "m", REPORTED, REPORTED], "a background Response is created before the provider is asked"
    async with http.get(f"{server.url}/v1/responses/{responses[0]['id']}", params={"stream": "true"}) as response:
        again = WireAnswer(background, response.status, response.headers, await response.read())
    assert again.events() == first
