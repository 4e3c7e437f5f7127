"""What strict and sloppy clients send on each wire: its own 400 that names the field, and no request to a provider."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.http.fields import WIRES
from tests.messages.upstreams import SCRIPTS, TABLES
from tests.support.application import running_app
from tests.support.json_values import replaced
from tests.support.upstream import Exchange, Upstream, running_upstream

PROTOCOLS = ("chat", "messages", "responses")
STATUS = {"ai_sdk": 422}
"""That of a wrong field, where it is not 400."""
WIDE = {"max_streams_per_user": 10_000, "requests_per_minute": 1_000_000}


class SeenAnswer(msgspec.Struct):
    """An answer, and how many requests it cost at the provider."""

    status: int
    body: bytes
    asked: int

    def named(self, wire: str) -> str:
        """Return the field that a refusal names, as the wire's clients read it."""
        if wire == "ai_sdk":
            return self.body.decode().partition(": ")[0].split(" ")[0]
        error = json.loads(self.body)["error"]
        if wire == "messages":
            return str(error["message"].partition(": ")[0])
        return str(error["param"])


class TranslatingServer(msgspec.Struct):
    """A server with a provider of each protocol, by the protocol's name; ``up`` is the wire's own."""

    http: aiohttp.ClientSession
    url: str
    upstream: Upstream

    async def post(self, path: str, body: Any) -> SeenAnswer:
        before = len(self.upstream.exchanges)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        async with self.http.post(f"{self.url}{path}", data=io.BytesIO(data), headers=headers) as response:
            answer = await response.read()
            return SeenAnswer(response.status, answer, len(self.upstream.exchanges) - before)


async def answer_in_its_protocol(exchange: Exchange) -> None:
    protocol = next(name for name in PROTOCOLS if exchange.path.endswith(name if name != "chat" else "completions"))
    await SCRIPTS[protocol](exchange)


@asynccontextmanager
async def serving(wire: str = "chat", **limits: int) -> AsyncIterator[TranslatingServer]:
    own = wire if wire in PROTOCOLS else "chat"
    async with running_upstream(answer_in_its_protocol) as upstream:
        tables = {
            name: {**TABLES[name], "model": "m", "base_url": upstream.url + ("" if name == "messages" else "/v1")}
            for name in PROTOCOLS
        }
        config = {
            "provider": {"default": "up"},
            "providers": {**tables, "up": tables[own]},
            "limits": {**WIDE, **limits},
        }
        async with running_app(config) as (_, url), aiohttp.ClientSession() as http:
            yield TranslatingServer(http, url, upstream)


@pytest.mark.parametrize("wire", WIRES)
async def test_value_of_each_wrong_type_is_a_400_that_names_the_field(wire: str) -> None:
    path, body, fields = WIRES[wire]
    async with serving(wire) as server:
        whole = await server.post(path, body)
        assert (whole.status, whole.asked) == (200, 1), whole
        for field in fields:
            for value in field.wrong_values():
                answer = await server.post(path, replaced(body, field.path, value))
                what = f"{field.name} = {value!r}: {answer}"
                assert (answer.status, answer.asked) == (STATUS.get(wire, 400), 0), what
                assert answer.named(wire).startswith(field.name), what


@pytest.mark.parametrize("wire", WIRES)
async def test_null_is_an_absent_field(wire: str) -> None:
    path, body, fields = WIRES[wire]
    async with serving(wire) as server:
        for field in fields:
            if field.optional:
                answer = await server.post(path, replaced(body, field.path, None))
                assert (answer.status, answer.asked) == (200, 1), f"{field.name}: {answer}"


@pytest.mark.parametrize("wire", WIRES)
async def test_body_that_is_no_request_is_refused_in_the_wires_form(wire: str) -> None:
    path, body, _ = WIRES[wire]
    begun = json.dumps(body).encode()[:-1]
    bodies = [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 60_000, begun + b',"model":"up"}']
    bodies += [begun + b',"x":%b}' % number for number in (b"NaN", b"1e999", b"-1e999", b"9" * 5000)]
    async with serving(wire) as server:
        for data in bodies:
            answer = await server.post(path, data)
            assert answer.status in (400, 422) and answer.asked == 0, (data[:50], answer)
            if wire != "ai_sdk":
                assert json.loads(answer.body)["error"]["type"] == "invalid_request_error"
                assert answer.status == 400


