"""Chat completions through the front door, with OpenAI's SDK: answers of providers of each protocol, in two rounds."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from providers import opaque
from tests.chat.conftest import ClientOf
from tests.conftest import StartUpstream
from tests.messages.upstreams import SCRIPTS, TABLES, provider_at
from tests.support.upstream import Upstream

HELLO: list[Any] = [{"role": "user", "content": "hello big world"}]
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("weather", "clock")
]


async def ask(client: openai.AsyncOpenAI, messages: list[Any], *, streamed: bool, **fields: Any) -> Any:
    """Return the completion, put together by the SDK's own helper if it is ``streamed``."""
    asked: dict[str, Any] = {"model": "up", "messages": messages, **fields}
    if not streamed:
        return await client.chat.completions.create(**asked)
    async with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        return await stream.get_final_completion()


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("protocol", TABLES)
async def test_tools_are_called_in_two_rounds(
    client_of: ClientOf, start_upstream: StartUpstream, protocol: str, streamed: bool
) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS[protocol])
    client = await client_of(provider_at(protocol, upstream.url))
    completion = await ask(client, HELLO, streamed=streamed, tools=TOOLS, tool_choice="auto")
    only = completion.choices[0]
    message = only.message
    assert (message.content, message.reasoning_content, only.finish_reason) == ("Let me look.", "Hm.", "tool_calls")
    assert [(call.id, call.type, call.function.name, call.function.arguments) for call in message.tool_calls] == [
        ("call_w", "function", "weather", '{"city":"Oslo"}'),
        ("call_c", "function", "clock", '{"city":"Oslo"}'),
    ]
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens) == (20, 9, 5)
    turn = message.model_dump(exclude={"parsed"})
    if protocol != "chat":
        assert opaque.unseal(turn["reasoning_details"][0]["data"]).protocol == protocol  # type: ignore[union-attr]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls]
    await ask(client, [*HELLO, turn, *results], streamed=streamed, tools=TOOLS)
    _check_second_round(protocol, upstream.exchanges[1].json())


def _check_second_round(protocol: str, body: dict[str, Any]) -> None:
    match protocol:
        case "chat":
            _, assistant, *results = body["messages"]
            assert (assistant["content"], assistant["reasoning_content"]) == ("Let me look.", "Hm.")
            assert [call["id"] for call in assistant["tool_calls"]] == ["call_w", "call_c"]
            assert [result["tool_call_id"] for result in results] == ["call_w", "call_c"]
        case "messages":
            thinking, text, *calls = body["messages"][1]["content"]
            assert thinking == {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
            assert (text["text"], [call["id"] for call in calls]) == ("Let me look.", ["call_w", "call_c"])
            assert [part["type"] for part in body["messages"][2]["content"]] == ["tool_result"] * 2
        case "responses":
            reasoning = next(item for item in body["input"] if item.get("type") == "reasoning")
            assert reasoning["encrypted_content"] == "gAAA", "unsealed, for the model that made it"
            kinds = [item.get("type") for item in body["input"]][-4:]
            assert kinds == ["function_call"] * 2 + ["function_call_output"] * 2


async def test_body_reaches_an_openai_provider_as_it_came(client_of: ClientOf, start_upstream: StartUpstream) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS["chat"])
    client = await client_of(provider_at("chat", upstream.url))
    body = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "odd", "odd": None}]},
            {"role": "system", "content": "in the middle"},
            {"role": "tool", "tool_call_id": "none", "content": "a result without a call"},
            {"role": "function", "name": "f", "content": "a result of old"},
            {"role": "assistant", "content": None, "tool_calls": [], "audio": {"id": "a"}, "annotations": []},
        ],
        "n": 2, "logprobs": True, "seed": 5, "metadata": {"a": "b"}, "verbosity": "low", "temperature": 0,
        "tools": [], "web_search_options": {}, "of_next_year": {"a": [None]}, "stop": None,
    }  # fmt: skip
    await client.post("/chat/completions", body={**body, "model": "up", "max_tokens": 7}, cast_to=object)
    sent = upstream.exchanges[0].json()
    ours = {"model": "gpt", "max_tokens": 7, "stream": True, "stream_options": {"include_usage": True}}
    assert sent == {**body, **ours}


async def test_null_in_every_optional_field_asks_for_nothing(
    client_of: ClientOf, start_upstream: StartUpstream
) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS["responses"])
    client = await client_of(provider_at("responses", upstream.url))
    names = (
        "stream", "stream_options", "temperature", "top_p", "stop", "tools", "tool_choice", "parallel_tool_calls",
        "response_format", "reasoning_effort", "user", "n", "presence_penalty", "frequency_penalty", "logprobs",
        "top_logprobs", "logit_bias", "max_completion_tokens", "max_tokens", "metadata", "store", "seed",
        "service_tier", "prediction", "modalities", "audio", "web_search_options", "functions", "function_call",
    )  # fmt: skip
    body: dict[str, Any] = {"model": "up", "messages": HELLO} | dict.fromkeys(names)
    answer: Any = await client.post("/chat/completions", body=body, cast_to=object)
    assert answer["choices"][0]["message"]["content"] == "Let me look."
    sent = upstream.exchanges[0].json()
    assert not sent.keys() & (set(names) - {"stream", "store"})


async def test_values_that_ask_for_nothing_are_taken_by_every_provider(
    client_of: ClientOf, start_upstream: StartUpstream
) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS["messages"])
    client = await client_of(provider_at("messages", upstream.url))
    neutral: dict[str, Any] = {"n": 1, "logprobs": False, "logit_bias": {}, "modalities": ["text"], "tools": []}
    await client.post("/chat/completions", body={"model": "up", "messages": HELLO, **neutral}, cast_to=object)
    assert not upstream.exchanges[0].json().keys() & neutral.keys()


async def test_name_of_a_model_may_hold_a_slash_and_a_percent_sign(client_of: ClientOf) -> None:
    echo = {"kind": "echo", "models": ["a/b", "c%2Fd"]}
    client = await client_of({"providers": {"echo": echo}})
    names = [model.id async for model in client.models.list()]
    assert names == ["echo", "echo/echo", "echo/a/b", "echo/c%2Fd"]
    for name in names:
        assert (await client.models.retrieve(name)).id == name


async def test_unknown_model_is_not_found(client_of: ClientOf) -> None:
    client = await client_of(provider_at("chat", "http://127.0.0.1:9"))
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("gone")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_image_of_five_megabytes_is_sent_on_where_the_limit_allows_it(
    client_of: ClientOf, start_upstream: StartUpstream
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5_000_000}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    upstream: Upstream = await start_upstream(SCRIPTS["chat"])
    tables = provider_at("chat", upstream.url)
    with pytest.raises(openai.APIStatusError) as caught:
        await ask(await client_of(tables), messages, streamed=False)
    assert (caught.value.status_code, caught.value.code) == (413, "body_too_large")
    await ask(await client_of({**tables, "limits": {"max_body_bytes": 8_000_000}}), messages, streamed=False)
    assert json.loads(upstream.exchanges[0].body)["messages"] == messages
