"""Chat completions through the front door, with the real OpenAI SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator

import openai
import pytest

from tests.conftest import StartServer

MESSAGES = [{"role": "user", "content": "hello big world"}]


@pytest.fixture
async def client(start_server: StartServer) -> AsyncIterator[openai.AsyncOpenAI]:
    server = await start_server({"provider": {"default": "echo"}})
    async with openai.AsyncOpenAI(api_key="unused", base_url=f"{server.url}/v1", max_retries=0) as made:
        yield made


async def test_stream_gives_the_text_and_the_usage_that_was_asked_for(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="echo", messages=MESSAGES, stream=True, stream_options={"include_usage": True}  # type: ignore[call-overload]
    )  # fmt: skip
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "hello big world"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].delta.role is None for chunk in chunks[1:-1])
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 6
    assert len({chunk.id for chunk in chunks}) == 1 and chunks[0].id.startswith("chatcmpl-")


async def test_answer_is_whole_when_no_stream_is_asked_for(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="echo", messages=MESSAGES)  # type: ignore[arg-type]
    assert completion.choices[0].message.content == "hello big world"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None and completion.usage.completion_tokens == 3
    assert completion._request_id


async def test_error_names_its_field_when_the_request_is_wrong(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="echo", messages=[])
    assert caught.value.param == "messages" and caught.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="echo", messages=MESSAGES, max_tokens=10**6)  # type: ignore[arg-type]
    assert caught.value.param == "max_tokens"


async def test_models_are_listed_by_provider_and_by_full_name(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names == ["echo", "echo/echo"]
    assert (await client.models.retrieve("echo/echo")).id == "echo/echo"
