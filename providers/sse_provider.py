"""The base of the kinds that speak a vendor's API over HTTP: one POST, one event stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence

from providers import upstream_errors
from providers.answer import AnswerParser, unreadable
from providers.base import ApiProtocol, ChatRequest, Event
from providers.errors import ProviderAuth, not_a_stream
from providers.http_errors import annotate_address, annotate_errors, as_json, is_labelled, is_stream, read_error_body
from providers.lenient import is_json_text
from providers.options import Context
from providers.parser import FrameParser, StreamParser
from providers.sse import SSEDecoder, begins_stream
from providers.transport import HttpRequest, HttpResponse

LONE_EVENT_BYTES = 4096
"""The size from which a read is not compared with the shape of one event: it most likely holds several."""


class SSEProvider(ABC):
    """A provider that answers a POST with Server-Sent Events. A kind says what is sent and how the answer is parsed."""

    def __init__(self, context: Context) -> None:
        self._transport = context.transport
        self._missing = context.missing

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        post = self._post(request)
        response = await self.send(post)
        complete, silent = False, True
        try:
            with annotate_address(post.url), annotate_errors(response):
                chunk = await self._first_bytes(response)
                parser = self._parser_for(request)
                decoder = SSEDecoder()
                while chunk:
                    shape = parser.event_shape
                    if (
                        shape is not None
                        and decoder.at_event
                        and len(chunk) < LONE_EVENT_BYTES
                        and (token := shape.token_in(chunk)) is not None
                    ):  # a token that comes alone
                        yield token
                        chunk = await response.read()
                        continue
                    events = decoder.feed(chunk)
                    for name, data in events:
                        if silent:  # what some servers send to keep a connection open is no answer
                            silent = not is_json_text(data)
                        for event in parser.events(name, data):
                            yield event
                        if parser.complete:
                            break
                    else:
                        if shape is None and len(events) == 1:
                            parser.expect_alone()
                            response.expect_small_reads()
                        chunk = await response.read()
                        continue
                    break
                complete = parser.complete
                last = () if complete else _events_left(parser, decoder)
                if silent and not is_labelled(response):
                    raise not_a_stream()
                decoder.end()
                finish = parser.finish()
                if parser.is_unreadable:
                    raise unreadable()
                complete = True
                for event in (*last, *parser.rest()):
                    yield event
                yield finish
        finally:
            if complete:
                response.finish()
            else:
                response.close()

    async def send(self, post: HttpRequest) -> HttpResponse:
        """Send ``post``, and wait for the status and headers of the response.

        Raises as :meth:`~providers.transport.Transport.send`, and :class:`~providers.errors.ProviderAuth` if the server
        has no usable key.
        """
        if self._missing is not None:
            raise ProviderAuth(f"This server has no usable key for the provider: {self._missing}.", sent=False)
        with annotate_address(post.url):
            return await self._transport.send(post)

    async def aclose(self) -> None:  # noqa: B027 — there is nothing to do, for most
        """Do nothing: the transport belongs to the catalog."""

    async def _first_bytes(self, response: HttpResponse) -> bytes:
        """Return the first bytes of an event stream. Raise the error for any other answer.

        Some servers label their streams as something else.
        """
        status = response.status
        if status != 200 and not (200 < status < 300 and is_labelled(response)):
            raise upstream_errors.from_answer(status, response.headers, await read_error_body(response))
        if is_stream(response):
            return await response.read()
        head = await response.read()
        if begins_stream(head):
            return head
        raise upstream_errors.told_error(await read_error_body(response, head)) or not_a_stream()

    def _parser_for(self, request: ChatRequest) -> StreamParser:
        parser, protocol = self._parser(request), self._protocol()
        if request.source_of(protocol) is not None:
            return FrameParser(parser, protocol)
        parser.announces_model = request.source is not None
        return parser

    @abstractmethod
    def _protocol(self) -> ApiProtocol:
        """Return the protocol that the provider speaks."""

    @abstractmethod
    def _post(self, request: ChatRequest) -> HttpRequest:
        """Return what is sent. Raises :class:`~providers.errors.InvalidRequest` for what the API cannot express."""

    @abstractmethod
    def _parser(self, request: ChatRequest) -> AnswerParser:
        """Return a parser of the answer to ``request``."""


def _events_left(parser: StreamParser, decoder: SSEDecoder) -> Sequence[Event]:
    """Return the events in a last event that was never closed: they count if they end the answer.

    Raises the error that a server wrote at the end of its stream, or instead of it, as bare JSON.
    """
    _raise_error_left(decoder.rest)
    name, data = decoder.unclosed_event() or ("", b"")
    return tuple(parser.events(name, data)) if isinstance(as_json(data), dict) else ()


def _raise_error_left(rest: bytes) -> None:
    """Raise the error that is all of ``rest``."""
    error = upstream_errors.told_error(as_json(rest))
    if error is not None:
        raise error
