"""What holds on every client wire at the edge: resuming, retrying, limits and refusals, each in the wire's own form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from streamserver.admission import Quota
from streamserver.core.caller import Caller, Permissions
from streamserver.http.apis.responses.retained import bind_items
from streamserver.http.services import Services
from tests.conftest import StartServer
from tests.messages.upstreams import SCRIPTS, provider_at
from tests.support.application import running_app
from tests.support.sse import DispatchedEvent, Parser, parse
from tests.support.upstream import Tap, Upstream, running_upstream

TURN = {"role": "user", "content": "Hi"}
PARTS = [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]
PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "ai_sdk": "/api/ai/chat",
}
BODIES: Mapping[str, dict[str, Any]] = {
    "chat": {"model": "up", "messages": [TURN], "stream": True},
    "messages": {"model": "up", "messages": [TURN], "max_tokens": 10, "stream": True},
    "responses": {"model": "up", "input": "Hi", "stream": True},
    "ai_sdk": {"model": "up", "id": "c", "messages": PARTS},
}
ENDS = {
    "chat": "[DONE]",
    "messages": "message_stop",
    "responses": "response.completed",
    "ai_sdk": "[DONE]",
}
WIRES = list(PATHS)
KEY = {"Idempotency-Key": "key-0001"}
KINDS = {"chat": "openai", "messages": "anthropic", "responses": "openai", "ai_sdk": "text"}
"""The form of a wire's errors."""


class PacedServer(msgspec.Struct):
    """A server over a provider that sends a piece each time the test says so."""

    http: aiohttp.ClientSession
    url: str
    upstream: Upstream
    send: Tap
    services: Services

    def post(self, wire: str, headers: Mapping[str, str] = {}, **fields: Any) -> Any:
        body = {**BODIES[wire], **fields}
        return self.http.post(f"{self.url}{PATHS[wire]}", json=body, headers=dict(headers))

    async def get(self, path: str, headers: Mapping[str, str] = {}) -> list[DispatchedEvent]:
        async with self.http.get(f"{self.url}{path}", headers=dict(headers)) as response:
            assert response.status == 200, await response.text()
            return parse(await response.read())


@asynccontextmanager
async def serving(environ: Mapping[str, str] = {}, **sections: Any) -> AsyncIterator[PacedServer]:
    tap = Tap()
    async with running_upstream(tap.script) as upstream:
        table = {"kind": "openai", "model": "m", "base_url": f"{upstream.url}/v1"}
        config = {"provider": {"default": "up"}, "providers": {"up": table}, **sections}
        async with (
            running_app(config, environ=environ) as (services, url),
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
        ):
            yield PacedServer(http, url, upstream, tap, services)


async def read_until(response: aiohttp.ClientResponse, word: str) -> list[DispatchedEvent]:
    """Return the events of a response as far as the one in which ``word`` is."""
    parser = Parser()
    events: list[DispatchedEvent] = []
    while not any(word in event.data for event in events):
        data = await response.content.readany()
        assert data, f"the response ended without {word}"
        events += parser.feed(data)
    return events


async def refusal(wire: str, response: aiohttp.ClientResponse) -> tuple[int, str]:
    """Return the status and the code or type of an error, which has the form of the wire."""
    data = await response.read()
    assert response.headers["x-request-id"]
    if KINDS[wire] == "text":
        assert response.headers["Content-Type"].startswith("text/plain") and data.decode().endswith((".", "?"))
        return response.status, response.headers["X-Error-Code"]
    body = json.loads(data)
    if KINDS[wire] == "anthropic":
        assert body.keys() == {"type", "error", "request_id"} and body["error"].keys() == {"type", "message"}
        assert body["type"] == "error" and body["request_id"] == response.headers["request-id"]
        return response.status, body["error"]["type"]
    assert body["error"].keys() == {"message", "type", "param", "code"} and body.keys() == {"error"}
    return response.status, body["error"]["code"] or body["error"]["type"]


