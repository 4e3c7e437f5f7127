"""Every setting there is: its name, type, bounds, default and meaning.

This one table is what ``config.toml``, the environment, ``streamserver check`` and the
documentation are checked against.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from providers.options import VariableName

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535, description="a port, 0 to 65535 (0: any free one)")]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400, description="seconds, more than 0 and at most 86400")]
SecondsOrNone: TypeAlias = Annotated[float, Meta(ge=0, le=86_400, description="seconds, 0 to 86400")]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=2**53, description="a whole number from 1")]
Natural: TypeAlias = Annotated[int, Meta(ge=0, le=2**53, description="a whole number from 0")]
Names: TypeAlias = tuple[str, ...]
HostName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"(?i)^([a-z0-9_][a-z0-9_.-]*|\[[0-9a-f:.]+\])\Z",
        description='a host name as browsers send it, without a port: "chat.example.com"',
    ),
]
Origin: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"(?i)^(?!http://[^/]*:80\Z)(?!https://[^/]*:443\Z)"
        r"[a-z][a-z0-9+.-]*://([a-z0-9_][a-z0-9_.-]*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?\Z",
        description='an origin as browsers send it, without a path or the usual port: "https://app.example.com"',
    ),
]
RootPath: TypeAlias = Annotated[
    str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*\Z", description='"" or a path without a slash at its end: "/llm"')
]
LogLevel: TypeAlias = Annotated[
    str,
    Meta(
        pattern="^(TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL)$",
        description="TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL",
    ),
]
LogFormat: TypeAlias = Annotated[str, Meta(pattern="^(text|json)$", description='"text" or "json"')]
Store: TypeAlias = Annotated[
    str, Meta(pattern=r"^(memory|rediss?://\S+)$", description='"memory" or an address like "redis://127.0.0.1:6379/0"')
]


def _lowered(names: Names) -> Names:
    """Browsers send hosts in lower case, whatever was typed."""
    return tuple(map(str.lower, names))


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Server(_Section, frozen=True, kw_only=True):
    host: Annotated[str, Meta(min_length=1, description="a host name or address")] = "127.0.0.1"
    port: Port = 8080
    workers: Positive = 1
    keepalive_seconds: Seconds = 15
    drain_seconds: SecondsOrNone = 30
    send_timeout_seconds: Seconds = 30
    trusted_proxies: Names = ()
    allowed_hosts: tuple[HostName, ...] = ()
    root_path: RootPath = ""
    unix_socket: str = ""
    reload: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "allowed_hosts", _lowered(self.allowed_hosts))


class Default(_Section, frozen=True, kw_only=True):
    default: str = "openai"
    fallback: Names = ()


class Limits(_Section, frozen=True, kw_only=True):
    max_prompt_chars: Positive = 5000
    max_conversation_chars: Positive = 200_000
    max_body_bytes: Positive = 1_048_576
    max_tokens: Positive = 4096
    max_streams: Positive = 1000
    max_streams_per_user: Positive = 10
    max_readers_per_stream: Positive = 20
    requests_per_minute: Positive = 60
    tokens_per_day: Natural = 0


class Timeouts(_Section, frozen=True, kw_only=True):
    first_token: Seconds = 30
    idle: Seconds = 30
    total: Seconds = 120
    headers: Seconds = 10
    body: Seconds = 10


class Retry(_Section, frozen=True, kw_only=True):
    attempts: Annotated[int, Meta(ge=1, le=10, description="a whole number, 1 to 10")] = 3
    max_wait: SecondsOrNone = 8


class Resume(_Section, frozen=True, kw_only=True):
    store: Store = "memory"
    grace_seconds: SecondsOrNone = 0
    keyed_grace_seconds: SecondsOrNone = 15
    max_grace_seconds: SecondsOrNone = 60
    retention_seconds: SecondsOrNone = 300
    attach_seconds: Seconds = 10
    ending_wait_seconds: SecondsOrNone = 5
    max_log_bytes: Positive = 4_194_304
    max_total_bytes: Positive = 268_435_456


class User(_Section, frozen=True, kw_only=True, omit_defaults=True):
    """What one key may do. None, or nothing in a list: as everybody."""

    providers: Names = ()
    models: Names = ()
    max_tokens: Positive | None = None
    max_streams: Positive | None = None
    requests_per_minute: Positive | None = None
    tokens_per_day: Natural | None = None


class Auth(_Section, frozen=True, kw_only=True):
    keys_env: VariableName = "STREAMSERVER_KEYS"
    keys_file: str = ""
    allow_anonymous: bool = False
    cors_origins: tuple[Origin, ...] = ()
    users: dict[str, User] = {}

    def __post_init__(self) -> None:
        force_setattr(self, "cors_origins", _lowered(self.cors_origins))


class Log(_Section, frozen=True, kw_only=True):
    level: LogLevel = "INFO"
    format: LogFormat = "text"


def _default_providers() -> dict[str, dict[str, Any]]:
    return {
        "openai": {"kind": "openai", "model": "gpt-4o-mini", "models": [], "api_key_env": "OPENAI_API_KEY"},
        "anthropic": {"kind": "anthropic", "model": "claude-sonnet-4-5", "api_key_env": "ANTHROPIC_API_KEY"},
        "echo": {"kind": "echo", "delay_ms": 20},
    }


class Settings(_Section, frozen=True, kw_only=True):
    """The whole configuration. ``providers`` are tables whose keys their kinds know."""

    server: Server = field(default_factory=Server)
    provider: Default = field(default_factory=Default)
    providers: dict[str, dict[str, Any]] = field(default_factory=_default_providers)
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: Retry = field(default_factory=Retry)
    resume: Resume = field(default_factory=Resume)
    auth: Auth = field(default_factory=Auth)
    log: Log = field(default_factory=Log)
