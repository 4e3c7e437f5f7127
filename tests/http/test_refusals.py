"""What is refused before a stream exists, and how: problem+json with a code, naming the field."""

from __future__ import annotations

import asyncio
import io
import json

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.support.client import RawStream, get_events, post_events, stream_url
from tests.support.server import ServerProcess
from tests.support.sse import text_of

PATH = "/api/chat/stream"
MARK = "mArKeDwOrD"

BODIES: list[tuple[str, bytes, int, str, str | None]] = [
    ("not JSON", b'{"prompt": MARK', 400, "malformed", None),
    ("empty", b"", 400, "malformed", None),
    ("a list", b'["mArKeDwOrD"]', 400, "malformed", None),
    ("a string", b'"mArKeDwOrD"', 400, "malformed", None),
    ("not UTF-8", b'{"prompt": "mArKeDwOrD\xff"}', 400, "malformed", None),
    ("a raw NUL", b'{"prompt": "mArKeDwOrD\x00"}', 400, "malformed", None),
    ("too deep", b"[" * 100_000, 400, "malformed", None),
    ("too large", b'{"prompt": "' + b"x" * 2_000_000 + b'"}', 413, "body_too_large", None),
    ("twenty megabytes", b'{"prompt": "' + b"x" * 20_000_000 + b'"}', 413, "body_too_large", None),
    (
        "too many values",
        b'{"prompt": "a", "tools": [{"a": [' + b"{}," * 15_000 + b"{}]}]}",
        400,
        "malformed",
        None,
    ),
    ("no prompt", b"{}", 422, "invalid_request", "prompt"),
    ("an empty prompt", b'{"prompt": ""}', 422, "invalid_request", "prompt"),
    ("a prompt of the wrong type", b'{"prompt": 5}', 422, "invalid_request", "prompt"),
    ("a prompt too long", json.dumps({"prompt": MARK * 600}).encode(), 422, "invalid_request", "prompt"),
    ("an unknown field", b'{"prompt": "mArKeDwOrD", "promt": 1}', 422, "invalid_request", "promt"),
    ("a doubled field", b'{"prompt": "a", "prompt": "mArKeDwOrD"}', 422, "invalid_request", "prompt"),
    (
        "a doubled field of a message",
        b'{"messages": [{"role": "user", "content": "mArKeDwOrD", "role": "user"}]}',
        422,
        "invalid_request",
        "messages[0].role",
    ),
    ("an unknown provider", b'{"prompt": "a", "provider": "nobody"}', 422, "invalid_request", "provider"),
    (
        "a model that is not offered",
        b'{"prompt": "a", "provider": "up", "model": "x"}',
        422,
        "invalid_request",
        "model",
    ),
    ("no tokens", b'{"prompt": "a", "max_tokens": 0}', 422, "invalid_request", "max_tokens"),
    ("too many tokens", b'{"prompt": "a", "max_tokens": 4097}', 422, "invalid_request", "max_tokens"),
    ("a temperature too high", b'{"prompt": "a", "temperature": 2.1}', 422, "invalid_request", "temperature"),
    ("a grace too long", b'{"prompt": "a", "grace": 61}', 422, "invalid_request", "grace"),
    (
        "a role that is none",
        b'{"messages": [{"role": "boss", "content": "a"}]}',
        422,
        "invalid_request",
        "messages[0].role",
    ),
]

UP = {"providers": {"up": {"kind": "openai", "model": "gpt-4o-mini", "base_url": "http://127.0.0.1:9/v1"}}}


@pytest.mark.parametrize("path", [PATH, PATH + "s"])
async def test_bad_bodies_get_the_contracts_error_and_the_server_goes_on(
    start_server: StartServer, http: aiohttp.ClientSession, path: str
) -> None:
    server = await start_server({**UP, "log": {"level": "DEBUG"}})
    for name, body, status, code, field in BODIES:
        headers = {"Content-Type": "application/json"}
        async with http.post(server.url + path, data=io.BytesIO(body), headers=headers) as response:
            text = await response.text()
            assert response.status == status, (name, text)
            assert response.content_type == "application/problem+json", name
            problem = json.loads(text)
            assert (problem["code"], problem.get("field")) == (code, field), name
            assert problem["request_id"] == response.headers["X-Request-ID"]
            assert MARK not in text, f"{name} is quoted back"
    assert text_of(await get_events(http, stream_url(server.url))) == "hello big world"
    assert MARK not in server.log