@pytest.mark.parametrize("wire", WIRES)
async def test_stream_of_every_wire_is_read_on_natively_after_a_cut(wire: str) -> None:
    async with serving() as server:
        server.send("one")
        async with server.post(wire, {"X-Stream-Grace": "20"}) as response:
            assert response.status == 200
            await read_until(response, "one")
            stream_id = response.headers["X-Stream-ID"]
        server.send("two", None)
        path = f"/api/chat/streams/{stream_id}"
        whole = await server.get(path)
        assert [event.data for event in whole if event.type == "message"] == ["one", "two"]
        assert [event.type for event in whole][-1] == "done"
        for number in range(len(whole) - 1):
            rest = await server.get(path, {"Last-Event-ID": f"{stream_id}:{number}"})
            assert rest == whole[number + 1 :]
        assert len(server.upstream.exchanges) == 1


async def test_response_is_read_on_from_every_sequence_number_while_it_runs_and_afterwards() -> None:
    async with serving() as server:
        server.send("one")
        async with server.post("responses", {"X-Stream-Grace": "20"}) as response:
            begun = await read_until(response, "one")
        public_id = begun[0].json()["response"]["id"]
        path = f"/v1/responses/{public_id}?stream=true"
        running = asyncio.create_task(server.get(f"{path}&starting_after={len(begun) - 1}"))
        server.send("two", None)
        rest = await running
        whole = await server.get(path)
        assert whole == begun + rest
        for number in range(len(whole)):
            assert await server.get(f"{path}&starting_after={number}") == whole[number + 1 :]
        past = await server.get(f"{path}&starting_after=999")
        assert [event.type for event in past] == ["response.completed"], "it is past the end, and gets the end"


async def test_chat_is_replayed_from_its_start_and_once() -> None:
    async with serving() as server:
        server.send("one")
        async with server.post("ai_sdk", {"X-Stream-Grace": "20"}) as response:
            begun = await read_until(response, "one")
        server.send("two", None)
        whole = await server.get("/api/ai/chat/c/stream")
        assert whole[: len(begun)] == begun and whole[-1].data == "[DONE]"
        for chat in ("c", "unknown"):
            async with server.http.get(f"{server.url}/api/ai/chat/{chat}/stream") as again:
                assert again.status == 204


@pytest.mark.parametrize("wire", WIRES)
async def test_retry_with_the_same_key_attaches_while_it_runs_and_afterwards(wire: str) -> None:
    async with serving() as server:
        server.send("one")
        async with server.post(wire, KEY) as first:
            await read_until(first, "one")
            async with server.post(wire, KEY) as second:
                begun = await read_until(second, "one")
                server.send("two", None)
                events = begun + parse(await second.read())
            assert second.headers["X-Stream-ID"] == first.headers["X-Stream-ID"]
        async with server.post(wire, KEY) as third:
            assert parse(await third.read()) == events
        if wire != "ai_sdk":
            async with server.post(wire, KEY, stream=False) as other:
                assert await refusal(wire, other) == (400, "invalid_request_error"), "stream is a field of the body"
        assert len(server.upstream.exchanges) == 1


@pytest.mark.parametrize("wire", ["chat", "messages", "responses"])
async def test_retry_of_a_whole_answer_with_the_same_key_gets_the_same_bytes(wire: str) -> None:
    async with serving() as server:
        server.send("one", None)
        answers = []
        for _ in range(2):
            async with server.post(wire, KEY, stream=False) as response:
                answers.append((response.status, await response.read()))
        assert answers[0] == answers[1] and answers[0][0] == 200
        assert len(server.upstream.exchanges) == 1


@pytest.mark.parametrize("wire", WIRES)
async def test_key_of_another_body_or_of_a_wrong_form_is_refused(wire: str) -> None:
    wrong = (422, "invalid_request") if wire == "ai_sdk" else (400, "invalid_request_error")
    async with serving() as server:
        server.send("one", None)
        async with server.post(wire, KEY) as first:
            await first.read()
        async with server.post(wire, KEY, temperature=0.5) as other:
            assert await refusal(wire, other) == wrong
        async with server.post(wire, {"Idempotency-Key": "short"}) as malformed:
            assert await refusal(wire, malformed) == wrong
        async with server.post(wire, {"X-Stream-Grace": "soon"}) as grace:
            assert await refusal(wire, grace) == wrong
        assert len(server.upstream.exchanges) == 1


