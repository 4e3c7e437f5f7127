"""Keys with accidents are named with their variable, and never shown or sent."""

from __future__ import annotations

import sys
from pathlib import Path

import aiohttp
import pytest

from providers.api_keys import ApiKey, read_api_key
from tests.conftest import StartServer
from tests.support.commands import run_command
from tests.support.server import clean_environ

SECRET = "sk-never-to-be-shown"

ACCIDENTS = [
    (f"{SECRET}\nsk-two", "has a line break"),
    (f"{SECRET}\rsk-two", "has a line break"),
    (f'"{SECRET}"', "has quotes around the key"),
    (f"'{SECRET}'", "has quotes around the key"),
    (f"\ufeff{SECRET}", "begins with a byte order mark"),
    (f"“{SECRET}”", "has a character that is not ASCII"),
    (f"{SECRET}\udcff", "has a character that is not ASCII"),
    (f"Bearer {SECRET}", "begins with Bearer"),
    (f"{SECRET} # production", "has a blank"),
    (f"{SECRET}\x00", "a control character"),
]


@pytest.mark.parametrize(("value", "said"), ACCIDENTS)
def test_read_api_key_names_an_accident_without_the_key(value: str, said: str) -> None:
    key = read_api_key("MY_KEY", {"MY_KEY": value})
    assert key.value is None and key.is_set
    assert key.problem is not None and key.problem.startswith("MY_KEY ") and said in key.problem
    assert SECRET not in key.problem


@pytest.mark.parametrize("value", [SECRET, f" {SECRET}\r\n", f"\t{SECRET}"])
def test_read_api_key_ignores_blanks_and_line_ends_around_it(value: str) -> None:
    assert read_api_key("MY_KEY", {"MY_KEY": value}) == ApiKey(SECRET)


@pytest.mark.parametrize("environ", [{}, {"MY_KEY": " \n"}])
def test_read_api_key_says_when_it_is_not_set(environ: dict[str, str]) -> None:
    assert read_api_key("MY_KEY", environ) == ApiKey(problem="MY_KEY is not set", is_set=False)


async def test_provider_is_not_ready_when_its_key_has_an_accident(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    table = {"kind": "openai", "model": "m", "api_key_env": "MY_KEY", "base_url": "http://127.0.0.1:9"}
    settings = {"provider": {"default": "main"}, "providers": {"main": table}}
    server = await start_server(settings, environ={"MY_KEY": f"{SECRET}\nsk-two"})
    async with http.get(f"{server.url}/api/providers") as response:
        listed = (await response.json())["providers"]
    (provider,) = (each for each in listed if each["name"] == "main")
    assert (provider["ready"], provider["reason"].split(":")[0]) == (False, "MY_KEY has a line break in it")


async def test_check_warns_when_a_key_has_an_accident(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[provider]\ndefault = "e"\n[providers.e]\nkind = "echo"\n'
        '[providers.x]\nkind = "openai"\nmodel = "m"\napi_key_env = "MY_KEY"\n',
        "utf-8",
    )
    environ = {**clean_environ(), "MY_KEY": f'"{SECRET}"'}
    status, out, errors = await run_command(sys.executable, "-m", "streamserver", "check", cwd=tmp_path, env=environ)
    assert (status, errors) == (0, "")
    assert "# warning: [providers.x] is not ready: MY_KEY has quotes around the key" in out
    assert SECRET not in out
