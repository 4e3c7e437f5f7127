"""The matrix of the ``openai`` kind. ``pytest -v`` prints it."""

from __future__ import annotations

import pytest

from tests.faults.case import Case
from tests.faults.check import check
from tests.faults.harness import FaultHarness
from tests.faults.openai_answers import ANSWERS
from tests.faults.openai_streams import STREAMS
from tests.faults.shared import BEFORE, INSTEAD

KIND = "openai"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("case", BEFORE, ids=lambda case: case.name)
async def test_stream_ends_as_the_row_says_when_no_answer_comes(harness: FaultHarness, case: Case) -> None:
    check(case, await harness.run(case))


@pytest.mark.parametrize("case", [*INSTEAD, *ANSWERS], ids=lambda case: case.name)
async def test_stream_ends_as_the_row_says_when_the_answer_is_no_stream(harness: FaultHarness, case: Case) -> None:
    check(case, await harness.run(case))


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.name)
async def test_stream_ends_as_the_row_says_when_the_answer_streams(harness: FaultHarness, case: Case) -> None:
    check(case, await harness.run(case))
