"""Several processes on one listening socket, and one more that keeps them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable

from loguru import logger

from streamserver.runner import STOPS
from streamserver.telemetry.tracebacks import log_crash

RESTART_SECONDS = 1.0
"""A worker that lives shorter than this is not followed at once."""
LATE_SECONDS = 15.0
"""How much longer than its drain a worker may take to end."""

HURRY = signal.SIGUSR2
"""What shortens a worker's drain. A second SIGTERM does not: who stops every process of a service, as systemd does,
sends each of them one, and the process that keeps the workers passes on its own."""

_HEARD = {*STOPS, HURRY, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1}


class Workers:
    """Forks ``count`` processes that run ``work``, starts another for one that dies, and ends when all have.

    ``work`` is given what it has to call, in its event loop, once it serves; it returns an exit status. A SIGTERM,
    SIGINT or SIGHUP goes on to every worker, a second SIGTERM or SIGINT as :data:`HURRY`. If this process dies, its
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
        self._serving = 0
        self._status = 0
        self._ready, self._say_ready = os.pipe()
        self._lifeline, self._hold_lifeline = os.pipe()
        os.set_blocking(self._ready, False)

    def run(self, announce: Callable[[], None]) -> int:
        """Keep the workers until a signal ends them. ``announce`` is called when all of them serve for the first
        time. The exit status: 0 if all ended properly."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        self._due = [time.monotonic()] * self._count
        while self._due or self._started:
            self._start_due()
            heard = signal.sigtimedwait(_HEARD, 0.2 if self._due or self._deadline else 5.0)
            if heard is not None:
                self._take(signal.Signals(heard.si_signo), announce)
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
        pid = os.fork()
        if not pid:
            self._be_worker()
        self._started[pid] = time.monotonic()

    def _be_worker(self) -> None:
        """Never returns: a worker must not go on with what its parent was doing."""
        status = 1
        try:
            os.close(self._hold_lifeline)
            os.close(self._ready)
            status = self._work(self._serves)
        except BaseException as error:
            log_crash("a worker failed", error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _serves(self) -> None:
        """In a worker: its own handlers are there now."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.remove_reader(self._lifeline)
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(self._lifeline, end)
        os.write(self._say_ready, b".")
        os.kill(os.getppid(), signal.SIGUSR1)

    def _take(self, number: signal.Signals, announce: Callable[[], None]) -> None:
        if number == signal.SIGUSR1:
            before = self._serving
            self._serving += len(os.read(self._ready, 1024))
            if before < self._count <= self._serving:
                announce()
        elif number in STOPS:
            if self._deadline is not None:
                self._send(HURRY)
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
                self._buried(self._started.pop(pid), os.waitstatus_to_exitcode(status))

    def _buried(self, started: float, status: int) -> None:
        if self._deadline is not None:
            self._status = self._status or abs(status)
            return
        logger.bind(event="worker", exit_status=status).error("a worker died; another one is started")
        if self._serving < self._count:  # it cannot even start
            self._status = 1
            self._deadline = time.monotonic() + LATE_SECONDS
            self._due.clear()
            self._send(signal.SIGTERM)
            return
        self._due.append(max(time.monotonic(), started + RESTART_SECONDS))
