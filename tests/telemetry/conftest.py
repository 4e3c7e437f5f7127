"""The process's log settings are global: each test puts them back."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest

from tests.support.logs import log_to_memory, restored_logs

SetUp = Callable[..., io.StringIO]


@pytest.fixture
def set_up() -> Iterator[SetUp]:
    """Return ``set_up(format="json", level="DEBUG")``: the stream that everything logged goes to."""
    with restored_logs():
        yield log_to_memory
