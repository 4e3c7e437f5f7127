"""The client wires of the matrix: the request that asks on each, and what a client of each makes of the answer."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from tests.faults.case import MARK
from tests.support.sse import DispatchedEvent, Parser

PROMPT = f"What is {MARK}?"


class Form(msgspec.Struct, frozen=True):
    """A way to ask on a wire: ``streamed`` or whole. ``fields`` are further ones of the body."""

    wire: str
    streamed: bool
    fields: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        return " ".join([self.wire, "streamed" if self.streamed else "whole", *self.fields])


FORMS = [
    *(Form(wire, streamed) for wire in ("chat", "messages", "responses") for streamed in (True, False)),
    Form("responses", True, {"background": True}),
    Form("ai_sdk", True),
]
PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "ai_sdk": "/api/ai/chat",
}


class WireAnswer(msgspec.Struct):
    """The whole answer to one form."""

    form: Form
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[DispatchedEvent]:
        parser = Parser()
        events: list[DispatchedEvent] = []
        for start in range(0, len(self.body), 4096):  # the parser's cost is the square of what it is fed
            events += parser.feed(self.body[start : start + 4096])
        assert parser.last_event_id == "" and parser.retry is None, "openai-python fails on the blank line behind them"
        return events


def body_of(form: Form, model: str) -> dict[str, Any]:
    """Return the request for an answer of ``model``."""
    turn = {"role": "user", "content": PROMPT}
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"messages": [turn]},
        "messages": {"messages": [turn], "max_tokens": 4096},
        "responses": {"input": PROMPT},
        "ai_sdk": {
            "id": f"chat {form.name}",
            "messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": PROMPT}]}],
        },
    }
    stream = {} if form.wire == "ai_sdk" else {"stream": form.streamed}
    return {**bodies[form.wire], "model": model, **stream, **form.fields}


async def ask(http: aiohttp.ClientSession, url: str, form: Form, model: str) -> WireAnswer:
    """Ask ``model`` at the server at ``url``, and read to the end."""
    async with http.post(f"{url}{PATHS[form.wire]}", json=body_of(form, model)) as response:
        return WireAnswer(form, response.status, response.headers, await response.read())


class Reading(msgspec.Struct):
    """What a client reads from an answer that has status 200."""

    text: str
    finish: str | None = None
    """The wire's own word for the end; None if it failed."""
    error: Mapping[str, Any] | None = None
    """The in-band error."""
    usage: tuple[int, int] | None = None
    """Tokens of the whole prompt and of the answer."""


def read(answer: WireAnswer, *, is_replayed: bool) -> Reading:
    """Read an answer as the strictest clients of its wire do. Asserts that it has exactly one ending.

    ``is_replayed``: it is the provider's own; its sloppiness is passed on where clients bear it.
    """
    streamed: dict[str, Callable[[list[DispatchedEvent]], Reading]] = {
        "chat": functools.partial(_chat, is_replayed),
        "messages": functools.partial(_messages, is_replayed),
        "responses": _responses,
        "ai_sdk": _ai_sdk,
    }
    whole: dict[str, Callable[[Any], Reading]] = {
        "chat": _whole_chat,
        "messages": _whole_message,
        "responses": _whole_response,
    }
    if answer.form.streamed:
        assert answer.headers["Content-Type"] == "text/event-stream"
        return streamed[answer.form.wire](answer.events())
    assert answer.headers["Content-Type"] == "application/json"
    return whole[answer.form.wire](answer.json())


def _chat(is_replayed: bool, events: list[DispatchedEvent]) -> Reading:
    assert all(event.type == "message" for event in events)
    error = json.loads(events[-1].data).get("error") if events[-1].data != "[DONE]" else None
    chunks = [json.loads(event.data) for event in events[:-1]]
    assert all("error" not in chunk and chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    heads = {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}
    assert is_replayed or len(heads) <= 1
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == 0]
    assert all(chunk["choices"] and not chunk.get("usage") for chunk in chunks), "usage was not asked for"
    assert [place for place, choice in enumerate(choices) if "role" in choice["delta"]] == ([0] if choices else [])
    finishes = [choice["finish_reason"] for choice in choices if choice.get("finish_reason") is not None]
    assert len(finishes) == (0 if error else 1), finishes
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return Reading(text, None if error else finishes[0], error)


def _whole_chat(body: Any) -> Reading:
    assert body["object"] == "chat.completion"
    choice = next(each for each in body["choices"] if each["index"] == 0)
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    counts = usage["prompt_tokens"], usage["completion_tokens"]
    return Reading(choice["message"]["content"] or "", choice["finish_reason"], usage=counts)


def _messages(is_replayed: bool, events: list[DispatchedEvent]) -> Reading:
    data = [event.json() for event in events]
    assert [event.type for event in events] == [each["type"] for each in data]
    data = [each for each in data if each["type"] != "ping"]
    kinds = [each["type"] for each in data]
    assert kinds[0] == "message_start" and kinds.count("message_start") == 1
    assert {"input_tokens", "output_tokens"} <= data[0]["message"]["usage"].keys()
    failed = kinds[-1] == "error"
    assert kinds[-1] == ("error" if failed else "message_stop")
    assert kinds.count("error") == int(failed) and kinds.count("message_stop") == int(not failed)
    assert bool(kinds.count("message_delta")) != failed
    if not is_replayed:
        assert kinds.count("message_delta") <= 1
        _check_blocks(data, failed)
    text = "".join(map(_text, data))
    if failed:
        assert data[-1]["request_id"]
        return Reading(text, error=data[-1]["error"])
    told = {name: count for name, count in data[-2]["usage"].items() if count is not None}
    usage = _message_counts({**data[0]["message"]["usage"], **told})
    return Reading(text, data[-2]["delta"]["stop_reason"], usage=usage)


