"""The assertions that hold for every row on every client wire: one ending, in the wire's own form and status."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from tests.faults.case import MARK, Case
from tests.faults.wire_answers import Reading, WireAnswer, read


class Expected(msgspec.Struct, frozen=True):
    """A failure on the vendors' wires. ``code`` None: none is told."""

    openai_status: int
    openai_type: str
    code: str | None
    anthropic_status: int
    anthropic_type: str
    response_code: str
    """A failed Response's ``error.code``."""
    is_retried: bool
    """The vendors' SDKs ask again."""
    has_wait: bool = False
    """There is always a ``Retry-After``."""


BROKEN = "server_error"
WRONG = "invalid_request_error"
EXPECTED: Mapping[str, Expected] = {
    "rate_limited": Expected(429, "rate_limit_error", "rate_limit_exceeded", 429, "rate_limit_error",
                             "rate_limit_exceeded", True, True),
    "quota_exceeded": Expected(429, "insufficient_quota", "insufficient_quota", 402, "billing_error",
                               "insufficient_quota", False),
    "overloaded": Expected(503, "service_unavailable_error", "server_is_overloaded", 529, "overloaded_error",
                           "server_is_overloaded", True, True),
    "provider_auth": Expected(502, BROKEN, "provider_auth", 502, "api_error", BROKEN, False),
    "model_not_found": Expected(404, WRONG, "model_not_found", 404, "not_found_error", "invalid_prompt", False),
    "context_length": Expected(400, WRONG, "context_length_exceeded", 400, WRONG, "context_length_exceeded", False),
    "content_filter": Expected(400, WRONG, "content_filter", 400, WRONG, "invalid_prompt", False),
    "invalid_request": Expected(400, WRONG, None, 400, WRONG, "invalid_prompt", False),
    "upstream_unavailable": Expected(502, BROKEN, "upstream_unavailable", 502, "api_error", BROKEN, True),
    "upstream_disconnected": Expected(502, BROKEN, "upstream_disconnected", 502, "api_error", BROKEN, True),
    "upstream_error": Expected(500, BROKEN, "upstream_error", 500, "api_error", BROKEN, True),
    "timeout": Expected(504, BROKEN, "timeout", 504, "timeout_error", BROKEN, True),
    "too_large": Expected(500, BROKEN, "too_large", 500, "api_error", BROKEN, False),
}  # fmt: skip
LONGEST_WAIT_SECONDS = 60
OWN_PROTOCOLS = {"chat": "openai", "messages": "anthropic", "responses": "responses"}
"""The kind of provider with words that pass as they are on a wire."""
FINISHES: Mapping[str, Mapping[str, str]] = {
    "chat": {"pause_turn": "stop"},
    "messages": {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"},
    "responses": {"length": "max_output_tokens", "content_filter": "content_filter"},
    "ai_sdk": {"stop": "stop", "length": "length", "tool_calls": "tool-calls", "content_filter": "content-filter"},
}
OTHER_FINISH = {"messages": "end_turn", "responses": "completed", "ai_sdk": "other"}


def ends_on(case: Case, kind: str, wire: str) -> str:
    """Return how the row ends on a wire, over that kind of provider."""
    return "done" if case.is_replayed and OWN_PROTOCOLS.get(wire) == kind else case.ends


def check_answer(case: Case, kind: str, answer: WireAnswer) -> None:
    """Assert that ``answer``, of a provider of that kind, ends as the row says."""
    if answer.status == 200:
        _check_ok(case, kind, answer)
    else:
        _check_status(case, answer)


def _check_ok(case: Case, kind: str, answer: WireAnswer) -> None:
    form = answer.form
    is_replayed = OWN_PROTOCOLS.get(form.wire) == kind
    reading = read(answer, is_replayed=is_replayed)
    # The native wire alone joins line ends.
    assert reading.text.replace("\r\n", "\n").replace("\r", "\n") == case.text
    if ends_on(case, kind, form.wire) != "done":
        assert form.streamed, "half an answer was told as a whole one"
        _check_in_band(case, answer, reading)
        return
    assert reading.error is None
    if not is_replayed:
        assert reading.finish == FINISHES[form.wire].get(case.finish, OTHER_FINISH.get(form.wire, case.finish))
    if case.usage is not None and reading.usage is not None:
        assert reading.usage == case.usage


def _check_in_band(case: Case, answer: WireAnswer, reading: Reading) -> None:
    expected, error = EXPECTED[case.ends], dict(reading.error or {})
    assert MARK.encode() not in answer.body or MARK in case.text, "a provider's words may quote the prompt"
    match answer.form.wire:
        case "chat":
            assert error == {"message": error["message"], "type": expected.openai_type, "code": expected.code,
                             "param": None}  # fmt: skip
        case "messages":
            assert error == {"type": expected.anthropic_type, "message": error["message"]}
        case "responses":
            assert error.pop("response_code") == expected.response_code
            assert error == {"message": error["message"], "type": expected.openai_type, "code": expected.code,
                             "param": None}  # fmt: skip
        case _:
            assert error.keys() == {"type", "errorText"} and error["type"] == "error"
            assert error["errorText"].endswith((".", "?")), "a sentence for a person"
            assert case.says in error["errorText"]


def _check_status(case: Case, answer: WireAnswer) -> None:
    assert case.ends != "done", answer.body
    expected, form = EXPECTED[case.ends], answer.form
    assert not form.fields and form.wire != "ai_sdk", "this wire has no status for a failure"
    assert answer.headers["Content-Type"] == "application/json"
    assert MARK.encode() not in answer.body
    body, headers = answer.json(), answer.headers
    if form.wire == "messages":
        assert answer.status == expected.anthropic_status
        assert body == {"type": "error", "request_id": headers["request-id"],
                        "error": {"type": expected.anthropic_type, "message": body["error"]["message"]}}  # fmt: skip
    else:
        assert answer.status == expected.openai_status
        _check_openai_error(case, form.wire, expected, body)
    assert case.says in body["error"]["message"] or case.ends == "context_length"
    assert headers["x-request-id"]
    _check_retry(case, expected, answer)


def _check_openai_error(case: Case, wire: str, expected: Expected, body: Any) -> None:
    error = body["error"]
    assert body.keys() == {"error"} and error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == (expected.openai_type, expected.code)
    params = {"model_not_found": "model", "context_length": "messages" if wire == "chat" else "input"}
    if case.ends in params:
        assert error["param"] == params[case.ends]
    if case.ends == "context_length":
        assert "is longer than the model's context length" in error["message"], "LiteLLM knows it by these words"


def _check_retry(case: Case, expected: Expected, answer: WireAnswer) -> None:
    """Check what SDKs do: those of both vendors retry 408, 409, 429 and from 500 on, unless they are told not to."""
    wait = answer.headers.get("retry-after")
    if case.retry_after is not None:
        assert wait == str(max(1, math.ceil(case.retry_after)))
    assert wait is not None or not expected.has_wait
    would = answer.status in (408, 409, 429) or answer.status >= 500
    retried = would and answer.headers.get("x-should-retry") != "false"
    assert retried == (expected.is_retried and (case.retry_after or 0) <= LONGEST_WAIT_SECONDS)
