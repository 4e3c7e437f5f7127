"""Several worker processes on one listening socket, and the parent that restarts them."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from loguru import logger

from streamserver.runner import STOPS
from streamserver.telemetry.logs import flush_logs
from streamserver.telemetry.tracebacks import log_crash

WORKER_RESTART_SECONDS = 1.0
"""A worker that lived shorter than this is not restarted at once."""
LATE_SECONDS = 16.0
"""How much longer than its drain a worker may take to end: its handlers, and what is still to reach the store and the
collector of spans."""

EXPEDITE = signal.SIGUSR2
"""The signal that shortens a worker's drain. A second SIGTERM does not: systemd sends one to every process of a
service, and the parent passes on its own."""

_HEARD = {*STOPS, EXPEDITE, signal.SIGCHLD, signal.SIGHUP}
_PID = struct.Struct("=q")


class Workers:
    """The parent of ``count`` processes that run ``work``. It starts another for one that dies, and ends when all have.

    ``work`` is given what it has to call, in its event loop, once it serves; it returns an exit status. A SIGTERM,
    SIGINT or SIGHUP goes on to every worker, a second SIGTERM or SIGINT as :data:`EXPEDITE`. If this process dies, its
    workers end as after a SIGTERM.
    """

    def __init__(self, count: int, work: Callable[[Callable[[], None]], int], *, drain_seconds: float) -> None:
        self._count = count
        self._work = work
        self._drain_seconds = drain_seconds
        self._started: dict[int, float] = {}
        """Worker → when it was started."""
        self._due: list[float] = []
        """When to start another."""
        self._deadline: float | None = None
        """When the workers must have ended."""
        self._serving: set[int] = set()
        """Those of the workers that have come to serve."""
        self._announced = False
        self._status = 0
        self._ready, self._say_ready = os.pipe()
        self._lifeline, self._hold_lifeline = os.pipe()
        self._signals, self._signalled = os.pipe()
        for end in (self._ready, self._signals, self._signalled):
            os.set_blocking(end, False)

    def run(self, announce: Callable[[], None]) -> int:
        """Keep the workers until a signal ends them. ``announce`` is called when all of them serve for the first
        time. The exit status: 0 if all ended properly."""
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        for number in _HEARD:
            signal.signal(number, _ignore_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
        self._due = [time.monotonic()] * self._count
        while self._due or self._started:
            self._start_due()
            select.select((self._ready, self._signals), (), (), 0.2 if self._due or self._deadline else 5.0)
            self._note_serving(announce)
            for heard in _read(self._signals):
                self._take(signal.Signals(heard))
            self._reap()
            if self._deadline is not None and time.monotonic() > self._deadline:
                self._send(signal.SIGKILL)
        return self._status

    def _start_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0] <= now:
            self._due.pop(0)
            self._start()

    def _start(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        # What comes for the worker before it serves waits for its own handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        pid = os.fork()
        if not pid:
            self._be_worker()
        self._started[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)

    def _be_worker(self) -> None:
        """Run the worker and exit: it must not go on with what its parent was doing."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _HEARD:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            for end in (self._hold_lifeline, self._ready, self._signals, self._signalled):
                os.close(end)
            status = self._work(self._serves)
        except BaseException as error:
            log_crash("a worker failed", error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            flush_logs()
            os._exit(status)

    def _serves(self) -> None:
        """Tell the parent that this worker serves; its own signal handlers are set by now."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.remove_reader(self._lifeline)
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(self._lifeline, end)
        with suppress(BrokenPipeError):  # the parent is gone, as the lifeline shows
            os.write(self._say_ready, _PID.pack(os.getpid()))

    def _note_serving(self, announce: Callable[[], None]) -> None:
        self._serving.update(pid for (pid,) in _PID.iter_unpack(_read(self._ready)))
        if not self._announced and len(self._serving) == self._count:
            self._announced = True
            announce()

    def _take(self, number: signal.Signals) -> None:
        if number in STOPS:
            if self._deadline is not None:
                self._send(EXPEDITE)
                return
            self._due.clear()
            self._deadline = time.monotonic() + self._drain_seconds + LATE_SECONDS
            self._send(number)
        elif number == signal.SIGHUP:
            self._send(number)

    def _send(self, number: signal.Signals) -> None:
        for pid in self._started:
            os.kill(pid, number)

    def _reap(self) -> None:
        for pid in list(self._started):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._on_exit(pid, os.waitstatus_to_exitcode(status))

    def _on_exit(self, pid: int, status: int) -> None:
        started, served = self._started.pop(pid), pid in self._serving
        self._serving.discard(pid)
        log = logger.bind(event="worker", exit_status=status)
        if self._deadline is not None:
            self._status = self._status or abs(status)
        elif served or self._announced:
            log.error("a worker died; another one is started")
            self._due.append(max(time.monotonic(), started + WORKER_RESTART_SECONDS))
        else:
            log.error("a worker died before it served: the server cannot start, and ends")
            self._status = 1
            self._deadline = time.monotonic() + LATE_SECONDS
            self._due.clear()
            self._send(signal.SIGTERM)


def _ignore_signal(*_: object) -> None:
    """Do nothing: the signal's number is in the wakeup pipe by then. The default action would end the process."""


def _read(pipe: int) -> bytes:
    """Return what is in the pipe; a write of so few bytes is never split."""
    with suppress(BlockingIOError):
        return os.read(pipe, 4096)
    return b""
