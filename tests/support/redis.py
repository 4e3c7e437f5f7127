"""A real Redis process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError

from tests.support.ports import free_port

REDIS_START_SECONDS = 60.0


class RedisProcess:
    """``redis-server`` on a free port. It writes nothing to disk unless ``options`` say so."""

    def __init__(self, program: str, folder: Path, options: tuple[str, ...], *, port: int | None = None) -> None:
        self._program = program
        self._folder = folder
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self.port = port or free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self, ping: str | None = None) -> None:
        """Start the process, and wait until it answers."""
        log = (self._folder / "redis.log").open("ab")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "no", *self._options),
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(REDIS_START_SECONDS):
            while not await self._answers(ping or self.url):
                await asyncio.sleep(0.02)

    async def _answers(self, url: str) -> bool:
        client = Redis.from_url(url, ssl_cert_reqs="none") if url.startswith("rediss") else Redis.from_url(url)
        async with client:
            try:
                return bool(await client.ping())
            except AuthenticationError:
                return True
            except (RedisError, OSError):
                return False

    async def kill(self) -> None:
        """Kill the process. Its data is lost."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        await self._process.wait()
        self._process._transport.close()  # type: ignore[attr-defined]

    def pause(self) -> None:
        """Stop answering, and keep the connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def configure(self, name: str, value: str) -> None:
        """Change a setting at run time."""
        async with Redis.from_url(self.url) as client:
            await client.config_set(name, value)

    async def flush(self) -> None:
        """Remove all keys."""
        async with Redis.from_url(self.url) as client:
            await client.flushall()

    async def connections(self) -> int:
        """Return the number of connections, this call's included."""
        async with Redis.from_url(self.url) as client:
            return len(await client.client_list())

    async def connections_of_clients(self) -> int:
        """Return how many connections there are, this one among them, without those of other servers."""
        async with Redis.from_url(self.url) as client:
            return sum(not set("SM") & set(each["flags"]) for each in await client.client_list())

    async def keys(self) -> list[str]:
        """Return all keys."""
        async with Redis.from_url(self.url, decode_responses=True) as client:
            return sorted(map(str, await client.keys("*")))


@asynccontextmanager
async def running_redis(
    program: str, folder: Path, *options: str, ping: str | None = None
) -> AsyncIterator[RedisProcess]:
    folder.mkdir(parents=True, exist_ok=True)
    redis = RedisProcess(program, folder, options)
    await redis.start(ping)
    try:
        yield redis
    finally:
        await redis.kill()
