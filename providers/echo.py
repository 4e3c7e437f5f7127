"""The ``echo`` kind: streams the prompt back, without a key or a network.

For trying things out, for load tests, and, by its options, for every fault a test needs.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from providers.base import ChatRequest, Event, Finish, Message, Text, Usage
from providers.chat_form import check_expressible, check_source, unsupported
from providers.errors import BY_CODE, UpstreamTimeout
from providers.jsontext import as_json_object, scalar
from providers.message_text import text_of
from providers.options import Context, Options

_TOKEN = re.compile(r"\s*\S+|\s+")

_KNOWN_PARTS = frozenset({"text", "refusal", "image_url", "input_audio", "file"})
"""The parts of a message that chat completions have. Those without text are not echoed."""

_FAULT_MODEL = re.compile(r"(fail|stall)-after-(\d{1,6})")
"""Models that ask for a fault: a page can show one without a provider of its own in the configuration."""

FAIL_CODES = (*(code for code in BY_CODE if code != UpstreamTimeout.code), "internal")
"""The values of ``fail_code``; ``internal`` raises an exception that is no ``ProviderError``."""

Milliseconds = Annotated[float, Meta(ge=0, le=3_600_000, description="milliseconds, 0 to 3600000")]
Count = Annotated[int, Meta(ge=0, le=100_000_000, description="a whole number from 0")]
FailCode = Annotated[str, Meta(pattern=f"^({'|'.join(FAIL_CODES)})$", description=f"one of {', '.join(FAIL_CODES)}")]


class EchoOptions(Options, frozen=True, kw_only=True):
    """``[providers.NAME]`` with ``kind = "echo"``. Counts are of tokens."""

    delay_ms: Milliseconds = 20
    """The delay between tokens."""
    first_delay_ms: Milliseconds = 0
    """The delay before the first token, in place of ``delay_ms``."""
    jitter_ms: Milliseconds = 0
    """The most that is added to each delay, at random."""
    tokens: Count = 0
    """The length of the answer: the prompt's tokens are repeated or cut. 0: the prompt once."""
    burst: Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number from 1")] = 1
    """The number of tokens sent at once, after each delay."""
    fail_after: Count | None = None
    """The number of tokens after which it fails with ``fail_code``."""
    fail_code: FailCode = "upstream_error"
    hang_after: Count | None = None
    """The number of tokens after which it stalls."""


class Echo:
    """A provider that answers with the last message of the user.

    With the ``response_format`` ``json_object`` the answer is that message if it is a JSON object, else an object with
    it as its ``text``.
    Any model will do. ``fail-after-N`` and ``stall-after-N`` fail and stall after N tokens, as the options
    ``fail_after`` and ``hang_after`` do.
    """

    def __init__(self, options: EchoOptions, context: Context) -> None:
        self._options = options

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        _check(request)
        options = _for_model(self._options, request.model)
        text = last_user_text(request.messages)
        if _wants_json(request):
            text = _as_object(text)
            options = msgspec.structs.replace(options, tokens=0)  # more, or fewer, were no JSON
        tokens = tokens_of(text)
        wanted = (options.tokens or len(tokens)) if tokens else 0
        sent = min(wanted, request.max_tokens)
        for number, token in enumerate(itertools.islice(_repeated(tokens), sent)):
            await _obey_faults(options, number)
            await self._pause(number)
            yield Text(token)
        await _obey_faults(options, sent)
        yield Usage(sum(len(tokens_of(text)) for text in map(text_of, request.messages)), sent)
        yield Finish("stop" if sent == wanted else "length", request.model)

    async def aclose(self) -> None:
        """Release nothing."""

    async def _pause(self, number: int) -> None:
        options = self._options
        if number % options.burst:
            return
        milliseconds = options.delay_ms if number else options.first_delay_ms
        if options.jitter_ms:
            milliseconds += random.uniform(0, options.jitter_ms)
        # Also when it is 0: a stream that never waits would block all others.
        await asyncio.sleep(milliseconds / 1000)


def _for_model(options: EchoOptions, model: str) -> EchoOptions:
    """Return ``options`` with the fault that ``model`` asks for, if it asks for one."""
    match = _FAULT_MODEL.fullmatch(model)
    if match is None:
        return options
    after = int(match[2])
    if match[1] == "fail":
        return msgspec.structs.replace(options, fail_after=after, hang_after=None)
    return msgspec.structs.replace(options, hang_after=after, fail_after=None)


async def _obey_faults(options: EchoOptions, number: int) -> None:
    if number == options.hang_after:
        await asyncio.get_running_loop().create_future()
    if number == options.fail_after:
        if options.fail_code == "internal":
            raise RuntimeError("the echo provider was told to crash")
        raise BY_CODE[options.fail_code]()


def tokens_of(text: str) -> list[str]:
    """Split ``text`` into words, each with the white space before it; joined they are ``text``."""
    return _TOKEN.findall(text)


def last_user_text(messages: Sequence[Message]) -> str:
    """Return the text of the last message of the user, or, without one, of the last message."""
    users = [message for message in messages if message.role == "user"]
    return text_of((users or list(messages))[-1])


def _repeated(tokens: Sequence[str]) -> Iterator[str]:
    """Yield the tokens again and again, with a space between the repetitions."""
    if not tokens:
        return
    yield from tokens
    first = tokens[0] if tokens[0][0].isspace() else f" {tokens[0]}"
    yield from itertools.cycle((first, *tokens[1:]))


def _check(request: ChatRequest) -> None:
    """Raise :class:`~providers.errors.InvalidRequest` for what would change the answer's shape, as other kinds do."""
    check_expressible(request)
    check_source(request)
    for number, tool in enumerate(request.tools or ()):
        if tool.get("type") == "custom" and "custom" in tool:
            raise unsupported(request, f"tools[{number}].type", "this provider has no tools of the type custom.")
    for number, message in enumerate(request.messages):
        for place, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if part.get("type") not in _KNOWN_PARTS:
                field = f"messages[{number}].content[{place}]"
                raise unsupported(request, field, "this provider has no parts of this type.")
    if request.response_format is not None and request.response_format.get("type") not in ("text", "json_object"):
        raise unsupported(request, "response_format", "this provider answers with text, or with any JSON object.")


def _wants_json(request: ChatRequest) -> bool:
    return request.response_format is not None and request.response_format.get("type") == "json_object"


def _as_object(text: str) -> str:
    return text if as_json_object(text) is not None else msgspec.json.encode({"text": scalar(text)}).decode()
