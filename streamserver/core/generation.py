"""A generation: one provider's answer, run into a log, with one ending whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import assert_never

import msgspec

from providers.base import (
    AnsweringModel,
    Attempt,
    AttemptFailed,
    BlockEnd,
    ChatRequest,
    Delta,
    Event,
    Finish,
    Frame,
    Provider,
    Reasoning,
    RefusalText,
    Text,
    ToolCall,
    Usage,
)
from providers.clock import Clock
from providers.errors import ProviderError, UpstreamDetail, UpstreamDisconnected
from providers.resilience import Deadline
from streamserver.core.error_codes import failed, failed_with
from streamserver.core.token_count import TokenCount
from streamserver.log.base import Log, LogFull
from streamserver.log.records import ContinuedText, Done, Failed, Terminal, TokenUsage


class AttemptResult(msgspec.Struct, frozen=True):
    """The result of one request to a provider. ``code`` is its error code, None if it did not fail, or was stopped."""

    provider: str
    code: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about an ended stream: the source of its log record and its metrics."""

    stream_id: str
    request_id: str
    key_name: str
    provider: str
    model: str
    asked_model: str
    terminal: Terminal
    attempts: tuple[AttemptResult, ...]
    ttft_ms: float | None
    duration_ms: float
    wire: str = "native"
    stop_ms: float | None
    """From the decision to stop it (its last reader gone, or a stop request) to its provider's connection closed; None
    if it was not stopped, or is ``stuck``."""
    pieces: int
    log_bytes: int
    usage: TokenUsage | None
    detail: UpstreamDetail
    stuck: bool = False
    """It ended without its provider, which did not let go of its connection in time."""
    maybe_billed: bool = False
    """A request went out and got no answer: the provider may have worked on it, and charge for it."""
    crash: BaseException | None
    """What went wrong in this server, for a terminal with the code ``internal``."""

    @property
    def attempt_count(self) -> int:
        return len(self.attempts)


