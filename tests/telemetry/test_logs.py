"""The logs: one line for each record, without private text."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loguru import logger

import streamserver
from providers.errors import UpstreamDetail
from streamserver.config.settings import LogSettings
from streamserver.core.generation import AttemptResult, Outcome
from streamserver.log.records import Done, Failed, Terminal, TokenUsage
from streamserver.telemetry.logs import handle_loop_failure, set_up_logs
from streamserver.telemetry.record import log_outcome
from streamserver.telemetry.tracebacks import log_crash
from tests.telemetry.conftest import SetUp

SECRET = "sk-verysecret-and-the-prompt"
FORGED = "x\nforged\r\nforged\x0b\x0c\x1c\x1d\x1e\x85\u2028forged\u2029\x1b[2Jforged\x9b2J\0\x7f\ud800 level=ERROR"
FORMATS = ("text", "json")


def lines(stream: io.StringIO) -> list[str]:
    """Split at every character that any program reads as the end of a line."""
    return stream.getvalue().splitlines()


def no_controls(text: str) -> bool:
    return all(sign == "\n" or sign.isprintable() or sign == "\xa0" for sign in text)


def outcome(terminal: Terminal, **changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "stream_id": "0123456789abcdef",
        "request_id": "r-1",
        "key_name": "anna",
        "provider": "echo",
        "model": "m",
        "asked_model": "m",
        "terminal": terminal,
        "attempts": (AttemptResult("echo"),),
        "stop_ms": None,
        "pieces": 4,
        "log_bytes": 500,
        "ttft_ms": 1.5,
        "duration_ms": 20.0,
        "usage": TokenUsage(3, 4, 7, estimated=False),
        "detail": UpstreamDetail(),
        "crash": None,
    }
    return Outcome(**{**fields, **changes})


DONE = Done("stop", "echo", "m", None, 1.5, 20.0)
FAILED = Failed("rate_limited", "Try again.", True, None, "r-1", None)
CANCELLED = Failed("cancelled", "Stopped.", False, None, "r-1", None)


@pytest.mark.parametrize("form", FORMATS)
def test_no_field_and_no_message_forges_a_line(set_up: SetUp, form: str) -> None:
    stream = set_up(format=form)
    logger.bind(event="x", user=FORGED, number=2**80, data=FORGED.encode("utf-8", "replace")).info(FORGED)
    logging.getLogger("third.party").warning("%s", FORGED)
    log_outcome(outcome(DONE, key_name=FORGED, provider=FORGED, model=FORGED, request_id=FORGED))
    assert len(lines(stream)) == 3
    assert no_controls(stream.getvalue())


@given(text=st.text(st.characters(codec=None, categories=None)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("form", FORMATS)
def test_record_is_one_printable_line_for_any_text(set_up: SetUp, form: str, text: str) -> None:
    stream = set_up(format=form)
    logger.bind(event="x", field=text).info("{}", text)
    assert len(lines(stream)) == 1
    stream.getvalue().encode()
    if form == "json":
        record = json.loads(stream.getvalue())
        clean = "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else sign for sign in text)
        assert record["field"] == record["message"] == clean


def test_a_json_record_has_its_time_level_and_fields(set_up: SetUp) -> None:
    stream = set_up(format="json")
    logger.bind(event="hello", a=1, b=None).warning("said {}", "this")
    record = json.loads(stream.getvalue())
    assert record.pop("time").endswith("+00:00") or "T" in json.loads(stream.getvalue())["time"]
    assert record == {"level": "WARNING", "event": "hello", "a": 1, "b": None, "message": "said this"}


def test_a_text_record_has_its_fields_but_those_without_a_value(set_up: SetUp) -> None:
    stream = set_up(format="text")
    stranger = Stranger()
    logger.bind(event="hello", a=1, b=None, c="x y", stranger=stranger).warning("said {}", "this")
    assert stream.getvalue().endswith(" WARNING  said this a=1 c=x y stranger=<Stranger>\n")


class Stranger:
    """What quotes what it holds."""

    def __str__(self) -> str:
        return "secret"

    __repr__ = __str__


def test_the_record_of_a_stream_has_the_contracts_fields(set_up: SetUp) -> None:
    stream = set_up(format="json")
    log_outcome(outcome(DONE))
    log_outcome(outcome(FAILED, usage=None, key_name="", ttft_ms=None, detail=UpstreamDetail(status=429, code="x")))
    done, failed = (json.loads(line) for line in lines(stream))
    for record in (done, failed):
        del record["time"], record["level"], record["message"]
    assert done == {
        "event": "stream",
        "request_id": "r-1",
        "stream_id": "012345",
        "user": "anna",
        "wire": "native",
        "provider": "echo",
        "model": "m",
        "status": "done",
        "finish_reason": "stop",
        "attempts": 1,
        "ttft_ms": 1.5,
        "duration_ms": 20.0,
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "estimated": False,
    }
    nothing = dict.fromkeys(("user", "finish_reason", "ttft_ms", "prompt_tokens", "completion_tokens", "total_tokens"))
    expected = {**done, **nothing, "status": "rate_limited", "estimated": None}
    assert failed == {**expected, "upstream_status": 429, "upstream_code": "x"}


@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_stream_id_is_never_logged(set_up: SetUp, form: str) -> None:
    stream = set_up(format=form, level="TRACE")
    log_outcome(outcome(DONE))
    assert "0123456" not in stream.getvalue()


def failing(secret: str) -> Exception:
    """Return an exception with a cause and a context, all of which quote ``secret``."""
    try:
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise ValueError(f"cannot take {secret}") from error
    except ValueError as error:
        return error


@pytest.mark.parametrize("form", FORMATS)
def test_a_crash_is_told_by_its_types_and_places_alone(set_up: SetUp, form: str) -> None:
    stream = set_up(format=form)
    log_crash("a handler failed", failing(SECRET), request_id="r-1")
    log_outcome(outcome(FAILED, crash=failing(SECRET)))
    said = stream.getvalue()
    assert SECRET not in said
    assert "ValueError" in said
    assert "KeyError" in said
    assert "in failing" in said


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("level", ["INFO", "TRACE"])
def test_the_standard_librarys_exceptions_lose_their_messages(set_up: SetUp, form: str, level: str) -> None:
    stream = set_up(format=form, level=level)
    for name in ("aiohttp.server", "asyncio", "third.party"):
        logging.getLogger(name).error("Error handling request", exc_info=failing(SECRET))
        logging.getLogger(name).error("nothing was raised", exc_info=True)  # noqa: LOG014
    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count("ValueError") == 3


@pytest.mark.parametrize("form", FORMATS)
async def test_the_event_loops_failures_lose_their_messages_and_arguments(set_up: SetUp, form: str) -> None:
    gc.collect()  # what other tests left would be logged here
    stream = set_up(format=form)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(handle_loop_failure)

    def callback(argument: str) -> None:
        raise ValueError(argument)

    async def task(argument: str) -> None:
        raise ValueError(argument)

    async def generator(argument: str) -> AsyncGenerator[str, None]:
        try:
            yield argument
        finally:
            raise ValueError(argument)

    loop.call_soon(callback, SECRET)
    forgotten = loop.create_task(task(SECRET))
    unfinished = generator(SECRET)
    await anext(unfinished)
    del unfinished
    for _ in range(10):
        await asyncio.sleep(0)
    del forgotten
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
    loop.set_exception_handler(None)
    said = stream.getvalue()
    assert SECRET not in said
    assert said.count("ValueError") == 3
    assert "Exception in callback" in said
    assert "Task exception was never retrieved" in said


@pytest.mark.parametrize("form", FORMATS)
def test_a_warning_is_told_by_its_category_and_place(set_up: SetUp, form: str) -> None:
    stream = set_up(format=form)
    warnings.simplefilter("always")
    warnings.warn(f"unexpected value {SECRET}", UserWarning, stacklevel=1)
    assert SECRET not in stream.getvalue()
    (line,) = lines(stream)
    assert "UserWarning" in line
    assert "test_logs.py" in line


@pytest.mark.parametrize("form", FORMATS)
def test_what_python_could_not_raise_is_logged_without_its_message(set_up: SetUp, form: str) -> None:
    gc.collect()  # what other tests left would be logged here
    stream = set_up(format=form)

    class Broken:
        def __del__(self) -> None:
            raise ValueError(SECRET)

    Broken()
    gc.collect()
    sys.excepthook(ValueError, failing(SECRET), None)
    said = stream.getvalue()
    assert SECRET not in said
    assert said.count("ValueError") == 2


@pytest.mark.parametrize("form", FORMATS)
def test_what_a_thread_did_not_catch_is_logged_without_its_message(
    set_up: SetUp, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = set_up(format=form)

    def fail() -> None:
        raise failing(SECRET)

    def leave() -> None:
        sys.exit(SECRET)

    for target in (fail, leave):
        thread = threading.Thread(target=target, name=SECRET)
        thread.start()
        thread.join(60)
    said = stream.getvalue()
    captured = capsys.readouterr()
    assert SECRET not in said + captured.out + captured.err
    assert said.count("builtins.ValueError") == 1
    assert "SystemExit" not in said, "that is how a thread may end"


class Full(io.StringIO):
    """A log that takes nothing, and quotes what it did not take."""

    def write(self, text: str) -> int:
        raise OSError(f"no space for {text}")


@pytest.mark.parametrize("form", FORMATS)
def test_record_is_dropped_without_its_text_when_it_cannot_be_written(
    set_up: SetUp, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(format=form)
    set_up_logs(LogSettings(format=form), Full())
    logger.bind(event="x", field=SECRET).info("hello {}", SECRET)
    logging.getLogger("third.party").warning("%s", SECRET)
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err
    assert captured.err == "streamserver: a log record could not be written: OSError\n" * 2


class Hostile:
    """A value that cannot be written, with an error that quotes it."""

    def __str__(self) -> str:
        raise ValueError(SECRET)

    __repr__ = __str__


@pytest.mark.parametrize("form", FORMATS)
def test_what_cannot_be_logged_leaves_nothing_of_itself(
    set_up: SetUp, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = set_up(format=form)
    logger.bind(event="x", value=Hostile()).info("hello")
    logging.getLogger("third.party").info("%d", SECRET)
    logging.getLogger("third.party").info("%s", Hostile())
    captured = capsys.readouterr()
    assert SECRET not in stream.getvalue() + captured.out + captured.err
    logger.info("it goes on")
    assert "it goes on" in lines(stream)[-1]


TALKATIVE = (
    "openai._base_client",
    "anthropic._base_client",
    "httpx2",
    "httpcore2.http11",
    "httpx",
    "httpcore.connection",
)


@pytest.mark.parametrize("name", [*TALKATIVE, "aiohttp.client", "asyncio"])
def test_what_others_log_below_info_is_never_written(set_up: SetUp, name: str) -> None:
    stream = set_up(level="TRACE")
    logging.getLogger(name).setLevel(logging.DEBUG)  # as OPENAI_LOG=debug does on import
    logging.getLogger(name).debug("Request options: %s", SECRET)
    logging.getLogger(name).info("kept")
    (line,) = lines(stream)
    assert "kept" in line
    logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.parametrize(("level", "expected"), [("DEBUG", ["d", "i", "e"]), ("INFO", ["i", "e"]), ("ERROR", ["e"])])
def test_the_level_is_everyones(set_up: SetUp, level: str, expected: list[str]) -> None:
    for write in (logger, logging.getLogger("third.party")):
        stream = set_up(level=level, format="json")
        write.debug("d")
        write.info("i")
        write.error("e")
        assert [json.loads(line)["message"] for line in lines(stream)] == expected


def test_records_are_written_when_their_level_is_unknown(set_up: SetUp) -> None:
    stream = set_up(format="json")
    logging.getLogger("third.party").log(25, "between")
    assert json.loads(stream.getvalue())["message"] == "between"


def test_record_of_a_stream_has_its_facts_in_its_text_when_logs_are_not_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As an application sees it that embeds the server and has loguru's default sink."""
    monkeypatch.setattr(logging.root, "handlers", [])  # another test in this process may have set them up
    out = io.StringIO()
    sink = logger.add(out, format="{message}", level="INFO")
    try:
        log_outcome(outcome(DONE))
    finally:
        logger.remove(sink)
    assert out.getvalue() == (
        "stream done request_id=r-1 stream_id=012345 user=anna wire=native provider=echo model=m finish_reason=stop "
        "attempts=1 ttft_ms=1.5 duration_ms=20.0 prompt_tokens=3 completion_tokens=4 total_tokens=7 estimated=False\n"
    )


def test_record_of_a_stream_has_its_facts_once_when_logs_are_set_up(set_up: SetUp) -> None:
    for form in FORMATS:
        stream = set_up(format=form)
        log_outcome(outcome(DONE))
        assert stream.getvalue().count("r-1") == 1


def test_set_up_logs_is_public() -> None:
    assert streamserver.set_up_logs is set_up_logs
