"""What a provider's error means, wherever it stands and whichever words it uses.

Sources: the error pages of OpenAI, Azure OpenAI, Anthropic, Gemini (``google.rpc.Code`` and ``ErrorInfo``), Groq,
OpenRouter, DeepSeek, Mistral, Together, xAI, Fireworks, Cerebras, Hugging Face and Alibaba Cloud Model Studio; what
vLLM, SGLang, llama.cpp, LM Studio, Ollama, LiteLLM and Text Generation Inference send.

They agree on little: the error may be under ``error``, beside it, the body itself, or in a list; a ``code`` may be a
word, a sentence, a number or null; and an overflow of the context, an account without money or a wrong key is often
told in the message alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers.error_words import Kind, by_general_word, by_message, by_word
from providers.errors import (
    ContentFilter,
    ContextLength,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ProviderAuth,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    UpstreamError,
)
from providers.http_errors import REQUEST_ID_HEADERS, TRANSIENT_STATUSES, by_status, detail_of, retry_after
from providers.lenient import as_count, as_object, json_value, objects
from providers.upstream_waits import wait_in

_SAME_STATUS_MAY_MEAN: Mapping[Kind, frozenset[Kind]] = {
    ProviderAuth: frozenset({ContextLength, QuotaExceeded, ContentFilter, ModelNotFound}),
    RateLimited: frozenset({ContextLength, QuotaExceeded}),
}
"""What a message may say that a 403 or a 429 is about; a 400 or a 404 may be about anything."""


def from_answer(status: int, headers: Mapping[str, str], body: object) -> ProviderError:
    """Return the error for an HTTP answer that is no stream. ``body`` is its JSON, an empty object if it had none."""
    error = _described(body)
    kind: Kind
    if 300 <= status < 400:
        kind, error = UpstreamError, {}
    elif status in TRANSIENT_STATUSES or not error:
        kind = by_status(status)
        if kind is ModelNotFound:  # a 404 that is not the API's own: a wrong address
            kind = InvalidRequest
    else:
        kind = _kind(error, status)
        if kind is ModelNotFound and isinstance(body, str) and by_message(error.get("message")) is None:
            kind = InvalidRequest
    wait = retry_after(headers)
    ids = (headers.get(name) for name in REQUEST_ID_HEADERS)
    request_id = next(filter(None, ids), None) or error.get("request_id")
    return _make(kind, error, wait, status, request_id)


def from_stream(body: object) -> ProviderError:
    """Return the error for a failure that is told in a stream, or in place of one, with the status 200."""
    error = _described(body)
    return _make(_kind(error, None), error, None, 200, error.get("request_id"))


def told_error(body: object) -> ProviderError | None:
    """Return the error that a JSON value in a stream, or in place of one, tells of; None if it tells of none."""
    return None if error_in(body) is None else from_stream(body)


def raise_error_in(name: str, data: bytes) -> None:
    """Raise the error that a frame tells of, if it does. An event named ``error`` does, whatever its data is."""
    try:
        value = json_value(data)
    except UpstreamError:
        if name != "error":
            raise
        value = None
    error = from_stream(value) if name == "error" else told_error(value)
    if error is not None:
        raise error


def error_in(body: object) -> Mapping[str, Any] | None:
    """Return the error that a JSON value tells of, in OpenAI's form; None if it tells of none.

    It may be under ``error`` (an object, or a sentence with a code beside it), in a list, in another object, or be the
    object itself, with ``code`` and ``message`` or under the names that others give these. Without a code it is one if
    nothing in it belongs to an answer, and more than a message: that may be a keepalive.
    """
    if isinstance(body, list):
        return next(filter(None, map(error_in, body)), None)
    if not isinstance(body, dict):
        return None
    beside = {name: value for name, value in body.items() if name not in ("error", "errors", "choices", "response")}
    error = body.get("error") or body.get("errors")
    if isinstance(error, list):
        error = next(objects(error), None) or next(iter(error), None)
    if isinstance(error, dict):
        return _named({"request_id": body.get("request_id"), **error})
    if isinstance(error, str):
        return _named({**beside, "message": error, "code": beside.get("code") or error})
    if error:
        return _named(beside)
    for name in ("response", "detail", "base_resp"):  # the API's, FastAPI's, MiniMax's
        if isinstance(body.get(name), dict):
            return error_in(body[name])
    named = _named(beside)
    return named if _tells(beside, named) else None


_ONLY_IN_ERRORS = frozenset({"message", "detail", "msg", "error_msg", "request_id", "success", "timestamp", "path"})
"""The fields of an object that is an error although it has no code."""
_GOOD_CODES = frozenset({"0", "200", "ok", "success"})


def _tells(body: Mapping[str, Any], named: Mapping[str, Any]) -> bool:
    """Return whether ``body`` is itself an error; ``named`` are its fields under OpenAI's names."""
    if body.get("object") == "error" or body.get("type") == "error" or body.get("success") is False:
        return True
    code = named["code"]
    if code is not None and str(code).lower() in _GOOD_CODES:
        return False
    said = named["message"]
    if isinstance(said, str) and (code or (as_count(body.get("status")) or 0) >= 400):
        return True
    is_named = "detail" in body or "error_msg" in body
    return is_named and bool(said) and isinstance(said, (str, list)) and body.keys() <= _ONLY_IN_ERRORS


