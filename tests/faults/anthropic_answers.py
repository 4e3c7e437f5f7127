"""What the Messages API answers instead of a stream."""
# ruff: noqa: E501 — a row is a line

from __future__ import annotations

from typing import Any

from tests.faults.case import MARK, Case
from tests.faults.upstreams import answers

PAGE = "Anthropic's page, Errors"
SDK = "anthropic-sdk-python, types/shared"
KEY, INVALID, RATE = "authentication_error", "invalid_request_error", "rate_limit_error"
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."
LONG = "prompt is too long: 210000 tokens > 200000 maximum"
LONG_IN_ALL = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"
USAGE = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
MANY = "This request would exceed your organization's rate limit of 40,000 input tokens per minute."


def said(kind: str, message: str, error_code: str | None = None) -> dict[str, Any]:
    """Return the API's error; the marked word is in every message."""
    details = {} if error_code is None else {"details": {"error_code": error_code}}
    error = {"type": kind, "message": f"{message} {MARK}", **details}
    return {"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}


def log(status: int, kind: str | None = None, code: str | None = None) -> dict[str, object]:
    request_id = None if kind is None else "req_011CSHoEeqs5C35K2UUqR7Fy"
    return {"upstream_status": status, "upstream_type": kind, "upstream_code": code, "upstream_request_id": request_id}


ANSWERS = [
    Case("400", answers(400, said(INVALID, "messages: at least one message is required")), "invalid_request", log=log(400, INVALID),
         source=PAGE),
    Case("400 context overflow", answers(400, said(INVALID, LONG)), "context_length", log=log(400, INVALID), source=PAGE),
    Case("400 context overflow with the answer", answers(400, said(INVALID, LONG_IN_ALL)), "context_length", source=PAGE),
    Case("400 without money", answers(400, said(INVALID, CREDIT)), "quota_exceeded", log=log(400, INVALID), source="api.anthropic.com"),
    Case("400 usage limit", answers(400, said(INVALID, USAGE)), "quota_exceeded", source="api.anthropic.com"),
    Case("400 with a code", answers(400, said(INVALID, "Disabled.", "organization_on_hold")), "invalid_request",
         log=log(400, INVALID, "organization_on_hold"), source=SDK),
    Case("400 of an unknown type", answers(400, said("new_error", "x")), "invalid_request", log=log(400, "new_error")),
    Case("401", answers(401, said(KEY, "invalid x-api-key"), request_id="req_1"), "provider_auth",
         log={**log(401, KEY), "upstream_request_id": "req_1"}, source=PAGE),
    Case("402", answers(402, said("billing_error", "There's an issue with your billing.")), "quota_exceeded",
         log=log(402, "billing_error"), source=PAGE),
    Case("403", answers(403, said("permission_error", "Your API key does not have permission.")), "provider_auth",
         log=log(403, "permission_error"), source=PAGE),
    Case("404 model", answers(404, said("not_found_error", "model: claude-none")), "model_not_found",
         log=log(404, "not_found_error"), source=PAGE),
    Case("404 wrong address", answers(404, {"error": {"type": "not_found_error", "message": "Not Found"}}), "invalid_request",
         log={"upstream_type": "not_found_error"}, source="api.anthropic.com/v1/v1/messages"),
    Case("409", answers(409, said("conflict_error", "Conflict")), "upstream_error", log=log(409, "conflict_error"), source=SDK),
    Case("413", answers(413, said("request_too_large", "Request exceeds the maximum size")), "invalid_request",
         log=log(413, "request_too_large"), source=PAGE),
    Case("429", answers(429, said(RATE, MANY), retry_after="12"), "rate_limited", retry_after=12, log=log(429, RATE), source=PAGE),
    Case("429 ramp limit", answers(429, said(RATE, MANY, "ramp_limit_exceeded"), retry_after="3"), "rate_limited", retry_after=3,
         log=log(429, RATE, "ramp_limit_exceeded"), source=SDK),
    Case("429 contract's end", answers(429, said(RATE, "x", "contract_spend_limit_reached")), "quota_exceeded",
         log=log(429, RATE, "contract_spend_limit_reached"), source=SDK),
    Case("429 tier's end", answers(429, said(RATE, "x", "enforced_spend_limit_reached")), "quota_exceeded", source=SDK),
    Case("500", answers(500, said("api_error", "Internal server error")), "upstream_error", log=log(500, "api_error"), source=PAGE),
    Case("503 with a code", answers(503, said("api_error", "x", "cmek_context_unavailable")), "overloaded",
         log=log(503, "api_error", "cmek_context_unavailable"), source=SDK),
    Case("504", answers(504, said("timeout_error", "Request timed out")), "upstream_error", log=log(504, "timeout_error"), source=PAGE),
    Case("529", answers(529, said("overloaded_error", "Overloaded"), retry_after="5"), "overloaded", retry_after=5,
         log=log(529, "overloaded_error"), source=PAGE),
    Case("529 HTML", answers(529, "<h1>529</h1>", "text/html"), "overloaded", log=log(529)),
    Case("a plain string", answers(400, {"error": f"bad {MARK}"}), "invalid_request", log=log(400)),
    Case("200 JSON with an error", answers(200, said("overloaded_error", "Overloaded")), "overloaded",
         log=log(200, "overloaded_error")),
    Case("200 JSON, whole message", answers(200, {"type": "message", "content": [{"type": "text", "text": MARK}]}), "upstream_error"),
]  # fmt: skip
