"""Chat completions: a request in the form of that API.

Source: OpenAI's API reference, "Create chat completion".
"""

from __future__ import annotations

import operator
import re
from typing import Any

from providers.base import ChatRequest
from providers.chat_form import check_source
from providers.chat_messages import chat_messages
from providers.foreign_reasoning import own_chat
from providers.openai.options import SharedOptions

PATH = "chat/completions"

# OpenAI's reasoning models, also behind a gateway's prefix or as a fine-tune, refuse
# max_tokens; other vendors' servers know only that.
_WANTS_COMPLETION_TOKENS = re.compile(r"(?:.*/)?(?:ft:)?(?:o\d|gpt-(?:[5-9]|\d\d))", re.IGNORECASE)

_PARAMETERS = (
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "user",
)
"""Fields of a :class:`~providers.base.ChatRequest` that have the same name and form here."""
_parameters_of = operator.attrgetter(*_PARAMETERS)
_NOTHING: tuple[object, ...] = (None, (), [])


def payload(request: ChatRequest, options: SharedOptions) -> dict[str, Any]:
    """Return the body of ``POST …/chat/completions``.

    A body of this protocol goes out as it came, but for the model, the limit and streaming. Configured ``extra``
    parameters give way to the request's.
    """
    if (source := request.source_of("chat")) is not None:
        body = {**options.extra, **own_chat(source.body)}
    else:
        body = {**options.extra, **_translated(request)}
    for name in ("max_tokens", "max_completion_tokens", "stream_options"):
        body.pop(name, None)
    body["model"] = request.model
    body["stream"] = True
    if options.stream_options:
        body["stream_options"] = {"include_usage": True}
    field = _field_for(request.model) if options.max_tokens_field == "auto" else options.max_tokens_field
    body[field] = request.max_tokens
    return body


def _translated(request: ChatRequest) -> dict[str, Any]:
    check_source(request)
    given = zip(_PARAMETERS, _parameters_of(request), strict=True)
    parameters = {name: value for name, value in given if value not in _NOTHING}
    return {**request.extra, **parameters, "messages": chat_messages(request.messages)}


def _field_for(model: str) -> str:
    return "max_completion_tokens" if _WANTS_COMPLETION_TOKENS.match(model) else "max_tokens"
