"""Refused requests in the log."""

from __future__ import annotations

from collections import Counter

from loguru import logger

from providers.clock import Clock, LoopClock

INTERVAL_SECONDS = 10.0


class RefusalLog:
    """A log of refused requests with a bounded number of records, because no limit stops a client from sending them.

    In each interval the first refusal of a kind is logged at INFO, at once; the others of that kind are logged at
    DEBUG, and their number at INFO when the interval ends. The metrics count every refusal.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends = 0.0
        self._counts: Counter[tuple[str, tuple[tuple[str, object], ...]]] = Counter()
        """How often each message was logged with the fields that make its kind."""

    def log(self, message: str, *, event: str, by: tuple[str, ...], **fields: object) -> None:
        """Log a refusal. ``by`` names the fields that make its kind, besides ``event``: their values must be from a
        small set, never a client's choice."""
        if self._clock.time() >= self._ends:
            self._start_interval()
        kind = (message, (("event", event), *((name, fields[name]) for name in by)))
        self._counts[kind] += 1
        level = "INFO" if self._counts[kind] == 1 else "DEBUG"
        logger.bind(event=event, **fields).log(level, message)

    def _start_interval(self) -> None:
        self._end_interval()  # the timer is lost if its event loop has closed
        self._ends = self._clock.time() + INTERVAL_SECONDS
        self._clock.call_at(self._ends, self._end_interval)

    def _end_interval(self) -> None:
        counts, self._counts = self._counts, Counter()
        for (message, kind), count in counts.items():
            if count > 1:
                log = logger.bind(**dict(kind), count=count - 1, seconds=INTERVAL_SECONDS)
                log.info(f"{message}, repeatedly")


log_refusal = RefusalLog(LoopClock()).log
"""Log a refusal of this process: see :meth:`RefusalLog.log`."""
