"""The code's tables are the wire contract's."""

from __future__ import annotations

import http
from typing import get_args

import msgspec
import pytest

from providers.echo import EchoOptions
from providers.errors import BY_CODE, DeadlineName, ProviderError, UpstreamTimeout
from streamserver.admission import QuotaExhausted
from streamserver.core.error_codes import FAILURES, failed, failed_with
from streamserver.core.refusals import LIMITS, Refusal, UserLimit, invalid
from streamserver.core.streams import limit_refusal
from streamserver.telemetry.metrics import METRICS
from streamserver.wire.problem import STATUS, render
from tests.support.contract import ECHO_OPTIONS, PROBLEM_STATUS, STREAM_CODES


def test_the_error_codes_of_a_stream_and_their_retryable_flags_are_those_of_the_contract() -> None:
    assert {code: failure.retryable for code, failure in FAILURES.items()} == STREAM_CODES


def test_every_failure_has_one_sentence_or_more_for_the_person_at_the_screen() -> None:
    for code, failure in FAILURES.items():
        assert failure.message.endswith("."), code
        assert code not in failure.message or " " not in code


def all_errors() -> list[type[ProviderError]]:
    found, queue = list[type[ProviderError]](), [ProviderError]
    while queue:
        children = queue.pop().__subclasses__()
        queue += children
        found += [kind for kind in children if kind.__module__ == "providers.errors"]
    return found


def test_every_class_of_the_tree_has_a_code_of_its_own() -> None:
    assert {kind.code: kind for kind in all_errors()} == dict(BY_CODE)


@pytest.mark.parametrize("code", STREAM_CODES)
def test_a_failure_says_what_the_table_says(code: str) -> None:
    terminal = failed(code, request_id="r")
    assert (terminal.code, terminal.retryable, terminal.request_id) == (code, STREAM_CODES[code], "r")


@pytest.mark.parametrize("kind", BY_CODE.values(), ids=lambda kind: kind.code)
def test_what_a_provider_raises_becomes_the_failure_of_its_code(kind: type[ProviderError]) -> None:
    error = UpstreamTimeout("idle", 3) if kind is UpstreamTimeout else kind(retry_after=7)
    terminal = failed_with(error, request_id="r")
    assert (terminal.code, terminal.retryable) == (kind.code, STREAM_CODES[kind.code])
    assert terminal.retry_after == (None if kind is UpstreamTimeout else 7)


@pytest.mark.parametrize("name", get_args(DeadlineName))
def test_a_timeout_says_which_deadline_passed(name: DeadlineName) -> None:
    assert f"({name})" in UpstreamTimeout(name, 2.5).message
    assert "2.5 s" in UpstreamTimeout(name, 2.5).message


def test_the_refusals_and_their_status_are_those_of_the_contract() -> None:
    assert dict(STATUS) == PROBLEM_STATUS


@pytest.mark.parametrize(("code", "status"), PROBLEM_STATUS.items())
def test_a_refusal_is_problem_json(code: str, status: int) -> None:
    answer = render(Refusal(code, "Why.", retry_after=0.2), "r-1")
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Retry-After"] == "1", "rounded up: sooner would be refused again"
    assert msgspec.json.decode(answer.body) == {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": "Why.",
        "request_id": "r-1",
    }


def test_a_422_names_its_field() -> None:
    answer = render(invalid("messages[0].role", "Wrong."), "r-1")
    assert msgspec.json.decode(answer.body)["field"] == "messages[0].role"
    assert "Retry-After" not in answer.headers


def test_an_echo_table_may_have_what_the_contract_names() -> None:
    assert set(ECHO_OPTIONS) <= {field.encode_name for field in msgspec.structs.fields(EchoOptions)}


@pytest.mark.parametrize("limit", get_args(UserLimit))
def test_every_limit_of_a_user_has_its_words_and_is_counted_by_its_name(limit: UserLimit) -> None:
    refusal = limit_refusal(QuotaExhausted(limit, 7, 60, 3))
    assert refusal.limit is not None and refusal.limit.name == limit
    assert "7" in refusal.detail
    assert render(refusal, "r-1").headers["RateLimit-Policy"].startswith(f'"{limit}";q=7;qu=')
    (metric,) = (metric for metric in METRICS if metric.name == "limit_hits")
    assert metric.help.endswith(f": {', '.join(LIMITS)}.")
    assert limit in LIMITS