def _text(event: Any) -> str:
    """Return the text that an event of Messages adds, as the SDKs read it."""
    match event:
        case {"type": "content_block_start", "content_block": {"text": text}}:
            return str(text)
        case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}:
            assert isinstance(text, str), "the SDKs add texts up"
            return text
        case _:
            return ""


def _check_blocks(data: list[Any], failed: bool) -> None:
    """Assert that the blocks are numbered in order, and that one at a time is open."""
    is_open, count = False, 0
    for event in data:
        match event["type"]:
            case "content_block_start":
                assert (is_open, event["index"]) == (False, count)
                is_open, count = True, count + 1
            case "content_block_delta":
                assert (is_open, event["index"]) == (True, count - 1)
            case "content_block_stop":
                assert (is_open, event["index"]) == (True, count - 1)
                is_open = False
    assert failed or not is_open


def _message_counts(usage: Mapping[str, int]) -> tuple[int, int]:
    cached = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
    assert isinstance(usage["input_tokens"], int) and isinstance(usage["output_tokens"], int)
    return usage["input_tokens"] + cached, usage["output_tokens"]


def _whole_message(body: Any) -> Reading:
    assert (body["type"], body["role"]) == ("message", "assistant")
    text = "".join(block.get("text", "") for block in body["content"])
    return Reading(text, body["stop_reason"], usage=_message_counts(body["usage"]))


def _responses(events: list[DispatchedEvent]) -> Reading:
    data = [event.json() for event in events]
    assert [event.type for event in events] == [each["type"] for each in data]
    assert [each["sequence_number"] for each in data] == list(range(len(data)))
    kinds = [each["type"] for each in data]
    assert kinds[0] == "response.created" and kinds.count("response.created") == 1
    ends = {"response.completed", "response.incomplete", "response.failed"}
    assert [place for place, kind in enumerate(kinds) if kind in ends] == [len(kinds) - 1]
    assert len({each["response"]["id"] for each in data if "response" in each}) == 1
    response = data[-1]["response"]
    added = {each["output_index"]: each["item"]["id"] for each in data if each["type"] == "response.output_item.added"}
    done = {each["output_index"]: each["item"] for each in data if each["type"] == "response.output_item.done"}
    assert added == {index: item["id"] for index, item in done.items()}
    assert response["output"] == [done[index] for index in sorted(done)]
    reading = _whole_response(response)
    assert reading.text == "".join(each["delta"] for each in data if each["type"] == "response.output_text.delta")
    errors = [each for each in data if each["type"] == "error"]
    assert len(errors) == int(kinds[-1] == "response.failed" and response["status"] == "failed")
    if errors:
        assert kinds[-2] == "error", "the failed Response comes last"
        flat = {name: errors[0][name] for name in ("code", "message", "param")}
        assert flat == {name: errors[0]["error"][name] for name in flat}
        reading.error = {**errors[0]["error"], "response_code": response["error"]["code"]}
    return reading


def _whole_response(response: Any) -> Reading:
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    text = "".join(part["text"] for part in parts if part["type"] == "output_text")
    finish = None if response["status"] in ("failed", "cancelled") else response["status"]
    if response["status"] == "incomplete":
        finish = response["incomplete_details"]["reason"]
    usage = response["usage"]
    if usage is None:
        return Reading(text, finish)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    details = usage["input_tokens_details"]["cached_tokens"], usage["output_tokens_details"]["reasoning_tokens"]
    assert all(isinstance(count, int) for count in details), "Codex fails without them"
    return Reading(text, finish, usage=(usage["input_tokens"], usage["output_tokens"]))


def _ai_sdk(events: list[DispatchedEvent]) -> Reading:
    assert all(event.type == "message" for event in events)
    assert [place for place, event in enumerate(events) if event.data == "[DONE]"] == [len(events) - 1]
    chunks = [event.json() for event in events[:-1]]
    kinds = [chunk["type"] for chunk in chunks]
    assert kinds[:2] == ["start", "start-step"]
    ends = [place for place, kind in enumerate(kinds) if kind in ("finish", "error", "abort")]
    assert ends == [len(kinds) - 1]
    for kind in ("text", "reasoning"):
        started = [chunk["id"] for chunk in chunks if chunk["type"] == f"{kind}-start"]
        assert started == [chunk["id"] for chunk in chunks if chunk["type"] == f"{kind}-end"], "a part is left open"
    text = "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")
    last = chunks[-1]
    if last["type"] != "finish":
        return Reading(text, error=last)
    usage = last.get("messageMetadata", {}).get("usage")
    counts = None if usage is None else (usage["prompt_tokens"], usage["completion_tokens"])
    return Reading(text, last["finishReason"], usage=counts)
