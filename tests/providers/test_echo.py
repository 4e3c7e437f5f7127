"""The provider without a network does as its options say."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import ChatRequest, Event, Finish, Message, Source, Text, Usage
from providers.echo import FAIL_CODES, Echo, EchoOptions, tokens_of
from providers.errors import InvalidRequest, ProviderError
from providers.options import Context
from providers.transport import Transport
from providers.validation import Invalid, convert


def echo(**options: Any) -> Echo:
    made = convert({"kind": "echo", "delay_ms": 0, **options}, EchoOptions)
    transport: Transport = None  # type: ignore[assignment]  # it has no network
    return Echo(made, Context("echo", transport))


def request(*messages: Message, max_tokens: int = 1000, model: str = "m") -> ChatRequest:
    return ChatRequest(messages=messages, model=model, max_tokens=max_tokens)


def user(content: Any) -> Message:
    return Message(role="user", content=content)


async def collect(provider: Echo, asked: ChatRequest) -> list[Event]:
    async with aclosing(provider.stream(asked)) as events:
        return [event async for event in events]


@given(text=st.text())
def test_tokens_of_splits_without_loss(text: str) -> None:
    assert "".join(tokens_of(text)) == text


async def test_echo_repeats_the_last_message_of_the_user() -> None:
    asked = request(user("first"), Message(role="assistant", content="no"), user("hello big world"))
    *pieces, usage, finish = await collect(echo(), asked)
    assert pieces == [Text("hello"), Text(" big"), Text(" world")]
    assert usage == Usage(5, 3)
    assert finish == Finish("stop", "m")


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ('{"a": [1, "two words"]}', {"a": [1, "two words"]}),
        ("two words", {"text": "two words"}),
        ("[1]", {"text": "[1]"}),
        ("a\ud83d", {"text": "a\ufffd"}),
    ],
)
@pytest.mark.parametrize("options", [{}, {"tokens": 1}, {"tokens": 100}])
async def test_echo_answers_with_an_object_when_it_is_asked_for_one(
    options: dict[str, int], said: str, answered: dict[str, Any]
) -> None:
    asked = msgspec.structs.replace(request(user(said)), response_format={"type": "json_object"})
    *pieces, _, finish = await collect(echo(**options), asked)
    assert json.loads("".join(piece.text for piece in pieces if isinstance(piece, Text))) == answered
    assert finish == Finish("stop", "m")


async def test_echo_reads_parts_of_text_only() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "u"}},
        {"type": "text", "text": " b"},
    ]
    *pieces, _, _ = await collect(echo(), request(user(parts)))
    assert pieces == [Text("a"), Text(" b")]


async def test_echo_refuses_a_part_of_an_unknown_type() -> None:
    messages = [user("a"), user([{"type": "text", "text": "a"}, {"type": "video", "video": {}}])]
    source = Source(protocol="chat", body={})
    with pytest.raises(InvalidRequest) as caught:
        await collect(echo(), ChatRequest(messages=messages, model="m", max_tokens=9, source=source))
    assert caught.value.detail.param == "messages[1].content[1]"


async def test_echo_finishes_with_length_at_max_tokens() -> None:
    *pieces, usage, finish = await collect(echo(), request(user("a b c"), max_tokens=2))
    assert len(pieces) == 2
    assert isinstance(usage, Usage)
    assert usage.completion_tokens == 2
    assert finish == Finish("length", "m")


async def test_echo_repeats_or_cuts_the_prompt_when_tokens_is_set() -> None:
    *pieces, _, finish = await collect(echo(tokens=5), request(user("a b")))
    assert "".join(piece.text for piece in pieces if isinstance(piece, Text)) == "a b a b a"
    assert finish == Finish("stop", "m")
    *pieces, _, _ = await collect(echo(tokens=1), request(user("a b")))
    assert pieces == [Text("a")]


async def test_echo_counts_no_token_when_the_prompt_is_empty() -> None:
    image = [{"type": "image_url", "image_url": {"url": "u"}}]
    assert await collect(echo(tokens=5), request(user(image))) == [Usage(0, 0), Finish("stop", "m")]


@pytest.mark.parametrize("code", [code for code in FAIL_CODES if code != "internal"])
async def test_echo_fails_with_its_code_after_a_number_of_tokens(code: str) -> None:
    seen: list[Event] = []
    with pytest.raises(ProviderError) as caught:
        async with aclosing(echo(fail_after=2, fail_code=code).stream(request(user("a b c")))) as events:
            async for event in events:
                seen.append(event)
    assert caught.value.code == code
    assert seen == [Text("a"), Text(" b")]


async def test_echo_fails_after_the_tokens_that_the_model_names() -> None:
    seen: list[Event] = []
    with pytest.raises(ProviderError) as caught:
        asked = request(user("a b c"), model="fail-after-2")
        async with aclosing(echo(fail_code="overloaded").stream(asked)) as events:
            async for event in events:
                seen.append(event)
    assert caught.value.code == "overloaded"
    assert seen == [Text("a"), Text(" b")]


async def test_echo_stalls_after_the_tokens_that_the_model_names() -> None:
    async with aclosing(echo(fail_after=0).stream(request(user("a b c"), model="stall-after-1"))) as events:
        assert await anext(events) == Text("a")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.05)


@pytest.mark.parametrize("model", ["fail-after", "fail-after-x", "xfail-after-1", "fail-after-123456789"])
async def test_echo_takes_any_other_model_as_a_name(model: str) -> None:
    assert (await collect(echo(), request(user("a"), model=model)))[-1] == Finish("stop", model)


async def test_echo_crashes_when_the_code_is_internal() -> None:
    with pytest.raises(RuntimeError):
        await collect(echo(fail_after=0, fail_code="internal"), request(user("a")))


async def test_echo_stalls_until_it_is_cancelled() -> None:
    seen: list[Event] = []

    async def read() -> None:
        async with aclosing(echo(hang_after=1).stream(request(user("a b")))) as events:
            async for event in events:
                seen.append(event)

    task = asyncio.create_task(read())
    for _ in range(100):
        await asyncio.sleep(0)
    assert seen == [Text("a")]
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_echo_yields_to_other_tasks_when_there_is_no_delay() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await collect(echo(tokens=100), request(user("a")))
    task.cancel()
    assert turns > 50


@pytest.mark.parametrize(
    "options",
    [
        {"delay_ms": -1},
        {"delay_ms": float("nan")},
        {"burst": 0},
        {"tokens": 1.5},
        {"fail_code": "oops"},
        {"hang_after": -1},
    ],
)
def test_echo_options_are_refused_when_they_are_wrong(options: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        echo(**options)
    assert caught.value.key == next(iter(options))
