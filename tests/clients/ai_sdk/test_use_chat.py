"""The hook ``useChat``: its class ``Chat`` with the ``DefaultChatTransport`` of the package ``ai``."""

from __future__ import annotations

import asyncio

import pytest

from streamserver.core.error_codes import FAILURES
from tests.clients.ai_sdk.conftest import StartChat
from tests.clients.ai_sdk.upstreams import responses_answer, thinking_then_text, two_calls_then_text
from tests.clients.client import node_version
from tests.clients.clients import USE_CHAT as CLIENT
from tests.clients.feature import feature
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.redis.conftest import StartNode
from tests.support.upstream import DONE, Exchange, Tap, answer, chunk

VERSION = node_version(CLIENT.package)
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@feature("streamed")
async def test_answer_is_one_text_with_its_usage(start_server: StartServer, start_chat: StartChat) -> None:
    server = await start_server()
    chat = await start_chat(server.url)
    shown = await chat.ask("hello big world")
    assert (shown.status, shown.error, shown.text) == ("ready", None, "hello big world")
    assert shown.last["role"] == "assistant" and shown.last["id"].startswith("msg_")
    assert set(shown.last["metadata"]["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens", "estimated"}
    again = await chat.perform("regenerate") and await chat.perform("wait")
    assert (again.status, again.text, len(again.messages)) == ("ready", "hello big world", 2)
    assert again.last["id"] != shown.last["id"]


@feature("tools")
async def test_two_parallel_calls_and_their_results_make_one_message(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    upstream = await start_upstream(two_calls_then_text)
    server = await start_server(openai_at(upstream))
    chat = await start_chat(server.url, body={"tools": [WEATHER]}, automatic=True)
    shown = await chat.ask("Oslo and Rome?")
    calls = shown.parts("tool-weather")
    assert [(part["state"], part["input"]) for part in calls] == [
        ("input-available", {"city": "Oslo"}),
        ("input-available", {"city": "Rome"}),
    ]
    assert sorted(shown.tool_calls) == ["c0", "c1"]
    await chat.perform("toolOutput", tool="weather", toolCallId="c0", output={"degrees": 4})
    await chat.perform("toolOutput", tool="weather", toolCallId="c1", state="output-error", errorText="No station.")
    done = await chat.until(lambda now: "Both are fine." in now.text and now.status == "ready")
    assert len(done.messages) == 2 and done.last["id"] == shown.last["id"]
    sent = upstream.exchanges[1].json()["messages"]
    assert sent[1]["content"] == "Let me look. "
    assert [call["function"]["arguments"] for call in sent[1]["tool_calls"]] == ['{"city":"Oslo"}', '{"city":"Rome"}']
    assert [(turn["tool_call_id"], turn["content"]) for turn in sent[2:]] == [
        ("c0", '{"degrees":4}'),
        ("c1", "No station."),
    ]


async def test_replay_of_a_continuation_shows_the_whole_message_and_runs_no_tool_again(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    more = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.json()["messages"][-1]["role"] != "tool":
            await two_calls_then_text(exchange)
            return
        await exchange.start_stream()
        await exchange.send(chunk("Both "))
        await more.wait()
        await exchange.send(chunk("are fine.") + chunk(finish="stop") + DONE)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    options = {"headers": {"X-Stream-Grace": "30"}, "body": {"tools": [WEATHER]}, "automatic": True}
    chat = await start_chat(server.url, **options)
    await chat.ask("Oslo and Rome?")
    for call_id in ("c0", "c1"):
        await chat.perform("toolOutput", tool="weather", toolCallId=call_id, output=1)
    before = await chat.until(lambda now: now.text.endswith("Both "))
    reloaded = await start_chat(server.url, messages=before.messages, **options)
    await reloaded.perform("resume")
    await reloaded.until(lambda now: len(now.requests) == 1)
    more.set()
    after = await reloaded.perform("wait")
    first = await chat.until(lambda now: now.status == "ready")
    assert (after.status, after.error, after.tool_calls) == ("ready", None, [])
    assert after.messages == first.messages
    assert len(upstream.exchanges) == 2


@feature("reasoning")
async def test_signed_thinking_goes_back_with_the_results_of_its_tools(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    upstream = await start_upstream(thinking_then_text)
    table = {"kind": "anthropic", "model": "claude-1", "base_url": upstream.url}
    server = await start_server({"provider": {"default": "up"}, "providers": {"up": table}})
    chat = await start_chat(server.url, body={"tools": [WEATHER]}, automatic=True)
    shown = await chat.ask("Oslo?")
    assert [part["text"] for part in shown.parts("reasoning")] == ["Hm."]
    await chat.perform("toolOutput", tool="weather", toolCallId="toolu_1", output="4 degrees")
    done = await chat.until(lambda now: now.status == "ready" and now.text == "Fine.")
    assert done.error is None
    assistant, results = upstream.exchanges[1].json()["messages"][1:]
    assert assistant["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
    ]
    assert results["content"][0]["tool_use_id"] == "toolu_1"


@feature("errors")
@pytest.mark.parametrize("status", [401, 429, 500])
async def test_failure_of_the_provider_is_a_sentence_and_is_not_retried_by_the_hook(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat, status: int
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, '{"error":{"message":"sEcReT"}}')

    upstream = await start_upstream(script)
    server = await start_server({**openai_at(upstream), "retry": {"attempts": 1}})
    shown = await (await start_chat(server.url)).ask("Hi")
    assert shown.status == "error" and shown.error is not None and shown.error.endswith(".")
    assert "sEcReT" not in shown.error and len(upstream.exchanges) == len(shown.requests) == 1


@feature("errors")
async def test_failure_in_the_middle_keeps_the_text(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one"))

    server = await start_server(openai_at(await start_upstream(script)))
    shown = await (await start_chat(server.url)).ask("Hi")
    assert (shown.status, shown.text) == ("error", "one") and shown.error is not None
    assert shown.parts("text")[0]["state"] == "done"


@feature("cancel")
async def test_stop_closes_the_providers_connection(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    tap = Tap()
    upstream = await start_upstream(tap.script)
    chat = await start_chat((await start_server(openai_at(upstream))).url)
    await chat.perform("send", message={"text": "Hi"})
    tap("one ")
    await chat.until(lambda now: len(now.messages) == 2 and now.text == "one ")
    await chat.perform("stop")
    await (await upstream.exchange()).until_closed()
    shown = await chat.perform("wait")
    assert (shown.status, shown.error, shown.text) == ("ready", None, "one ")


@feature("timeouts")
@pytest.mark.parametrize(("deadline", "text"), [("first_token", None), ("idle", "one ")])
async def test_silence_of_the_provider_is_a_sentence(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat, deadline: str, text: str | None
) -> None:
    tap = Tap()
    if text is not None:
        tap(text)
    upstream = await start_upstream(tap.script)
    server = await start_server({**openai_at(upstream), "retry": {"attempts": 1}, "timeouts": {deadline: 0.2}})
    shown = await (await start_chat(server.url)).ask("Hi")
    assert shown.status == "error" and shown.error is not None and shown.error.endswith(".")
    assert text is None or shown.text == text
    await upstream.all_closed()


@feature("errors")
async def test_refusal_is_the_sentence_that_the_page_shows(start_server: StartServer, start_chat: StartChat) -> None:
    server = await start_server({"limits": {"max_prompt_chars": 10}})
    shown = await (await start_chat(server.url)).ask("hello big world")
    assert shown.status == "error"
    assert shown.error is not None and shown.error.startswith("messages: The newest user turn has 15 characters")


async def test_page_that_is_reloaded_resumes_on_another_chat_object_and_only_once(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    tap = Tap()
    server = await start_server(openai_at(await start_upstream(tap.script)))
    options = {"headers": {"X-Stream-Grace": "30"}}
    idle = await start_chat(server.url, **options)
    nothing = await idle.perform("resume") and await idle.perform("wait")
    assert (nothing.status, nothing.requests) == ("ready", [("GET", 204, None)])
    await idle.perform("send", message={"text": "Hi"})
    tap("one ")
    before = await idle.until(lambda now: len(now.messages) == 2 and now.text == "one ")
    await idle.perform("stop")
    reloaded = await start_chat(server.url, messages=before.messages[:1], **options)
    await reloaded.perform("resume")
    await reloaded.until(lambda now: now.text == "one ")
    tap("two", None)
    after = await reloaded.perform("wait")
    assert (after.status, after.text, after.last["id"]) == ("ready", "one two", before.last["id"])
    again = await reloaded.perform("resume") and await reloaded.perform("wait")
    assert again.requests[-1][:2] == ("GET", 204) and again.messages == after.messages


async def test_file_reaches_the_provider(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    upstream = await start_upstream(answer("A dot."))
    server = await start_server(openai_at(upstream))
    chat = await start_chat(server.url)
    image = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA", "filename": "a.png"}
    await chat.perform("send", message={"text": "What is it?", "files": [image]})
    assert (await chat.perform("wait")).text == "A dot."
    content = upstream.exchanges[0].json()["messages"][0]["content"]
    assert sorted(part["type"] for part in content) == ["image_url", "text"]


async def test_any_node_resumes_and_stops_a_chat(
    start_node: StartNode, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    tap = Tap()
    upstream = await start_upstream(tap.script)
    first, second = [await start_node(openai_at(upstream)) for _ in range(2)]
    options = {"id": "chat/ä", "headers": {"X-Stream-Grace": "30"}}
    chat = await start_chat(first.url, **options)
    await chat.perform("send", message={"text": "Hi"})
    tap("one ")
    before = await chat.until(lambda now: len(now.messages) == 2 and now.text == "one ")
    elsewhere = await start_chat(second.url, messages=before.messages, **options)
    await elsewhere.perform("resume")
    await elsewhere.until(lambda now: now.status == "streaming")
    tap("two ")
    await elsewhere.until(lambda now: now.text == "one two ")
    assert (await elsewhere.perform("stopOnServer")).stopped == 204
    for page in (chat, elsewhere):
        shown = await page.perform("wait")
        assert (shown.status, shown.error, shown.text) == ("ready", None, "one two ")
    await (await upstream.exchange()).until_closed()
    again = await elsewhere.perform("resume") and await elsewhere.perform("wait")
    assert again.requests[-1][:2] == ("GET", 204)
    assert (await elsewhere.perform("stopOnServer")).stopped == 204


async def test_answer_that_ended_without_a_reader_is_replayed_once_on_another_node(
    start_node: StartNode, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    tap = Tap()
    upstream = await start_upstream(tap.script)
    first, second = [await start_node(openai_at(upstream)) for _ in range(2)]
    options = {"headers": {"X-Stream-Grace": "30"}}
    chat = await start_chat(first.url, **options)
    await chat.perform("send", message={"text": "Hi"})
    tap("one ")
    before = await chat.until(lambda now: len(now.messages) == 2 and now.text == "one ")
    await chat.perform("stop")
    tap("two", None)
    await first.record()
    for text, status in (("one two", 200), ("one ", 204)):
        reloaded = await start_chat(second.url, messages=before.messages, **options)
        shown = await reloaded.perform("resume") and await reloaded.perform("wait")
        assert (shown.status, shown.text, shown.requests[0][1]) == ("ready", text, status)


async def test_call_and_text_of_the_responses_api_arrive(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather"}
    arguments = '{"city":"Oslo"}'
    calling = responses_answer({**call, "arguments": arguments}, ("function_call_arguments", arguments))
    content = [{"type": "output_text", "text": "Fine.", "annotations": []}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": content}
    saying = responses_answer(item, ("output_text", "Fi"), ("output_text", "ne."))

    async def script(exchange: Exchange) -> None:
        await (calling if len(upstream.exchanges) == 1 else saying)(exchange)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream, api="responses"))
    chat = await start_chat(server.url, body={"tools": [WEATHER]}, automatic=True)
    shown = await chat.ask("Oslo?")
    assert [(part["state"], part["input"]) for part in shown.parts("tool-weather")] == [
        ("input-available", {"city": "Oslo"})
    ]
    await chat.perform("toolOutput", tool="weather", toolCallId="call_1", output={"degrees": 4})
    done = await chat.until(lambda now: now.status == "ready" and now.text == "Fine.")
    assert done.error is None
    sent = upstream.exchanges[1].json()["input"]
    assert [item.get("type", "message") for item in sent] == ["message", "function_call", "function_call_output"]
    assert sent[-1]["output"] == '{"degrees":4}'


async def test_this_server_is_the_upstream_of_this_server(
    start_server: StartServer, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    inner = await start_server(openai_at(await start_upstream(two_calls_then_text)))
    table = {"kind": "openai", "model": "up", "base_url": f"{inner.url}/v1"}
    for options in ({}, {"api": "responses"}, {"kind": "anthropic", "base_url": inner.url}):
        outer = await start_server({"provider": {"default": "up"}, "providers": {"up": {**table, **options}}})
        chat = await start_chat(outer.url, body={"tools": [WEATHER]}, automatic=True)
        shown = await chat.ask("Oslo and Rome?")
        calls = {part["toolCallId"]: part["input"] for part in shown.parts("tool-weather")}
        assert sorted(each["city"] for each in calls.values()) == ["Oslo", "Rome"], (options, shown)
        for call_id in calls:
            await chat.perform("toolOutput", tool="weather", toolCallId=call_id, output=1)
        done = await chat.until(lambda now: now.status != "streaming" and now.text.endswith("Both are fine."))
        assert done.error is None


async def test_node_that_is_killed_ends_the_chat_with_a_sentence_on_the_other(
    start_node: StartNode, start_upstream: StartUpstream, start_chat: StartChat
) -> None:
    tap = Tap()
    upstream = await start_upstream(tap.script)
    first, second = [await start_node(openai_at(upstream)) for _ in range(2)]
    options = {"headers": {"X-Stream-Grace": "30"}}
    chat = await start_chat(first.url, **options)
    await chat.perform("send", message={"text": "Hi"})
    tap("one ")
    before = await chat.until(lambda now: len(now.messages) == 2 and now.text == "one ")
    elsewhere = await start_chat(second.url, messages=before.messages[:1], **options)
    await elsewhere.perform("resume")
    await elsewhere.until(lambda now: now.text == "one ")
    first.process.kill()
    shown = await elsewhere.perform("wait")
    assert (shown.status, shown.text, shown.error) == ("error", "one ", FAILURES["producer_lost"].message)
    again = await elsewhere.perform("resume") and await elsewhere.perform("wait")
    assert again.requests[-1][:2] == ("GET", 204)
