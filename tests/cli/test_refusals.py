"""Whatever is in the configuration, the environment and the files: a start is accepted, or refused in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streamserver.assets import default_config
from streamserver.cli import main
from streamserver.config.environment import ENV_PREFIX
from streamserver.config.table import SETTINGS
from streamserver.listening import ListenError
from tests.support.properties import examples
from tests.support.server import clean_environ

DEFAULT = default_config()
ODD_VALUES = (
    "9" * 5000,
    "0x" + "f" * 5000,
    "-1",
    "1e400",
    "nan",
    "true",
    "'" + "x" * 70_000 + "'",
    '"\\u0000"',
    '"\\ud7ff\\U0010ffff"',
    "[" * 3000,
    "[" * 3000 + "]" * 3000,
    "{a = {a = {a = 1}}}",
    "1979-05-27T07:32:00Z",
    "1979-13-45",
    "07:32:00",
    "[[1], [2]]",
    "'redis://[::1'",
    "'redis://h:99999/0'",
    "'redis://h/0?socket_timeout=x'",
    "'rediss://h/0?ssl_ca_certs=/missing&ssl_cert_reqs=maybe'",
    "'http://[::1'",
    "'http://h:99999'",
    "'http://h/v1 \\n'",
    "'\x7f'",
)
STORE = next(row for row in SETTINGS if (row.section, row.key) == ("resume", "store"))
VALUES = st.sampled_from(ODD_VALUES) | st.text(max_size=30)
NAMES = [f"{ENV_PREFIX}{row.section}__{row.key}".upper() for row in SETTINGS]
NAMES += [
    f"{ENV_PREFIX}PROVIDERS__{name}" for name in ("ECHO", "OPENAI__KIND", "OPENAI__BASE_URL", "X", "ECHO__DELAY_MS")
]
NAMES += [
    f"{ENV_PREFIX}KEYS",
    f"{ENV_PREFIX}CONFIG",
    "OPENAI_API_KEY",
    f"{ENV_PREFIX}__",
    f"{ENV_PREFIX}AUTH__USERS__A__MODELS",
]

fuzzing = settings(examples(40), suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def never_listen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @contextmanager
    def listening(_: Any) -> Iterator[None]:
        raise ListenError("it would listen")
        yield

    monkeypatch.setattr("streamserver.commands.serve.listening", listening)
    monkeypatch.setattr("streamserver.commands.serve.set_up_logs", lambda _: None)
    for name in os.environ.keys() - clean_environ().keys():
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def start(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Check and start with ``arguments``. Return what the start said: one line."""
    for command in ("check", "serve"):
        assert main([command, *arguments]) in (0, 2)
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1 or (command == "check" and not said), said[:2000]
        assert len(said) < 2000
        said.encode()
    return said


@pytest.fixture(autouse=True)
def in_reach(never_listen: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Assert that these tests can pass."""
    assert start(capsys, "--provider", "echo") == "streamserver: it would listen\n"


@fuzzing
@given(row=st.sampled_from(SETTINGS), value=VALUES)
@example(row=STORE, value="'redis://h/0?retry=x'")
@example(row=STORE, value="'rediss://h/0?ssl_cert_reqs=maybe'")
def test_start_is_refused_in_one_line_when_a_value_is_odd(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, row: Any, value: str
) -> None:
    (tmp_path / "config.toml").write_text(f"[{row.section}]\n{row.key} = {value}\n", "utf-8", "surrogatepass")
    start(capsys)


@fuzzing
@given(key=st.sampled_from(["kind", "model", "base_url", "api_key_env", "models", "extra", "x"]), value=VALUES)
def test_start_is_refused_in_one_line_when_an_option_of_a_provider_is_odd(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, key: str, value: str
) -> None:
    table = {"kind": '"openai"', "model": '"m"', key: value}
    lines = "".join(f"{name} = {text}\n" for name, text in table.items())
    (tmp_path / "config.toml").write_text(f"[provider]\ndefault='o'\n[providers.o]\n{lines}", "utf-8")
    start(capsys)


@fuzzing
@given(begin=st.integers(0, len(DEFAULT)), length=st.integers(0, 400), text=VALUES)
@example(begin=DEFAULT.index("\nport = ") + 1, length=0, text="9" * 5000)
def test_start_is_refused_in_one_line_when_the_file_is_damaged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, begin: int, length: int, text: str
) -> None:
    damaged = DEFAULT[:begin] + text + DEFAULT[begin + length :]
    (tmp_path / "config.toml").write_text(damaged, "utf-8")
    start(capsys)


@fuzzing
@given(data=st.binary(max_size=50))
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b"\xff\xfea\x00")
def test_start_is_refused_in_one_line_when_a_file_is_no_text(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes
) -> None:
    for name in ("config.toml", "keys"):
        (tmp_path / name).write_bytes(data)
    start(capsys)
    (tmp_path / "config.toml").write_text("[auth]\nkeys_file = 'keys'\n")
    start(capsys)


@fuzzing
@given(name=st.sampled_from(NAMES), value=VALUES)
@example(f"{ENV_PREFIX}CONFIG", "9" * 5000)
@example(f"{ENV_PREFIX}AUTH__KEYS_FILE", "x" * 5000)
@example(f"{ENV_PREFIX}SERVER__UNIX_SOCKET", "x" * 5000)
def test_start_is_refused_in_one_line_when_a_variable_is_odd(
    capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    if "\0" in value:
        return  # the environment has no such values
    os.environ[name] = value
    try:
        start(capsys)
    finally:
        del os.environ[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("HTTPS_PROXY", "htp://x"),
        ("HTTPS_PROXY", "http://[::1"),
        ("NO_PROXY", "\x7f,*,["),
        ("SSL_CERT_FILE", "/missing"),
        ("SSL_CERT_DIR", "/missing"),
        ("TZ", "nonsense"),
        ("TMPDIR", "/missing"),
        ("PROMETHEUS_MULTIPROC_DIR", "/missing"),
    ],
)
@pytest.mark.parametrize("provider", ["echo", "openai", "anthropic"])
def test_start_is_refused_in_one_line_when_a_variable_of_a_library_is_odd(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str, provider: str
) -> None:
    monkeypatch.setenv(name, value)
    start(capsys, "--provider", provider)


@pytest.mark.parametrize("path", ["", "a/b/c.toml", "x" * 300, "/proc/self/mem", "/", "\udcff.toml"])
def test_start_is_refused_in_one_line_when_the_path_is_odd(capsys: pytest.CaptureFixture[str], path: str) -> None:
    start(capsys, "--config", path)
    Path("config.toml").write_text(tomli_w.dumps({"auth": {"keys_file": path.replace("\udcff", "?")}}))
    start(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "http"),
        ("--port", "9" * 5000),
        ("--nonsense",),
        ("nonsense",),
        ("keys",),
        ("keys", "new", "a\nb"),
        ("load", "--streams", "0"),
        ("load", "--rate", "nan"),
        ("load", "--url", "ftp://h"),
        ("load", "--api", "nonsense"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    try:
        status = main(list(arguments))
    except SystemExit as exited:
        status = int(exited.code or 0)
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1, said.err
