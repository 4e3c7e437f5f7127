"""A provider's error means the same wherever it stands, in the words of each provider that the README lists."""
# ruff: noqa: E501 — a row is a line

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from providers.upstream_errors import error_in, from_answer, from_stream, told_error
from providers.upstream_waits import wait_in
from tests.providers.reading.reading import read, sse


def google(status: str, message: str, code: int, *details: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"error": {"code": code, "message": message, "status": status, "details": list(details)}}]


def openai(message: str, code: Any = None, kind: str | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


REASON = "type.googleapis.com/google.rpc.ErrorInfo"
INVALID = "invalid_request_error"
WORDS: dict[str, tuple[int, Any, str]] = {
    # A wrong key.
    "Gemini key": (
        400,
        google("INVALID_ARGUMENT", "x", 400, {"@type": REASON, "reason": "API_KEY_INVALID"}),
        "provider_auth",
    ),
    "Gemini key, by its message": (
        400,
        google("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", 400),
        "provider_auth",
    ),
    "Gemini expired key": (400, google("INVALID_ARGUMENT", "API key expired. Please renew the API key.", 400), "provider_auth"),
    "xAI key": (
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***."},
        "provider_auth",
    ),
    "Cerebras key": (401, {"message": "Wrong API Key", "type": INVALID, "code": "wrong_api_key"}, "provider_auth"),
    "Groq key": (401, openai("Invalid API Key", "invalid_api_key", INVALID), "provider_auth"),
    "DeepSeek key": (401, openai("Authentication Fails, Your api key: ****x is invalid", INVALID, "authentication_error"), "provider_auth"),
    "Mistral key": (401, {"detail": "Unauthorized"}, "provider_auth"),
    # No money.
    "xAI money, 403": (
        403,
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": "Your team x has either used all available credits or reached its monthly spending limit.",
        },
        "quota_exceeded",
    ),
    "xAI money, 429": (
        429,
        {"code": "x y", "error": "Your team x has either used all available credits or reached its spending limit."},
        "quota_exceeded",
    ),
    "xAI without a license": (
        403,
        {"code": "permission-denied", "error": "Your newly created team doesn't have any credits or licenses yet."},
        "quota_exceeded",
    ),
    "DeepSeek money": (402, openai("Insufficient Balance", INVALID, "unknown_error"), "quota_exceeded"),
    "Together money": (402, openai("Credit limit exceeded, please navigate to billing"), "quota_exceeded"),
    "Hugging Face money": (402, {"error": "You have exceeded your monthly included credits"}, "quota_exceeded"),
    "Fireworks money": (412, {"error": {"message": "Account is suspended: spending limit reached"}}, "quota_exceeded"),
    "LiteLLM budget": (400, openai("Budget has been exceeded!", "400", "budget_exceeded"), "quota_exceeded"),
    "OpenAI money": (429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), "quota_exceeded"),
    "Gemini, a day's quota": (
        429,
        google("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.", 429),
        "quota_exceeded",
    ),
    # A content filter.
    "xAI filter": (
        403,
        {"code": "The caller does not have permission", "error": "Content violates usage guidelines. Failed check: BIO"},
        "content_filter",
    ),
    "OpenRouter moderation": (
        403,
        openai('x requires moderation on OpenRouter. Your input was flagged for "violence".', 403, metadata={"reasons": ["violence"]}),
        "content_filter",
    ),
    "Azure filter": (400, openai("The response was filtered", "content_filter"), "content_filter"),
    "Azure filter, inner": (400, openai("x", 400, innererror={"code": "ResponsibleAIPolicyViolation"}), "content_filter"),
    "DashScope filter": (
        400,
        {"code": "DataInspectionFailed", "message": "Output data may contain inappropriate content.", "request_id": "r"},
        "content_filter",
    ),
    "DashScope filter, compatible": (400, openai("x", "data_inspection_failed", "data_inspection_failed"), "content_filter"),
    # A context that is too long.
    "Groq context": (400, openai("Please reduce the length of the messages or completion.", "context_length_exceeded", INVALID), "context_length"),
    "Groq request too large": (
        413,
        openai("Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000", "rate_limit_exceeded", "tokens"),
        "context_length",
    ),
    "Cerebras context": (
        400,
        {"message": "Please reduce the length of the messages or completion. Current length is 42328 while limit is 40000"},
        "context_length",
    ),
    "Mistral context": (
        400,
        {"object": "error", "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length", "type": "invalid_request_prompt", "code": "3051"},
        "context_length",
    ),
    "Together context": (
        422,
        openai("The input (516368 tokens) is longer than the model's context length (262144 tokens).", None, INVALID),
        "context_length",
    ),
    "Together context, 403": (403, openai("Input token count exceeds the context length of the model"), "context_length"),
    "OpenRouter context": (400, openai("This endpoint's maximum context length is 8192 tokens.", 400), "context_length"),
    "LiteLLM context": (400, openai("litellm.ContextWindowExceededError: x", "400", "ContextWindowExceededError"), "context_length"),
    "SGLang context": (
        400,
        {"object": "error", "message": "Requested token count exceeds the model's maximum context length of 4096 tokens.", "type": "BadRequest", "code": 400},
        "context_length",
    ),
    "Gemini context": (
        400,
        google("INVALID_ARGUMENT", "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).", 400),
        "context_length",
    ),
    # Limits and overload.
    "Cerebras limit": (
        429,
        {"message": "Requests per second limit exceeded", "type": "too_many_requests_error", "param": "quota", "code": "request_quota_exceeded"},
        "rate_limited",
    ),
    "Cerebras traffic": (429, {"message": "We're experiencing high traffic", "type": "x", "code": "queue_exceeded"}, "overloaded"),
    "Groq flex": (498, openai("Flex tier capacity exceeded", "capacity_exceeded"), "overloaded"),
    "Mistral limit": (429, {"message": "Requests rate limit exceeded"}, "rate_limited"),
    "DashScope limit": (429, {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded"}, "rate_limited"),
    "Fireworks overload": (503, {"error": {"message": "x"}}, "overloaded"),
    "TGI overload": (429, {"error": "Model is overloaded", "error_type": "overloaded"}, "overloaded"),
    # A model.
    "Mistral model": (400, {"message": "Invalid model: x", "type": "invalid_model", "code": "1500"}, "model_not_found"),
    "Fireworks model": (404, openai("Model not found, inaccessible, and/or not deployed", "NOT_FOUND"), "model_not_found"),
    "Groq model": (400, openai("The model `x` has been decommissioned", "model_decommissioned", INVALID), "model_not_found"),
    "Gemini model": (404, google("NOT_FOUND", "models/x is not found for API version v1main", 404), "model_not_found"),
    # Another request.
    "Groq tool": (400, openai("Failed to call a function.", "tool_use_failed", INVALID), "invalid_request"),
    "Together request": (422, openai("Input validation error", None, INVALID), "invalid_request"),
    "a wrong address": (404, {"detail": "Not Found"}, "invalid_request"),
    "a prompt that speaks of keys": (400, openai("temperature must be at most 2", "invalid_value", INVALID), "invalid_request"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "code"), WORDS.values(), ids=WORDS)
def test_an_answer_is_understood_in_the_words_of_its_provider(status: int, body: Any, code: str) -> None:
    error = from_answer(status, {}, body)
    assert error.code == code
    assert error.detail.status == status


IN_STREAM = {
    name: row for name, row in WORDS.items() if name not in ("Mistral key", "a wrong address", "Fireworks overload")
}
BY_STATUS_ALONE = {"Together money", "Together request", "Mistral limit"}


@pytest.mark.parametrize("name", sorted(IN_STREAM.keys() - BY_STATUS_ALONE))
def test_an_error_in_a_stream_is_understood_likewise(name: str) -> None:
    _, body, code = IN_STREAM[name]
    expected = {code, "upstream_error"} if code == "invalid_request" else {code}
    assert from_stream(body).code in expected


INNER = {"code": "rate_limit_exceeded", "message": "x"}
PLACES: dict[str, Any] = {
    "under error": {"error": INNER},
    "beside error": {"error": "x", "code": "rate_limit_exceeded"},
    "the object itself": INNER,
    "in a list": [{"error": INNER}],
    "under errors": {"errors": [INNER]},
    "under error, in a list": {"error": [INNER]},
    "in a response": {"type": "response.failed", "response": {"status": "failed", "error": INNER}},
    "an event": {"type": "error", **INNER},
    "an object named error": {"object": "error", **INNER},
    "other names": {"error_code": "rate_limit_exceeded", "error_msg": "x"},
    "a code beside the object": {"error": {"message": "x", "type": "rate_limit_exceeded"}, "code": 429},
}


@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES)
def test_an_error_is_found_wherever_it_stands(body: Any) -> None:
    assert error_in(body) is not None
    assert from_stream(body).code == "rate_limited"


