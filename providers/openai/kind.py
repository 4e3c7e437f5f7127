"""The ``openai`` kind: chat completions or the Responses API, over HTTP, streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
import openai

from providers.answers import read_error
from providers.base import ChatRequest, Event, Finish
from providers.errors import ProviderAuth, UpstreamError
from providers.openai import chat, errors, responses
from providers.openai.options import OpenAIOptions, SharedOptions
from providers.options import Context
from providers.sdk import plain_headers, without_environment
from providers.sse import SSEDecoder
from providers.transport import HttpRequest, HttpResponse


class Address(msgspec.Struct, frozen=True):
    """Where requests go, and with which headers. ``url`` is given the model."""

    url: Callable[[str], str]
    headers: Mapping[str, str]


class Reader(Protocol):
    """The payloads of one stream in, events out."""

    complete: bool
    """The API has said that its stream ends here."""

    def events(self, payload: bytes) -> Iterator[Event]: ...

    def finish(self) -> Finish: ...


class OpenAI:
    """A provider that speaks OpenAI's API."""

    def __init__(self, options: OpenAIOptions, context: Context) -> None:
        self._speak(options, context, _address(options, context.api_key))

    def _speak(self, options: SharedOptions, context: Context, address: Address) -> None:
        self._options = options
        self._transport = context.transport
        self._missing = context.missing
        self._address = address
        self._reader: Callable[[], Reader] = responses.ResponsesReader if _is_responses(options) else chat.ChatReader

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        if self._missing is not None:
            raise ProviderAuth(f"This server has no key for the provider: {self._missing}.", sent=False)
        body = msgspec.json.encode(self._payload(request))
        address = self._address
        response = await self._transport.send(HttpRequest(address.url(request.model), address.headers, body))
        complete = False
        try:
            await _expect_stream(response)
            reader = self._reader()
            decoder = SSEDecoder()
            while not reader.complete and (chunk := await response.read()):
                for payload in decoder.feed(chunk):
                    for event in reader.events(payload):
                        yield event
                    if reader.complete:
                        break
            complete = reader.complete
            yield reader.finish()
            complete = True
        finally:
            if complete:
                response.finish()
            else:
                response.close()

    async def aclose(self) -> None:
        """Nothing is held here: the transport belongs to the catalog."""

    def _payload(self, request: ChatRequest) -> dict[str, Any]:
        options = self._options
        if _is_responses(options):
            return responses.payload(request, options.extra)
        return chat.payload(request, options)


def path_of(options: SharedOptions) -> str:
    """The path of the API that ``options`` choose, under the base URL."""
    return responses.PATH if _is_responses(options) else chat.PATH


def headers_of(client: openai.AsyncOpenAI, key: str | None) -> dict[str, str]:
    """The headers that ``client`` would send; no key in them without ``key``, which the SDK will not do without."""
    credentials = client.auth_headers if key is not None else {}
    return {**plain_headers(client.default_headers), **credentials, "Accept": "text/event-stream"}


def _address(options: OpenAIOptions, key: str | None) -> Address:
    with without_environment():
        client = openai.AsyncOpenAI(
            api_key=key or "none",
            organization=options.organization,
            project=options.project,
            base_url=options.base_url,
            max_retries=0,
        )
    url = str(client.base_url.join(path_of(options)))
    return Address(lambda model: url, headers_of(client, key))


def _is_responses(options: SharedOptions) -> bool:
    return options.api == "responses"


async def _expect_stream(response: HttpResponse) -> None:
    """Raise what a status other than 200, or something else than an event stream, means."""
    if response.status != 200:
        raise errors.from_answer(response.status, response.headers, await read_error(response))
    content_type = response.headers.get("Content-Type", "")
    if "json" in content_type or "html" in content_type:
        body = await read_error(response)
        if body.get("error"):
            raise errors.from_stream(body["error"])
        raise UpstreamError("The model's provider answered with something else than a stream.")
