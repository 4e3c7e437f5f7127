"""The process that keeps others, with workers that are a few lines."""

from __future__ import annotations

import asyncio
import signal
import sys

STUBBORN = """
import asyncio, signal, sys, time
from streamserver import workers

workers.LATE_SECONDS = 0.5

def work(serves):
    async def main():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        serves()
        time.sleep(45)
    asyncio.run(main())
    return 0

sys.exit(workers.Workers(2, work, drain_seconds=0.1).run(lambda: print("they serve", flush=True)))
"""


async def test_a_worker_that_does_not_end_by_its_deadline_is_killed() -> None:
    keeper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STUBBORN), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert keeper.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await keeper.stdout.readline() == b"they serve\n"
            keeper.send_signal(signal.SIGTERM)
            assert await keeper.wait() == signal.SIGKILL, "and its end is no success"
    finally:
        if keeper.returncode is None:
            keeper.kill()
        await keeper.wait()
        keeper._transport.close()  # type: ignore[attr-defined]
