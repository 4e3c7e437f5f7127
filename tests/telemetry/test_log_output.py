"""Nothing that reads the logs, or does not, stops the server."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
import tomli_w
from loguru import logger

from streamserver.telemetry import log_output
from streamserver.telemetry.log_output import MAX_PENDING_BYTES, LogOutput
from tests.support.client import get_events, stream_url
from tests.support.server import clean_environ

PIPE_BYTES = 4096


class Pipe:
    """A small pipe, which takes what the test reads from it and no more."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def fill(self) -> None:
        os.set_blocking(self.writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writing, b"\n")
        os.set_blocking(self.writing, True)

    def read(self) -> bytes:
        """Return what is in the pipe now."""
        os.set_blocking(self.reading, False)
        try:
            return os.read(self.reading, 1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


@asynccontextmanager
async def server_writing_to(
    stderr: int, folder: Path, *, stdout: int = asyncio.subprocess.PIPE, port: int = 0
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a server that logs to ``stderr``, and its URL; it must end with 0 after a SIGTERM."""
    config = {
        "provider": {"default": "echo"},
        "providers": {"echo": {"kind": "echo", "delay_ms": 0}},
        "log": {"format": "json", "level": "DEBUG"},
        "server": {"drain_seconds": 0.2, "port": port},
        "limits": {"requests_per_minute": 1_000_000},
    }
    (folder / "config.toml").write_text(tomli_w.dumps(config))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "streamserver"),
        stdout=stdout, stderr=stderr, cwd=folder, env=clean_environ(),
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        if process.stdout is not None:
            async with asyncio.timeout(60):
                while not (found := re.search(rb"page +(http://\S+)/", await process.stdout.readline())):
                    assert process.returncode is None
            url = found[1].decode()
        yield process, url
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def dropped_records(http: aiohttp.ClientSession, url: str) -> float:
    async with http.get(f"{url}/metrics") as response:
        found = re.search(r"^streamserver_dropped_log_records_total (\S+)$", await response.text(), re.MULTILINE)
    assert found is not None
    return float(found[1])


async def log_until_dropped(http: aiohttp.ClientSession, url: str) -> None:
    for number in range(20_000):
        async with http.get(f"{url}/nothing") as response:
            assert response.status == 404
        if number % 100 == 0 and await dropped_records(http, url):
            return
    pytest.fail("however much was logged, nothing was dropped")


async def test_server_serves_and_counts_when_its_log_pipe_is_not_read(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    pipe = Pipe()
    try:
        async with server_writing_to(pipe.writing, tmp_path) as (_, url):
            await log_until_dropped(http, url)
            assert (await get_events(http, stream_url(url)))[-1].type == "done"
            log = b""
            async with asyncio.timeout(60):
                while not (told := re.findall(rb'.*"event":"log_output".*\n', log)):
                    log += pipe.read()
                    async with http.get(f"{url}/nothing"):
                        pass
            record = json.loads(told[0])
            assert (record["level"], record["dropped"] >= 1) == ("WARNING", True)
            for line in log.splitlines()[:-1]:
                json.loads(line)  # no record is torn
    finally:
        pipe.close()


async def test_server_ends_at_sigterm_when_its_log_pipe_is_full(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    pipe = Pipe()
    pipe.fill()
    try:
        async with server_writing_to(pipe.writing, tmp_path) as (_, url):
            await log_until_dropped(http, url)
    finally:
        pipe.close()


async def test_server_starts_when_standard_output_is_full(
    http: aiohttp.ClientSession, tmp_path: Path, unused_tcp_port: int
) -> None:
    pipe = Pipe()
    pipe.fill()
    try:
        async with server_writing_to(pipe.writing, tmp_path, stdout=pipe.writing, port=unused_tcp_port) as (_, url):
            async with asyncio.timeout(60):
                while True:
                    with suppress(aiohttp.ClientConnectionError):
                        assert (await get_events(http, stream_url(url)))[-1].type == "done"
                        break
                    await asyncio.sleep(0.02)
    finally:
        pipe.close()


@pytest.mark.parametrize("gone", ["reader", "terminal"])
async def test_server_goes_on_when_what_reads_its_log_has_gone(
    http: aiohttp.ClientSession, tmp_path: Path, gone: str
) -> None:
    reading, writing = os.pipe() if gone == "reader" else os.openpty()
    try:
        async with server_writing_to(writing, tmp_path) as (_, url):
            os.close(reading)
            await log_until_dropped(http, url)
            assert (await get_events(http, stream_url(url)))[-1].type == "done"
    finally:
        os.close(writing)


def test_output_writes_everything_in_order_when_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        output = LogOutput(file.fileno())
        for number in range(2000):
            output.write(f"{number}\n")
        output.flush(60)
    assert (tmp_path / "log").read_text().split() == [str(number) for number in range(2000)]


def test_output_waits_for_no_more_records_when_there_are_many_or_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_output, "WRITE_SECONDS", 3600)
    many = [f"{number:0127}\n" for number in range(log_output.WRITE_BYTES // 128)]
    with (tmp_path / "log").open("wb") as file:
        output = LogOutput(file.fileno())
        for record in many:
            output.write(record)
        deadline = time.monotonic() + 60
        while output._written < output._taken and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tmp_path / "log").read_text() == "".join(many)
        output.write("flushed\n")
        output.flush(60)
        output.write("before a fork\n")
        output._stop()
    assert (tmp_path / "log").read_text() == "".join(many) + "flushed\nbefore a fork\n"


def test_output_bounds_its_memory_when_nothing_reads() -> None:
    pipe, dropped = Pipe(), 0

    def count() -> None:
        nonlocal dropped
        dropped += 1

    pipe.fill()
    try:
        output = LogOutput(pipe.writing)
        output.on_drop = count
        for _ in range(1000):
            output.write("x" * 1000)
        assert dropped == 1000 - MAX_PENDING_BYTES // 1000
        output.flush(0.1)
        while output._written < output._taken:
            pipe.read()
    finally:
        pipe.close()


def test_output_tells_how_many_were_dropped_though_it_has_no_room() -> None:
    pipe = Pipe()
    pipe.fill()
    output = LogOutput(pipe.writing)
    sink = logger.add(lambda message: output.write(f"dropped={message.record['extra'].get('dropped')}\n"))
    try:
        for _ in range(1000):
            output.write("x" * 999 + "\n")
        read = b""
        deadline = time.monotonic() + 60
        while not (told := re.search(rb"dropped=(\d+)\n", read)) and time.monotonic() < deadline:
            read += pipe.read()
        assert told and int(told[1]) == 1000 - MAX_PENDING_BYTES // 1000
    finally:
        logger.remove(sink)
        pipe.close()


def test_output_writes_to_a_descriptor_that_is_not_blocking() -> None:
    pipe = Pipe()
    pipe.fill()
    os.set_blocking(pipe.writing, False)
    try:
        output = LogOutput(pipe.writing)
        output.write("after\n")
        read = b""
        deadline = time.monotonic() + 60
        while b"after\n" not in read and time.monotonic() < deadline:
            read += pipe.read()
        assert b"after\n" in read
    finally:
        pipe.close()


def test_output_is_one_of_each_process_after_a_fork(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        output = LogOutput(file.fileno())
        output.write("before\n")
        child = os.fork()
        if not child:
            assert threading.active_count() == 1
            output.write("child\n")
            output.flush(60)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        output.write("parent\n")
        output.flush(60)
    assert (tmp_path / "log").read_text().split() == ["before", "child", "parent"]
