"""The provider without a network does as its options say."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import ChatRequest, Event, Finish, Message, Text, Usage
from providers.echo import FAIL_CODES, Echo, EchoOptions, tokens_of
from providers.errors import ProviderError
from providers.options import Context
from providers.transport import Transport
from providers.validation import Invalid, convert


def echo(**options: Any) -> Echo:
    made = convert({"kind": "echo", "delay_ms": 0, **options}, EchoOptions)
    transport: Transport = None  # type: ignore[assignment]  # it has no network
    return Echo(made, Context("echo", transport))


def request(*messages: Message, max_tokens: int = 1000) -> ChatRequest:
    return ChatRequest(messages=messages, model="m", max_tokens=max_tokens)


def user(content: Any) -> Message:
    return Message(role="user", content=content)


async def collect(provider: Echo, asked: ChatRequest) -> list[Event]:
    async with aclosing(provider.stream(asked)) as events:
        return [event async for event in events]


@given(text=st.text())
@settings(deadline=None)
def test_the_pieces_are_the_text(text: str) -> None:
    assert "".join(tokens_of(text)) == text


async def test_it_says_what_the_user_said_last() -> None:
    asked = request(user("first"), Message(role="assistant", content="no"), user("hello big world"))
    *pieces, usage, finish = await collect(echo(), asked)
    assert pieces == [Text("hello"), Text(" big"), Text(" world")]
    assert usage == Usage(5, 3)
    assert finish == Finish("stop", "m")


async def test_parts_of_text_are_read_and_others_are_not() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "u"}},
        {"type": "text", "text": " b"},
    ]
    *pieces, _, _ = await collect(echo(), request(user(parts)))
    assert pieces == [Text("a"), Text(" b")]


async def test_it_stops_at_max_tokens_and_says_so() -> None:
    *pieces, usage, finish = await collect(echo(), request(user("a b c"), max_tokens=2))
    assert len(pieces) == 2
    assert isinstance(usage, Usage)
    assert usage.completion_tokens == 2
    assert finish == Finish("length", "m")


async def test_tokens_repeats_or_cuts_the_prompt() -> None:
    *pieces, _, finish = await collect(echo(tokens=5), request(user("a b")))
    assert "".join(piece.text for piece in pieces if isinstance(piece, Text)) == "a b a b a"
    assert finish == Finish("stop", "m")
    *pieces, _, _ = await collect(echo(tokens=1), request(user("a b")))
    assert pieces == [Text("a")]


async def test_without_words_it_counts_none() -> None:
    image = [{"type": "image_url", "image_url": {"url": "u"}}]
    assert await collect(echo(tokens=5), request(user(image))) == [Usage(0, 0), Finish("stop", "m")]


@pytest.mark.parametrize("code", [code for code in FAIL_CODES if code != "internal"])
async def test_it_fails_after_so_many_tokens_as_it_is_told(code: str) -> None:
    seen: list[Event] = []
    with pytest.raises(ProviderError) as caught:
        async with aclosing(echo(fail_after=2, fail_code=code).stream(request(user("a b c")))) as events:
            async for event in events:
                seen.append(event)
    assert caught.value.code == code
    assert seen == [Text("a"), Text(" b")]


async def test_it_crashes_as_it_is_told() -> None:
    with pytest.raises(RuntimeError):
        await collect(echo(fail_after=0, fail_code="internal"), request(user("a")))


async def test_it_hangs_until_it_is_cancelled() -> None:
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


async def test_a_stream_without_delay_lets_others_run() -> None:
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
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        echo(**options)
    assert caught.value.key == next(iter(options))