@pytest.mark.parametrize(
    "body",
    [
        None,
        7,
        [],
        {},
        "error",
        {"error": None},
        {"error": ""},
        {"error": {}},
        {"errors": []},
        {"error": [[]]},
        {"error": False},
        {"message": "x"},
        {"message": "x", "status": "queued"},
        {"message": "x", "object": "something.new"},
        {"message": "ok", "code": 200},
        {"message": "success", "code": 0, "choices": []},
        {"base_resp": {"status_code": 0, "status_msg": "success"}},
        {"detail": {}},
        {"code": 7},
        {"message": {"code": 1}, "code": 1},
        {"choices": [], "usage": {}},
        {"type": "ping"},
    ],
)
def test_what_tells_of_no_error_is_none(body: Any) -> None:
    assert error_in(body) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"detail": "Internal Server Error"}, "upstream_error"),
        ({"detail": [{"loc": ["body"], "msg": "bad"}]}, "upstream_error"),
        ({"detail": {"error": {"message": "x", "code": 429}}}, "rate_limited"),
        ({"success": False, "message": "boom"}, "upstream_error"),
        ({"type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": "x"}, "upstream_error"),
        ({"statusCode": 429, "message": "x"}, "rate_limited"),
        ({"__type": "ThrottlingException", "message": "x"}, "rate_limited"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None}, "quota_exceeded"),
    ],
    ids=str,
)
def test_an_error_without_a_field_error_is_found(body: Any, code: str) -> None:
    error = told_error(body)
    assert error is not None and error.code == code


