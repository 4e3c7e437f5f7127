"""One POST, one event stream: what the kinds that speak a vendor's API over HTTP have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Protocol

from providers.base import ChatRequest, Event, Finish
from providers.errors import ProviderAuth, ProviderError, not_a_stream
from providers.http_errors import annotate_errors, is_labelled, is_stream, read_error
from providers.options import Context
from providers.sse import SSEDecoder
from providers.transport import HttpRequest, HttpResponse


class Reader(Protocol):
    """The payloads of one stream in, our events out: what it has said so far."""

    complete: bool
    """The API has said that its stream ends here: nothing that matters follows."""

    def events(self, payload: bytes) -> Iterable[Event]:
        """The events in one payload. Raises a :class:`~providers.errors.ProviderError` if it tells a failure."""
        ...

    def finish(self) -> Finish:
        """The end. Raises :class:`~providers.errors.UpstreamDisconnected` if the model never said that it finished."""
        ...


class SSEProvider(ABC):
    """A provider whose model answers a POST with Server-Sent Events. A kind says what goes and what comes mean."""

    def __init__(self, context: Context) -> None:
        self._transport = context.transport
        self._missing = context.missing

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        if self._missing is not None:
            raise ProviderAuth(f"This server has no key for the provider: {self._missing}.", sent=False)
        response = await self._transport.send(self._post(request))
        complete, silent = False, True
        try:
            with annotate_errors(response):
                await self._expect_stream(response)
                reader = self._reader()
                decoder = SSEDecoder()
                while not reader.complete and (chunk := await response.read()):
                    for payload in filter(None, decoder.feed(chunk)):  # empty ones keep some servers' connections
                        silent = False
                        for event in reader.events(payload):
                            yield event
                        if reader.complete:
                            break
                complete = reader.complete
                if silent and not is_labelled(response):
                    raise not_a_stream()
                decoder.end()
                finish = reader.finish()
                complete = True
                yield finish
        finally:
            if complete:
                response.finish()
            else:
                response.close()

    async def aclose(self) -> None:  # noqa: B027 — there is nothing to do, for most
        """Nothing is held here: the transport belongs to the catalog."""

    async def _expect_stream(self, response: HttpResponse) -> None:
        """Raise what a status other than 200, or something else than an event stream, means."""
        if response.status != 200:
            raise self._refused(response.status, response.headers, await read_error(response))
        if not is_stream(response):
            body = await read_error(response)
            raise self._failed(body) if body.get("error") else not_a_stream()

    @abstractmethod
    def _post(self, request: ChatRequest) -> HttpRequest:
        """What is sent. Raises :class:`~providers.errors.InvalidRequest` for what the API cannot say."""

    @abstractmethod
    def _reader(self) -> Reader:
        """A reader of one answer."""

    @abstractmethod
    def _refused(self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> ProviderError:
        """What an answer that is no stream means. ``body`` is its JSON object, ``{}`` if it had none."""

    @abstractmethod
    def _failed(self, body: Mapping[str, Any]) -> ProviderError:
        """What a JSON object with an ``error`` means that came with status 200."""
