"""The kind ``ollama``: Ollama's own API, which streams a JSON object a line."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import closing

import msgspec

from providers import ChatRequest, Context, Event, Finish, Kind, Options, Text, Usage, errors, http_errors
from providers.chat_messages import chat_messages
from providers.transport import HttpRequest


class OllamaOptions(Options, frozen=True, kw_only=True):
    base_url: str = "http://127.0.0.1:11434"


class Ollama:
    def __init__(self, options: OllamaOptions, context: Context) -> None:
        self._url, self._transport = f"{options.base_url}/api/chat", context.transport

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        limits = {"num_predict": request.max_tokens, "temperature": request.temperature}
        messages = chat_messages(request.messages)
        body = msgspec.json.encode({"model": request.model, "messages": messages, "options": limits})
        response = await self._transport.send(HttpRequest(self._url, {"Content-Type": "application/json"}, body))
        with closing(response), http_errors.annotate_errors(response):
            if response.status != 200:
                raise http_errors.by_status(response.status)
            rest = b""
            while data := await response.read():
                *lines, rest = (rest + data).split(b"\n")
                for event in (event for line in lines for event in events_in(line)):
                    yield event
                    if isinstance(event, Finish):
                        return
            raise errors.UpstreamDisconnected

    async def aclose(self) -> None: ...


def events_in(line: bytes) -> Iterator[Event]:
    try:
        said = msgspec.json.decode(line)
        text, done = said["message"]["content"], said["done"]
    except (ValueError, KeyError, TypeError):
        raise errors.UpstreamError from None
    yield from [Text(text)] if text else []
    if done:
        yield Usage(said.get("prompt_eval_count"), said.get("eval_count"))
        yield Finish(said.get("done_reason", "stop"))


KIND = Kind(OllamaOptions, Ollama)
