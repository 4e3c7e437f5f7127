"""The tables of the log's events and fields, which the documentation is tested against."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class LogEvent(msgspec.Struct, frozen=True):
    """A row of the table. ``fields`` are those that it may have beside ``time``, ``level`` and ``message``."""

    name: str
    fields: tuple[str, ...]
    when: str


EVENTS = (
    LogEvent(
        "request",
        ("request_id", "method", "route", "http_status", "bytes", "duration_ms", "count", "seconds"),
        "a request was answered: at DEBUG; the first refusal of a route and status in 10 seconds at INFO, then their "
        "`count`; the route's template, never its URL",
    ),
    LogEvent(
        "refused",
        ("error_type", "count", "seconds"),
        "a request that is not HTTP, or is too long, was refused; counted like `request`",
    ),
    LogEvent(
        "reader",
        ("stream_id", "readers"),
        "a reader has left a stream; `readers` are left; at DEBUG",
    ),
    LogEvent(
        "crash",
        ("request_id", "provider", "route", "job", "traceback"),
        "a bug here, or in a plug-in: the request id leads from the client's error to this",
    ),
    LogEvent(
        "stuck",
        ("request_id", "provider"),
        "a provider did not let go of its stream in a second; its readers had their ending all the same",
    ),
    LogEvent("plugin", ("plugin", "reason"), "a plug-in could not be loaded, and why"),
    LogEvent(
        "start",
        ("url",),
        "the server serves, and could not print its address to standard output",
    ),
    LogEvent(
        "reload",
        ("default",),
        "another configuration is in force, or why it is not; which changes wait for a restart",
    ),
    LogEvent("drain", ("streams", "seconds"), "the server is shutting down; its `streams` have `seconds` to end"),
    LogEvent("worker", ("exit_status",), "one of several workers died"),
    LogEvent(
        "store",
        ("restarted", "address", "error_type", "reason", "stream_id", "command", "answer"),
        "Redis cannot be reached, is back, or refused a command; what did not reach it before the end",
    ),
    LogEvent("limits", ("restarted", "address", "error_type", "reason", "answer"), "as `store`, of users' limits"),
    LogEvent("producer_lost", ("streams",), "another node is dead; `streams` of it were ended by this one"),
    LogEvent("fenced", ("stream_id",), "another node took this one for dead, and ended its stream"),
    LogEvent(
        "log_output",
        ("dropped",),
        "log records were dropped, because the output took none or failed; it takes records again",
    ),
    LogEvent(
        "items", ("stream_id",), "the items of a Response could not be bound: a reference to them will not be found"
    ),
    LogEvent("misconfigured", (), "the application is run in a way that breaks its promises"),
    LogEvent("warning", ("place",), "a library warns; its category and place, not its words"),
    LogEvent(
        "log",
        ("logger", "traceback"),
        "a library's own record, from Python's logging, its exceptions without their messages",
    ),
)
"""Every event but ``stream``, which the wire contract describes (:mod:`streamserver.telemetry.record`)."""

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "event": str,
    "time": str,
    "level": str,
    "message": str,
    "request_id": str,
    "stream_id": str,
    "user": str,
    "wire": str,
    "provider": str,
    "model": str,
    "status": str,
    "finish_reason": str,
    "attempts": int,
    "ttft_ms": (int, float),
    "duration_ms": (int, float),
    "prompt_tokens": int,
    "completion_tokens": int,
    "total_tokens": int,
    "estimated": bool,
    "maybe_billed": bool,
    "upstream_status": int,
    "upstream_reason": str,
    "upstream_type": str,
    "upstream_code": str,
    "upstream_param": str,
    "upstream_request_id": str,
    "command": str,
    "address": str,
    "answer": str,
    "upstream_url": str,
    "method": str,
    "route": str,
    "http_status": int,
    "bytes": int,
    "count": int,
    "error_type": str,
    "readers": int,
    "dropped": int,
    "job": str,
    "traceback": str,
    "plugin": str,
    "reason": str,
    "url": str,
    "default": str,
    "streams": int,
    "seconds": (int, float),
    "exit_status": int,
    "restarted": bool,
    "place": str,
    "logger": str,
}
"""Field → its type in every event (or null), because an index of JSON records allows only one."""
