"""Writing log records without waiting for whatever reads them."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from loguru import logger

MAX_PENDING_BYTES = 256 * 1024
"""The most that waits for a descriptor that takes nothing; further records are dropped."""
WRITE_SECONDS = 0.1
"""How long the thread collects records before it writes them. Each time that it wakes, it and the event loop wait for
each other: Python runs one of them at a time."""
WRITE_BYTES = 64 * 1024
"""It collects no longer once so much has come."""
THREAD_STOP_SECONDS = 0.5
"""How long a fork waits for the thread to end: a thread that is stuck in a write is left behind."""
FLUSH_POLL_SECONDS = 0.002
POLL_MS = 200


def _ignore() -> None:
    pass


class LogOutput:
    """A file descriptor that records are written to by a thread.

    A write to a full pipe, a slow disk or a stopped terminal blocks, and in the event loop it would stop the server.
    Here it blocks the thread. Meanwhile records wait, up to :data:`MAX_PENDING_BYTES`, and further ones are dropped
    and counted, as are records that the descriptor refuses (no space, no reader, no terminal). When it takes records
    again, one more says how many were dropped.

    One thread at a time may call :meth:`write`; loguru holds a lock around its sinks.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.on_drop: Callable[[], None] = _ignore
        """Called for each record that is dropped."""
        self._reset()
        # A thread does not survive a fork, and one that holds a lock in it would be a deadlock.
        os.register_at_fork(before=self._stop, after_in_child=self._reset)

    def _reset(self) -> None:
        self._thread: threading.Thread | None = None
        # Its put() is reentrant, as a destructor or a signal handler may log in the middle of it.
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._hurry: SimpleQueue[None] = SimpleQueue()
        """Has something when the thread is to write what there is."""
        # Each number is changed by one side alone, so that none needs a lock.
        self._taken = self._written = 0
        """Bytes."""
        self._overflowed = self._refused = self._reported = 0
        """Records."""

    def write(self, text: str) -> None:
        """Have ``text`` written soon, or drop it."""
        data = text.encode("utf-8", "backslashreplace")
        is_report = threading.current_thread() is self._thread  # of what was dropped, when nothing has room yet
        if self._taken - self._written + len(data) > MAX_PENDING_BYTES and not is_report:
            self._overflowed += 1
            self.on_drop()
            return
        chunks = self._taken // WRITE_BYTES
        self._taken += len(data)
        self._queue.put(data)
        if self._taken // WRITE_BYTES > chunks:
            self._hurry.put(None)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(self._queue, self._hurry), name="log", daemon=True)
            self._thread.start()

    def flush(self, seconds: float) -> None:
        """Wait until everything is written, at most so long."""
        deadline = time.monotonic() + seconds
        if self._written < self._taken:
            self._hurry.put(None)
        while self._written < self._taken and time.monotonic() < deadline:
            time.sleep(FLUSH_POLL_SECONDS)

    def _run(self, queue: SimpleQueue[bytes | None], hurry: SimpleQueue[None]) -> None:
        try:
            self._write_batches(queue, hurry)
        finally:
            self._thread = None  # the next record starts another

    def _write_batches(self, queue: SimpleQueue[bytes | None], hurry: SimpleQueue[None]) -> None:
        ending = False
        while not ending:
            batch = [queue.get()]
            if self._taken - self._written < WRITE_BYTES:
                with suppress(Empty):
                    hurry.get(timeout=WRITE_SECONDS)
            with suppress(Empty):
                while True:
                    batch.append(queue.get_nowait())
            ending = None in batch
            records = [record for record in batch if record is not None]
            self._write_all(records)
            self._written += sum(map(len, records))

    def _write_all(self, records: list[bytes]) -> None:
        try:
            write_all(self._descriptor, b"".join(records))
        except OSError:
            self._refused += len(records)
            for _ in records:
                self.on_drop()
            return
        if records and (dropped := self._overflowed + self._refused - self._reported):
            self._reported += dropped
            logger.bind(event="log_output", dropped=dropped).warning("log records were dropped: the output was blocked")

    def _stop(self) -> None:
        """End the thread, unless it is stuck in a write: a process with one thread is safe to fork."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._queue.put(None)
            self._hurry.put(None)
            self._thread.join(THREAD_STOP_SECONDS)


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, however long that takes, also where another program has made the descriptor non-blocking.

    Raises :class:`OSError`.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            waiting = select.poll()
            waiting.register(descriptor, select.POLLOUT)
            waiting.poll(POLL_MS)
