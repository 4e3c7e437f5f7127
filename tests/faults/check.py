"""The assertions that hold for every row."""

from __future__ import annotations

from typing import Any

from streamserver.core.error_codes import FAILURES
from tests.faults.case import MARK, Case
from tests.faults.harness import RowResult
from tests.faults.wire_check import check_answer, ends_on
from tests.support.sse import text_of


def check(case: Case, run: RowResult) -> None:
    """Assert one ending, the right one; all text before it; nothing left behind; one record, and no text in the log."""
    _check_ending(case, run)
    _check_message(case, run)
    assert text_of(run.events) == case.text
    assert run.left == ""
    for answer in run.answers:
        try:
            check_answer(case, run.kind, answer)
        except Exception as error:
            error.add_note(f"{answer.form.name}: {answer.status} {answer.body[:3000]!r}")
            raise
    _check_records(case, run)
    _check_log(case, run)


def _check_ending(case: Case, run: RowResult) -> None:
    endings = [event for event in run.events if event.type in ("done", "error")]
    assert len(endings) == 1 and endings[0] is run.events[-1], [event.type for event in run.events[-5:]]
    assert [event.offset for event in run.events] == [str(number) for number in range(len(run.events))]
    ending = endings[0]
    assert (ending.type if ending.type == "done" else ending.json()["code"]) == case.ends


def _check_message(case: Case, run: RowResult) -> None:
    end = run.end
    if case.ends == "done":
        assert end["finish_reason"] == case.finish
    else:
        assert end["retryable"] is FAILURES[case.ends].retryable
        assert end["retry_after"] == case.retry_after
        assert case.says in end["message"] and MARK not in end["message"]
    if case.usage is not None:
        prompt, completion = case.usage
        counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        assert end["usage"] == {**counts, "estimated": False}


def _check_records(case: Case, run: RowResult) -> None:
    """Assert one record a stream, which differs only in its wire."""
    wires = sorted(["native", *(answer.form.wire for answer in run.answers)])
    assert sorted(record["wire"] for record in run.records) == wires
    for record in run.records:
        if ends_on(case, run.kind, record["wire"]) == case.ends:
            _check_record(case, record)
    native = next(record for record in run.records if record["wire"] == "native")
    assert native["stream_id"] == run.events[0].json()["stream_id"][:6]


def _check_record(case: Case, record: dict[str, Any]) -> None:
    expected = {"status": case.ends, "provider": case.at, "attempts": 1, "user": None, **case.log}
    if case.ends == "done":
        expected["finish_reason"] = case.finish
    assert {name: record.get(name) for name in expected} == expected
    assert record["level"] == ("INFO" if case.ends == "done" else "WARNING")


def _check_log(case: Case, run: RowResult) -> None:
    assert MARK not in run.log
    stream_ids = [run.events[0].json()["stream_id"], *(answer.headers["X-Stream-ID"] for answer in run.answers)]
    assert not any(stream_id in run.log for stream_id in stream_ids)
    assert '"event":"crash"' not in run.log, run.log
    if len(case.text) > 3:
        assert case.text not in run.log
