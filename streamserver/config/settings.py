"""The settings: name, type, bounds, default, unit, meaning, and when a change takes effect.

This is the only table of them. ``config.toml``, ``docs/settings.md``, the JSON schema, the environment, the reload and
``streamserver check`` are made from it or tested against it.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from providers.options import VariableName
from streamserver.config.types import (
    About,
    Applies,
    HostName,
    LogFormat,
    LogLevel,
    Names,
    Natural,
    Origin,
    Port,
    Positive,
    RootPath,
    Seconds,
    SecondsOrNone,
    SocketPath,
    StoreAddress,
)

NEW, RESTART = Applies.NEW_STREAMS, Applies.RESTART


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table with fixed keys."""


class ServerSettings(Section, frozen=True, kw_only=True):
    """The addresses of the server, and its treatment of connections."""

    host: Annotated[
        str,
        Meta(min_length=1, description="a host name or address"),
        About("the address to listen on; other than loopback needs API keys", RESTART),
    ] = "127.0.0.1"
    port: Annotated[Port, About("the port to listen on", RESTART)] = 8080
    unix_socket: Annotated[
        SocketPath, About("listen on a Unix socket at this path instead of host and port", RESTART)
    ] = ""
    workers: Annotated[Positive, About("processes on one port; more than one needs a Redis store", RESTART)] = 1
    keepalive_seconds: Annotated[Seconds, About("seconds of silence after which a `ping` event is sent", NEW)] = 15
    drain_seconds: Annotated[
        SecondsOrNone, About("seconds for which running streams may go on after SIGTERM", RESTART)
    ] = 30
    send_timeout_seconds: Annotated[Seconds, About("seconds after which a reader that takes nothing is dropped")] = 30
    trusted_proxies: Annotated[
        Names,
        About("addresses or networks (10.0.0.0/8) of proxies, for Forwarded and X-Forwarded-For to be believed"),
    ] = ()
    allowed_hosts: Annotated[
        tuple[HostName, ...], About("more Host names to answer to while listening on loopback: those of your proxy")
    ] = ()
    root_path: Annotated[RootPath, About("the path prefix that a proxy strips: Location and url begin with it")] = ""
    reload: Annotated[bool, About("read this file again when it changes (SIGHUP always does)", RESTART)] = False

    def __post_init__(self) -> None:
        force_setattr(self, "allowed_hosts", _lowered(self.allowed_hosts))


class ProviderSettings(Section, frozen=True, kw_only=True):
    """The choice among the configured providers."""

    default: Annotated[str, About("the provider of requests that name none: switch providers here", NEW)] = "openai"
    fallback: Annotated[Names, About("tried in order when the default fails before its first token", NEW)] = ()


class LimitSettings(Section, frozen=True, kw_only=True):
    """Limits on requests and users. A user is an API key, else an address (of IPv6 its /64)."""

    max_prompt_chars: Annotated[
        Positive, About("characters of the newest user turn: the prompt, or the last message of the role user")
    ] = 5000
    max_conversation_chars: Annotated[
        Positive, About("characters of all text in a request: system, earlier turns, tools, tool results")
    ] = 200_000
    max_body_bytes: Annotated[Positive, About("bytes of a request's body")] = 1_048_576
    max_tokens: Annotated[
        Positive, About("the most tokens that a request may ask for, and what one that does not ask gets")
    ] = 4096
    max_streams: Annotated[Positive, About("running streams of one process, of all users together")] = 1000
    max_streams_per_user: Annotated[Positive, About("running streams of one user")] = 10
    max_readers_per_stream: Annotated[
        Positive, About("readers of one stream; one more is refused with a 429", copied_by_store=True)
    ] = 20
    requests_per_minute: Annotated[Positive, About("streams that one user may start in a minute")] = 60
    tokens_per_day: Annotated[
        Natural, About("tokens of prompts and answers, per user, in 24 hours from the first; 0: no limit")
    ] = 0


class TimeoutSettings(Section, frozen=True, kw_only=True):
    """Deadlines, in seconds."""

    first_token: Annotated[
        Seconds, About("seconds to a provider's first text, reasoning or tool call, its retries included", NEW)
    ] = 30
    idle: Annotated[
        Seconds, About("seconds between such pieces; the provider's pings and comments do not count", NEW)
    ] = 30
    total: Annotated[
        Seconds, About("seconds of the whole generation, over all providers", NEW, copied_by_store=True)
    ] = 120
    headers: Annotated[Seconds, About("seconds for a connection's first request line and headers to arrive")] = 10
    body: Annotated[Seconds, About("seconds for a request's body to arrive")] = 10


