"""A configuration that is right is found and in force; one that is wrong stops the start with one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from providers.registry import load_registry
from streamserver.config import ConfigError, Loaded, Settings, load
from tests.support.properties import examples

REGISTRY = load_registry([])
SECRET = "sk-proj-verysecret0123456789"


def loaded(text: str | bytes, folder: Path, environ: dict[str, str] | None = None, **overrides: Any) -> Loaded:
    path = folder / "my.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return load(str(path), registry=REGISTRY, environ=environ or {}, overrides=dotted)


def refused(text: str | bytes, folder: Path, environ: dict[str, str] | None = None, **overrides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(text, folder, environ, **overrides)
    said = str(caught.value)
    assert len(said.splitlines()) == 1, said
    assert caught.value.__cause__ is None
    return said


def test_key_that_is_left_out_has_its_default(tmp_path: Path) -> None:
    found = loaded("[limits]\nmax_tokens = 7\n", tmp_path).settings
    assert found.limits.max_tokens == 7
    assert found.limits.max_streams == Settings().limits.max_streams
    assert found.providers == Settings().providers


def test_provider_tables_replace_the_default_ones(tmp_path: Path) -> None:
    found = loaded('[provider]\ndefault = "mine"\n[providers.mine]\nkind = "echo"\n', tmp_path).settings
    assert list(found.providers) == ["mine"]


@pytest.mark.parametrize(
    ("text", "key", "value", "allowed"),
    [
        ("[limits]\nmax_promt_chars = 1", "limits.max_promt_chars", "", "did you mean 'max_prompt_chars'?"),
        ("[limit]\nmax_tokens = 1", "limit", "", "did you mean 'limits'?"),
        ("[timeouts]\nzzz = 1", "timeouts.zzz", "", "known are first_token, idle, total"),
        ("port = 1", "port", "", "there is no such key"),
        ('[server]\nport = "80"', "server.port", "'80'", "a port, 0 to 65535"),
        ("[server]\nport = -1", "server.port", "-1", "a port, 0 to 65535"),
        ("[server]\nport = 65536", "server.port", "65536", "a port, 0 to 65535"),
        ("[server]\nport = true", "server.port", "True", "a port, 0 to 65535"),
        ("[server]\nport = 80.5", "server.port", "80.5", "a port, 0 to 65535"),
        ('[server]\nhost = ""', "server.host", "''", "a host name or address"),
        ("[server]\nroot_path = 'llm'", "server.root_path", "'llm'", "a path without a slash at its end"),
        ("[server]\nroot_path = '/llm/'", "server.root_path", "'/llm/'", "a path without a slash at its end"),
        ("[server]\nroot_path = '/a b'", "server.root_path", "'/a b'", "a path without a slash at its end"),
        ("[server]\nunix_socket = 'a.sock'", "server.unix_socket", "'a.sock'", "an absolute path"),
        ("[server]\nreload = 1", "server.reload", "1", "true or false"),
        ("[server]\nkeepalive_seconds = 0", "server.keepalive_seconds", "0", "more than 0"),
        ("[server]\ntrusted_proxies = 1", "server.trusted_proxies", "1", "a list"),
        ('[server]\nallowed_hosts = "a"', "server.allowed_hosts", "'a'", "a list"),
        ("[auth]\ncors_origins = [1]", "auth.cors_origins[0]", "1", "an origin as browsers send it"),
        ("[timeouts]\nidle = -1", "timeouts.idle", "-1", "seconds, more than 0"),
        ("[timeouts]\nfirst_token = -1", "timeouts.first_token", "-1", "seconds, more than 0"),
        ("[timeouts]\nfirst_token = 'x'", "timeouts.first_token", "", "seconds, more than 0"),
        ("[timeouts]\nidle = nan", "timeouts.idle", "nan", "seconds, more than 0"),
        ("[timeouts]\ntotal = inf", "timeouts.total", "inf", "seconds, more than 0"),
        ("[timeouts]\ntotal = -inf", "timeouts.total", "-inf", "seconds, more than 0"),
        ("[resume]\nretention_seconds = nan", "resume.retention_seconds", "nan", "seconds, 0 to"),
        ("[limits]\nmax_streams = 0", "limits.max_streams", "0", "a whole number from 1"),
        ("[limits]\nmax_tokens = 2024-01-01", "limits.max_tokens", "date", "a whole number from 1"),
        ("[limits]\nmax_tokens = {}", "limits.max_tokens", "{}", "a whole number from 1"),
        ("limits = 1", "limits", "1", "a table"),
        ("[retry]\nattempts = 11", "retry.attempts", "11", "1 to 10"),
        ('[log]\nlevel = "LOUD"', "log.level", "'LOUD'", "TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ('[log]\nformat = "xml"', "log.format", "'xml'", '"text" or "json"'),
        ('[resume]\nstore = "disk"', "resume.store", "'disk'", '"memory" or an address like'),
        ('[provider]\ndefault = "opnai"', "provider.default", "'opnai'", "openai, anthropic, echo"),
        ('[provider]\nfallback = ["nobody"]', "provider.fallback", "'nobody'", "openai, anthropic, echo"),
        ("[resume]\ngrace_seconds = 61", "resume.grace_seconds", "61", "at most resume.max_grace_seconds (60)"),
        ("[server]\nworkers = 2", "server.workers", "2", "redis://"),
        ('[providers.openai]\nmodel = "m"', "providers.openai.kind", "", "anthropic, azure, echo, openai"),
        ('[providers.openai]\nkind = "opnai"', "providers.openai.kind", "'opnai'", "did you mean 'openai'?"),
        ("[providers.openai]\nkind = 3", "providers.openai.kind", "", "anthropic, azure, echo, openai"),
        ('[providers.openai]\nkind = "openai"', "providers.openai.model", "", "is missing"),
        ('[providers.openai]\nkind = "openai"\nmodel = ""', "providers.openai.model", "''", "the name of a model"),
        ('[providers.openai]\nkind = "echo"\ndelay = 1', "providers.openai.delay", "", "did you mean 'delay_ms'?"),
        ('[providers.openai]\nkind = "echo"\ndelay_ms = nan', "providers.openai.delay_ms", "nan", "milliseconds"),
        ('[providers.openai]\nkind = "echo"\nfail_code = "x"', "providers.openai.fail_code", "'x'", "one of "),
        ('[providers.openai]\nkind="openai"\nmodel="m"\nbase_url="x"', "providers.openai.base_url", "'x'", "http://"),
        ("providers = []", "providers", "", "a table"),
        ("[providers]\nopenai = 1", "providers.openai", "1", "a table"),
        ('[auth]\nkeys_env = ""', "auth.keys_env", "", "the name of an environment variable"),
        ('[providers."a\\nb"]\nkind = "echo"\ndelay_ms = -1', "a\\nb", "-1", "milliseconds"),
        ('"a\\u2028b" = 1', "a\\u2028b", "", "there is no such key"),
    ],
)
def test_wrong_value_is_refused_by_file_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, key: str, value: str, allowed: str
) -> None:
    said = refused(text, tmp_path)
    assert said.startswith(f"{tmp_path / 'my.toml'}: ")
    for part in (key, value, allowed):
        assert part in said


@pytest.mark.parametrize(
    ("section", "key", "entry"),
    [
        *(
            ("server", "allowed_hosts", each)
            for each in ("a.b:80", "https://a.b", "a b", "a.b/", "*", "", "ä.b", "::1")
        ),
        *(("auth", "cors_origins", each) for each in ("app.example.com", "https://a.b/", "https://a.b/x", "*", "null")),
        *(("auth", "cors_origins", each) for each in ("https://a.b:443", "http://a.b:80", "https://ä.b", "https://")),
    ],
)
def test_host_or_origin_is_refused_when_no_browser_sends_it(tmp_path: Path, section: str, key: str, entry: str) -> None:
    said = refused(f"[{section}]\n{key} = ['{entry}']", tmp_path)
    assert f"{section}.{key}[0] = {entry!r}: expected a" in said and "as browsers send it" in said


@pytest.mark.parametrize(
    ("section", "key", "entry"),
    [
        *(("server", "allowed_hosts", each) for each in ("Chat.Example.com", "192.168.1.5", "[FD00::1]", "a_b")),
        *(("auth", "cors_origins", each) for each in ("https://App.Example.com", "http://a.b:8080", "http://[::1]:81")),
        *(("auth", "cors_origins", each) for each in ("chrome-extension://abcdef", "http://a.b:443")),
    ],
)
def test_hosts_and_origins_are_compared_in_lower_case(tmp_path: Path, section: str, key: str, entry: str) -> None:
    found = loaded(f"[{section}]\n{key} = ['{entry}']", tmp_path).settings
    assert getattr(getattr(found, section), key) == (entry.lower(),)


def test_value_at_the_bounds_is_accepted(tmp_path: Path) -> None:
    text = "[server]\nport = 0\nworkers = 4\n[retry]\nmax_wait = 0\n"
    text += '[resume]\nstore = "redis://h:6379/0"\ngrace_seconds = 60\n'
    assert loaded(text, tmp_path).settings.server.workers == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[server", "is not TOML"),
        (b"[server]\nport = 1\nport = 2", "is not TOML"),
        (b"a = 'x\ny'", "is not TOML"),
        (b"\xff\xfe[\x00", "is not text in UTF-8"),
        (b"\x00", "is not TOML"),
    ],
)
def test_file_is_refused_when_it_is_no_toml(tmp_path: Path, content: bytes, said: str) -> None:
    assert f"my.toml: {said}" in refused(content, tmp_path)


def test_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert loaded(b"\xef\xbb\xbf[limits]\nmax_tokens = 7\n", tmp_path).settings.limits.max_tokens == 7


def test_file_is_refused_when_it_is_missing_or_a_folder(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.toml", "there is no such file"), (tmp_path, "cannot be read: Is a directory")):
        with pytest.raises(ConfigError) as caught:
            load(str(path), registry=REGISTRY, environ={})
        assert str(caught.value) == f"{path}: {said}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_file_is_refused_when_it_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("")
    path.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load(str(path), registry=REGISTRY, environ={})


def test_file_is_found_by_option_then_variable_then_folder_then_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, registry=REGISTRY, environ={}).source == "built-in defaults"
    for name in ("config.toml", "variable.toml", "option.toml"):
        (tmp_path / name).write_text("")
    variable = {"STREAMSERVER_CONFIG": "variable.toml"}
    assert load(None, registry=REGISTRY, environ={}).source == "config.toml"
    assert load(None, registry=REGISTRY, environ=variable).source == "variable.toml"
    assert load("option.toml", registry=REGISTRY, environ=variable).source == "option.toml"


# The environment


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("LIMITS__MAX_PROMPT_CHARS", "5", ("limits", "max_prompt_chars"), 5),
        ("SERVER__HOST", "::1", ("server", "host"), "::1"),
        ("SERVER__HOST", '"::1"', ("server", "host"), "::1"),
        ("SERVER__HOST", "0.0.0.0", ("server", "host"), "0.0.0.0"),
        ("SERVER__RELOAD", "true", ("server", "reload"), True),
        ("TIMEOUTS__IDLE", "1.5", ("timeouts", "idle"), 1.5),
        ("AUTH__CORS_ORIGINS", '["https://a.b"]', ("auth", "cors_origins"), ("https://a.b",)),
        ("PROVIDER__DEFAULT", "echo", ("provider", "default"), "echo"),
        ("PROVIDERS__ECHO__DELAY_MS", "3", ("providers", "echo", "delay_ms"), 3),
        ("PROVIDERS__OPENAI__MODEL", "o4-mini", ("providers", "openai", "model"), "o4-mini"),
        ("PROVIDERS__OPENAI__MODELS", '["a", "b"]', ("providers", "openai", "models"), ["a", "b"]),
        ("PROVIDERS__OPENAI__BASE_URL", "http://h/v1", ("providers", "openai", "base_url"), "http://h/v1"),
        ("PROVIDERS__OPENAI__MODELS", "a, b-2", ("providers", "openai", "models"), ["a", "b-2"]),
        ("PROVIDERS__OPENAI__MODELS", "a", ("providers", "openai", "models"), ["a"]),
        ("PROVIDERS__OPENAI__MODELS", "", ("providers", "openai", "models"), []),
        ("PROVIDER__FALLBACK", "anthropic,echo", ("provider", "fallback"), ("anthropic", "echo")),
        ("SERVER__TRUSTED_PROXIES", "10.0.0.0/8", ("server", "trusted_proxies"), ("10.0.0.0/8",)),
        ("PROVIDERS__NEW", '{kind = "echo"}', ("providers", "new"), {"kind": "echo"}),
        ("LOG__LEVEL", "x = 1\ny = 2", ("log", "level"), None),
    ],
)
def test_variable_overrides_a_key(name: str, text: str, path: tuple[str, ...], value: object) -> None:
    environ = {f"STREAMSERVER_{name}": text}
    if value is None:
        with pytest.raises(ConfigError, match=f"STREAMSERVER_{name}"):
            load(None, registry=REGISTRY, environ=environ)
        return
    found: Any = load(None, registry=REGISTRY, environ=environ).settings
    for step in path:
        found = found[step] if isinstance(found, dict) else getattr(found, step)
    assert found == value


def test_variable_names_a_provider_with_hyphens_in_capitals(tmp_path: Path) -> None:
    text = '[provider]\ndefault = "My-Own"\n[providers.My-Own]\nkind = "echo"\n'
    found = loaded(text, tmp_path, {"STREAMSERVER_PROVIDERS__MY_OWN__DELAY_MS": "3"}).settings
    assert found.providers == {"My-Own": {"kind": "echo", "delay_ms": 3}}


def test_variable_without_a_double_underscore_is_ignored(tmp_path: Path) -> None:
    kubernetes = {
        "STREAMSERVER_PORT": "tcp://10.0.0.1:80",
        "STREAMSERVER_SERVICE_HOST": "10.0.0.1",
        "STREAMSERVER_PORT_80_TCP_ADDR": "10.0.0.1",
        "STREAMSERVER_KEYS": "a:b",
        "OTHER_SERVER__PORT": "1",
    }
    assert loaded("", tmp_path, kubernetes).settings == Settings()


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        ("STREAMSERVER_PORT", "9000", "STREAMSERVER_SERVER__PORT"),
        ("STREAMSERVER_LIMITS_MAX_STREAMS", "5", "STREAMSERVER_LIMITS__MAX_STREAMS"),
        ("STREAMSERVER_MAX_STREAMS", "5", "STREAMSERVER_LIMITS__MAX_STREAMS"),
        ("STREAMSERVER_LOG_LEVEL", "DEBUG", "STREAMSERVER_LOG__LEVEL"),
        ("STREAMSERVER_SERVER_KEEPALIVE_SECOND", "5", "STREAMSERVER_SERVER__KEEPALIVE_SECONDS"),
        ("STREAMSERVER_KEY", "anna:x", "STREAMSERVER_KEYS"),
        ("STREAMSERVER_CONFIGS", "x", "STREAMSERVER_CONFIG"),
        ("STREAMSERVER_PORT", "tcp://10.0.0.1:80", None),
        ("STREAMSERVER_API_PORT", "tcp://10.0.0.1:80", None),
        ("STREAMSERVER_SERVICE_PORT", "80", None),
        ("STREAMSERVER_SERVICE_PORT_HTTP", "80", None),
        ("STREAMSERVER_SERVICE_HOST", "10.0.0.1", None),
        ("STREAMSERVER_PORT_80_TCP", "tcp://10.0.0.1:80", None),
        ("STREAMSERVER_PORT_80_TCP_PORT", "80", None),
        ("STREAMSERVER_KEYS", "anna:x", None),
        ("STREAMSERVER_SOMETHING_ELSE", "x", None),
        ("SERVER_PORT", "1", None),
    ],
)
def test_variable_that_looks_like_a_setting_is_warned_about(name: str, text: str, right: str | None) -> None:
    warnings = load(None, registry=REGISTRY, environ={name: text}).warnings
    assert warnings == (() if right is None else (f"{name} is ignored: did you mean {right}?",))


def test_variable_that_a_setting_names_is_not_warned_about(tmp_path: Path) -> None:
    text = '[auth]\nkeys_env = "STREAMSERVER_KEY"\n[providers.openai]\nkind = "openai"\nmodel = "m"\n'
    text += 'api_key_env = "STREAMSERVER_PORTS"\n'
    assert loaded(text, tmp_path, {"STREAMSERVER_KEY": "a:b", "STREAMSERVER_PORTS": "x"}).warnings == ()


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("STREAMSERVER_SERVER__PORT", "http", "server.port = 'http'"),
        ("STREAMSERVER_SERVER__PROT", "1", "server.prot"),
        ("STREAMSERVER_NONE__X", "1", "none"),
        ("STREAMSERVER_PROVIDER__FALLBACK", "[1]", "provider.fallback[0] = 1"),
        ("STREAMSERVER_PROVIDERS__ECHO", '{kind = "echo", delay_ms = -1}', "providers.echo.delay_ms = -1"),
        ("STREAMSERVER_SERVER__HOST__X", "1", "server.host"),
        ("STREAMSERVER_RESUME__GRACE_SECONDS", "61", "resume.grace_seconds = 61"),
        ("STREAMSERVER___X", "1", "there is no such key"),
        ("STREAMSERVER_LIMITS__", "1", "there is no such key"),
    ],
)
def test_wrong_variable_is_refused_by_its_name(tmp_path: Path, name: str, text: str, key: str) -> None:
    said = refused('[server]\nhost = "h"\n', tmp_path, {name: text})
    assert said.startswith(f"{name}: ")
    assert key in said


def test_command_line_overrides_and_is_named(tmp_path: Path) -> None:
    environ = {"STREAMSERVER_SERVER__PORT": "1"}
    assert loaded("[server]\nport = 2", tmp_path, environ, server__port=3).settings.server.port == 3
    assert refused("", tmp_path, environ, server__port=70000).startswith("command line: server.port = 70000")
    assert refused("", tmp_path, {}, provider__default="nobody").startswith("command line: provider.default")


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        f'[providers.openai]\nkind = "openai"\nmodel = "m"\napi_key = "{SECRET}"',
        f'[providers.openai]\nkind = "openai"\nmodel = "m"\napi_key_env = "{SECRET}"',
        f'[providers.openai]\nkind = "openai"\nmodel = "m"\nkey = "{SECRET}"',
        f'[providers.openai]\nkind = "openai"\nmodel = "m"\ntoken = "{SECRET}"',
        f'[providers.openai]\nkind = "openai"\nmodel = "m"\napi_key_env = ["{SECRET}"]',
        f'[auth]\nkeys_env = "alice:{SECRET}"',
        f'[auth]\nkeys = "alice:{SECRET}"',
        f'[auth]\nkeys_env = ["alice:{SECRET}"]',
        f'[resume]\nstore = "redis:/user:{SECRET}@h"',
        f'[resume]\nstore = "http://user:{SECRET}@h"',
        f'[providers.openai]\nkind = "openai"\nmodel = "m"\nbase_url = "ftp://user:{SECRET}@h"',
        f'api_key = "{SECRET}"',
        f'openai = {{api_key = "{SECRET}"}}',
        f'auth = "{SECRET}"',
        f'providers = ["{SECRET}"]',
        f'[providers]\nopenai = "{SECRET}"',
    ],
)
def test_secret_in_the_file_is_refused_and_not_printed(tmp_path: Path, text: str) -> None:
    said = refused(text, tmp_path)
    assert SECRET[:12] not in said
    assert "my.toml" in said


def test_key_in_the_file_is_refused_with_where_it_belongs(tmp_path: Path) -> None:
    assert "limits.max_token: there is no such key; did you mean 'max_tokens'?" in refused(
        "[limits]\nmax_token = '9'", tmp_path
    )
    said = refused('[providers.openai]\nkind = "openai"\nmodel = "m"\napi_key = "sk"', tmp_path)
    assert "providers.openai.api_key: secrets come from the environment: set api_key_env" in said
    said = refused('[providers.openai]\nkind = "openai"\nmodel = "m"\napi_key_env = "sk-1"', tmp_path)
    assert (
        "providers.openai.api_key_env: expected the name of an environment variable, in capitals, not a key itself"
        in said
    )


plain = st.text(st.sampled_from("ab_1\n\u2028.-\"'`$[]"), max_size=6)
tables = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | plain,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=6,
)


@given(
    key=st.sampled_from(
        ["server.port", "limits", "providers", "providers.openai", "providers.x", "auth.keys_env", "log"]
    ),
    value=tables,
)
@example(key="providers", value={"...": None})  # what msgspec writes for any key of a free table
@example(key="providers", value={"...": {"kind": "echo"}, "x": {"...": None}})
@settings(examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_is_accepted_or_refused_in_one_line(tmp_path: Path, key: str, value: Any) -> None:
    try:
        loaded("", tmp_path, {}, **{key.replace(".", "__"): value})
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
