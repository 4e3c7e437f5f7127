"""Leaks of tasks and objects after many streams."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from typing import Any

import msgspec

from streamserver.app import create_app
from streamserver.config import Settings
from streamserver.core.generation import Generation
from streamserver.core.stream import Stream
from streamserver.http.responses.sse_response import SSEResponse
from streamserver.http.services import SERVICES
from streamserver.listening import listen
from streamserver.loadtest.plan import Plan
from streamserver.loadtest.run import perform
from streamserver.log.memory import MemoryLog
from streamserver.runner import AppRunner, accept
from tests.load.readers import stalled_readers, until
from tests.support.clock import SkippingClock

STREAMS = 300
STALLED = 5
RETENTION_SECONDS = 300  # a busy client may stop a stream long after its end
OF_A_STREAM = (Stream, Generation, MemoryLog, SSEResponse)
SETTINGS = {
    "provider": {"default": "echo"},
    "providers": {"echo": {"kind": "echo", "delay_ms": 20}, "flood": {"kind": "echo", "delay_ms": 0, "burst": 100}},
    "limits": {
        "max_streams_per_user": STREAMS + STALLED,
        "requests_per_minute": 1_000_000,
        "max_prompt_chars": 1_000_000,
        "max_conversation_chars": 1_000_000,
    },
    "server": {"send_timeout_seconds": 2},
    "resume": {"retention_seconds": RETENTION_SECONDS},
}


async def test_no_task_stream_log_or_response_is_left_when_streams_are_forgotten() -> None:
    ended: Counter[str] = Counter()
    before = _alive()  # objects of other tests in this process
    clock = SkippingClock()
    app = create_app(
        msgspec.convert(SETTINGS, Settings), clock=clock, on_end=lambda outcome: ended.update([outcome.stream_id])
    )
    runner = AppRunner(app)
    await runner.setup()
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    await accept(runner, sock)
    try:
        tasks = asyncio.all_tasks()
        plan = Plan(
            url=f"http://127.0.0.1:{port}",
            streams=STREAMS,
            concurrency=STREAMS,
            prompt_tokens=20,
            cancel_rate=1 / 3,
            resume_rate=1 / 3,
            slow_readers=0.05,
            echoes=True,
        )
        async with stalled_readers(port, "flood", STALLED):
            result = await perform(plan, None, lambda result: None)
            assert result.kept, result.broken
            await until(lambda: not app[SERVICES].supervisor.active, "every stream ended")
        assert all(map(app[SERVICES].supervisor.find, ended))
        clock.skip(RETENTION_SECONDS)
        await until(lambda: not any(map(app[SERVICES].supervisor.find, ended)), "every stream forgotten")
        await until(lambda: not _unfinished(tasks), f"every task over: {_unfinished(tasks)}")
        await until(lambda: not _alive() - before, f"every object collected: {_alive() - before}")
        assert set(ended.values()) == {1}, "every stream ended once"
        assert len(ended) == STREAMS + STALLED
    finally:
        await runner.cleanup()


def _unfinished(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() - before if not task.done()}


def _alive() -> Counter[str]:
    gc.collect()
    return Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, OF_A_STREAM))