QUERIES: list[tuple[str, int, str, str | None]] = [
    ("", 422, "invalid_request", "prompt"),
    ("prompt=", 422, "invalid_request", "prompt"),
    ("prompt=a&prompt=b", 422, "invalid_request", "prompt"),
    ("prompt=a&promt=b", 422, "invalid_request", "promt"),
    ("prompt=a&max_tokens=many", 422, "invalid_request", "max_tokens"),
    ("prompt=a&temperature=hot", 422, "invalid_request", "temperature"),
    ("prompt=a&grace=-1", 422, "invalid_request", "grace"),
    ("prompt=a&provider=nobody", 422, "invalid_request", "provider"),
    ("prompt=a&idempotency_key=short", 422, "invalid_request", "idempotency_key"),
    ("prompt=a&last_event_id=garbage", 400, "malformed", None),
    ("prompt=%ff", 400, "malformed", None),
]


async def test_bad_queries_get_the_contracts_error(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server()
    for query, status, code, field in QUERIES:
        stream = await (await RawStream.request(server.port, f"{PATH}?{query}")).head()
        problem = json.loads(await stream.reader.readexactly(int(stream.headers["content-length"])))
        assert (stream.status, problem["code"], problem.get("field")) == (status, code, field), query
        stream.close()


@pytest.mark.parametrize(
    ("headers", "status", "code", "field"),
    [
        ({"Last-Event-ID": "garbage"}, 400, "malformed", None),
        ({"Last-Event-ID": "a:b:c"}, 400, "malformed", None),
        ({"Expect": "something", "Last-Event-ID": "x"}, 400, "malformed", None),
        ({"Idempotency-Key": "short"}, 422, "invalid_request", "Idempotency-Key"),
        ({"X-Stream-Grace": "soon"}, 422, "invalid_request", "X-Stream-Grace"),
        ({"X-Stream-Grace": "61"}, 422, "invalid_request", "X-Stream-Grace"),
        ({"X-Stream-Grace": "-1"}, 422, "invalid_request", "X-Stream-Grace"),
        ({"X-Stream-Grace": "١"}, 422, "invalid_request", "X-Stream-Grace"),
        ({"Sec-Purpose": "prefetch"}, 403, "forbidden", None),
        ({"Sec-Purpose": "prefetch;prerender"}, 403, "forbidden", None),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "forbidden", None),
        ({"Sec-Fetch-Site": "same-site", "Origin": "null"}, 403, "forbidden", None),
        # Over plain HTTP to another machine browsers do not say the site.
        ({"Origin": "http://evil.example"}, 403, "forbidden", None),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403, "forbidden", None),
        ({"Origin": "null"}, 403, "forbidden", None),
        ({"Origin": ""}, 403, "forbidden", None),
    ],
)
async def test_bad_headers_get_the_contracts_error(
    start_server: StartServer,
    http: aiohttp.ClientSession,
    headers: dict[str, str],
    status: int,
    code: str,
    field: str | None,
) -> None:
    server = await start_server()
    async with http.get(stream_url(server.url), headers=headers) as response:
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["code"], problem.get("field")) == (status, code, field)


@pytest.mark.parametrize(
    ("path", "allowed"), [(PATH, "GET, POST"), (PATH + "s", "POST"), (PATH + "s/abc", "DELETE, GET")]
)
@pytest.mark.parametrize("method", ["HEAD", "PUT", "OPTIONS", "PATCH"])
async def test_other_methods_are_refused_with_what_is_allowed(
    start_server: StartServer, http: aiohttp.ClientSession, path: str, allowed: str, method: str
) -> None:
    server = await start_server()
    async with http.request(method, server.url + path) as response:
        assert response.status == 405
        assert response.headers["Allow"] == allowed


