"""The ``anthropic`` kind: the Messages API, over HTTP, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
from multidict import CIMultiDict

from providers.address import Address, join, sdk_headers
from providers.answer import AnswerParser
from providers.anthropic.events import MessagesParser
from providers.anthropic.request import counted, payload
from providers.base import ApiProtocol, ChatRequest
from providers.errors import malformed_response
from providers.http_errors import annotate_address, annotate_errors, read_error_body
from providers.options import ApiOptions, Context, HttpUrl
from providers.sse_provider import SSEProvider
from providers.transport import HttpRequest, HttpResponse
from providers.upstream_errors import from_answer

BASE_URL = "https://api.anthropic.com"

PATH = "v1/messages"

VERSION = "2026-10-21"
"""The version of the API that this package speaks, as its SDK does."""

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
        self._address = address_of(options, context.api_key)

    async def count_tokens(self, request: ChatRequest) -> int:
        """See :class:`~providers.base.TokenCounter`."""
        post = self._request(f"{self._address.url(request.model)}/count_tokens", request, counted(request))
        response = await self.send(post)
        with closing(response), annotate_address(post.url), annotate_errors(response):
            return _count(response, await read_error_body(response))

    def _protocol(self) -> ApiProtocol:
        return "messages"

    def _post(self, request: ChatRequest) -> HttpRequest:
        return self._request(self._address.url(request.model), request, payload(request, self._extra))

    def _request(self, url: str, request: ChatRequest, body: Mapping[str, Any]) -> HttpRequest:
        headers = CIMultiDict(self._address.headers)
        headers.update(_headers(request, body))
        return HttpRequest(url, headers, msgspec.json.encode(body))

    def _parser(self, request: ChatRequest) -> AnswerParser:
        return MessagesParser(request.model)


def address_of(options: AnthropicOptions, key: str | None) -> Address:
    """Return where requests go; without ``key`` no credentials are sent."""
    url = join(options.base_url, PATH)
    headers = {**sdk_headers("AsyncAnthropic", "anthropic"), "anthropic-version": VERSION}
    return Address(lambda model: url, headers if key is None else {**headers, "Authorization": f"Bearer {key}"})


def _count(response: HttpResponse, body: object) -> int:
    if response.status != 200:
        raise from_answer(response.status, response.headers, body)
    match body:
        case {"input_tokens": int(count)}:
            return count
        case _:
            raise malformed_response("no_count")


def _headers(request: ChatRequest, body: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that depend on the request."""
    headers = {}
    if any(body.get(name) is not None for name in _SAMPLING):
        headers["anthropic-version"] = SAMPLING_VERSION
    source = request.source_of("messages")
    if source is not None and "anthropic-beta" in source.headers:
        headers["anthropic-beta"] = source.headers["anthropic-beta"]
    return headers
