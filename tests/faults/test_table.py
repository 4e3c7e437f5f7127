"""The matrix itself."""

from __future__ import annotations

import pytest

from streamserver.core.error_codes import FAILURES
from tests.faults import anthropic_answers, anthropic_streams, openai_answers, openai_streams
from tests.faults.case import Case
from tests.faults.shared import BEFORE, INSTEAD

OPENAI = [BEFORE, [*INSTEAD, *openai_answers.ANSWERS], openai_streams.STREAMS]
ANTHROPIC = [BEFORE, [*INSTEAD, *anthropic_answers.ANSWERS], anthropic_streams.STREAMS]
OURS = {"cancelled", "shutting_down", "producer_lost", "stream_expired", "internal"}
ONLY_OPENAI = {"content_filter"}
"""The Messages API refuses nothing for its contents: its models do, with a stop reason."""


@pytest.mark.parametrize(("phases", "least"), [(OPENAI, 60), (ANTHROPIC, 40)], ids=["openai", "anthropic"])
def test_matrix_is_large_and_names_each_row_once_in_its_phase(phases: list[list[Case]], least: int) -> None:
    assert sum(map(len, phases)) >= least
    for cases in phases:
        assert len({case.name for case in cases}) == len(cases)


@pytest.mark.parametrize("phases", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_matrix_has_every_failure_of_a_provider(phases: list[list[Case]]) -> None:
    assert {case.ends for cases in phases for case in cases} >= FAILURES.keys() - OURS - ONLY_OPENAI