class RetrySettings(Section, frozen=True, kw_only=True):
    """Retries before the first token; after it nothing is sent again."""

    attempts: Annotated[
        int,
        Meta(ge=1, le=10, description="a whole number, 1 to 10"),
        About("requests to one provider at the most, the first included", NEW),
    ] = 3
    max_wait: Annotated[SecondsOrNone, About("seconds of the longest wait between two attempts", NEW)] = 8


class ResumeSettings(Section, frozen=True, kw_only=True):
    """The time that streams wait for readers, and the place where they are kept."""

    store: Annotated[
        StoreAddress, About('"memory", or redis://host:6379/0: then any node serves any stream', RESTART)
    ] = "memory"
    grace_seconds: Annotated[
        SecondsOrNone, About("seconds that a generation goes on without a reader, if the request does not say", NEW)
    ] = 0
    keyed_grace_seconds: Annotated[
        SecondsOrNone, About("the same, in seconds, for requests with an idempotency key", NEW)
    ] = 15
    max_grace_seconds: Annotated[
        SecondsOrNone, About("the most seconds of grace that a request may ask for", NEW, copied_by_store=True)
    ] = 60
    retention_seconds: Annotated[
        SecondsOrNone, About("seconds that a stream stays readable after its end", copied_by_store=True)
    ] = 300
    attach_seconds: Annotated[
        Seconds, About("seconds after which a created stream without a reader is cancelled", NEW, copied_by_store=True)
    ] = 10
    ending_wait_seconds: Annotated[
        SecondsOrNone,
        About("seconds that an ending waits for a store that is away before local readers get it", RESTART),
    ] = 5
    max_log_bytes: Annotated[Positive, About("bytes of one stream: its text plus 64 bytes a record", NEW)] = 4_194_304
    max_total_bytes: Annotated[
        Positive, About("bytes of all kept streams of one process; the oldest finished go first")
    ] = 268_435_456


class User(Section, frozen=True, kw_only=True, omit_defaults=True):
    """The rights of one API key. None, or an empty list: those of every key."""

    providers: Annotated[
        Names, About("only these providers; the first is the default if the server's is not among them", NEW)
    ] = ()
    models: Annotated[Names, About("only these models", NEW)] = ()
    max_tokens: Annotated[Positive | None, About("instead of limits.max_tokens, if it is less")] = None
    max_streams: Annotated[Positive | None, About("instead of limits.max_streams_per_user")] = None
    requests_per_minute: Annotated[Positive | None, About("instead of limits.requests_per_minute")] = None
    tokens_per_day: Annotated[Natural | None, About("instead of limits.tokens_per_day")] = None


class AuthSettings(Section, frozen=True, kw_only=True):
    """API keys, and the origins of pages that may use the server."""

    keys_env: Annotated[VariableName, About("the environment variable with API keys, as name:key,name:key")] = (
        "STREAMSERVER_KEYS"
    )
    keys_file: Annotated[str, About("a file of `name:sha256:…` lines, from `streamserver keys new NAME`")] = ""
    allow_anonymous: Annotated[bool, About("serve without API keys on other addresses than loopback too")] = False
    cors_origins: Annotated[
        tuple[Origin, ...], About('origins of pages that may use the server: ["https://app.example.com"]')
    ] = ()
    users: Annotated[dict[str, User], About("what the key of one name may do: a table [auth.users.NAME]")] = {}

    def __post_init__(self) -> None:
        force_setattr(self, "cors_origins", _lowered(self.cors_origins))


class LogSettings(Section, frozen=True, kw_only=True):
    """Log records, which go to standard error."""

    level: Annotated[LogLevel, About("the least level that is written")] = "INFO"
    format: Annotated[LogFormat, About('"text" for people, "json" for machines')] = "text"


def _default_providers() -> dict[str, dict[str, Any]]:
    return {
        "openai": {"kind": "openai", "model": "gpt-4o-mini", "models": [], "api_key_env": "OPENAI_API_KEY"},
        "anthropic": {"kind": "anthropic", "model": "claude-sonnet-4-5", "api_key_env": "ANTHROPIC_API_KEY"},
        "echo": {"kind": "echo", "delay_ms": 20},
    }


class Settings(Section, frozen=True, kw_only=True):
    """The whole configuration. ``providers`` are tables; their kinds know the keys."""

    server: ServerSettings = field(default_factory=ServerSettings)
    provider: ProviderSettings = field(default_factory=ProviderSettings)
    providers: dict[str, dict[str, Any]] = field(default_factory=_default_providers)
    limits: LimitSettings = field(default_factory=LimitSettings)
    timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    resume: ResumeSettings = field(default_factory=ResumeSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    log: LogSettings = field(default_factory=LogSettings)


def _lowered(names: Names) -> Names:
    """Return hosts in lower case, as browsers send them however they were typed."""
    return tuple(map(str.lower, names))
