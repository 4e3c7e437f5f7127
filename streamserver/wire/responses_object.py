"""The Response object of OpenAI's Responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from providers.base import UsageDetails
from streamserver.log.records import UNKNOWN_USAGE, Done, Failed, Start, TokenUsage
from streamserver.wire.ids import public_hash
from streamserver.wire.openai_errors import error_fields

ECHOED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "user",
    "background",
    "store",
)
"""Fields of a request that its Response repeats; kept in the start of its log."""

_DEFAULTS: Mapping[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}

_ERROR_CODES: Mapping[str, str] = {
    "rate_limited": "rate_limit_exceeded",
    "quota_exceeded": "insufficient_quota",
    "overloaded": "server_is_overloaded",
    "context_length": "context_length_exceeded",
    "model_not_found": "invalid_prompt",
    "content_filter": "invalid_prompt",
    "invalid_request": "invalid_prompt",
}
"""Our codes as a Response's ``error.code``; any other is ``server_error``."""

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Ends that cut an answer, as ``incomplete_details.reason``."""


def response_id(stream_id: str) -> str:
    """Return the public id of a stream's Response."""
    return f"resp_{public_hash(stream_id)}"


def response_object(start: Start, output: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a Response without an end. All fields are there: the SDKs' types require most of them."""
    return {
        "id": response_id(start.stream_id),
        "object": "response",
        "created_at": start.created,
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": start.model,
        "output": list(output),
        "usage": None,
        **{name: _with_defaults(start.options.get(name), default) for name, default in _DEFAULTS.items()},
    }


def _with_defaults(given: Any, default: Any) -> Any:
    """Return what the request gave, else the default; an object's missing fields are filled in."""
    if given is None:
        return default
    return {**default, **given} if isinstance(default, dict) and isinstance(given, dict) else given


def finished_fields(done: Done, created: int, *, refused: bool) -> dict[str, Any]:
    """Return the fields of a Response that a complete, or a limited, answer sets.

    An answer in which the model ``refused`` is complete: the refusal is a part of it.
    """
    reason = _INCOMPLETE.get(done.finish_reason)
    if refused and reason == "content_filter":
        reason = None
    return {
        "status": "completed" if reason is None else "incomplete",
        "completed_at": created + round(done.duration_ms / 1000) if reason is None else None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "model": done.model,
        "usage": usage_fields(done.usage, done.usage_details),
    }


def failed_fields(failed: Failed) -> dict[str, Any]:
    """Return the fields of a Response that a failure sets. A cancelled one has no error."""
    usage = None if failed.usage is None else usage_fields(failed.usage, failed.usage_details)
    if failed.code == "cancelled":
        return {"status": "cancelled", "usage": usage}
    code = _ERROR_CODES.get(failed.code, "server_error")
    return {"status": "failed", "error": {"code": code, "message": _error_message(failed)}, "usage": usage}


def error_event_fields(failed: Failed) -> dict[str, Any]:
    """Return the ``error`` object of the event that tells of a failure."""
    return {**error_fields(failed, messages_field="input", with_param=False), "message": _error_message(failed)}


def _error_message(failed: Failed) -> str:
    """Return the message of a failure. Codex reads the wait from its words (``try_parse_retry_after``):
    https://github.com/openai/codex/blob/main/codex-rs/codex-api/src/sse/responses.rs."""
    message: str = error_fields(failed, messages_field="input")["message"]
    if failed.code == "rate_limited" and failed.retry_after is not None:
        return f"{message} Please try again in {failed.retry_after:g}s."
    return message


def usage_fields(usage: TokenUsage | None, details: UsageDetails | None) -> dict[str, Any]:
    """Return a usage object. Its details are required as numbers: Codex fails on an object without them
    (``ResponseCompletedUsage``): https://github.com/openai/codex/blob/main/codex-rs/codex-api/src/sse/responses.rs."""
    usage, details = usage or UNKNOWN_USAGE, details or UsageDetails()
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": details.cached_tokens or 0,
            "cache_write_tokens": details.cache_write_tokens or 0,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": details.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
    }
