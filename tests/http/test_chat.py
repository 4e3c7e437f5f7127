"""What a request may say, and which field a refusal names."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from providers.base import ChatRequest, Message
from providers.catalog import Catalog
from providers.clock import LoopClock
from providers.jsontext import MAX_DEPTH
from providers.registry import load_registry
from providers.transport import Transport
from streamserver.app import catalog_for
from streamserver.config import Settings
from streamserver.config.settings import LimitSettings
from streamserver.core.refusals import Refusal
from streamserver.core.task import ChatTask
from streamserver.http.apis.native.fields import (
    QUERY_FIELDS,
    ChatFields,
    fields_of_body,
    fields_of_query,
    read_task,
)
from streamserver.http.grace import grace_of
from streamserver.http.permissions import permissions_of
from streamserver.http.query import read_query
from streamserver.http.request_body import read_object
from streamserver.wire.problem import render

TRANSPORT: Transport = None  # type: ignore[assignment]  # nothing is sent here
SETTINGS = Settings(
    limits=LimitSettings(max_prompt_chars=100, max_conversation_chars=100, max_tokens=50),
    providers={
        "openai": {"kind": "openai", "model": "gpt", "models": ["gpt-big"]},
        "echo": {"kind": "echo"},
    },
)


@pytest.fixture
def catalog() -> Catalog:
    return catalog_for(SETTINGS, load_registry([]), TRANSPORT, LoopClock(), {})


WIDE = Settings(
    limits=LimitSettings(max_prompt_chars=10_000, max_conversation_chars=10_000), providers=SETTINGS.providers
)


def task_of(fields: ChatFields, settings: Settings, catalog: Catalog) -> ChatTask:
    grace_seconds = grace_of(fields.grace, settings, has_key=False)
    return read_task(fields, settings, catalog, permissions_of("", settings), grace_seconds=grace_seconds)


def status_of(refusal: Refusal) -> int:
    answer = render(refusal, "r")
    assert answer.body, "it can be sent"
    return answer.status


async def ask_by_body(
    catalog: Catalog, body: bytes, content_type: str | None = "application/json", settings: Settings = SETTINGS
) -> ChatTask:
    payload = StreamReader(BaseProtocol(loop=None), limit=2**24)  # type: ignore[arg-type]
    payload.feed_data(body)
    payload.feed_eof()
    headers = {} if content_type is None else {"Content-Type": content_type}
    request = make_mocked_request("POST", "/api/chat/stream", headers=headers, payload=payload)
    fields = fields_of_body(await read_object(request, settings.limits.max_body_bytes))
    return task_of(fields, settings, catalog)


async def ask(catalog: Catalog, **body: Any) -> ChatRequest:
    return (await ask_by_body(catalog, json.dumps(body).encode())).request


async def refusal(catalog: Catalog, body: bytes, **options: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await ask_by_body(catalog, body, **options)
    return caught.value


def ask_by_query(catalog: Catalog, query: str) -> ChatTask:
    request = make_mocked_request("GET", f"/api/chat/stream?{query}")
    return task_of(fields_of_query(read_query(request, QUERY_FIELDS)), SETTINGS, catalog)


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content, **more}]}


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


LONG = "x" * 101
WRONG: list[tuple[Any, str]] = [
    ({}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": "", "system": "s"}, "prompt"),
    ({"prompt": "", "tools": [function("f")]}, "prompt"),
    ({"prompt": 1}, "prompt"),
    ({"prompt": ["a"]}, "prompt"),
    ({"prompt": LONG}, "prompt"),
    ({"prompt": "x" * 60, "system": "x" * 60}, "prompt"),
    ({"prompt": "x", "messages": [{"role": "user", "content": "x"}]}, "prompt"),
    ({"prompt": "x", "tools": [function("f", description=LONG)]}, "prompt"),
    ({"prompt": "x", "tools": [function("f", parameters={"properties": {LONG: {}}})]}, "prompt"),
    ({"prompt": "x", "tools": [function("f", parameters={"properties": {"file": {"description": LONG}}})]}, "prompt"),
    ({"prompt": "x", "tools": [{"type": LONG}]}, "prompt"),
    ({"prompt": "x", "tool_choice": function(LONG)}, "prompt"),
    ({"prompt": "x", "tools": [function("f", parameters={"default": [10**50, 10**50]})]}, "prompt"),
    ({"prompt": "x", "tools": [function("f", parameters={"enum": [True] * 30})]}, "prompt"),
    ({"prompt": "x", "tools": [function("f", parameters={"anyOf": [{"type": "string"}] * 60})]}, "prompt"),
    ({"prompt": "x", "tools": [function("f", parameters={"enum": [[]] * 101})]}, "prompt"),
    ({"messages": []}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    (user(""), "messages"),
    (user(None), "messages"),
    (user([]), "messages"),
    ({**user(""), "system": "s"}, "messages"),
    ({**user(""), "tools": [function("f")]}, "messages"),
    (user(LONG), "messages[0].content"),
    (user("x", name=LONG), "messages[0].content"),
    ({"messages": [{"role": "tool", "content": "x", "tool_call_id": LONG}]}, "messages"),
    (user([{"type": "text", "text": "x", "more": {"type": ["string"] * 30}}]), "messages[0].content"),
    (user([{"type": "text", "text": "x" * 60}, {"type": "text", "text": "x" * 60}]), "messages[0].content"),
    ({"messages": [{"role": "user", "content": "x" * 60}, {"role": "assistant", "content": "x" * 60}]}, "messages"),
    (
        {"messages": [*user("x")["messages"], {"role": "assistant", "tool_calls": [function("f", arguments=LONG)]}]},
        "messages",
    ),
    ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [*user("x")["messages"], {"role": 1, "content": "x"}]}, "messages[1].role"),
    ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "contents": "x"}]}, "messages"),
    (user(["x"]), "messages[0].content[0]"),
    (user([{"text": "x"}]), "messages[0].content[0].type"),
    (user([{"type": 1}]), "messages[0].content[0].type"),
    (user([{"type": "text", "text": "x"}, {"type": "text"}]), "messages[0].content[1].text"),
    (user([{"type": "text", "text": None}]), "messages[0].content[0].text"),
    ({"messages": [{"role": "assistant", "tool_calls": "f"}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "tool", "content": "x", "tool_call_id": 1}]}, "messages[0].tool_call_id"),
    ({"prompt": "x", "system": 1}, "system"),
    ({"prompt": "x", "provider": "nobody"}, "provider"),
    ({"prompt": "x", "provider": ""}, "provider"),
    ({"prompt": "x", "provider": 1}, "provider"),
    ({"prompt": "x", "model": "gpt-5"}, "model"),
    ({"prompt": "x", "model": ""}, "model"),
    ({"prompt": "x", "model": "x" * 257, "provider": "echo"}, "model"),
    ({"prompt": "x", "model": 4}, "model"),
    ({"prompt": "x", "max_tokens": 0}, "max_tokens"),
    ({"prompt": "x", "max_tokens": -1}, "max_tokens"),
    ({"prompt": "x", "max_tokens": 51}, "max_tokens"),
    ({"prompt": "x", "max_tokens": 2**63}, "max_tokens"),
    ({"prompt": "x", "max_tokens": 10**300}, "max_tokens"),
    ({"prompt": "x", "max_tokens": True}, "max_tokens"),
    ({"prompt": "x", "max_tokens": "5"}, "max_tokens"),
    ({"prompt": "x", "max_tokens": 5.5}, "max_tokens"),
    ({"prompt": "x", "max_tokens": 5.0}, "max_tokens"),
    ({"prompt": "x", "temperature": -0.1}, "temperature"),
    ({"prompt": "x", "temperature": 2.1}, "temperature"),
    ({"prompt": "x", "temperature": True}, "temperature"),
    ({"prompt": "x", "temperature": "1"}, "temperature"),
    ({"prompt": "x", "grace": -1}, "grace"),
    ({"prompt": "x", "grace": 61}, "grace"),
    ({"prompt": "x", "grace": False}, "grace"),
    ({"prompt": "x", "tools": {}}, "tools"),
    ({"prompt": "x", "tools": ["f"]}, "tools[0]"),
    ({"prompt": "x", "tool_choice": 1}, "tool_choice"),
    ({"prompt": "x", "stream": True}, "stream"),
    ({"prompt": "x", "max_token": 1}, "max_token"),
    ({"prompt": "x", "": 1}, ""),
    ({"prompt": "x", "\ud800\n": 1}, "'\\ufffd\\n'"),
    ({"prompt": "x", "y" * 1000: 1}, "'" + "y" * 100 + "'"),
]


@pytest.mark.parametrize(("body", "field"), WRONG, ids=lambda value: str(value)[:60])
async def test_a_422_names_the_wrong_field(catalog: Catalog, body: Any, field: str) -> None:
    problem = await refusal(catalog, json.dumps(body).encode())
    assert (status_of(problem), problem.code, problem.field) == (422, "invalid_request", field)
    assert problem.detail.endswith((".", "?"))
    assert LONG not in problem.detail


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"prompt": "a", "prompt": "a"}', "prompt"),
        (b'{"prompt": "a", "\\u0070rompt": "b"}', "prompt"),
        (b'{"messages": [{"role": "user", "role": "user", "content": "a"}]}', "messages[0].role"),
        (b'{"prompt": "a", "temperature": 1e400}', "temperature"),
        (b'{"prompt": "a", "temperature": -1e400}', "temperature"),
        (b'{"prompt": "a", "grace": 1e400}', "grace"),
        (b'{"prompt": "a", "max_tokens": 1e400}', "max_tokens"),
    ],
)
async def test_what_only_raw_json_can_say_names_its_field_too(catalog: Catalog, body: bytes, field: str) -> None:
    problem = await refusal(catalog, body)
    assert (status_of(problem), problem.field) == (422, field)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" \r\n\t", b"{", b"null", b"[]", b'"prompt"', b"1", b'{"prompt": "a"} {}', b"{'prompt': 'a'}"),
        *(b'{"prompt": "\xff"}', b'{"prompt": "\xed\xa0\x80"}', b'\xef\xbb\xbf{"prompt": "a"}', b'{"prompt": "a\n"}'),
        *(b'{"prompt": "a", "temperature": NaN}', b'{"prompt": "a", "grace": Infinity}', b'{"a": -Infinity}'),
        *(b'{"prompt": "a", "max_tokens": 01}', b'{"prompt": "a",}', '{"prompt": "a"}'.encode("utf-16")),
        b'{"prompt": "a", "max_tokens": ' + b"1" * 5000 + b"}",
        b'{"prompt": "a", "tools": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
async def test_what_is_no_json_object_is_malformed(catalog: Catalog, body: bytes) -> None:
    problem = await refusal(catalog, body)
    assert (status_of(problem), problem.code) == (400, "malformed")


@pytest.mark.parametrize("depth", [*range(190, 206), *range(900, 1000, 20), 5000])
async def test_no_depth_is_anything_but_answered_or_refused(catalog: Catalog, depth: int) -> None:
    body = b'{"prompt": "a", "provider": "echo", "tools": [' + b'{"items":' * depth + b"1" + b"}" * depth + b"]}"
    try:
        asked = await ask_by_body(catalog, body, settings=WIDE)
    except Refusal as problem:
        assert problem.code in ("malformed", "invalid_request")
        assert depth > MAX_DEPTH - 10
    else:
        assert json.dumps(asked.request.tools)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json5", "json"]
)
async def test_a_body_of_another_type_is_refused(catalog: Catalog, content_type: str) -> None:
    problem = await refusal(catalog, b'{"prompt": "a"}', content_type=content_type)
    assert (status_of(problem), problem.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", [None, "application/json", "Application/JSON; charset=utf-8"])
async def test_json_is_taken_by_its_type_or_without_one(catalog: Catalog, content_type: str | None) -> None:
    asked = await ask_by_body(catalog, b'{"prompt": "a"}', content_type=content_type)
    assert asked.request.messages == [Message(role="user", content="a")]


async def test_what_is_asked_for_is_what_is_asked(catalog: Catalog) -> None:
    tools = [function("f", parameters={"type": "object"})]
    body = {"prompt": "p", "system": "s", "provider": "openai", "model": "gpt-big", "max_tokens": 7, "temperature": 2}
    body.update({"tools": tools, "tool_choice": "auto", "grace": 60})
    asked = await ask_by_body(catalog, json.dumps(body).encode())
    request = asked.request
    assert request.messages == [Message(role="system", content="s"), Message(role="user", content="p")]
    assert (request.model, request.max_tokens, request.temperature) == ("gpt-big", 7, 2)
    assert (request.tools, request.tool_choice) == (tools, "auto")
    assert (asked.entry.name, asked.grace_seconds) == ("openai", 60)


async def test_what_is_not_asked_for_is_the_default(catalog: Catalog) -> None:
    asked = await ask_by_body(catalog, b'{"prompt": "p"}')
    assert asked.entry is catalog.default
    assert (asked.request.model, asked.request.max_tokens, asked.request.temperature) == ("gpt", 50, None)
    assert (asked.request.tools, asked.grace_seconds) == (None, SETTINGS.resume.grace_seconds)


async def test_null_counts_as_an_absent_field(catalog: Catalog) -> None:
    nothing = dict.fromkeys(("messages", "system", "provider", "model", "max_tokens", "temperature", "tools", "grace"))
    assert await ask(catalog, prompt="p", **nothing) == await ask(catalog, prompt="p")


async def test_a_whole_conversation_is_taken_as_it_is(catalog: Catalog) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "name": "anna",
            "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "u"}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", **function("f", arguments="{}")}]},
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    ]
    taken = (await ask(catalog, messages=messages)).messages
    assert [message.role for message in taken] == ["system", "user", "assistant", "tool"]
    assert taken[1].content == messages[1]["content"]
    assert taken[2].tool_calls == messages[2]["tool_calls"]


async def test_a_turn_as_an_sdk_dumped_it_is_taken(catalog: Catalog) -> None:
    nothing: dict[str, Any] = {
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }
    turn = {"role": "assistant", "content": "x", "reasoning_content": "hm", **nothing}
    taken = (await ask(catalog, messages=[turn, *user("x")["messages"]])).messages[0]
    assert (taken.content, taken.extra, taken.tool_calls) == ("x", {"reasoning_content": "hm"}, None)


async def test_exactly_the_limit_is_no_character_too_many(catalog: Catalog) -> None:
    await ask(catalog, prompt="😀" * 100)
    await ask(catalog, prompt="x" * 60, system="x" * 40)
    parts = [{"type": "text", "text": "x" * 50}, {"type": "text", "text": "x" * 50}]
    await ask(catalog, **user(parts))
    assert (await refusal(catalog, json.dumps({"prompt": "😀" * 101}).encode())).field == "prompt"


async def test_an_image_is_no_text(catalog: Catalog) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
    assert await ask(catalog, **user([image]))
    assert await ask(catalog, **user([image, {"type": "text", "text": "x" * 100}]))
    problem = await refusal(catalog, json.dumps(user([image, {"type": "text", "text": LONG}])).encode())
    assert problem.field == "messages[0].content"


async def test_every_unicode_text_is_taken(catalog: Catalog) -> None:
    prompt = "\0 \u2028\ufeff\x85😀\uffff"
    assert (await ask(catalog, prompt=prompt)).messages[0].content == prompt
    assert (await ask(catalog, prompt="a\ud800b\udfff")).messages[0].content == "a\ufffdb\ufffd"
    assert (await ask(catalog, prompt=" ")).messages[0].content == " "


async def test_a_temperature_may_be_a_whole_number(catalog: Catalog) -> None:
    assert (await ask(catalog, prompt="p", temperature=1)).temperature == 1


# GET


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "prompt"),
        ("prompt=", "prompt"),
        ("prompt=a&prompt=a", "prompt"),
        ("prompt=a&%70rompt=b", "prompt"),
        ("prompt=a&promt=b", "promt"),
        ("prompt=a&messages=[]", "messages"),
        ("prompt=a&=b", ""),
        ("prompt=a&%0a%E2%80%A8=b", "'\\n\\u2028'"),
        ("prompt=a&provider=nobody", "provider"),
        ("prompt=a&model=gpt-5", "model"),
        ("prompt=a&model=", "model"),
        (f"prompt={'x' * 101}", "prompt"),
        ("prompt=a&max_tokens=0", "max_tokens"),
        ("prompt=a&max_tokens=51", "max_tokens"),
        ("prompt=a&temperature=2.1", "temperature"),
        ("prompt=a&grace=61", "grace"),
        ("prompt=a&grace=-1", "grace"),
        ("prompt=a&max_tokens=5.5", "max_tokens"),
        ("prompt=a&max_tokens=" + "1" * 5000, "max_tokens"),
    ],
)
def test_a_wrong_query_names_its_parameter(catalog: Catalog, query: str, field: str) -> None:
    with pytest.raises(Refusal) as caught:
        ask_by_query(catalog, query)
    assert (status_of(caught.value), caught.value.field) == (422, field)


@pytest.mark.parametrize("name", ["max_tokens", "temperature", "grace"])
@pytest.mark.parametrize(
    "text",
    [
        "1_000",
        "１２",
        "1e3",
        " 5",
        "5 ",
        "%2B5",
        "+5",
        "NaN",
        "inf",
        "Infinity",
        "",
        "0x5",
        "5.",
        ".5",
        "--5",
        "٣",
        "1,5",
        "5%0A",
    ],
)
def test_a_number_in_an_odd_form_is_no_number(catalog: Catalog, name: str, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        ask_by_query(catalog, f"prompt=a&{name}={text if '%' in text else quote(text, safe='+')}")
    assert (status_of(caught.value), caught.value.field) == (422, name)


def test_a_query_asks_as_a_body_does(catalog: Catalog) -> None:
    asked = ask_by_query(
        catalog, "prompt=a+b%2Bc%0A%00&system=s&provider=echo&model=any&max_tokens=7&temperature=0.5&grace=1.5"
    )
    assert asked.request.messages == [Message(role="system", content="s"), Message(role="user", content="a b+c\n\0")]
    assert (asked.request.model, asked.request.max_tokens, asked.request.temperature) == ("any", 7, 0.5)
    assert (asked.entry.name, asked.grace_seconds) == ("echo", 1.5)


def test_zero_is_a_number(catalog: Catalog) -> None:
    asked = ask_by_query(catalog, "prompt=a&temperature=0&grace=0")
    assert (asked.request.temperature, asked.grace_seconds) == (0, 0)


@pytest.mark.parametrize("query", ["prompt=%FF", "prompt=%ED%A0%80", "prompt=%C3", "%FF=a", "&".join(["a=b"] * 65)])
def test_a_query_that_is_no_utf8_or_endless_is_malformed(catalog: Catalog, query: str) -> None:
    with pytest.raises(Refusal) as caught:
        ask_by_query(catalog, query)
    assert (status_of(caught.value), caught.value.code) == (400, "malformed")


async def test_a_near_miss_of_a_field_is_asked_for_with_one_mark(catalog: Catalog) -> None:
    problem = await refusal(catalog, b'{"promt": "a"}')
    assert problem.detail == "There is no such key; did you mean 'prompt'?"
