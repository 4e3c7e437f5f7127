"""The command ``streamserver load``."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer, StartUpstream
from tests.support.server import clean_environ
from tests.support.upstream import Exchange, answer

SECONDS = 180


async def run_load(
    *arguments: str,
    interrupt_after: Awaitable[object] | None = None,
    python: tuple[str, ...] = ("-W", "error"),
    folder: Path | None = None,
) -> tuple[int, str, str]:
    """Run the command. Return its exit status, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *python, "-m", "streamserver", "load", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environ(),
    )
    try:
        async with asyncio.timeout(SECONDS):
            if interrupt_after is not None:
                await interrupt_after
                process.send_signal(signal.SIGINT)
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def test_load_starts_a_server_and_reports_that_all_promises_hold(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    status, out, errors = await run_load(
        *("--streams", "60", "--concurrency", "30", "--prompt-tokens", "10"),
        *("--cancel-rate", "0.3", "--resume-rate", "0.3", "--slow-readers", "0.1", "--json", "--report", str(page)),
    )
    assert status == 0, errors
    result = json.loads(out)
    assert result["kept_promises"] is True
    assert sum(result["streams"]["by_outcome"].values()) == result["streams"]["started"] == 60
    assert (result["tokens"]["lost"], result["tokens"]["doubled"], result["streams"]["truncated"]) == (0, 0, 0)
    assert result["streams"]["cuts_resumed"] > 0
    assert result["server"]["cpu_seconds"] > 0 and result["server"]["memory_peak_bytes"] > 2**20
    assert 0 < result["ttft_ms"]["p50"] <= result["ttft_ms"]["p99"] <= result["ttft_ms"]["max"]
    text = page.read_text("utf-8")
    assert text.count("<svg") == 4
    assert not re.search(r"""(src|href)=|url\(|@import""", text), "the page loads nothing"


async def test_load_runs_no_module_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "html.py").write_text("raise SystemExit('a stranger to the program')")
    arguments = ("--streams", "2", "--concurrency", "1", "--prompt-tokens", "3", "--json")
    status, out, errors = await run_load(*arguments, python=("-P",), folder=tmp_path)
    assert status == 0, errors
    assert json.loads(out)["kept_promises"] is True


async def test_load_tests_a_running_server_at_a_rate(start_server: StartServer) -> None:
    server = await start_server({"providers": {"echo": {"kind": "echo", "delay_ms": 1}}})
    arguments = ("--url", server.url, "--echoes", "--rate", "40", "--duration", "1", "--prompt-tokens", "5", "--json")
    status, out, errors = await run_load(*arguments)
    assert status == 0, errors
    result = json.loads(out)
    assert result["streams"]["by_outcome"] == {"done": result["streams"]["started"]}
    assert result["server"]["processes"] == 1, "the process that listens at the URL"


async def test_load_tests_another_server_of_openais_api(start_upstream: StartUpstream) -> None:
    upstream = await start_upstream(answer("one", " two"))
    status, out, errors = await run_load("--url", upstream.url, "--api", "openai", "--streams", "5", "--json")
    assert status == 0, errors
    assert json.loads(out)["streams"]["by_outcome"] == {"done": 5}
    assert json.loads(out)["tokens"]["received"] == 10
    assert upstream.exchanges[0].path == "/v1/chat/completions"


@pytest.mark.parametrize("api", ["chat", "openai", "messages", "anthropic", "responses"])
async def test_load_speaks_every_wire_with_the_server_that_it_starts(api: str) -> None:
    status, out, errors = await run_load("--api", api, "--streams", "10", "--prompt-tokens", "5", "--json")
    assert status == 0, errors + out
    result = json.loads(out)
    assert result["streams"]["by_outcome"] == {"done": 10}
    assert result["tokens"]["received"] == 50


async def test_load_takes_an_error_for_an_ending_on_every_wire(start_server: StartServer) -> None:
    echo = {"kind": "echo", "delay_ms": 0, "fail_after": 2}
    server = await start_server({"providers": {"echo": echo}})
    for api in ("openai", "anthropic", "responses"):
        _, out, errors = await run_load(
            *("--url", server.url, "--api", api, "--streams", "3", "--prompt-tokens", "5", "--json")
        )
        result = json.loads(out)
        (outcome,) = result["streams"]["by_outcome"]
        assert outcome.startswith("error ") and result["kept_promises"] is True, (api, outcome, errors)
        assert result["tokens"]["received"] == 6