class Generation:
    """A run of ``provider`` on ``request`` into ``log``, for ``total`` seconds at the most.

    However it ends (an answer, a failure, a deadline, :meth:`stop`, a bug), the log is closed with one
    terminal record, the provider's connection is closed, and ``on_end`` is called once.
    """

    def __init__(
        self,
        *,
        log: Log,
        provider: Provider,
        request: ChatRequest,
        key_name: str,
        total: float,
        clock: Clock,
        on_end: Callable[[Outcome], None],
    ) -> None:
        self._log = log
        self._provider = provider
        self._request = request
        self._key_name = key_name
        self._total = total
        self._clock = clock
        self._on_end = on_end
        self._began = clock.time()
        self._first_token: float | None = None
        self._after_cr = False
        self._tokens = TokenCount(request, log)
        self._attempts: list[AttemptResult] = []
        self._any_sent = False
        """Whether any failed attempt was sent to its provider."""
        self._no_response_yet = True
        """Whether the current attempt has produced no event yet."""
        self._maybe_billed = False
        self._attempt_open = False
        """Whether the last attempt is still open or succeeded."""
        self._answered_by = (log.start.provider, log.start.model)
        self._reported_model: str | None = None
        self._told_model = log.start.model
        self._finish: Finish | None = None
        self._detail = UpstreamDetail()
        self._crash: BaseException | None = None
        self._stop_code = "cancelled"
        self._abandoned = False
        self._is_native = log.start.wire == "native"
        self._stopped: float | None = None

    def stop(self, code: str, *, abandoned: bool = False) -> None:
        """Set the code of the terminal record, before the task that runs this is cancelled.

        ``abandoned``: it is cancelled because no reader is left.
        """
        self._stop_code = code
        self._abandoned = abandoned
        self._stopped = self._stopped or self._clock.time()

    async def run(self) -> None:
        """Generate until the end. Never raises: to cancel it is to end it."""
        try:
            with Deadline(self._clock) as deadline:
                deadline.set("total", self._total)
                async with aclosing(self._provider.stream(self._request)) as events:
                    await self._relay(events)
            terminal = self._completed()
        except ProviderError as error:
            terminal = self._failed_with(error)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                terminal = self.stopped()
            else:  # this task was not cancelled: a cancellation inside the provider escaped
                self._crash = error
                terminal = self._failed("internal")
        except LogFull:
            terminal = self._failed("too_large")
        except Exception as error:
            self._crash = error
            terminal = self._failed("internal")
        self.end(terminal)

    def end(self, terminal: Terminal, *, stuck: bool = False) -> None:
        """Close the log with ``terminal``, unless it was closed before. ``stuck``: the provider keeps its connection.

        A shared log may end with another record, if other nodes took this one for dead: that is the outcome then.
        """
        now, usage = self._clock.time(), terminal.usage
        self._log.close(terminal, lambda ending: self._on_end(self._outcome(ending, stuck, now, usage)))

    def stopped(self) -> Failed:
        """Return the terminal record of a generation that was stopped."""
        terminal = self._failed(self._stop_code)
        return msgspec.structs.replace(terminal, abandoned=True) if self._abandoned else terminal

    async def _relay(self, events: AsyncGenerator[Event, None]) -> None:
        async for event in events:
            # A class pattern costs five times as much, and tokens are most of what comes.
            if isinstance(event, Text):
                if self._after_cr or "\r" in event.text:
                    event = self._continued(event)
                if self._first_token is None:
                    self._begin_answer()
                self._log.append(event)
                continue
            if isinstance(event, Frame):
                self._frame(event)
                continue
            match event:
                case Reasoning() | ToolCall():
                    self._piece(event)
                case Usage():
                    self._no_response_yet = False
                    self._tokens.report(event)
                case Finish():
                    # The answer is whole. Whatever goes wrong behind it is not waited for.
                    self._finish = event
                    return
                case BlockEnd():
                    self._block_end(event)
                case AnsweringModel():
                    self._reported_model = event.name
                case Attempt():
                    self._attempt(event)
                case AttemptFailed():
                    self._attempt_failed(event.error)
                case _:
                    assert_never(event)

    def _piece(self, piece: Delta) -> None:
        if self._first_token is None:
            self._begin_answer()
        self._log.append(piece)

    def _begin_answer(self) -> None:
        self._tell_model()
        self._first_token = self._clock.time()
        self._no_response_yet = False  # after a first token no further attempt is made

    def _block_end(self, end: BlockEnd) -> None:
        if not self._is_native:
            if self._first_token is None:
                self._tell_model()  # reasoning may be nothing but its opaque part
            self._append_around(end)

    def _tell_model(self) -> None:
        """Append the model that answers, before what it answers, if it is not the one in the start of the log.

        The vendors' wires name it in their first event; the native one, in its last.
        """
        if not self._is_native:
            model = self._reported_model or self._answered_by[1]
            if model != self._told_model:
                self._told_model = model
                self._append_around(AnsweringModel(model))

    def _append_around(self, record: BlockEnd | AnsweringModel) -> None:
        """Append what is no piece of the answer, and is not to be counted as one."""
        self._tokens.around += 1
        self._log.append(record)

    def _frame(self, frame: Frame) -> None:
        if self._first_token is None and frame.pieces:
            self._first_token = self._clock.time()
        self._no_response_yet = False
        if frame.shape is None or self._after_cr:
            frame = self._continued_frame(frame)
        self._log.append(frame)

    def _continued_frame(self, frame: Frame) -> Frame:
        """Return ``frame`` with its text as :meth:`_continued` says."""
        for piece in frame.pieces:
            if isinstance(piece, Text) and (self._after_cr or "\r" in piece.text):
                pieces = (self._continued(each) if isinstance(each, Text) else each for each in frame.pieces)
                return msgspec.structs.replace(frame, pieces=tuple(pieces))
        return frame

    def _continued(self, piece: Text) -> Text:
        """Return ``piece``, or, if it goes on in the middle of a CRLF, the same as a :class:`ContinuedText`."""
        if not piece.text:
            return piece
        goes_on = self._after_cr and piece.text[0] == "\n"
        self._after_cr = piece.text[-1] == "\r"
        if not goes_on:
            return piece
        if isinstance(piece, RefusalText):
            return msgspec.structs.replace(piece, continued=True)
        return ContinuedText(piece.text)

    def _attempt(self, attempt: Attempt) -> None:
        self._attempts.append(AttemptResult(attempt.provider))
        self._answered_by = (attempt.provider, attempt.model)
        self._reported_model = None
        self._tokens.begin_attempt()
        self._no_response_yet = True
        self._attempt_open = True

    def _attempt_failed(self, error: ProviderError) -> None:
        if not self._attempt_open:
            return  # a deadline that passed between two attempts
        self._attempt_open = False
        self._attempts[-1] = AttemptResult(self._attempts[-1].provider, error.code)
        self._any_sent = self._any_sent or error.sent
        # The provider may have processed, and may charge for, a request that it did not answer.
        if self._no_response_yet and error.sent and error.detail.status is None:
            self._maybe_billed = True

    def _usage(self) -> TokenUsage | None:
        return self._tokens.total() if self._any_sent or self._attempt_open else None

    def _completed(self) -> Terminal:
        if self._finish is None:
            return self._failed_with(UpstreamDisconnected())
        provider, model = self._answered_by
        if self._first_token is None:
            self._reported_model = self._reported_model or self._finish.model
            self._tell_model()  # the answer is empty
        return Done(
            finish_reason=self._finish.reason,
            provider=provider,
            model=self._finish.model or model,
            usage=self._usage(),
            ttft_ms=self._ttft_ms(),
            duration_ms=self._elapsed_ms(self._clock.time()),
            usage_details=self._tokens.details,
            provider_reason=self._finish.provider_reason,
            stop_sequence=self._finish.stop_sequence,
        )

    def _failed(self, code: str) -> Failed:
        return self._counted(failed(code, request_id=self._log.start.request_id))

    def _failed_with(self, error: ProviderError) -> Failed:
        self._detail = error.detail
        self._attempt_failed(error)
        return self._counted(failed_with(error, request_id=self._log.start.request_id))

    def _counted(self, failure: Failed) -> Failed:
        usage = self._usage()
        details = None if usage is None else self._tokens.details
        return msgspec.structs.replace(failure, usage=usage, usage_details=details)

    def _ttft_ms(self) -> float | None:
        return None if self._first_token is None else self._elapsed_ms(self._first_token)

    def _elapsed_ms(self, until: float) -> float:
        return round((until - self._began) * 1000, 1)

    def _outcome(self, terminal: Terminal, stuck: bool, now: float, usage: TokenUsage | None) -> Outcome:
        provider, model = self._answered_by
        return Outcome(
            stream_id=self._log.stream_id,
            request_id=self._log.start.request_id,
            key_name=self._key_name,
            provider=provider,
            model=terminal.model if isinstance(terminal, Done) else model,
            asked_model=model,
            terminal=terminal,
            attempts=tuple(self._attempts),
            ttft_ms=self._ttft_ms(),
            duration_ms=self._elapsed_ms(now),
            wire=self._log.start.wire,
            stop_ms=None if self._stopped is None or stuck else (now - self._stopped) * 1000,
            pieces=self._tokens.pieces,
            log_bytes=self._log.size_bytes,
            usage=usage,
            detail=self._detail,
            stuck=stuck,
            maybe_billed=self._maybe_billed,
            crash=self._crash,
        )