async def test_deleted_response_is_not_found_by_its_key() -> None:
    async with serving() as server:
        server.send("one", None, "two", None)
        async with server.post("responses", KEY) as first:
            public_id = parse(await first.read())[0].json()["response"]["id"]
        async with server.http.delete(f"{server.url}/v1/responses/{public_id}") as deleted:
            assert await deleted.json() == {"id": public_id, "object": "response", "deleted": True}
        async with server.post("responses", KEY) as again:
            assert parse(await again.read())[0].json()["response"]["id"] != public_id
        assert len(server.upstream.exchanges) == 2


async def test_item_of_a_deleted_response_is_not_found_when_a_late_reader_binds_it() -> None:
    async with (
        running_upstream(SCRIPTS["responses"]) as upstream,
        running_app(provider_at("responses", upstream.url)) as (services, url),
        aiohttp.ClientSession(f"{url}/v1/") as http,
    ):
        async with http.post("responses", json={"model": "up", "input": "Hi"}) as response:
            answer = await response.json()
        stream = await services.streams.find(response.headers["X-Stream-ID"])
        assert stream is not None
        reference = {"type": "item_reference", "id": answer["output"][0]["id"]}
        turns = {"model": "up", "input": [reference, TURN]}
        async with http.post("responses", json=turns) as referred:
            assert referred.status == 200, "it is known before"
        async with http.delete(f"responses/{answer['id']}") as deleted:
            assert deleted.status == 200
        anonymous = Caller("r", "", "a", Permissions(quota=Quota(9, 9, 9), max_tokens=5))
        await bind_items(services.streams, anonymous, stream.log)
        async with http.post("responses", json=turns) as referred:
            assert referred.status == 404


LIMITED = {
    "chat": (429, "rate_limit_exceeded"),
    "messages": (429, "rate_limit_error"),
    "responses": (429, "rate_limit_exceeded"),
    "ai_sdk": (429, "rate_limited"),
}
BUSY = {
    "chat": (503, "server_is_overloaded"),
    "messages": (529, "overloaded_error"),
    "responses": (503, "server_is_overloaded"),
    "ai_sdk": (503, "overloaded"),
}
DRAINING = {
    **BUSY,
    "chat": (503, "shutting_down"),
    "responses": (503, "shutting_down"),
    "ai_sdk": (503, "shutting_down"),
}


@pytest.mark.parametrize("first", ["native", *WIRES])
async def test_starts_on_all_wires_count_against_one_limit(first: str) -> None:
    async with serving(limits={"requests_per_minute": 1}) as server:
        server.send("one", None)
        if first == "native":
            await server.get("/api/chat/stream?prompt=Hi")
        else:
            async with server.post(first) as response:
                await response.read()
        for wire in WIRES:
            async with server.post(wire) as refused:
                assert await refusal(wire, refused) == LIMITED[wire]
                assert 1 <= int(refused.headers["Retry-After"]) <= 60
                assert "x-should-retry" not in refused.headers


@pytest.mark.parametrize(
    ("limits", "expected"), [({"max_streams_per_user": 1}, LIMITED), ({"max_streams": 1}, BUSY)], ids=["user", "all"]
)
async def test_running_streams_of_all_wires_count_together(
    limits: dict[str, int], expected: dict[str, tuple[int, str]]
) -> None:
    for running in WIRES:
        async with serving(limits=limits) as server:
            server.send("one")
            async with server.post(running) as response:
                await read_until(response, "one")
                for wire in WIRES:
                    async with server.post(wire) as refused:
                        assert await refusal(wire, refused) == expected[wire]
                        assert refused.headers["Retry-After"] == "1"


@pytest.mark.parametrize("wire", WIRES)
async def test_reader_too_many_is_refused(wire: str) -> None:
    async with serving(limits={"max_readers_per_stream": 1}) as server:
        server.send("one")
        async with server.post(wire, KEY) as response:
            await read_until(response, "one")
            async with server.post(wire, KEY) as refused:
                assert await refusal(wire, refused) == LIMITED[wire]
                assert refused.headers["Retry-After"] == "1"


@pytest.mark.parametrize("wire", WIRES)
async def test_draining_server_refuses_to_start(wire: str) -> None:
    async with serving() as server:
        server.services.supervisor.draining = True
        async with server.post(wire) as refused:
            assert await refusal(wire, refused) == DRAINING[wire]
            assert refused.headers["Retry-After"] == "1" and "x-should-retry" not in refused.headers


