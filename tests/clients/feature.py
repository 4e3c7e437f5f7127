"""The mark of a test that shows what a client can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])


def feature(*names: str) -> Callable[[Test], Test]:
    """Mark a test that shows that its client has the features ``names``, which are columns of the table."""

    def marked(test: Test) -> Test:
        test.features = names  # type: ignore[attr-defined]
        return test

    return marked
