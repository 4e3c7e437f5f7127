"""What the value of a setting may be, and what is said of a setting."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535, description="a port, 0 to 65535 (0: any free one)")]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400, description="seconds, more than 0 and at most 86400")]
SecondsOrNone: TypeAlias = Annotated[float, Meta(ge=0, le=86_400, description="seconds, 0 to 86400")]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=2**53, description="a whole number from 1")]
Natural: TypeAlias = Annotated[int, Meta(ge=0, le=2**53, description="a whole number from 0")]
Names: TypeAlias = tuple[str, ...]
HostName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])\Z",
        description='a host name as browsers send it, without a port: "chat.example.com"',
    ),
]
Origin: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?![Hh][Tt][Tt][Pp]://[^/]*:80\Z)(?![Hh][Tt][Tt][Pp][Ss]://[^/]*:443\Z)"
        r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?\Z",
        description='an origin as browsers send it, without a path or the usual port: "https://app.example.com"',
    ),
]
RootPath: TypeAlias = Annotated[
    str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*\Z", description='"" or a path without a slash at its end: "/llm"')
]
SocketPath: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^(/[^\x00-\x1f\x7f]+)?\Z", description='"" or an absolute path: "/run/streamserver/http.sock"'),
]
LogLevel: TypeAlias = Annotated[
    str,
    Meta(
        pattern="^(TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL)$",
        description="TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL",
    ),
]
LogFormat: TypeAlias = Annotated[str, Meta(pattern="^(text|json)$", description='"text" or "json"')]
StoreAddress: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(memory|rediss?://\S+|unix://([^/\s]*@)?/\S+)$",
        description='"memory" or an address like "redis://127.0.0.1:6379/0" or "unix:///run/redis.sock"',
    ),
]


class Applies(StrEnum):
    """The time at which a changed value takes effect, after the file was changed and reloaded."""

    NOW = "now"
    """From the next request, response or log record on."""
    NEW_STREAMS = "new streams"
    """For streams that start from then on; a running stream keeps the value that it began with."""
    RESTART = "restart"
    """When the server is started again."""


class About(Struct, frozen=True):
    """The annotation of a setting: its meaning, with the unit of a number, and when a change takes effect.

    ``copied_by_store``: a shared store is made with its own copy, which changes at a restart only.
    """

    meaning: str
    applies: Applies = Applies.NOW
    copied_by_store: bool = False
