"""The error bodies of OpenAI's wires: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from typing import Any

from streamserver.core.refusals import Refusal
from streamserver.log.records import Failed
from streamserver.wire.base import HTTPAnswer
from streamserver.wire.error_forms import OPENAI_ERRORS, retry_headers
from streamserver.wire.events import to_json

_CONTEXT_LENGTH = "The conversation is longer than the model's context length."
"""LiteLLM, as a client, recognises the error by these words only: ``is_error_str_context_window_exceeded`` in
https://github.com/BerriAI/litellm/blob/main/litellm/litellm_core_utils/exception_mapping_utils.py."""


def error_fields(failed: Failed, *, messages_field: str, with_param: bool = True) -> dict[str, Any]:
    """Return the ``error`` object of a failure. ``messages_field`` is the wire's name of the conversation."""
    form = OPENAI_ERRORS[failed.code]
    param = failed.param
    if failed.code == "model_not_found":
        param = "model"
    elif failed.code == "context_length":
        param = messages_field
    code = form.code
    if failed.code == "invalid_request" and (failed.param or "").endswith("].type"):
        code = "unsupported_parameter"  # a hosted tool
    message = _CONTEXT_LENGTH if failed.code == "context_length" else failed.message
    return {"message": message, "type": form.type, "param": param if with_param else None, "code": code}


def failure_answer(failed: Failed, *, messages_field: str) -> HTTPAnswer:
    """Return the HTTP error of a stream that failed before its response was begun."""
    fields = error_fields(failed, messages_field=messages_field)
    return HTTPAnswer(OPENAI_ERRORS[failed.code].status, to_json({"error": fields}), headers=retry_headers(failed))


def refusal_answer(refusal: Refusal, request_id: str) -> HTTPAnswer:
    """Return the HTTP error of a request that starts no stream."""
    form = OPENAI_ERRORS[refusal.code]
    fields = {"message": refusal.detail, "type": form.type, "param": refusal.field, "code": form.code}
    headers = {**refusal.headers, **retry_headers(refusal)}
    return HTTPAnswer(form.status, to_json({"error": fields}), headers=headers)
