"""The checks of the load test."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.loadtest.check import ChatCheck, MessagesCheck, NativeCheck, ResponsesCheck, WireCheck
from streamserver.loadtest.histogram import Histogram

START = 'retry: 1000\nevent: start\nid: s:0\ndata: {"stream_id":"s"}\n\n'
DONE = 'event: done\nid: s:4\ndata: {"finish_reason":"stop"}\n\n'
PING = "event: ping\ndata: {}\n\n"


def token(number: int, text: str = "x") -> str:
    return f"id: s:{number}\ndata: {text}\n\n"


WHOLE = START + token(1, "a") + PING + token(2, "\ndata: b") + token(3, " c") + DONE


def native(*parts: str, expected: str | None = None) -> NativeCheck:
    check = NativeCheck(expected)
    for part in parts:
        check.feed(part.encode())
    check.end()
    return check


@given(st.lists(st.integers(0, len(WHOLE))))
def test_check_accepts_a_complete_stream_however_its_bytes_are_split(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(WHOLE)]
    parts = [WHOLE[start:end] for start, end in pairwise(places)]
    check = native(*parts, expected="a\nb c")
    assert (check.tokens, check.lost, check.doubled, check.broken, check.ending) == (3, 0, 0, [], "done")


@pytest.mark.parametrize(
    ("body", "lost", "doubled", "broken"),
    [
        (START + token(1) + token(3) + DONE, 1, 0, []),
        (START + token(1) + DONE, 2, 0, []),
        (START + token(1) + token(2) + token(2) + token(3) + DONE, 0, 1, []),
        (START + token(1) + token(2), 0, 0, ["truncated: no terminal event"]),
        (WHOLE + DONE.replace("s:4", "s:5"), 0, 0, ["a done event after the ending"]),
        (START + token(1) + "data: x\n\n" + DONE, 2, 0, ["a message event without an id"]),
        (WHOLE.replace("s:2", "t:2"), 1, 0, ["an event of another stream"]),
        (token(0) + token(1) + token(2) + token(3) + DONE, 0, 0, ["the first event is message"]),
    ],
)
def test_check_reports_each_broken_promise(body: str, lost: int, doubled: int, broken: list[str]) -> None:
    check = native(body)
    assert (check.lost, check.doubled, check.broken) == (lost, doubled, broken)


def test_check_reports_a_wrong_text() -> None:
    assert native(WHOLE, expected="a\nb d").broken == ["the text is not the one that was sent"]


def test_check_accepts_a_terminal_error_without_an_offset() -> None:
    check = native(START + token(1), 'event: error\nid: s:end\ndata: {"code":"producer_lost"}\n\n')
    assert (check.ending, check.lost, check.broken) == ("producer_lost", 0, [])


def test_check_accepts_an_event_again_when_the_connection_was_cut_inside_it() -> None:
    check = NativeCheck()
    check.feed((START + token(1) + token(2)[:-1]).encode())
    assert check.last_event_id == "s:1"
    check.reconnect()
    check.feed((token(2) + token(3) + DONE).encode())
    check.end()
    assert (check.tokens, check.lost, check.doubled, check.broken) == (3, 0, 0, [])


def chunk(delta: str, finish: str = "null") -> str:
    return f'data: {{"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}\n\n'


@pytest.mark.parametrize(
    ("body", "ending", "broken"),
    [
        (chunk('{"content":"a"}') + chunk("{}", '"stop"') + "data: [DONE]\n\n", "done", []),
        (": ping\n" + chunk('{"content":"a"}') + chunk("{}", '"stop"'), None, ["truncated: no terminal event"]),
        (chunk('{"content":"a"}'), None, ["truncated: no terminal event"]),
        (chunk('{"content":"a"}') + "data: [DONE]\n\n", "done", ["[DONE] without a finish reason"]),
        (chunk('{"content":"a"}') + 'data: {"error":{"code":"timeout"}}\n\n', "timeout", []),
        (
            chunk('{"content":"b"}') + chunk("{}", '"stop"') + "data: [DONE]\n\n",
            "done",
            ["the text is not the one that was sent"],
        ),
    ],
)
def test_check_of_openai_streams_reports_truncation_errors_and_wrong_texts(
    body: str, ending: str | None, broken: list[str]
) -> None:
    check = ChatCheck("a")
    check.feed(body.encode())
    check.end()
    assert (check.tokens, check.ending, check.broken) == (1, ending, broken)


def event(kind: str, fields: str = "") -> str:
    return f'event: {kind}\ndata: {{"type":"{kind}"{fields}}}\n\n'


PIECE = event("content_block_delta", ',"index":0,"delta":{"type":"text_delta","text":"a"}')
STOPPED = event("message_delta", ',"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}')
DELTA = event("response.output_text.delta", ',"delta":"a"')
TRUNCATED = ["truncated: no terminal event"]


@pytest.mark.parametrize(
    ("check", "body", "ending", "broken"),
    [
        (MessagesCheck, PIECE + event("ping") + STOPPED + event("message_stop"), "done", []),
        (MessagesCheck, PIECE + STOPPED, None, TRUNCATED),
        (MessagesCheck, PIECE + event("message_stop"), "done", ["message_stop without a stop reason"]),
        (MessagesCheck, PIECE + event("error", ',"error":{"type":"overloaded_error"}'), "overloaded_error", []),
        (
            MessagesCheck,
            PIECE + STOPPED + event("message_stop") + event("ping"),
            "done",
            ["an event after the ending"],
        ),
        (ResponsesCheck, DELTA + event("response.completed"), "done", []),
        (ResponsesCheck, DELTA + event("response.incomplete"), "done", []),
        (ResponsesCheck, DELTA + event("response.output_item.done"), None, TRUNCATED),
        (ResponsesCheck, DELTA + event("response.failed", ',"response":{"error":{"code":"x"}}'), "x", []),
        (
            ResponsesCheck,
            DELTA
            + event("error", ',"code":"timeout"')
            + event("response.failed", ',"response":{"error":{"code":"x"}}'),
            "timeout",
            [],
        ),
        (ResponsesCheck, DELTA + event("error", ',"code":"timeout"'), "timeout", []),
        (ResponsesCheck, DELTA + event("response.failed", ',"response":{"status":"cancelled"}'), "cancelled", []),
        (
            ResponsesCheck,
            DELTA + event("response.completed") + event("response.completed"),
            "done",
            ["an event after the ending"],
        ),
    ],
)
def test_check_of_each_wire_knows_its_own_ending(
    check: type[WireCheck], body: str, ending: str | None, broken: list[str]
) -> None:
    made = check("a")
    made.feed(body.encode())
    made.end()
    assert (made.tokens, made.ending, made.broken) == (1, ending, broken)


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=200), st.sampled_from([1, 50, 90, 99, 100]))
def test_percentiles_are_exact_to_two_percent(values: list[float], percent: int) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.021)
    assert sum(histogram.bars(0.1, 1000, 20)) == len(values)
