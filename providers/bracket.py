"""A context manager of two calls."""

from __future__ import annotations

from collections.abc import Callable


class Bracket:
    """A block that begins with a call of ``enter`` and ends with one of ``leave``, unless ``enter`` raised.

    What is done for each request is written with this: :func:`contextlib.contextmanager` runs four times as much code.
    """

    __slots__ = ("_enter", "_leave")

    def __init__(self, enter: Callable[[], None], leave: Callable[[], None]) -> None:
        self._enter = enter
        self._leave = leave

    def __enter__(self) -> None:
        self._enter()

    def __exit__(self, *exc_info: object) -> None:
        self._leave()