ANNA = {"Authorization": "Bearer key-of-anna-1234"}
Send = Callable[[PacedServer, str], Any]
REFUSED: list[tuple[str, Send, int, dict[str, str]]] = [
    ("no key", lambda server, wire: server.post(wire), 401,
     {"openai": "invalid_api_key", "anthropic": "authentication_error", "text": "unauthorized"}),
    ("a wrong key", lambda server, wire: server.post(wire, {"Authorization": "Bearer wrong"}), 401,
     {"openai": "invalid_api_key", "anthropic": "authentication_error", "text": "unauthorized"}),
    ("an unknown path", lambda server, wire: server.http.post(f"{server.url}{PATHS[wire]}/a/b/c", headers=ANNA), 404,
     {"openai": "not_found", "anthropic": "not_found_error", "text": "not_found"}),
    ("a wrong method", lambda server, wire: server.http.put(f"{server.url}{PATHS[wire]}", headers=ANNA), 405,
     {"openai": "method_not_allowed", "anthropic": "invalid_request_error", "text": "method_not_allowed"}),
    ("too large", lambda server, wire: server.post(wire, ANNA, x="x" * 3000), 413,
     {"openai": "body_too_large", "anthropic": "request_too_large", "text": "body_too_large"}),
    ("a wrong type", lambda server, wire: server.http.post(f"{server.url}{PATHS[wire]}", data="x", headers=ANNA), 415,
     {"openai": "unsupported_media_type", "anthropic": "invalid_request_error", "text": "unsupported_media_type"}),
    ("an unknown model", lambda server, wire: server.post(wire, ANNA, model="gone"), 404,
     {"openai": "model_not_found", "anthropic": "not_found_error", "text": "model_not_found"}),
    ("a prefetch", lambda server, wire: server.post(wire, {**ANNA, "Sec-Purpose": "prefetch"}), 403,
     {"openai": "forbidden", "anthropic": "permission_error", "text": "forbidden"}),
    ("another site", lambda server, wire: server.post(wire, {**ANNA, "Origin": "https://evil.example"}), 403,
     {"openai": "forbidden", "anthropic": "permission_error", "text": "forbidden"}),
]  # fmt: skip


@pytest.mark.parametrize("wire", WIRES)
async def test_refusal_without_a_stream_has_the_form_of_the_wire(wire: str) -> None:
    environ = {"STREAMSERVER_KEYS": "anna:key-of-anna-1234"}
    async with serving(environ, limits={"max_body_bytes": 2000}) as server:
        for name, send, status, codes in REFUSED:
            async with send(server, wire) as response:
                assert await refusal(wire, response) == (status, codes[KINDS[wire]]), name
                assert status < 500 and ("Allow" in response.headers) == (status == 405), name
        assert server.upstream.exchanges == []


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1", "/v1/responses/a/b", "/v1/conversations", "/v1/messages/x"])
async def test_unknown_path_has_the_form_of_the_longest_prefix(path: str) -> None:
    async with serving() as server, server.http.post(f"{server.url}{path}", json={}) as response:
        wire = "messages" if path.startswith("/v1/messages") else "chat"
        status, _ = await refusal(wire, response)
        assert status == 404


ALIKE = ("user", "provider", "model", "status", "finish_reason", "attempts", "prompt_tokens", "completion_tokens")
COUNTER = "streamserver_streams_total"


