"""The API of the hook ``useChat``, before and around its stream: refusals, limits, keys, grace, privacy."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import RawStream
from tests.support.sse import parse
from tests.support.upstream import DONE, Exchange, Tap, answer, chunk

PATH = "/api/ai/chat"
MARK = "mArKeDwOrD"
JSON = {"Content-Type": "application/json"}
KEYS = {"STREAMSERVER_KEYS": "anna:anna-key,otto:otto-key"}


def says(text: str) -> dict[str, Any]:
    return {"id": "m", "role": "user", "parts": [{"type": "text", "text": text}]}


def body(text: str = "hello big world", chat: str = "c", /, **fields: Any) -> dict[str, Any]:
    return {"id": chat, "messages": [says(text)], "trigger": "submit-message", **fields}


def chunks(data: bytes) -> list[dict[str, Any]]:
    """Return the chunks of a whole response."""
    *events, last = (event.data for event in parse(data))
    assert last == "[DONE]"
    return [json.loads(event) for event in events]


def text_of(data: bytes) -> str:
    return "".join(each["delta"] for each in chunks(data) if each["type"] == "text-delta")


REFUSED: list[tuple[str, Any, int, str, str]] = [
    ("no JSON", b"{", 400, "malformed", ""),
    ("a list", b"[]", 400, "malformed", ""),
    ("too large", b'{"id": "' + b"x" * 1_100_000 + b'"}', 413, "body_too_large", ""),
    ("no id", {"messages": [says("a")]}, 422, "invalid_request", "id: "),
    ("id null", {"id": None, "messages": [says("a")]}, 422, "invalid_request", "id: "),
    ("id too long", {"id": "x" * 257, "messages": [says("a")]}, 422, "invalid_request", "id: "),
    ("no messages", {"id": "c"}, 422, "invalid_request", "messages: "),
    ("messages empty", {"id": "c", "messages": []}, 422, "invalid_request", "messages: "),
    ("nothing said", {"id": "c", "messages": [says("")]}, 422, "invalid_request", "messages "),
    ("a wrong part", {"id": "c", "messages": [says("a"), {"role": "user", "parts": [1]}]}, 422, "invalid_request", ""),
    ("too long", body("x" * 5001, system="s"), 422, "invalid_request", "messages: "),
    ("unknown model", body(model="none"), 404, "model_not_found", ""),
    ("unknown provider", body(provider="none"), 422, "invalid_request", "provider: "),
    ("wrong temperature", body(temperature=3), 422, "invalid_request", "temperature: "),
    ("wrong grace", body(grace="x"), 422, "invalid_request", "grace: "),
]


async def test_refusals_are_one_sentence_of_plain_text(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(answer("a"))
    server = await start_server(openai_at(upstream))
    for name, sent, status, code, begin in REFUSED:
        data = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        async with http.post(server.url + PATH, data=io.BytesIO(data), headers=JSON) as response:
            sentence = await response.text()
            assert (response.status, response.headers["X-Error-Code"]) == (status, code), (name, sentence)
            assert response.content_type == "text/plain", name
            assert sentence.startswith(begin) and sentence.endswith((".", "?")) and "\n" not in sentence, name
    assert not server.records() and not upstream.exchanges


async def test_errors_without_a_handler_have_the_form_of_the_wire(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(environ=KEYS)
    anna = {"Authorization": "Bearer anna-key"}
    for method, path, headers, status, code in (
        ("POST", PATH, {}, 401, "unauthorized"),
        ("POST", PATH, {"X-API-Key": "wrong"}, 401, "unauthorized"),
        ("GET", f"{PATH}/c/stream", {}, 401, "unauthorized"),
        ("GET", PATH, anna, 405, "method_not_allowed"),
        ("POST", f"{PATH}/c/stream", anna, 405, "method_not_allowed"),
        ("GET", "/api/ai/other", anna, 404, "not_found"),
        ("POST", PATH, {**anna, "Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ):
        async with http.request(method, server.url + path, data=b"{}", headers=headers) as response:
            assert (response.status, response.headers.get("X-Error-Code")) == (status, code), (method, path)
            assert response.content_type == "text/plain"
            assert (await response.text()).endswith(".")


async def test_description_says_that_errors_are_plain_text(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    async with http.get(f"{server.url}/openapi.json") as response:
        paths = (await response.json())["paths"]
    operations = [each for path, table in paths.items() if path.startswith("/api/ai/") for each in table.values()]
    assert len(operations) == 3
    assert all(list(each["responses"]["default"]["content"]) == ["text/plain"] for each in operations)


async def test_fields_of_the_page_are_ignored_and_nulls_count_as_absent(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    names = ("provider", "model", "system", "max_tokens", "temperature", "tools", "tool_choice", "grace", "messageId")
    nulls: dict[str, Any] = dict.fromkeys(names)
    sent = body(**nulls, page={"anything": [1]})
    async with http.post(server.url + PATH, json=sent) as response:
        assert response.status == 200 and response.headers["x-vercel-ai-ui-message-stream"] == "v1"
        assert response.content_type == "text/event-stream" and "X-Stream-ID" in response.headers
        assert text_of(await response.read()) == "hello big world"


async def test_native_fields_of_the_body_reach_the_provider(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(answer("a"))
    server = await start_server(openai_at(upstream, models=["other"]))
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    fields: dict[str, Any] = {
        "system": "Be kind.",
        "max_tokens": 7,
        "temperature": 0.5,
        "tools": [tool],
        "tool_choice": "required",
    }
    async with http.post(server.url + PATH, json=body("Hi", model="up/other", **fields)) as response:
        assert response.status == 200 and text_of(await response.read()) == "a"
    async with http.post(server.url + PATH, json=body("Hi", tools=[])) as response:
        assert text_of(await response.read()) == "a"
    sent, plain = (exchange.json() for exchange in upstream.exchanges)
    assert sent["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert (sent["model"], sent["temperature"], sent["tools"]) == ("other", 0.5, [tool])
    assert sent["tool_choice"] == "required" and 7 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    assert "tools" not in plain


PLAIN_IDS = ["team/chat", "/", "a//b", "a/stream", "a/stop", "stream"]
IDS = [*PLAIN_IDS, "a%2Fb", "a?b#c d", "ü"]
SEGMENTS = [*((chat_id, quote(chat_id, safe="")) for chat_id in IDS), *((chat_id, chat_id) for chat_id in PLAIN_IDS)]
"""Chat ids as they are in addresses: the hook encodes the whole id; its older versions did not, and some proxies decode
it."""


async def test_chat_with_any_id_is_resumed_and_stopped(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    server = await start_server(openai_at(await start_upstream(Tap().script)))
    for chat_id, segment in SEGMENTS:
        url = f"{server.url}{PATH}/{segment}"
        async with http.post(server.url + PATH, json=body("a", chat_id, grace=30)) as sent:
            assert sent.status == 200
            async with http.get(URL(f"{url}/stream", encoded=True)) as resumed:
                assert resumed.status == 200, segment
                async with http.post(URL(f"{url}/stop", encoded=True)) as stopped:
                    assert stopped.status == 204, segment
                assert chunks(await resumed.read())[-1] == {"type": "abort", "reason": "cancelled"}, segment


async def test_page_that_leaves_cancels_its_answer_unless_it_has_grace(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    tap = Tap()
    upstream = await start_upstream(tap.script)
    server = await start_server(openai_at(upstream))
    for number, (chat, grace) in enumerate((("a", {}), ("b", {"grace": 30}))):
        page = await (await RawStream.request(server.port, PATH, method="POST", body=body("Hi", chat, **grace))).head()
        tap("one ")
        await page.events(4)
        page.close()
        if not grace:
            await (await upstream.exchange(number)).until_closed()
    tap("two", None)
    async with http.get(f"{server.url}{PATH}/b/stream") as response:
        assert response.status == 200 and text_of(await response.read()) == "one two"
    async with http.get(f"{server.url}{PATH}/a/stream") as response:
        assert chunks(await response.read())[-1] == {"type": "abort", "reason": "cancelled"}
    for chat in ("a", "b", "unknown", "x" * 300, "%00"):
        async with http.get(f"{server.url}{PATH}/{chat}/stream") as response:
            assert (response.status, await response.read()) == (204, b""), "each was read to its end, or is not there"


async def test_chats_of_two_keys_with_the_same_id_are_two_chats(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    tap = Tap()
    upstream = await start_upstream(tap.script)
    server = await start_server(openai_at(upstream), environ=KEYS)
    anna, otto = {"X-API-Key": "anna-key"}, {"X-API-Key": "otto-key"}
    page = await RawStream.request(server.port, PATH, method="POST", body=body("Hi", grace=30), headers=anna)
    tap("one ")
    await (await page.head()).events(4)
    async with http.get(f"{server.url}{PATH}/c/stream", headers=otto) as response:
        assert response.status == 204
    async with http.post(f"{server.url}{PATH}/c/stop", headers=otto) as response:
        assert response.status == 204
    tap("two", None)
    await page.events()
    assert text_of(page.raw) == "one two", "the other user's stop did not reach it"
    page.close()


async def test_idempotency_key_replays_the_same_message(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(answer("one ", "two"))
    server = await start_server(openai_at(upstream))
    headers = {"Idempotency-Key": "key-0001"}
    answers = []
    for _ in range(2):
        async with http.post(server.url + PATH, json=body("Hi"), headers=headers) as response:
            answers.append(await response.read())
    assert answers[0] == answers[1] and text_of(answers[0]) == "one two" and len(upstream.exchanges) == 1
    async with http.post(server.url + PATH, json=body("Ho"), headers=headers) as response:
        assert (response.status, response.headers["X-Error-Code"]) == (422, "invalid_request")


async def test_stream_is_read_on_by_the_native_api(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    server = await start_server(openai_at(await start_upstream(answer("one ", "two"))))
    async with http.post(server.url + PATH, json=body("Hi", grace=30)) as response:
        stream_id = response.headers["X-Stream-ID"]
        await response.read()
    headers = {"Last-Event-ID": f"{stream_id}:1"}
    async with http.get(f"{server.url}/api/chat/streams/{stream_id}", headers=headers) as response:
        events = parse(await response.read())
    assert [event.id for event in events] == [f"{stream_id}:2", f"{stream_id}:3"]
    assert (await server.record(stream_id))["wire"] == "ai_sdk"


async def test_silence_is_filled_with_comments_before_the_first_piece(
    start_server: StartServer, start_upstream: StartUpstream
) -> None:
    tap = Tap()
    server = await start_server({**openai_at(await start_upstream(tap.script)), "server": {"keepalive_seconds": 0.1}})
    page = await (await RawStream.request(server.port, PATH, method="POST", body=body("Hi"))).head()
    while b": keep-alive\n\n: keep-alive\n\n" not in page.raw:
        assert await page.read()
    assert page.raw.startswith(b'data: {"type":"start"')
    tap("one", None)
    while await page.read():
        pass
    assert text_of(page.raw) == "one"
    page.close()


@pytest.mark.parametrize("limit", [{"requests_per_minute": 1}, {"max_streams": 1}])
async def test_limit_is_a_sentence_with_the_time_to_wait(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, limit: dict[str, int]
) -> None:
    tap = Tap()
    server = await start_server({**openai_at(await start_upstream(tap.script)), "limits": limit})
    page = await (await RawStream.request(server.port, PATH, method="POST", body=body("Hi"))).head()
    async with http.post(server.url + PATH, json=body("Hi", "d")) as response:
        assert response.status in (429, 503) and int(response.headers["Retry-After"]) >= 1
        assert response.content_type == "text/plain" and (await response.text()).endswith(".")
    async with http.get(f"{server.url}{PATH}/d/stream") as response:
        assert response.status == 204, "a chat with a refused start has nothing to resume"
    page.close()


async def test_answer_that_takes_too_long_is_an_error_chunk(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.until_closed(60)

    config = {**openai_at(await start_upstream(silent)), "timeouts": {"first_token": 0.2}, "retry": {"attempts": 1}}
    server = await start_server(config)
    async with http.post(server.url + PATH, json=body("Hi")) as response:
        assert response.status == 200
        kinds = [each["type"] for each in chunks(await response.read())]
    assert kinds == ["start", "start-step", "error"]


async def test_server_that_stops_ends_the_chat_with_an_error(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    tap = Tap()
    server = await start_server(openai_at(await start_upstream(tap.script)))
    page = await (await RawStream.request(server.port, PATH, method="POST", body=body("Hi"))).head()
    tap("one ")
    await page.events(4)
    server.terminate()
    await page.events()
    assert [each["type"] for each in chunks(page.raw)[-2:]] == ["text-end", "error"]
    page.close()
    assert await server.wait() == 0


async def test_large_image_is_refused_unless_the_limit_is_raised(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(answer("A dot."))
    part = {"type": "file", "mediaType": "image/png", "url": f"data:image/png;base64,{'A' * 5_000_000}"}
    sent = json.dumps({"id": "c", "messages": [{"role": "user", "parts": [part]}]}).encode()
    for limits, status in (({}, 413), ({"max_body_bytes": 8_000_000}, 200)):
        server = await start_server({**openai_at(upstream), "limits": limits})
        async with http.post(server.url + PATH, data=io.BytesIO(sent), headers=JSON) as response:
            assert response.status == status
            assert response.content_type == ("text/plain" if status == 413 else "text/event-stream")
            await response.read()
    assert len(upstream.exchanges) == 1


async def test_page_of_another_site_may_use_the_api_where_its_origin_is_configured(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    origin = "https://page.example"
    server = await start_server({"auth": {"cors_origins": [origin]}})
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with http.options(server.url + PATH, headers={"Origin": origin, **asks}) as response:
        assert response.status in (200, 204) and response.headers["Access-Control-Allow-Origin"] == origin
    async with http.post(server.url + PATH, json=body(), headers={"Origin": origin}) as response:
        assert response.status == 200 and response.headers["Access-Control-Allow-Origin"] == origin
    async with http.post(server.url + PATH, json=body(), headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403 and response.headers["X-Error-Code"] == "forbidden"


async def test_chat_leaves_no_word_key_or_chat_id_in_the_log(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk(MARK) + chunk(finish="stop") + DONE)

    upstream = await start_upstream(script)
    config = {**openai_at(upstream), "log": {"level": "DEBUG", "format": "json"}}
    server = await start_server(config, environ={"STREAMSERVER_KEYS": f"anna:{MARK}"})
    headers = {"Authorization": f"Bearer {MARK}"}
    whole = body(MARK, MARK, system=MARK, grace=30, **{MARK: MARK})
    async with http.post(server.url + PATH, json=whole, headers=headers) as response:
        stream_id = response.headers["X-Stream-ID"]
        assert text_of(await response.read()) == MARK
    for method, path in (("GET", f"{PATH}/{MARK}/stream"), ("POST", f"{PATH}/{MARK}/stop"), ("GET", f"{PATH}/{MARK}")):
        async with http.request(method, server.url + path, headers=headers) as response:
            assert response.status in (204, 404)
    wrong = {"id": MARK, "messages": [{"role": MARK, "parts": [{"type": MARK, MARK: MARK}]}], "model": MARK}
    async with http.post(server.url + PATH, json=wrong, headers=headers) as response:
        assert response.status == 404 and MARK not in await response.text()
    await server.record(stream_id)
    server.terminate()
    await asyncio.wait_for(server.wait(), 60)
    assert MARK not in server.log and stream_id not in server.log
