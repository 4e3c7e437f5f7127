"""Chat completions: a request in the form of that API.

Source: OpenAI's API reference, "Create chat completion".
"""

from __future__ import annotations

import re
from typing import Any

from providers.base import ChatRequest
from providers.openai.options import SharedOptions

PATH = "chat/completions"

# OpenAI's reasoning models, also behind a gateway's prefix or as a fine-tune, refuse
# max_tokens; everybody else's servers know only that.
_WANTS_COMPLETION_TOKENS = re.compile(r"(?:.*/)?(?:ft:)?(?:o\d|gpt-(?:[5-9]|\d\d))", re.IGNORECASE)


def payload(request: ChatRequest, options: SharedOptions) -> dict[str, Any]:
    """The body of ``POST …/chat/completions``. ``extra``, the request's too, gives way to the keys set here."""
    body: dict[str, Any] = {
        **options.extra,
        **request.extra,
        "model": request.model,
        "messages": request.messages,
        "stream": True,
    }
    for name in ("max_tokens", "max_completion_tokens", "stream_options"):
        body.pop(name, None)
    if options.stream_options:
        body["stream_options"] = {"include_usage": True}
    field = _field_for(request.model) if options.max_tokens_field == "auto" else options.max_tokens_field
    body[field] = request.max_tokens
    for name in ("temperature", "tools", "tool_choice"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    return body


def _field_for(model: str) -> str:
    return "max_completion_tokens" if _WANTS_COMPLETION_TOKENS.match(model) else "max_tokens"