async def test_records_and_metrics_count_alike_and_tell_the_wire(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(environ={"STREAMSERVER_KEYS": "anna:key-of-anna-1234"})
    records = {}
    for wire in ("native", *WIRES):
        path, body = ("/api/chat/stream", {"prompt": "Hi"}) if wire == "native" else (PATHS[wire], BODIES[wire])
        asked = {**body, "provider" if wire == "native" else "model": "echo"}
        async with http.post(f"{server.url}{path}", json=asked, headers=ANNA) as response:
            assert response.status == 200
            await response.read()
        record = await server.record(response.headers["X-Stream-ID"])
        assert record["wire"] == wire and response.headers["X-Stream-ID"] not in server.log
        records[wire] = {name: record[name] for name in ALIKE}
        assert records[wire] == records["native"] and record["user"] == "anna"
    async with http.get(f"{server.url}/metrics", headers=ANNA) as shown:
        lines = (await shown.text()).splitlines()
    for wire in records:
        (count,) = [line for line in lines if line.startswith(COUNTER) and f'wire="{wire}"' in line]
        assert count.endswith(" 1.0"), count
    assert "key-of-anna" not in server.log


SHAPES: list[tuple[str, dict[str, Any], str]] = [
    ("chat", {"n": 2}, "n"),
    ("chat", {"logprobs": True}, "logprobs"),
    ("chat", {"modalities": ["text", "audio"]}, "modalities"),
    ("chat", {"functions": [{"name": "f"}]}, "functions"),
    ("chat", {"messages": [{"role": "function", "name": "f", "content": "4"}]}, "messages[0].role"),
    ("chat", {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, "response_format"),
    ("chat", {"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
    ("messages", {"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
    ("messages", {"container": "c"}, "container"),
    ("messages", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    ("responses", {"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ("responses", {"tools": [{"type": "namespace", "name": "n"}]}, "tools[0].type"),
    ("responses", {"tools": [{"type": "custom", "name": "f"}]}, "tools[0].type"),
    ("responses", {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}, "text.format"),
]
"""What the provider ``echo`` has not, and would change the answer's shape."""


async def test_what_a_provider_has_not_is_a_400_that_names_the_field() -> None:
    async with serving(providers={"up": {"kind": "echo"}}) as server:
        for wire, fields, name in SHAPES:
            for streamed in (True, False):
                async with server.post(wire, stream=streamed, **fields) as refused:
                    assert refused.status == 400, (wire, fields)
                    error = (await refused.json())["error"]
                    assert error["type"] == "invalid_request_error"
                    assert (error["message"] if wire == "messages" else error["param"]).startswith(name), error
                    if wire == "responses" and "tools" in fields:
                        assert error["code"] == "unsupported_parameter"


ANSWERS = [
    ("GET", "/v1/models", 200),
    ("GET", "/v1/models/up", 200),
    ("GET", "/v1/models/gone%2Fm", 404),
    ("GET", "/v1/models/", 404),
    ("HEAD", "/v1/models", 405),
    ("POST", "/v1/models", 405),
    ("DELETE", "/v1/models/up", 405),
    ("GET", "/v1/messages", 405),
    ("POST", "/v1/messages/gone", 404),
    ("POST", "/v1/messages", 400),
    ("POST", "/v1/messages/count_tokens", 400),
    ("HEAD", "/api/hello", 200),
]
OF_ANOTHER_PAGE = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}


async def test_every_answer_to_an_anthropic_client_has_the_request_id_that_it_looks_for() -> None:
    async with serving() as server:
        for method, path, status in ANSWERS:
            for headers, expected in (({}, status), (OF_ANOTHER_PAGE, 403), ({"Host": "rebound.example"}, 403)):
                async with server.http.request(method, URL(server.url + path, encoded=True), headers=headers) as answer:
                    assert answer.status == expected, (method, path)
                    assert answer.headers["request-id"] == answer.headers["x-request-id"], (method, path)
    async with serving({"STREAMSERVER_KEYS": "anna:key"}) as server:
        for method, path, _ in ANSWERS[:-1]:
            async with server.http.request(method, URL(server.url + path, encoded=True)) as answer:
                assert answer.status == 401, (method, path)
                assert answer.headers["request-id"] == answer.headers["x-request-id"], (method, path)


async def test_every_answer_to_an_openai_client_has_the_time_that_it_took() -> None:
    paths = ("/v1/chat/completions", "/v1/responses", "/v1/responses/gone", "/v1/models", "/v1/gone", "/v1")
    async with serving() as server:
        for path in paths:
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
                async with server.http.request(method, server.url + path) as answer:
                    assert answer.headers["openai-processing-ms"].isdigit(), (method, path)
                    assert answer.headers["x-request-id"], (method, path)


async def test_response_is_not_read_for_a_query_of_a_wrong_form() -> None:
    async with serving() as server:
        server.send("one", None)
        async with server.post("responses", stream=False) as whole:
            public_id = (await whole.json())["id"]
        for query, name in (("stream=maybe", "stream"), ("stream=true&starting_after=x", "starting_after")):
            async with server.http.get(f"{server.url}/v1/responses/{public_id}?{query}") as refused:
                assert (refused.status, (await refused.json())["error"]["param"]) == (400, name)
