"""The ``anthropic`` kind: the Messages API, over HTTP, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anthropic
import msgspec

from providers.anthropic import errors
from providers.anthropic.events import MessagesParser
from providers.anthropic.messages import payload
from providers.base import ApiProtocol, ChatRequest
from providers.errors import ProviderError
from providers.options import ApiOptions, Context, HttpUrl
from providers.parser import StreamParser
from providers.sdk import plain_headers, without_environment
from providers.sse_provider import SSEProvider
from providers.transport import HttpRequest

BASE_URL = "https://api.anthropic.com"


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
        return HttpRequest(self._url, self._headers, msgspec.json.encode(payload(request, self._extra)))

    def _parser(self, request: ChatRequest) -> StreamParser:
        return MessagesParser(request.model)

    def _refused(self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> ProviderError:
        return errors.from_answer(status, headers, body)

    def _failed(self, body: Mapping[str, Any]) -> ProviderError:
        return errors.from_stream(body)
