"""The tables of the wire contract, copied by hand so that the code is tested against them."""

STREAM_CODES = {
    "rate_limited": True,
    "quota_exceeded": False,
    "overloaded": True,
    "provider_auth": False,
    "model_not_found": False,
    "context_length": False,
    "content_filter": False,
    "invalid_request": False,
    "upstream_unavailable": True,
    "upstream_error": True,
    "upstream_disconnected": True,
    "timeout": True,
    "cancelled": False,
    "shutting_down": True,
    "producer_lost": True,
    "stream_expired": False,
    "too_large": False,
    "internal": False,
}
"""Error codes of a stream, and whether each is retryable."""

PROBLEM_STATUS = {
    "malformed": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "rate_limited": 429,
    "internal": 500,
    "overloaded": 503,
    "shutting_down": 503,
    "store_unavailable": 503,
}
"""Codes of refusals, and their statuses."""

CONFIG = """
[server]
host = "127.0.0.1"
port = 8080
workers = 1
keepalive_seconds = 15
drain_seconds = 30
send_timeout_seconds = 30
trusted_proxies = []
allowed_hosts = []
reload = false

[provider]
default = "openai"
fallback = []

[providers.openai]
kind = "openai"
model = "gpt-4o-mini"
models = []
api_key_env = "OPENAI_API_KEY"

[providers.anthropic]
kind = "anthropic"
model = "claude-sonnet-4-5"
api_key_env = "ANTHROPIC_API_KEY"

[providers.echo]
kind = "echo"
delay_ms = 20

[limits]
max_prompt_chars = 5000
max_body_bytes = 1048576
max_tokens = 4096
max_streams = 1000
max_streams_per_user = 10
max_readers_per_stream = 20
requests_per_minute = 60

[timeouts]
first_token = 30
idle = 30
total = 120

[retry]
attempts = 3
max_wait = 8

[resume]
store = "memory"
grace_seconds = 0
max_grace_seconds = 60
retention_seconds = 300
attach_seconds = 10
max_log_bytes = 4194304
max_total_bytes = 268435456

[auth]
keys_env = "STREAMSERVER_KEYS"
allow_anonymous = false
cors_origins = []

[log]
level = "INFO"
format = "text"
"""
"""Every key of the contract, with its default."""

ECHO_OPTIONS = ("delay_ms", "first_delay_ms", "jitter_ms", "tokens", "fail_after", "fail_code", "hang_after")
"""The options of an ``echo`` table, besides ``kind``."""
