"""Where log records go, and in which form: text for people, JSON for machines.

Everything is one loguru sink: the standard library's loggers, aiohttp's, asyncio's and the SDKs' too.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
from loguru import logger

from streamserver.config.settings import Log
from streamserver.telemetry.tracebacks import places

if TYPE_CHECKING:
    from loguru import Message

# Below INFO these log requests, bodies and headers.
_TALKATIVE = ("openai", "anthropic", "httpx2", "httpcore2", "httpx", "httpcore", "aiohttp", "asyncio")

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def set_up_logs(settings: Log, stream: TextIO | None = None) -> None:
    """Send every log record to ``stream`` (standard error by default), in the configured form."""
    out = sys.stderr if stream is None else stream
    form = _as_json if settings.format == "json" else _as_text

    def write(message: Message) -> None:
        out.write(form(message.record))
        out.flush()

    logger.remove()
    # diagnose would print the values of local variables.
    logger.add(write, level=settings.level, format="{message}", diagnose=False, backtrace=False)
    logging.root.handlers = [_ToLoguru()]
    logging.root.setLevel(logging.DEBUG if settings.level in ("TRACE", "DEBUG") else logging.INFO)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)


def handle_loop_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio has nobody else to tell. Its own handler prints the exception's message and the task's arguments."""
    error = context.get("exception")
    text = places(error) if isinstance(error, BaseException) else None
    logger.bind(event="crash", traceback=text).error("the event loop reports: {}", context.get("message", "a failure"))


class _ToLoguru(logging.Handler):
    """The standard library's records, handed on without the exceptions' messages."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        fields: dict[str, Any] = {"event": "log", "logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["traceback"] = places(record.exc_info[1])
        logger.bind(**fields).log(level, "{}", record.getMessage())


def _as_json(record: Any) -> str:
    extra = record["extra"]
    fields = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        **extra,
        "message": record["message"],
    }
    return msgspec.json.encode(fields, enc_hook=str).decode() + "\n"


def _as_text(record: Any) -> str:
    extra = dict(record["extra"])
    traceback = extra.pop("traceback", None)
    extra.pop("event", None)
    line = f"{record['time']:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    line += f" {record['level'].name:<8} {record['message']}"
    line += "".join(f" {name}={value}" for name, value in extra.items() if value is not None)
    line = line.translate(_CONTROL)
    return f"{line}\n{traceback}\n" if traceback else f"{line}\n"
