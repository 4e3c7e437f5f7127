"""The log in memory keeps what every log has to."""

from __future__ import annotations

import pytest

from streamserver.log.memory import MemoryLog
from tests.contracts.log import LogContract, MakeLog


class TestMemoryLog(LogContract):
    @pytest.fixture
    def make_log(self) -> MakeLog:
        return MemoryLog