async def test_load_is_not_passed_when_limits_refuse_more_than_one_percent(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = await start_server({"limits": {"requests_per_minute": 8}})
    page = tmp_path / "report.html"
    status, out, _ = await run_load(
        *("--url", server.url, "--streams", "10", "--concurrency", "1", "--json", "--report", str(page))
    )
    result = json.loads(out)
    assert (status, result["passed"], result["kept_promises"]) == (1, False, True)
    assert result["verdict"].startswith("20% of the streams were refused by limits")
    assert "20% of the streams were refused" in page.read_text("utf-8")


async def test_report_names_date_version_machine_and_command_without_a_password(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = await start_server()
    url = server.url.replace("http://", "http://anna:verysecret@")
    page = tmp_path / "report.html"
    status, out, errors = await run_load("--url", url, "--streams", "1", "--json", "--report", str(page))
    assert status == 0, errors
    run = json.loads(out)["run"]
    assert re.match(r"20\d\d-\d\d-\d\dT", run["date"]) and "streamserver " in run["version"]
    assert "CPUs" in run["machine"] and "--streams 1" in run["command"]
    text = page.read_text("utf-8")
    for fact in (run["date"], run["version"], "--streams 1"):
        assert fact in text
    assert "verysecret" not in text + out + errors


async def truncating(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send("event: start\nid: s:0\ndata: {}\n\nid: s:1\ndata: x\n\nid: s:3\ndata: y\n\n")


async def refusing(exchange: Exchange) -> None:
    await exchange.answer(503, "{}")


@pytest.mark.parametrize(("script", "outcome", "lost"), [(truncating, "truncated", 3), (refusing, "no stream: 503", 0)])
async def test_load_exits_with_1_when_promises_were_broken_or_no_stream_ran(
    start_upstream: StartUpstream, script: Any, outcome: str, lost: int
) -> None:
    upstream = await start_upstream(script)
    status, out, _ = await run_load("--url", upstream.url, "--streams", "3", "--json")
    assert status == 1
    result = json.loads(out)
    assert result["streams"]["by_outcome"] == {outcome: 3}
    assert result["tokens"]["lost"] == lost
    assert result["kept_promises"] is False


async def hanging(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send("event: start\nid: s:0\ndata: {}\n\nid: s:1\ndata: x\n\n")
    await exchange.until_closed(SECONDS)


async def test_load_reports_when_it_is_interrupted(start_upstream: StartUpstream) -> None:
    upstream = await start_upstream(hanging)
    status, out, errors = await run_load(
        *("--url", upstream.url, "--concurrency", "20", "--json"), interrupt_after=upstream.exchange(19)
    )
    assert status == 0, errors
    result = json.loads(out)
    assert result["interrupted"] is True
    assert result["streams"]["by_outcome"] == {"interrupted": 20}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--cancel-rate", "0.7", "--resume-rate", "0.7"), "together at most 1"),
        (("--cancel-rate", "2"), "from 0 to 1"),
        (("--rate", "5", "--concurrency", "5"), "not allowed with"),
        (("--api", "openai", "--resume-rate", "0.5"), "no resuming"),
        (("--url", "localhost:8080"), "http://"),
        (("--api", "nonsense"), "invalid choice"),
        (("--url", "http://127.0.0.1:1"), "nothing answers there"),
        (("--url", "http://no.such.host.invalid"), "there is no such host"),
        (("--url", "http://127.0.0.1:99999"), "there is no such host or port"),
        (("--report", "/no/such/folder/report.html"), "cannot write /no/such/folder/report.html"),
        (("--report", "/"), "cannot write /: Is a directory"),
        (("--api-key-env", "STREAMSERVER_NO_SUCH_KEY"), "is not set"),
    ],
)
async def test_load_refuses_flags_that_contradict_each_other(arguments: tuple[str, ...], says: str) -> None:
    status, out, errors = await run_load(*arguments)
    assert status == 2
    assert says in errors and not out