async def test_a_foreign_host_is_refused_on_loopback(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server({"server": {"allowed_hosts": ["My.Name"]}})
    for host, status in (
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.", 403),
        ("LocalHost:8080", 200),
        ("127.0.0.2:80", 200),
        ("[::1]:80", 200),
        ("my.name:80", 200),
        ("MY.name", 200),
    ):
        async with http.get(stream_url(server.url), headers={"Host": host}) as response:
            assert response.status == status, host
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert b" 200 " in await reader.readline(), "a client without a Host is no browser"
    writer.close()


async def test_a_page_of_the_servers_own_is_let_in_where_browsers_do_not_say_the_site(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(
        {"server": {"allowed_hosts": ["my.name"]}, "auth": {"cors_origins": ["https://app.example"]}}
    )
    for host, origin in (
        ("my.name:8080", "http://my.name:8080"),
        ("my.name", "http://my.name:8080"),  # as nginx's $host has it
        ("MY.name", "https://my.NAME"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("my.name", "https://app.example"),
    ):
        async with http.get(stream_url(server.url), headers={"Host": host, "Origin": origin}) as response:
            assert response.status == 200, (host, origin)


async def test_loopback_is_loopback_on_a_socket_for_both_protocols(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    """A server that listens on ``[::]`` sees 127.0.0.1 as ``::ffff:127.0.0.1``."""
    server = await start_server({"auth": {"allow_anonymous": True}}, arguments=("--host", "::"))
    for host, status in (("evil.example", 403), ("localhost", 200)):
        async with http.get(f"http://127.0.0.1:{server.port}/healthz", headers={"Host": host}) as response:
            assert response.status == status, host


async def test_an_unsupported_media_type_is_refused(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server()
    async with http.post(server.url + PATH, data={"prompt": "a form"}) as response:
        assert response.status == 415
        assert (await response.json(content_type=None))["code"] == "unsupported_media_type"


async def test_urls_up_to_64_kib_are_taken_and_longer_ones_get_a_bare_400(start_server: StartServer) -> None:
    server: ServerProcess = await start_server({"limits": {"max_prompt_chars": 100_000}})
    prompt = "x" * 65_000
    stream = await (await RawStream.request(server.port, f"{PATH}?prompt={prompt}")).head()
    assert stream.status == 200
    assert text_of(await stream.events()) == prompt
    stream.close()
    for target, headers in (
        (f"{PATH}?prompt={MARK}{prompt}{prompt[:600]}", {}),
        ("/", {"X-Junk": MARK + "y" * 70_000}),
    ):
        stream = await (await RawStream.request(server.port, target, headers=headers)).head()
        assert stream.status == 400
        assert stream.headers["content-length"] == "0"
        stream.close()
    stream = await (await RawStream.request(server.port, "/healthz", headers={"X-Long": "y" * 60_000})).head()
    assert stream.status == 200
    stream.close()
    assert MARK not in server.log


async def test_a_body_that_does_not_come_gets_a_408(start_server: StartServer) -> None:
    server = await start_server({"timeouts": {"body": 0.1}})
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n{{".encode())
    assert b" 408 " in await reader.readline()
    writer.close()


async def test_a_body_in_another_coding_than_it_says_is_malformed(start_server: StartServer) -> None:
    server = await start_server()
    for coding in ("gzip", "deflate"):
        headers = {"Content-Encoding": coding}
        stream = await RawStream.request(
            server.port, PATH, method="POST", body=b"no gzip " + MARK.encode(), headers=headers
        )
        assert (await stream.head()).status == 400, coding
        stream.close()
    assert MARK not in server.log
    assert not server.records("crash")


async def test_a_body_that_breaks_off_is_malformed(start_server: StartServer) -> None:
    server = await start_server()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    # In one piece: of a body that breaks off while it is read aiohttp says nothing, and its deadline ends it.
    writer.write(f"{head}2\r\n{{}}\r\nzz\r\n".encode())
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    assert MARK not in server.log
    assert not server.records("crash")


async def test_only_a_body_is_waited_for_that_waits_to_be_asked_for(start_server: StartServer) -> None:
    server = await start_server()
    body = {"prompt": "hello"}
    stream = await RawStream.request(server.port, PATH, method="POST", body=body, headers={"Expect": f"{MARK}"})
    assert (await stream.head()).status == 200
    stream.close()
    stream = await RawStream.request(server.port, PATH, method="POST", body=body, headers={"Expect": "100-continue"})
    assert (await stream.head()).status == 100
    assert (await stream.head()).status == 200
    assert text_of(await stream.events()) == "hello"
    stream.close()
    assert MARK not in server.log


async def test_lone_surrogates_and_nul_pass_as_text(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server()
    async with http.post(
        server.url + PATH, data=b'{"prompt": "a\\ud800b \\u0000 c"}', headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status == 200
        assert b"data: a\xef\xbf\xbdb\n" in await response.read()


async def test_max_tokens_is_imposed_when_the_request_has_none(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"max_tokens": 5}})
    events = await post_events(http, server.url, {"prompt": "one two three four five six"})
    assert text_of(events) == "one two three four five"
    assert events[-1].json()["finish_reason"] == "length"


async def test_an_internal_failure_is_a_problem_before_the_stream_and_an_event_in_it(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(
        {"providers": {"echo": {"kind": "echo", "fail_after": 2, "fail_code": "internal"}}}, crashes=True
    )
    events = await get_events(http, stream_url(server.url), headers={"X-Request-ID": "find-me"})
    assert [event.type for event in events] == ["start", "message", "message", "error"]
    error = events[-1].json()
    assert (error["code"], error["retryable"], error["request_id"]) == ("internal", False, "find-me")
    await server.record()  # written after the crash
    (crash,) = server.records("crash")
    assert crash["request_id"] == "find-me"
    assert "echo.py" in crash["traceback"]
    assert "told to crash" not in server.log, "an exception's message may quote anything"
