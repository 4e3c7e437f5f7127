"""``streamserver providers``, as a program."""

from __future__ import annotations

import json
import os
import pty
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from tests.conftest import StartUpstream
from tests.providers.test_plugins import broken_package, importable
from tests.support.commands import CommandResult, run_command
from tests.support.server import clean_environ
from tests.support.upstream import Exchange, answer

KEY = "sk-never-to-be-shown"


async def run(
    folder: Path,
    tables: Mapping[str, Any],
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    output: int | None = None,
) -> CommandResult:
    """Run the command."""
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(tables), "utf-8")
    return await run_command(
        *(sys.executable, "-m", "streamserver", "providers", "--config", str(path), *arguments),
        stdout=PIPE if output is None else output,
        cwd=folder,
        env={**clean_environ(), **(environ or {})},
    )


def rows(printed: str) -> dict[str, str]:
    """Return the table's lines by their first word."""
    return {line.split()[0]: line for line in printed.splitlines()}


async def test_providers_lists_each_with_what_it_lacks(tmp_path: Path) -> None:
    openai = {"kind": "openai", "model": "[gpt]", "api_key_env": "NO_SUCH_KEY"}
    tables = {
        "provider": {"default": "main", "fallback": ["local"]},
        "providers": {"main": openai, "local": {"kind": "echo"}, "third": {**openai, "api_key_env": "SOME_KEY"}},
    }
    status, printed, errors = await run(tmp_path, tables, environ={"SOME_KEY": KEY, "FORCE_COLOR": "1"})
    assert (status, errors) == (0, "")
    assert rows(printed)["main"].split(None, 4) == ["main", "openai", "[gpt]", "default", "NO_SUCH_KEY is not set"]
    assert rows(printed)["local"].split(None, 3) == ["local", "echo", "echo", "fallback 1  -"]
    assert rows(printed)["third"].endswith(" -")
    assert KEY not in printed
    assert not [line for line in printed.splitlines() if line != line.rstrip()]


async def test_probe_shows_the_first_token_or_the_error(tmp_path: Path, start_upstream: StartUpstream) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(401, json.dumps({"error": {"message": KEY, "code": "invalid_api_key"}}))

    good, bad = await start_upstream(answer("ok")), await start_upstream(refuse)

    def table(url: str, **options: str) -> dict[str, Any]:
        return {"kind": "openai", "model": "m", "base_url": url, **options}

    tables: dict[str, Any] = {
        "provider": {"default": "good", "fallback": ["good"]},
        "providers": {"good": table(good.url), "bad": table(bad.url), "dead": table("http://127.0.0.1:9")},
    }
    status, printed, _ = await run(tmp_path, tables, "--probe")
    assert status == 1
    assert "first token after" in rows(printed)["good"]
    assert "provider_auth: The model's provider refused" in rows(printed)["bad"]
    assert f"(status 401, code invalid_api_key, url {bad.url}/chat/completions)" in rows(printed)["bad"]
    assert "upstream_unavailable: " in rows(printed)["dead"]
    why = "(reason refused, url http://127.0.0.1:9/chat/completions): nothing listens at this address and port"
    assert why in rows(printed)["dead"]
    assert KEY not in printed
    assert (len(good.exchanges), len(bad.exchanges)) == (1, 1), "each is asked once"
    assert good.exchanges[0].json()["max_tokens"] == 16
    tables["providers"] = {"good": table(good.url)}
    status, printed, _ = await run(tmp_path, tables, "--probe")
    assert status == 0
    tables["providers"]["keyless"] = table(good.url, api_key_env="NO_SUCH_KEY")
    status, printed, _ = await run(tmp_path, tables, "--probe")
    assert (status, rows(printed)["keyless"].split()[-2:]) == (1, ["not", "asked"])


async def test_providers_names_a_broken_plug_in_with_its_error(tmp_path: Path) -> None:
    environ = importable(broken_package(tmp_path / "site"))
    tables: dict[str, Any] = {"provider": {"default": "echo"}, "providers": {"echo": {"kind": "echo"}}}
    status, printed, _ = await run(tmp_path, tables, environ=environ)
    assert status == 0
    assert "plug-in broken cannot be loaded: ModuleNotFoundError: No module named 'no_such_module_anywhere'" in printed
    tables["providers"]["mine"] = {"kind": "broken"}
    status, _, errors = await run(tmp_path, tables, environ=environ)
    assert status == 2
    assert "providers.mine.kind" in errors
    assert "no_such_module_anywhere" in errors


async def test_providers_prints_colours_to_a_terminal_only(tmp_path: Path) -> None:
    tables = {
        "provider": {"default": "x"},
        "providers": {"x": {"kind": "openai", "model": "m", "api_key_env": "NO_SUCH_KEY"}},
    }
    _, plain, _ = await run(tmp_path, tables)
    assert "\x1b" not in plain
    ours, theirs = pty.openpty()
    try:
        await run(tmp_path, tables, environ={"TERM": "xterm-256color"}, output=theirs)
        assert b"\x1b[" in os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)
