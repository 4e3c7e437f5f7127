"""A log that bounds itself."""

from __future__ import annotations

import pytest

from providers.base import Text
from streamserver.log.base import LogFull
from streamserver.log.memory import MemoryLog
from streamserver.log.records import RECORD_OVERHEAD_BYTES
from tests.support.records import DONE, START


async def test_a_full_log_takes_nothing_more_but_its_end() -> None:
    log = MemoryLog(START, max_bytes=2 * RECORD_OVERHEAD_BYTES + 3)
    with pytest.raises(LogFull):
        log.append(Text("four"))
    log.append(Text("abc"))
    with pytest.raises(LogFull):
        log.append(Text(""))
    assert log.take(0, 10) == [START, Text("abc")]
    assert log.size_bytes == 2 * RECORD_OVERHEAD_BYTES + 3
    assert log.close(DONE)
    assert log.terminal == DONE
