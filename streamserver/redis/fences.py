"""Fences: endings that other nodes write for a producer which they take for dead."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streamserver.log.codec import encode
from streamserver.log.records import Start, Terminal
from streamserver.redis.connection import Command
from streamserver.redis.keys import FENCE, log_key


def fence_command(start: Start, terminal: Terminal, node: str, grace_seconds: float) -> Command:
    """Return the command that ends a log for good. Redis accepts one, and nothing after it.

    The entry repeats the start of the log, for a Redis that has lost what was before: the log can be read with it.
    """
    data = encode([start, terminal])
    return ("XADD", log_key(start.stream_id), FENCE, "r", data, "n", node, "g", str(grace_seconds))


def with_expiry(fence: Command, stream_id: str, lifetime_ms: int) -> list[Command]:
    """Return the commands that write ``fence``, and have Redis forget the log ``lifetime_ms`` later."""
    return [fence, ("PEXPIRE", log_key(stream_id), lifetime_ms)]


class Fences:
    """The fences that this process has seen, to write them again into a Redis that lost its data.

    Otherwise the producer would write its whole log again and end it in its own way, after readers got
    ``producer_lost``. A fence is remembered for ``lifetime_ms``, as long as Redis keeps a log that has ended.
    """

    def __init__(self, lifetime_ms: int, time: Callable[[], float]) -> None:
        self._lifetime_ms = lifetime_ms
        self._time = time
        self._seen: dict[str, tuple[Command, float]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def remember(self, start: Start, terminal: Terminal, node: str, grace_seconds: float) -> None:
        self._expire()
        expires = self._time() + self._lifetime_ms / 1000
        self._seen.setdefault(start.stream_id, (fence_command(start, terminal, node, grace_seconds), expires))

    def __iter__(self) -> Iterator[tuple[str, list[Command]]]:
        """Yield the ids of the streams, with the commands that write each fence again."""
        self._expire()
        for stream_id, (command, _) in self._seen.items():
            yield stream_id, with_expiry(command, stream_id, self._lifetime_ms)

    def _expire(self) -> None:
        now = self._time()
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest][1] > now:
                return
            del self._seen[oldest]
