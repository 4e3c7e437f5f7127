"""Commands of many tasks over one connection, in batches."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError

from streamserver.redis._redis_py import BROKEN, Packed, RedisConnection, Replies

REPLY_SECONDS = 1.75
"""How long a reply may take before the connection counts as broken. Shorter than the lease of a heartbeat."""
READ_AGAIN_SECONDS = 0.05
"""How long a batch has beyond that: if this process stood still, replies may wait, and uvloop runs timers first."""
BATCH_COMMANDS = 1000
"""How many commands are sent at once, and those of one submission more: their replies share one limit of time."""


class Job(msgspec.Struct, frozen=True):
    """A submission: commands, and the callbacks of which one is called."""

    packed: Packed
    receive: Receive
    fail: Fail


Jobs: TypeAlias = list[Job]
Receive: TypeAlias = Callable[[Replies | None], object]
"""Called with the replies, or with None if all are as expected."""
Fail: TypeAlias = Callable[[], object]
"""Called if Redis is away, and perhaps has carried the commands out."""


class Pipeline:
    """The submissions to one open connection. What is submitted while Redis answers goes with the next batch:
    one batch is under way at a time, and its size follows the load.

    No task takes part: the protocol's callback hands out the replies and sends the next batch.
    """

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._queue: Jobs = []
        self._under_way: Jobs = []
        self._scheduled = False
        self._answered = False
        """Replies have come since the last call of :meth:`take_silence`."""
        self._due = math.inf
        """The loop's time at which the connection counts as broken, unless the replies have come."""
        self._reads_again = False
        """That time has passed for the batch that is under way, and what has come is being read."""
        self._timer: asyncio.TimerHandle | None = None

    def take_silence(self) -> bool:
        """Return whether no command awaits a reply, and none has got one since the last call: a broken connection
        would then go unnoticed."""
        answered, self._answered = self._answered, False
        return not (answered or self._queue or self._under_way)

    def submit(self, packed: Packed, receive: Receive, fail: Fail) -> None:
        """Send ``packed`` with the next batch."""
        self._queue.append(Job(packed, receive, fail))

    def schedule(self) -> None:
        """Send what is submitted in this turn of the event loop, unless replies are awaited."""
        if not self._scheduled and not self._under_way:
            self._scheduled = True
            self._loop.call_soon(self._on_scheduled)

    def send(self, packed: Packed, receive: Receive, fail: Fail) -> None:
        """Send ``packed`` now, or as soon as replies to others have come."""
        job = Job(packed, receive, fail)
        if self._under_way or self._queue or self._lost.done():
            self._queue.append(job)
            self.flush()
        else:
            self._begin([job], packed)

    def flush(self) -> None:
        """Send the oldest submissions now, unless replies are awaited."""
        if self._queue and not self._under_way and not self._lost.done():
            jobs = self._next_jobs()
            self._begin(jobs, Packed.join([job.packed for job in jobs]))

    def _begin(self, jobs: Jobs, packed: Packed) -> None:
        self._under_way = jobs
        self._due = self._loop.time() + REPLY_SECONDS
        self._reads_again = False
        if self._timer is None:  # one serves all batches: one for each costs more than a command
            self._timer = self._loop.call_at(self._due, self._on_timer)
        try:
            self._connection.begin(packed, self._on_replies, self.fail)
        except BROKEN as error:
            self.fail(error)

    async def run(self) -> None:
        """Send and receive until the connection is lost, and raise the reason: one of :data:`BROKEN`."""
        try:
            await self._connection.serve()
        except BROKEN as error:
            self.fail(error)
        await self._lost

    def fail(self, error: BaseException) -> None:
        """Give the connection up."""
        if not self._lost.done():
            self._lost.set_exception(error)
            self._connection.abort()

    def close(self) -> None:
        """Fail what has no reply yet."""
        self.fail(RedisConnectionError("closed"))
        if not self._lost.cancelled():
            self._lost.exception()  # it may not be awaited
        if self._timer is not None:
            self._timer.cancel()
        jobs, self._under_way, self._queue = self._under_way + self._queue, [], []
        for job in jobs:
            job.fail()

    def _on_scheduled(self) -> None:
        self._scheduled = False
        self.flush()

    def _on_replies(self, replies: Replies | None) -> None:
        """Deliver the replies to the batch that is under way; None if all were as expected."""
        self._due = math.inf
        self._answered = True
        jobs, self._under_way = self._under_way, []
        position = 0
        for job in jobs:
            following = position + job.packed.reply_count
            try:
                job.receive(None if replies is None else replies[position:following])
            except Exception as error:  # the other submissions get their replies nevertheless
                self._loop.call_exception_handler({"message": "cannot handle a reply of Redis", "exception": error})
            position = following
        if self._queue:
            self.flush()

    def _next_jobs(self) -> Jobs:
        """Take the oldest submissions from the queue."""
        if len(self._queue) == 1:
            jobs, self._queue = self._queue, []
            return jobs
        size = number = 0
        while number < len(self._queue) and size < BATCH_COMMANDS:
            size += self._queue[number].packed.reply_count
            number += 1
        jobs, self._queue = self._queue[:number], self._queue[number:]
        return jobs

    def _on_timer(self) -> None:
        self._timer = None
        if self._loop.time() >= self._due:
            if self._reads_again:
                self.fail(TimeoutError("no reply"))
                return
            self._reads_again = True
            self._due = self._loop.time() + READ_AGAIN_SECONDS
        if self._due < math.inf:
            self._timer = self._loop.call_at(self._due, self._on_timer)
