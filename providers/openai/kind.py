"""The ``openai`` kind: chat completions or the Responses API, over HTTP, streamed."""

from __future__ import annotations

import msgspec

from providers.address import Address, join, sdk_headers
from providers.answer import AnswerParser
from providers.base import ApiProtocol, ChatRequest
from providers.chat_form import tool_names
from providers.openai import chat_request, responses_request
from providers.openai.chat_stream import ChatParser
from providers.openai.options import OpenAIOptions, SharedOptions
from providers.openai.responses_stream import ResponsesParser
from providers.options import Context
from providers.sse_provider import SSEProvider
from providers.transport import HttpRequest


class OpenAIApi(SSEProvider):
    """A provider that speaks OpenAI's API to ``address``."""

    def __init__(self, options: SharedOptions, context: Context, address: Address) -> None:
        super().__init__(context)
        self._options = options
        self._address = address

    def _protocol(self) -> ApiProtocol:
        return "responses" if _is_responses(self._options) else "chat"

    def _post(self, request: ChatRequest) -> HttpRequest:
        options = self._options
        if _is_responses(options):
            payload = responses_request.payload(request, options.extra)
        else:
            payload = chat_request.payload(request, options)
        return HttpRequest(self._address.url(request.model), self._address.headers, msgspec.json.encode(payload))

    def _parser(self, request: ChatRequest) -> AnswerParser:
        if _is_responses(self._options):
            return ResponsesParser(request.model)
        return ChatParser(tool_names(request.tools or ()))


class OpenAI(OpenAIApi):
    """A provider that speaks OpenAI's API: OpenAI itself, or a compatible server."""

    def __init__(self, options: OpenAIOptions, context: Context) -> None:
        super().__init__(options, context, address_of(options, context.api_key))


def path_of(options: SharedOptions) -> str:
    """Return the path of the API that ``options`` choose, under the base URL."""
    return responses_request.PATH if _is_responses(options) else chat_request.PATH


def address_of(options: OpenAIOptions, key: str | None) -> Address:
    """Return where requests go; without ``key`` no credentials are sent."""
    url = join(options.base_url, path_of(options))
    own = {
        "OpenAI-Organization": options.organization,
        "OpenAI-Project": options.project,
        "Authorization": None if key is None else f"Bearer {key}",
    }
    headers = {name: value for name, value in own.items() if value is not None}
    return Address(lambda model: url, {**sdk_headers("AsyncOpenAI", "openai"), **headers})


def _is_responses(options: SharedOptions) -> bool:
    return options.api == "responses"
