"""The image's entry point: what a container gets without being told, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamserver.config import ConfigError
from streamserver.container import defaults, serves
from tests.support.ports import free_port
from tests.support.server import clean_environ

CONTAINER_START_SECONDS = 60
HEALTH_CHECK = Path(__file__).parents[2] / "deploy/docker/healthcheck.py"
COMMAND = (sys.executable, "-m", "streamserver.container")


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def container(environ: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the entry point; yield it and the lines that it announced."""
    process = subprocess.Popen(
        COMMAND,
        env={**clean_environ(), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        announced = []
        for line in process.stdout:
            announced.append(line)
            if "try  " in line:
                break
        yield process, announced
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def refused(environ: Mapping[str, str], *arguments: str) -> str:
    """Run the entry point, which ends with the status 2 and prints to standard error alone; return what it printed."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env={**clean_environ(), **environ},
        capture_output=True,
        text=True,
        timeout=CONTAINER_START_SECONDS,
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr


def test_container_listens_on_every_address_at_port_and_says_how_to_switch_when_no_key_is_set() -> None:
    port = str(free_port())
    with container({"PORT": port}) as (process, announced):
        text = "".join(announced)
        assert f":{port}/" in text
        assert "OPENAI_API_KEY" in text
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/providers", timeout=60) as response:
            assert json.load(response)["default"] == "echo"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
            assert b"<!doctype html>" in response.read().lower()
        check = [sys.executable, "-I", "-S", str(HEALTH_CHECK)]
        assert subprocess.run(check, env={"PORT": port}, timeout=60).returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert subprocess.run(check, env={"PORT": port}, timeout=60, capture_output=True).returncode == 1


def test_container_answers_with_openai_when_its_key_is_set() -> None:
    port = str(free_port())
    with (
        container({"PORT": port, "OPENAI_API_KEY": "sk-none"}),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api/providers", timeout=60) as response,
    ):
        assert json.load(response)["default"] == "openai"


@pytest.mark.parametrize(
    ("environ", "provider"),
    [
        ({}, "echo"),
        ({"OPENAI_API_KEY": "sk"}, "openai"),
        ({"ANTHROPIC_API_KEY": "sk"}, "anthropic"),
        ({"OPENAI_API_KEY": " ", "ANTHROPIC_API_KEY": "sk"}, "anthropic"),
        ({"OPENAI_API_KEY": "sk", "ANTHROPIC_API_KEY": "sk"}, "openai"),
        ({"OPENAI_API_KEY": "sk", "STREAMSERVER_PROVIDER__DEFAULT": "anthropic"}, None),
    ],
)
def test_default_provider_is_the_first_that_has_a_key(environ: dict[str, str], provider: str | None) -> None:
    assert defaults(environ).get("STREAMSERVER_PROVIDER__DEFAULT") == provider


def test_configuration_file_decides_about_providers_and_access_when_there_is_one(tmp_path: Path) -> None:
    only_the_address = {"STREAMSERVER_SERVER__HOST": "0.0.0.0", "STREAMSERVER_SERVER__PORT": "8080"}
    assert defaults({"STREAMSERVER_CONFIG": "/etc/x.toml"}) == only_the_address
    (tmp_path / "config.toml").touch()
    assert defaults({}) == only_the_address


def test_variables_that_are_set_win_over_defaults() -> None:
    environ = {"STREAMSERVER_SERVER__HOST": "127.0.0.1", "STREAMSERVER_SERVER__PORT": "1", "PORT": "2"}
    assert set(defaults(environ)) == {"STREAMSERVER_PROVIDER__DEFAULT", "STREAMSERVER_AUTH__ALLOW_ANONYMOUS"}


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "80 80", "²"])
def test_port_that_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match=r"PORT is .*expected the number of a port, from 1 to 65535"):
        defaults({"PORT": port})


@pytest.mark.parametrize(
    ("environ", "arguments", "line"),
    [
        ({"STREAMSERVER_PROVIDER__DEFAULT": "openai"}, (), "OPENAI_API_KEY is not set: the default provider, openai"),
        ({}, ("--provider", "anthropic"), "ANTHROPIC_API_KEY is not set: the default provider, anthropic"),
        ({"STREAMSERVER_AUTH__ALLOW_ANONYMOUS": "false"}, (), "set STREAMSERVER_KEYS=name:key"),
        ({"STREAMSERVER_KEYS": "anna"}, (), "STREAMSERVER_KEYS: entry 1 is not of the form name:key"),
        ({"PORT": "http"}, (), "PORT is 'http'"),
        ({"STREAMSERVER_CONFIG": "/nowhere.toml"}, (), "/nowhere.toml: there is no such file"),
    ],
)
def test_container_refuses_to_start_with_one_line_that_names_the_variable(
    environ: dict[str, str], arguments: tuple[str, ...], line: str
) -> None:
    error = refused(environ, *arguments)
    assert error.count("\n") == 1
    assert line in error


def test_missing_key_is_no_reason_to_refuse_when_a_fallback_can_answer(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[provider]\ndefault = "openai"\nfallback = ["echo"]\n')
    done = {"PORT": str(free_port()), "STREAMSERVER_KEYS": "anna:key"}
    with container(done) as (_, announced):
        assert "serves on" in "".join(announced)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], True),
        (["serve"], True),
        (["--provider", "check"], True),
        (["serve", "--config", "/etc/x.toml"], True),
        (["check"], False),
        (["--config", "/etc/x.toml", "check"], False),
        (["keys", "new", "anna"], False),
        (["load", "--streams", "2"], False),
        (["--version"], False),
        (["serve", "--help"], False),
    ],
)
def test_only_serve_starts_the_server(arguments: list[str], expected: bool) -> None:
    assert serves(arguments) is expected


def test_version_is_printed_without_a_key() -> None:
    environ = {**clean_environ(), "STREAMSERVER_PROVIDER__DEFAULT": "openai"}
    done = subprocess.run(
        [*COMMAND, "--version"], env=environ, capture_output=True, text=True, timeout=CONTAINER_START_SECONDS
    )
    assert done.stdout.startswith("streamserver "), done


def test_variables_of_a_mounted_env_file_count_as_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-none\n")
    port = str(free_port())
    with container({"PORT": port}) as (_, announced):
        assert "provider  openai" in "".join(announced)
        assert "No provider's key is set" not in "".join(announced)


def test_env_file_that_cannot_be_read_is_refused_in_one_line_without_its_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY sk-secret\n")
    assert refused({}) == "streamserver: .env: line 1: expected NAME=value\n"
