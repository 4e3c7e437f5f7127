"""Set up logs: text for people, JSON for machines.

There is one loguru sink. The records of the standard library's loggers, of aiohttp, asyncio and the SDKs go to it too.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger

from providers.jsontext import printable, scalar
from streamserver.config.settings import LogSettings
from streamserver.telemetry.log_output import LogOutput
from streamserver.telemetry.tracebacks import log_crash, places

if TYPE_CHECKING:
    from loguru import Message

# Below INFO these log requests, bodies and headers.
_TALKATIVE = ("openai", "anthropic", "httpx2", "httpcore2", "httpx", "httpcore", "aiohttp", "asyncio")


LOG_EXIT_SECONDS = 1.0
"""How long an exit waits for records to be written."""

_outputs: dict[int, LogOutput] = {}
"""By file descriptor."""


def set_up_logs(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send every log record to ``stream`` (standard error by default), in the configured form.

    A stream with a file descriptor is written to by a thread, and records are dropped while it takes none: nothing
    that reads logs can stop the process. It replaces all sinks of loguru and the handlers of the root logger.
    """
    write = _writer_to(sys.stderr if stream is None else stream)
    form = _as_json if settings.format == "json" else _as_text

    def sink(message: Message) -> None:
        try:
            write(form(message.record))
        except Exception as error:
            _report_lost(error)

    logger.remove()
    # diagnose would print the values of local variables; catch, the record that a failure is about.
    logger.add(sink, level=settings.level, format="{message}", diagnose=False, backtrace=False, catch=False)
    logging.root.handlers = [_ToLoguru()]
    logging.root.setLevel(logging.DEBUG if settings.level in ("TRACE", "DEBUG") else logging.INFO)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.INFO)
    warnings.showwarning = _log_warning
    sys.unraisablehook = _log_unraisable
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread


def logs_are_set_up() -> bool:
    """Return whether records go where :func:`set_up_logs` sends them, with their fields."""
    return any(isinstance(handler, _ToLoguru) for handler in logging.root.handlers)


def flush_logs() -> None:
    """Wait until all records are written, at most :data:`LOG_EXIT_SECONDS`. An exit calls it by itself; ``os._exit``
    does not."""
    for output in _outputs.values():
        output.flush(LOG_EXIT_SECONDS)


def count_dropped_records(count: Callable[[], None]) -> None:
    """Have ``count`` called for each log record that is dropped from now on."""
    for output in _outputs.values():
        output.on_drop = count


def _writer_to(stream: TextIO) -> Callable[[str], object]:
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # a stream in memory; io.UnsupportedOperation is both
        return _flushing(stream)
    if descriptor not in _outputs:
        if not _outputs:
            atexit.register(flush_logs)
        _outputs[descriptor] = LogOutput(descriptor)
    return _outputs[descriptor].write


def _flushing(stream: TextIO) -> Callable[[str], None]:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return write


def _report_lost(error: Exception) -> None:
    """Say on standard error that a record is lost; the code that logs must not fail for it."""
    with suppress(Exception):
        sys.stderr.write(f"streamserver: a log record could not be written: {type(error).__name__}\n")


def handle_loop_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an unhandled failure. asyncio's own handler prints the exception's message and the task's arguments."""
    error = context.get("exception")
    text = places(error) if isinstance(error, BaseException) else None
    # "Exception in callback name(arguments)", or "… of <repr>".
    what = re.split(r"[(<]", str(context.get("message", "a failure")), maxsplit=1)[0].strip()
    logger.bind(event="crash", traceback=text).error("the event loop reports: {}", what)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning without its message: pydantic's, for one, quote the value they are about."""
    logger.bind(event="warning", place=f"{filename}:{lineno}").warning("{} (message left out)", category.__name__)


def _log_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    if unraisable.exc_value is not None:
        log_crash("an exception that could not be raised", unraisable.exc_value)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        log_crash("an uncaught exception", error)


def _log_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        log_crash("an exception that a thread did not catch", failed.exc_value)


class _ToLoguru(logging.Handler):
    """The standard library's records, handed on without the exceptions' messages."""

    def emit(self, record: logging.LogRecord) -> None:
        # Whatever level the logger has: the SDKs set theirs when they are imported, by a variable.
        if record.levelno < logging.INFO and record.name.partition(".")[0] in _TALKATIVE:
            return
        fields: dict[str, Any] = {"event": "log", "logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["traceback"] = places(record.exc_info[1])
        logger.bind(**fields).log(_level_of(record), "{}", _message_of(record))


def _level_of(record: logging.LogRecord) -> str | int:
    try:
        return logger.level(record.levelname).name
    except ValueError:
        return record.levelno


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # whatever a stranger's values do when they are formatted
        return "(a message that cannot be formatted)"


def _as_json(record: Any) -> str:
    fields = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        **{name: _plain(value) for name, value in record["extra"].items()},
        "message": scalar(record["message"]),
    }
    # ASCII alone: Unicode has line ends of its own, and a terminal its commands.
    return json.dumps(fields, separators=(",", ":")).replace("\x7f", "\\u007f") + "\n"


def _as_text(record: Any) -> str:
    extra = record["extra"]
    # Of a string, _plain takes the lone surrogates, which are taken here from the whole line.
    fields = [
        f"{name}={value if isinstance(value, _PRINTED) else _plain(value)}"
        for name, value in extra.items()
        if value is not None and name not in _NOT_IN_LINE
    ]
    time = record["time"].isoformat(" ", "milliseconds")[:_TIME_CHARS]
    line = printable(scalar(" ".join([time, f"{record['level'].name:<8}", record["message"], *fields])))
    traceback = extra.get("traceback")
    return f"{line}\n{_plain(traceback)}\n" if traceback else f"{line}\n"


_PRINTED = (str, int, float)
_NOT_IN_LINE = frozenset({"event", "traceback"})
_TIME_CHARS = len("2026-01-31 23:59:59.999")
"""The time without the offset from UTC."""


def _plain(value: object) -> object:
    """Return ``value`` if it is one that JSON has; of any other, which may quote what it holds, the type alone."""
    if isinstance(value, str):
        return scalar(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return f"<{type(value).__name__}>"
