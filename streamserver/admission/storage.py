"""Counters in this process's memory, behind the interface of the ``limits`` library."""

from __future__ import annotations

from collections import OrderedDict, deque

from limits.aio.storage.base import MovingWindowSupport, Storage

from providers.clock import Clock


class MemoryStorage(Storage, MovingWindowSupport):
    """A storage whose hit costs the same however many users there are.

    The library's own walks over all keys in a new task at every hit, with a thread for each:
    10,000 users would make a start cost many milliseconds. Here what has expired is dropped from
    the old end. ``clock`` is the time that resets are told in.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Key → count and expiry. All live equally long, so the first to come is the first to go."""
        self._windows: OrderedDict[str, deque[float]] = OrderedDict()
        """Key → times of its hits, the least recently hit key first."""

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._counts) + len(self._windows)

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def add(self, key: str, expiry: int, amount: int) -> int:
        """Count ``amount`` more; what there is then."""
        now = self._clock.time()
        self._drop_counts(now)
        count, expires = self._counts.get(key, (0, now + expiry))
        self._counts[key] = (count + amount, expires)
        return count + amount

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self.add(key, expiry, amount)

    async def get(self, key: str) -> int:
        self._drop_counts(self._clock.time())
        return self._counts.get(key, (0, 0.0))[0]

    async def get_expiry(self, key: str) -> float:
        return self._counts.get(key, (0, self._clock.time()))[1]

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = self._clock.time()
        hits = self._window(key, now - expiry)
        if len(hits) + amount > limit:
            return False
        hits.extend([now] * amount)
        self._windows[key] = hits
        self._windows.move_to_end(key)
        return True

    def take_back(self, key: str) -> None:
        """The last hit was none."""
        hits = self._windows.get(key)
        if hits:
            hits.pop()
            if not hits:
                del self._windows[key]

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        now = self._clock.time()
        hits = self._window(key, now - expiry)
        # The limit may have been lowered: the hit that makes room for another when it goes.
        return (hits[max(0, len(hits) - limit)] if hits else now), len(hits)

    async def clear(self, key: str) -> None:
        self._counts.pop(key, None)
        self._windows.pop(key, None)

    async def check(self) -> bool:
        return True

    async def reset(self) -> int:
        held = len(self)
        self._counts.clear()
        self._windows.clear()
        return held

    def _drop_counts(self, now: float) -> None:
        while self._counts and next(iter(self._counts.values()))[1] <= now:
            self._counts.popitem(last=False)

    def _window(self, key: str, since: float) -> deque[float]:
        """The hits of ``key`` after ``since``; drops what nobody can ask for any more."""
        while self._windows and next(iter(self._windows.values()))[-1] <= since:
            self._windows.popitem(last=False)
        hits = self._windows.get(key)
        if hits is None:
            return deque()
        while hits and hits[0] <= since:
            hits.popleft()
        return hits
