"""Detection of blocking calls in the event loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blockbuster import BlockBuster

import providers.testing
import streamserver
import streamserver.loadtest

TESTS = (str(Path(__file__).parents[1]), providers.testing.__file__)


@contextmanager
def blocking_calls_raise() -> Iterator[None]:
    """Raise in the server's code, where it runs in an event loop, for each call that can block the loop."""
    # The load test reads /proc, which blocks nothing, in a process that is not the server's.
    detector = BlockBuster([streamserver, providers], excluded_modules=[streamserver.loadtest])
    for function in detector.functions.values():
        allow = function.can_block_predicate
        function.can_block_predicate = lambda *args, allow=allow, **kwargs: _called_by_test() or allow(*args, **kwargs)
    detector.activate()
    try:
        yield
    finally:
        detector.deactivate()


def _called_by_test() -> bool:
    """Return whether a test called the server's code itself: it may block its own loop."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        if frame.f_code.co_filename.startswith(TESTS) and frame.f_code.co_filename != __file__:
            return True
    return False
