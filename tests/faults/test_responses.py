"""The matrix of the ``openai`` kind with ``api = "responses"``. ``pytest -v`` prints it."""

from __future__ import annotations

import pytest

from tests.faults.case import Case
from tests.faults.check import check
from tests.faults.harness import FaultHarness
from tests.faults.responses_streams import STREAMS

KIND = "responses"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.name)
async def test_stream_ends_as_the_row_says_when_the_answer_streams(harness: FaultHarness, case: Case) -> None:
    check(case, await harness.run(case))
