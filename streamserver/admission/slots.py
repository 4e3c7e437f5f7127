"""Slots: how many streams a user has at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

Release: TypeAlias = Callable[[], None]


class Slots(Protocol):
    """Counts of what each user has running.

    Guarantees: never more than ``most`` at a time, as long as leases can be renewed (one that lapsed while Redis was
    away may be taken again while its stream still runs); a slot that was taken is free again once its
    release was called, or its process has died; a cancelled :meth:`take` has taken nothing.
    """

    async def take(self, user: str, most: int) -> Release | None:
        """Take one of ``most`` slots. What gives it back (to be called once; never fails, never waits),
        or None if all are taken. Raises :class:`~streamserver.store.base.StoreUnavailable`."""
        ...


class MemorySlots:
    """Slots of this process."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    @property
    def total(self) -> int:
        """How many are taken, of all users."""
        return sum(self._taken.values())

    async def take(self, user: str, most: int) -> Release | None:
        taken = self._taken.get(user, 0)
        if taken >= most:
            return None
        self._taken[user] = taken + 1
        return lambda: self._release(user)

    def _release(self, user: str) -> None:
        if (left := self._taken[user] - 1) > 0:
            self._taken[user] = left
        else:
            del self._taken[user]
