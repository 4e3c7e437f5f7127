"""The kind ``program``: what a local program writes, given the last message as its input."""

import asyncio
import codecs
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator

from providers import ChatRequest, Context, Event, Finish, Kind, Options, Text, errors
from providers.message_text import text_of


class ProgramOptions(Options, frozen=True, kw_only=True):
    command: tuple[str, ...]


class Program:
    def __init__(self, options: ProgramOptions, context: Context) -> None:
        self._command = options.command

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        try:
            process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        except OSError:
            raise errors.UpstreamUnavailable("The program cannot be started.", sent=False) from None
        assert process.stdin is not None and process.stdout is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            process.stdin.write(text_of(request.messages[-1]).encode())
            process.stdin.close()
            while data := await process.stdout.read(65536):
                if text := decoder.decode(data):
                    yield Text(text)
            if await process.wait() != 0:
                raise errors.UpstreamError("The program failed.")
            yield Finish("stop")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def aclose(self) -> None: ...


KIND = Kind(ProgramOptions, Program)