@pytest.mark.parametrize("wire", WIRES)
async def test_unknown_field_with_a_huge_number_reaches_a_provider_of_the_same_protocol_as_it_is(wire: str) -> None:
    path, body, _ = WIRES[wire]
    async with serving(wire) as server:
        answer = await server.post(path, {**body, "x": 10**30})
        assert (answer.status, answer.asked) == (200, 1), answer
        assert wire == "ai_sdk" or server.upstream.exchanges[0].json()["x"] == 10**30


def text(wire: str, words: str) -> Any:
    """Return a user turn of one text as a part."""
    match wire:
        case "responses":
            return {"role": "user", "content": [{"type": "input_text", "text": words}]}
        case "ai_sdk":
            return {"id": words, "role": "user", "parts": [{"type": "text", "text": words}]}
        case _:
            return {"role": "user", "content": [{"type": "text", "text": words}]}


def turn(wire: str, role: str, words: str) -> Any:
    if wire == "ai_sdk":
        return {"id": words, "role": role, "parts": [{"type": "text", "text": words}]}
    return {"role": role, "content": words}


def result_without_a_call(wire: str) -> Any:
    match wire:
        case "messages":
            return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "gone", "content": "4"}]}
        case "responses":
            return {"type": "function_call_output", "call_id": "gone", "output": "4"}
        case _:
            return {"role": "tool", "tool_call_id": "gone", "content": "4"}


def asking(wire: str, *turns: Any, **fields: Any) -> dict[str, Any]:
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"messages": [*turns]},
        "messages": {"messages": [*turns], "max_tokens": 10},
        "responses": {"input": [*turns]},
        "ai_sdk": {"id": "c", "messages": [*turns]},
    }
    return {**bodies[wire], **fields}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("provider", PROTOCOLS)
async def test_what_sloppy_clients_send_is_answered_by_every_provider(wire: str, provider: str) -> None:
    path = WIRES[wire][0]
    hello, last = turn(wire, "user", "Hi"), turn(wire, "user", "Go on.")
    cases = {
        "content as a string": asking(wire, hello),
        "content as parts": asking(wire, text(wire, "Hi")),
        "empty tools": asking(wire, hello, tools=[]),
        "trailing assistant": asking(wire, hello, turn(wire, "assistant", "I")),
        "system in the middle": asking(wire, hello, turn(wire, "system", "Be brief."), last),
        "system at the end": asking(wire, hello, turn(wire, "system", "Be brief.")),
        "two users": asking(wire, hello, last),
        "an empty turn": asking(wire, hello, turn(wire, "assistant", ""), last),
        "unknown fields": asking(wire, hello, vendor_field={"a": [1]}),
    }
    if wire != "ai_sdk":
        cases["a result without a call"] = asking(wire, hello, result_without_a_call(wire), last)
    async with serving(wire) as server:
        for name, body in cases.items():
            answer = await server.post(path, {**body, "model": provider})
            assert (answer.status, answer.asked) == (200, 1), f"{name}: {answer}"


@pytest.mark.parametrize("item_id", [{}, {"id": None}, {"id": 5}, {"id": ""}])
async def test_reference_without_an_id_is_a_400_that_names_the_field(item_id: dict[str, Any]) -> None:
    async with serving("responses") as server:
        reference = {"type": "item_reference", **item_id}
        answer = await server.post("/v1/responses", {"model": "up", "input": [text("responses", "Hi"), reference]})
        assert (answer.status, answer.asked, answer.named("responses")) == (400, 0, "input[1].id")


@pytest.mark.parametrize("wire", WIRES)
async def test_image_of_five_megabytes_needs_a_raised_limit_of_the_body(wire: str) -> None:
    path, body, _ = WIRES[wire]
    body = json.loads(json.dumps(body).replace("AA", "A" * 5_000_000))
    async with serving(wire) as server:
        answer = await server.post(path, body)
        assert (answer.status, answer.asked) == (413, 0)
        if wire != "ai_sdk":
            kind = "request_too_large" if wire == "messages" else "invalid_request_error"
            assert json.loads(answer.body)["error"]["type"] == kind
    async with serving(wire, max_body_bytes=8_000_000) as server:
        answer = await server.post(path, body)
        assert (answer.status, answer.asked) == (200, 1)
        assert len(server.upstream.exchanges[0].body) > 5_000_000
