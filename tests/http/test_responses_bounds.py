"""What a Response may cost: memory that is counted, references that are bounded, and turns for other streams."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from providers.base import Text
from streamserver.core.refusals import Refusal
from streamserver.http.apis.responses.fields import read_fields
from streamserver.log.memory import MemoryLog
from streamserver.wire.responses import SLICE_RECORDS, current_response, response_of
from tests.support.records import DONE, START

OBJECTS: list[dict[str, object]] = [{"a": {}}] * 1000


def log_of(pieces: int) -> MemoryLog:
    log = MemoryLog(msgspec.structs.replace(START, wire="responses"))
    for _ in range(pieces):
        log.append(Text("a "))
    log.close(DONE)
    return log


async def test_reading_a_long_response_gives_other_tasks_turns() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    log = log_of(SLICE_RECORDS * 10)
    task = asyncio.get_running_loop().create_task(count())
    response = await current_response(log)
    task.cancel()
    assert turns >= 10
    assert response == response_of(log.take(0, len(log)))


def test_options_of_a_wire_count_in_the_size_of_a_log() -> None:
    plain = MemoryLog(START).size_bytes
    options = {"tools": OBJECTS}
    log = MemoryLog(msgspec.structs.replace(START, options=options))
    assert log.size_bytes - plain > 64 * 2 * len(OBJECTS), "each of the small objects takes memory"


@pytest.mark.parametrize(
    "metadata", [{"k": "v" * 513}, {"k" * 65: "v"}, {str(n): "v" for n in range(17)}, {"k": 1}, {"k": None}]
)
def test_metadata_beyond_the_bounds_of_the_api_is_refused(metadata: dict[str, object]) -> None:
    with pytest.raises(Refusal) as caught:
        read_fields({"model": "m", "input": "hi", "metadata": metadata})
    assert caught.value.field is not None and caught.value.field.startswith("metadata")