def _described(body: object) -> Mapping[str, Any]:
    """Return the error in a body that is known to tell of one, perhaps with nothing but a message."""
    if isinstance(body, str):
        return {"message": body}
    error = error_in(body)
    if error is None and isinstance(body, dict):
        error = _named(body)
        return error if isinstance(error["message"], str) else {}
    return error or {}


_NAMES_OF_MESSAGE = ("message", "error_msg", "msg", "detail", "status_msg")
_NAMES_OF_CODE = ("code", "error_code", "status_code", "statusCode", "__type")


def _named(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``error`` with its message, code and type under OpenAI's names."""
    message = next((error[name] for name in _NAMES_OF_MESSAGE if error.get(name)), None)
    code = next((error[name] for name in _NAMES_OF_CODE if error.get(name)), None)
    kind = error.get("type") if error.get("type") != "error" else None
    details = as_object(error.get("details")).get("error_code")  # Anthropic's
    return {**error, "message": message, "code": details or code, "type": kind}


def _make(kind: Kind, error: Mapping[str, Any], wait: float | None, status: int, request_id: object) -> ProviderError:
    if wait is None and kind.retryable:
        wait = wait_in(error)
    return kind(retry_after=wait, detail=detail_of(status, error, request_id if isinstance(request_id, str) else None))


def _kind(error: Mapping[str, Any], status: int | None) -> Kind:
    words = list(_words_in(error))
    specific = by_word(words)
    if status is not None and status >= 500:
        return specific if specific in (Overloaded, RateLimited) else by_status(status)
    status = status or _status_in(error)
    base = by_status(status) if status is not None else by_general_word(words) or UpstreamError
    if status is not None and status >= 500:
        return specific or base
    told = by_message(error.get("message")) or by_message(as_object(error.get("metadata")).get("raw"))
    if told is QuotaExceeded and wait_in(error) is not None and RateLimited in (base, specific):
        told = None  # a quota per minute
    if specific is not None:
        return told if told and specific is RateLimited and told in _SAME_STATUS_MAY_MEAN[RateLimited] else specific
    return told if told and told in _SAME_STATUS_MAY_MEAN.get(base, (told,)) else base


def _words_in(error: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words that say what an error is about, the most specific first."""
    inner = (as_object(error.get(name)) for name in ("innererror", "metadata"))
    places = (*objects(error.get("details")), *inner, error)
    for name in ("reason", "error_type", "code", "type", "status"):
        for place in places:
            if isinstance(word := place.get(name), str):
                yield word


def _status_in(error: Mapping[str, Any]) -> int | None:
    """Return the HTTP status that the provider would have answered with, had the stream not begun."""
    for name in ("code", "status", "status_code", "http_status_code"):
        status = as_count(error.get(name))
        if status is not None and 400 <= status < 600:
            return status
    return None
