"""The command ``streamserver keys new``."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from streamserver.cli import main
from tests.conftest import StartServer


async def test_printed_key_is_accepted_by_a_server_with_the_printed_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    assert main(["keys", "new", "anna"]) == 0
    key, line = (text for text in capsys.readouterr().out.splitlines() if not text.startswith("#"))
    (tmp_path / "keys").write_text(line + "\n")
    server = await start_server({"auth": {"keys_file": str(tmp_path / "keys")}})
    for given, status in ((key, 200), (line, 401), (key[:-1], 401)):
        async with http.get(f"{server.url}/api/providers", headers={"Authorization": f"Bearer {given}"}) as response:
            assert response.status == status


def test_invalid_name_or_missing_file_exits_with_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["keys", "new", "a b"]) == 2
    (tmp_path / "config.toml").write_text('[auth]\nkeys_file = "missing"')
    assert main(["--config", str(tmp_path / "config.toml"), "check"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "missing: cannot be read: No such file" in errors[1]
