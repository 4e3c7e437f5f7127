"""The ``anthropic`` kind: the Messages API, over HTTP, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anthropic
import msgspec

from providers.anthropic import errors
from providers.anthropic.events import MessagesParser
from providers.anthropic.request import payload
from providers.base import ApiProtocol, ChatRequest
from providers.errors import ProviderError
from providers.options import ApiOptions, Context, HttpUrl
from providers.parser import StreamParser
from providers.sdk import plain_headers, without_environment
from providers.sse_provider import SSEProvider
from providers.transport import HttpRequest

BASE_URL = "https://api.anthropic.com"

_SAMPLING = ("temperature", "top_p", "top_k")
SAMPLING_VERSION = "2023-06-01"
"""The last version of the API that accepts the parameters of sampling: 2026-10-21 answers 400 to any value."""


class AnthropicOptions(ApiOptions, frozen=True, kw_only=True):
    """``[providers.NAME]`` with ``kind = "anthropic"``. ``base_url`` is the root, without ``/v1``."""

    base_url: HttpUrl = BASE_URL


class Anthropic(SSEProvider):
    """A provider that speaks Anthropic's Messages API."""

    def __init__(self, options: AnthropicOptions, context: Context) -> None:
        super().__init__(context)
        self._extra = options.extra
        with without_environment():
            client = anthropic.AsyncAnthropic(
                # The SDK looks for credentials on disk unless it is given a key.
                api_key=context.api_key or "none",
                base_url=options.base_url,
                max_retries=0,
            )
        headers = {**plain_headers(client.default_headers), "Accept": "text/event-stream"}
        for name in client.auth_headers:
            headers.pop(name, None)
        self._headers = headers if context.api_key is None else {**headers, **client.auth_headers}
        self._url = f"{str(client.base_url).rstrip('/')}/v1/messages"

    def _protocol(self) -> ApiProtocol:
        return "messages"

    def _post(self, request: ChatRequest) -> HttpRequest:
        body = payload(request, self._extra)
        return HttpRequest(self._url, {**self._headers, **_headers(request, body)}, msgspec.json.encode(body))

    def _parser(self, request: ChatRequest) -> StreamParser:
        return MessagesParser(request.model)

    def _refused(self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> ProviderError:
        return errors.from_answer(status, headers, body)

    def _failed(self, body: Mapping[str, Any]) -> ProviderError:
        return errors.from_stream(body)


def _headers(request: ChatRequest, body: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that depend on the request."""
    headers = {}
    if any(body.get(name) is not None for name in _SAMPLING):
        headers["anthropic-version"] = SAMPLING_VERSION
    source = request.source
    if source is not None and source.protocol == "messages" and "anthropic-beta" in source.headers:
        headers["anthropic-beta"] = source.headers["anthropic-beta"]
    return headers