def test_what_a_provider_behind_the_provider_said_counts() -> None:
    raw = json.dumps({"error": {"message": "This endpoint's maximum context length is 8192 tokens."}})
    error = {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw, "provider_name": "X"}}
    assert from_answer(400, {}, {"error": error}).code == "context_length"


@pytest.mark.parametrize("status", [408, 409, 425, 499, 520, 524])
def test_a_status_that_says_nothing_of_the_request_is_the_upstreams(status: int) -> None:
    for body in ("", "x", {"error": {"message": "x"}}):
        assert from_answer(status, {}, body).code == "upstream_error"


FAILURE = {
    "code": "DataInspectionFailed",
    "message": "Output data may contain inappropriate content.",
    "request_id": "r1",
}


@pytest.mark.parametrize("protocol", ["chat", "responses", "messages"])
@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("error", FAILURE, "content_filter"),
        ("", FAILURE, "content_filter"),
        ("", {"error": {"code": 429, "message": "x"}}, "rate_limited"),
        ("", {"error": "it broke"}, "upstream_error"),
        ("error", {}, "upstream_error"),
        ("error", {"detail": "x"}, "upstream_error"),
        ("error", "Internal Server Error", "upstream_error"),
        ("error", "null", "upstream_error"),
        ("error", '{"message": "cut', "upstream_error"),
        ("error", "[1]", "upstream_error"),
        ("error", {"code": "Throttling.AllocationQuota", "message": "x"}, "rate_limited"),
    ],
)
def test_a_frame_that_tells_of_an_error_ends_the_stream(protocol: str, name: str, data: Any, code: str) -> None:
    reading = read(protocol, sse(data, name=name))
    assert reading.error is not None and reading.error.code == code
    if data is FAILURE:
        assert (reading.error.detail.code, reading.error.detail.request_id) == ("DataInspectionFailed", "r1")


WAITS: dict[str, tuple[Mapping[str, Any], float | None]] = {
    "OpenAI": ({"message": "Limit 3, Used 3, Requested 1. Please try again in 20s. Visit x"}, 20),
    "OpenAI, short": ({"message": "Please try again in 120ms."}, 0.12),
    "OpenAI, long": ({"message": "Please try again in 6h12m0.5s."}, 22320.5),
    "Groq": ({"message": "Please try again in 1m26.4s. Need more tokens?"}, 86.4),
    "Azure": ({"message": "Please retry after 2 seconds."}, 2),
    "Gemini": ({"message": "x", "details": [{"@type": "RetryInfo", "retryDelay": "34.5s"}]}, 34.5),
    "Gemini, in words": ({"message": "Please retry in 34.07s."}, 34.07),
    "a field": ({"retry_after": 7}, 7),
    "a field in words": ({"retry_after": "7"}, 7),
    "milliseconds": ({"metadata": {"retry_after_ms": 1500}}, 1.5),
    "minutes": ({"message": "Rate limited: wait for 2 minutes, then go on"}, 120),
    "none": ({"message": "Try again later."}, None),
    "no number": ({"retry_after": "soon", "message": None}, None),
    "a negative one": ({"retry_after": -1}, None),
    "too large": ({"retry_after": float("inf")}, None),
    "a truth value": ({"retry_after": True}, None),
    "an item": ({"message": "Try again in 3 models"}, None),
}


@pytest.mark.parametrize(("error", "seconds"), WAITS.values(), ids=WAITS)
def test_a_wait_in_a_body_is_read(error: Mapping[str, Any], seconds: float | None) -> None:
    assert wait_in(error) == (None if seconds is None else pytest.approx(seconds))


def test_a_header_counts_more_than_the_body_and_only_retryable_errors_ask_to_wait() -> None:
    body = openai("Please try again in 20s.", "rate_limit_exceeded")
    assert from_answer(429, {"Retry-After": "3"}, body).retry_after == 3
    assert from_answer(429, {}, body).retry_after == 20
    assert from_stream(body).retry_after == 20
    assert from_answer(400, {}, openai("Please try again in 20s.", "invalid_value")).retry_after is None


def test_a_quota_that_says_when_it_is_full_again_is_a_rate_limit() -> None:
    message = "You exceeded your current quota, please check your plan and billing details. Please retry in 34.07s."
    error = from_answer(429, {}, google("RESOURCE_EXHAUSTED", message, 429))
    assert error.code == "rate_limited" and error.retry_after == pytest.approx(34.07)


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_failing_server_is_not_blamed_on_the_request(status: int) -> None:
    body = openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded", INVALID)
    assert from_answer(status, {}, body).retryable


def test_an_error_never_carries_what_the_provider_said() -> None:
    for _, body, _ in WORDS.values():
        error = from_answer(400, {}, body)
        assert error.message == type(error).default_message
        assert all(" " not in str(value) for value in error.detail.fields().values())
        assert json.dumps(error.detail.fields())
