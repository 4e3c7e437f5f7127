"""What a stream occupies, from its admission to its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


class Resources:
    """A stack of calls that release what is held, made by :meth:`close`, the last one first.

    It does what :class:`contextlib.ExitStack` does with callbacks, in a sixth of the time: each stream has one.
    """

    __slots__ = ("_releases",)

    def __init__(self) -> None:
        self._releases: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def callback(self, release: Callable[..., object], /, *arguments: Any) -> None:
        """Have ``release`` called with ``arguments``."""
        self._releases.append((release, arguments))

    def enter_context(self, context: AbstractContextManager[None]) -> None:
        """Enter ``context``, and have it left."""
        context.__enter__()
        self.callback(context.__exit__, None, None, None)

    def pop_all(self) -> Resources:
        """Move all calls to new resources, and return those."""
        taken = Resources()
        taken._releases, self._releases = self._releases, []
        return taken

    def close(self) -> None:
        """Make the calls, also those after one that raises."""
        releases = self._releases
        try:
            while releases:
                release, arguments = releases.pop()
                release(*arguments)
        finally:
            if releases:
                self.close()

    def __enter__(self) -> Resources:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
