"""Listening: on an address, on a Unix socket, and what the start says of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from streamserver.config.settings import ServerSettings
from streamserver.listening import ListenError, listen, listening, name_of
from tests.conftest import StartServer
from tests.support.client import get_events
from tests.support.server import clean_environ
from tests.test_start import run


def client(path: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), timeout=aiohttp.ClientTimeout(total=60))


URL = "http://chat.example.com/api/chat/stream?prompt=hello+world"


async def test_server_streams_over_a_unix_socket(start_server: StartServer, short_folder: Path) -> None:
    path = short_folder / "http.sock"
    server = await start_server({"server": {"unix_socket": str(path)}})
    assert f"serves on unix:{path}" in server.announced
    assert f"--unix-socket {path}" in server.announced
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    async with client(path) as http:
        assert (await get_events(http, URL))[-1].type == "done"
    assert await server.stop() == 0
    assert not path.exists()


async def test_server_takes_over_the_socket_of_a_killed_one(start_server: StartServer, short_folder: Path) -> None:
    path = short_folder / "http.sock"
    first = await start_server({"server": {"unix_socket": str(path)}})
    first.send(signal.SIGKILL)
    await first.wait()
    assert path.exists()
    await start_server({"server": {"unix_socket": str(path)}})
    async with client(path) as http:
        assert (await get_events(http, URL))[-1].type == "done"


async def test_server_leaves_the_socket_of_a_running_one_alone(start_server: StartServer, short_folder: Path) -> None:
    path = short_folder / "http.sock"
    await start_server({"server": {"unix_socket": str(path)}})
    refused = await asyncio.to_thread(
        run, "--provider", "echo", cwd=short_folder, environ={"STREAMSERVER_SERVER__UNIX_SOCKET": str(path)}
    )
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert f"{path} is in use" in refused.stderr
    async with client(path) as http:
        assert (await get_events(http, URL))[-1].type == "done"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file", "is a file that is no socket"),
        ("missing/http.sock", "there is no folder"),
        ("x" * 120, "longer than 107 bytes"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "check"])
def test_wrong_socket_path_is_refused_in_one_line(short_folder: Path, name: str, said: str, command: str) -> None:
    (short_folder / "file").write_text("precious")
    environ = {"STREAMSERVER_SERVER__UNIX_SOCKET": str(short_folder / name)}
    refused = run(command, "--provider", "echo", cwd=short_folder, environ=environ)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("streamserver: STREAMSERVER_SERVER__UNIX_SOCKET: server.unix_socket = ")
    assert said in refused.stderr and refused.stderr.count("\n") == 1
    assert (short_folder / "file").read_text() == "precious"


async def test_users_behind_a_proxy_on_a_unix_socket_are_told_apart(
    start_server: StartServer, short_folder: Path
) -> None:
    path = short_folder / "http.sock"
    await start_server({"server": {"unix_socket": str(path)}, "limits": {"requests_per_minute": 1}})
    async with client(path) as http:
        for address, status in (("203.0.113.9", 200), ("203.0.113.9", 429), ("203.0.113.10", 200)):
            async with http.get(URL, headers={"X-Forwarded-For": address}) as response:
                assert response.status == status


def test_socket_of_another_server_is_not_removed_at_the_end(short_folder: Path) -> None:
    path = short_folder / "http.sock"
    with listening(ServerSettings(unix_socket=str(path))):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


def test_permission_to_make_a_socket_is_told_in_one_line(short_folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    short_folder.chmod(0o500)
    with (
        pytest.raises(ListenError, match="Permission denied"),
        listening(ServerSettings(unix_socket=str(short_folder / "s"))),
    ):
        pass


def has_ipv6() -> bool:
    try:
        listen("::1", 0).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("host", "linked"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])
def test_banner_links_to_an_address_that_can_be_opened(host: str, linked: str) -> None:
    if host == "::" and not has_ipv6():
        pytest.skip("needs IPv6")
    with listen(host, 0) as sock:
        url = name_of(sock)
        assert url == f"http://{linked}:{sock.getsockname()[1]}"
        socket.create_connection((linked.strip("[]"), sock.getsockname()[1]), timeout=60).close()


def program(code: str, *arguments: str) -> list[str]:
    """Return the command line, after ``code``."""
    main = "from streamserver.__main__ import run; sys.exit(run())"
    return [sys.executable, "-c", f"import os, signal, sys\n{code}\n{main}", *arguments]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_between_listening_and_serving_ends_the_server_properly(tmp_path: Path, number: signal.Signals) -> None:
    """By then a supervisor may have seen the port open. A SIGHUP is ignored, and a SIGTERM follows it."""
    code = f"""
import streamserver.commands.serve as serve
raise_limit = serve.raise_descriptor_limit
def signalled(*arguments):
    os.kill(os.getpid(), {int(number)})
    os.kill(os.getpid(), signal.SIGTERM)
    return raise_limit(*arguments)
serve.raise_descriptor_limit = signalled
"""
    done = subprocess.run(
        program(code, "--provider", "echo", "--port", "0"),
        cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "serves on" in done.stdout


def test_interrupt_during_the_imports_prints_nothing(tmp_path: Path) -> None:
    started, going = os.pipe()
    (tmp_path / "uvloop.py").write_text(f"import os, time\nos.write({going}, b'x')\ntime.sleep(60)\n")
    with subprocess.Popen(
        [sys.executable, "-m", "streamserver", "--provider", "echo", "--port", "0"],
        cwd=tmp_path, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(going,),
    ) as process:  # fmt: skip
        try:
            os.close(going)
            assert os.read(started, 1) == b"x"
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(started)
    assert (process.returncode, out, errors) == (-signal.SIGINT, b"", b"")
