"""Wrong options of a kind stop the start with one line that names the table, the key and what is allowed."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from providers.options import ApiOptions
from providers.tables import read_options
from providers.validation import Invalid
from tests.conftest import StartServer
from tests.providers.asking import REGISTRY

OPENAI = {"kind": "openai", "model": "m"}
AZURE = {"kind": "azure", "model": "m", "base_url": "https://r.openai.azure.com"}
ANTHROPIC = {"kind": "anthropic", "model": "m"}
ECHO = {"kind": "echo"}

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "kind", "is missing; expected one of anthropic, azure, echo, openai"),
    ({"kind": 5}, "kind", "expected one of anthropic, azure, echo, openai"),
    ({"kind": "opena"}, "kind", "did you mean 'openai'?"),
    ({"kind": "openai"}, "model", "is missing; expected the name of a model"),
    ({**OPENAI, "model": ""}, "model", "expected the name of a model"),
    ({**OPENAI, "models": "gpt-4o"}, "models", "expected a list"),
    ({**OPENAI, "bas_url": "http://x"}, "bas_url", "did you mean 'base_url'?"),
    ({**OPENAI, "base_url": "127.0.0.1:11434"}, "base_url", "expected an http:// or https:// address"),
    ({**OPENAI, "base_url": "http://[abc"}, "base_url", "expected an http:// or https:// address"),
    ({**OPENAI, "base_url": "http://h:99999/v1"}, "base_url", "expected an http:// or https:// address"),
    ({**OPENAI, "base_url": "http://h/v1?key=secret"}, "base_url", "without a query"),
    ({**OPENAI, "base_url": "http://h/v1\n"}, "base_url", "a line break"),
    ({**OPENAI, "base_url": "http://h/v1 http://g/v1"}, "base_url", "a blank"),
    ({**OPENAI, "base_url": "http://h/v1/chat/completions"}, "base_url", "leave that out, the server adds it"),
    ({**OPENAI, "base_url": "http://h/v1/responses/"}, "base_url", "ends with /responses"),
    ({**ANTHROPIC, "base_url": "http://h/v1/messages"}, "base_url", "ends with /messages"),
    ({**OPENAI, "api": "completions"}, "api", 'expected "chat" or "responses"'),
    ({**OPENAI, "max_tokens_field": "max"}, "max_tokens_field", 'expected "auto", "max_tokens" or'),
    ({**OPENAI, "stream_options": "no"}, "stream_options", "expected true or false"),
    ({**OPENAI, "api_version": "2024-10-21"}, "api_version", "there is no such key"),
    ({**OPENAI, "api_key_env": "sk-abc"}, "api_key_env", "expected the name of an environment variable"),
    ({**OPENAI, "extra": "top_p"}, "extra", "expected a table"),
    (
        {**OPENAI, "extra": {"a": {"b": [1, datetime.date(2026, 1, 1)]}}},
        "extra.a.b[1]",
        "expected a value that JSON has",
    ),
    ({**OPENAI, "extra": {"top_p": float("inf")}}, "extra.top_p", "expected a finite number"),
    ({"kind": "azure", "model": "m"}, "base_url", "is missing; expected an http:// or https:// address"),
    ({**AZURE, "api_version": "latest"}, "api_version", "expected a version such as"),
    ({**AZURE, "organization": "o"}, "organization", "there is no such key"),
    ({**ANTHROPIC, "api": "chat"}, "api", "there is no such key"),
    ({**ANTHROPIC, "extra": {"at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}}, "extra.at", "JSON"),
    ({**ECHO, "dealy_ms": 5}, "dealy_ms", "did you mean 'delay_ms'?"),
    ({**ECHO, "delay_ms": -1}, "delay_ms", "expected milliseconds, 0 to 3600000"),
    ({**ECHO, "tokens": 1.5}, "tokens", "expected a whole number from 0"),
    ({**ECHO, "fail_code": "boom"}, "fail_code", "expected one of rate_limited, "),
    ({**ECHO, "extra": {}}, "extra", "there is no such key"),
]


@pytest.mark.parametrize(("table", "key", "allowed"), WRONG)
def test_wrong_option_is_named_with_what_is_allowed(table: dict[str, Any], key: str, allowed: str) -> None:
    with pytest.raises(Invalid) as failure:
        read_options("mine", table, REGISTRY)
    assert failure.value.key == f"providers.mine.{key}"
    assert allowed in failure.value.allowed
    assert "\n" not in str(failure.value)


def test_extra_accepts_every_json_value() -> None:
    extra = {"a": [1, 2.5, True, "x", {"b": []}], "thinking": {"type": "enabled", "budget_tokens": 1024}}
    for table in (OPENAI, AZURE, ANTHROPIC):
        options = read_options("mine", {**table, "extra": extra}, REGISTRY)
        assert isinstance(options, ApiOptions)
        assert options.extra == extra


async def test_start_fails_when_an_option_is_wrong(start_server: StartServer) -> None:
    with pytest.raises(AssertionError) as failure:
        await start_server({"providers": {"mine": {**OPENAI, "api": "completions"}}})
    assert 'config.toml: providers.mine.api = \'completions\': expected "chat" or "responses"' in str(failure.value)
