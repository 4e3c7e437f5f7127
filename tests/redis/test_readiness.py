"""Readiness: a node takes new streams only while Redis accepts what they need."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from streamserver.log.memory import MemoryLog
from streamserver.redis.readiness import PERMISSION_PROBES, Readiness
from streamserver.redis.retrying_connection import RetryingConnection
from streamserver.store.base import Claim
from tests.conftest import StartServer
from tests.contracts.shared_log import read_all, until
from tests.redis.conftest import StartRedis
from tests.redis.stores import RedisNode
from tests.support.ports import free_port
from tests.support.records import DONE
from tests.support.redis import RedisProcess

pytestmark = pytest.mark.each_redis

DEPLOYMENT = Path(__file__).parents[2] / "docs" / "deployment.md"
ALL = "~streamserver:* +@all"


@pytest.fixture(autouse=True)
def short_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamserver.redis.store.STORE_START_SECONDS", 0.5)


@asynccontextmanager
async def running_node(url: str) -> AsyncIterator[RedisNode]:
    node = RedisNode(url)
    await node.begin()
    try:
        yield node
    finally:
        await node.store.aclose()


def least_rights() -> str:
    """Return the rights of the user that the documentation lists."""
    found = re.search(r"^user streamserver on >\S+ (.+?)$", DEPLOYMENT.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


async def with_user(start_redis: StartRedis, rights: str, *, database: int = 0) -> str:
    """Start a Redis with a user of these rights; return its address for that user."""
    redis = await start_redis("--user", "streamserver", "on", ">sesame", *rights.split())
    return f"redis://streamserver:sesame@127.0.0.1:{redis.port}/{database}"


async def test_a_store_that_has_not_answered_is_not_ready_and_one_that_went_away_is(redis: RedisProcess) -> None:
    await redis.kill()
    async with running_node(redis.url) as node:
        reason = node.store.ready()
        assert reason is not None and reason.startswith("the store has not answered yet")
        await redis.start()
        await until(lambda: node.store.ready() is None)
        await redis.kill()
        await until(lambda: not node.redis_store._connection.is_connected)
        assert node.store.ready() is None, "all nodes would be taken out of service at once"


@pytest.mark.parametrize(
    ("rights", "reason"),
    [
        (f"{ALL} -eval", "the store refuses EVAL: NOPERM"),
        (f"{ALL} -xadd", "the store refuses XADD: NOPERM"),
        (f"{ALL} -set", "the store refuses SET: NOPERM"),
        ("~other:* +@all", "the store refuses SET: NOPERM"),
    ],
)
async def test_a_missing_right_is_named(
    start_redis: StartRedis, capfd: pytest.CaptureFixture[str], rights: str, reason: str
) -> None:
    async with running_node(await with_user(start_redis, rights)) as node:
        await until(lambda: node.store.ready() == reason)
    assert "sesame" not in capfd.readouterr().err


async def test_a_wrong_password_and_a_wrong_database_are_named(start_redis: StartRedis) -> None:
    url = await with_user(start_redis, ALL, database=99)
    for address, reason in (
        (url, "the store refuses SELECT: ERR"),
        (url.replace("sesame", "guess"), "the store refuses AUTH: WRONGPASS"),
    ):
        async with running_node(address) as node:
            await until(lambda node=node, reason=reason: node.store.ready() == reason)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("refusal", "word"),
    [
        ("DENIED Redis is running in protected mode because protected mode is enabled", "DENIED"),
        ("ERR max number of clients reached", "ERR"),
    ],
)
async def test_a_redis_that_refuses_the_connection_itself_is_named(refusal: str, word: str) -> None:
    """It says so before any command, and closes the connection."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"-{refusal}\r\n".encode())
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        async with running_node(url) as node:
            await until(lambda: node.store.ready() == f"the store refuses SET: {word}")


async def test_a_full_redis_is_not_ready_until_it_has_room(redis: RedisProcess) -> None:
    async with running_node(redis.url) as node:
        await until(lambda: node.store.ready() is None)
        await redis.configure("maxmemory", "1")
        await until(lambda: node.store.ready() == "the store refuses SET: OOM")
        await redis.configure("maxmemory", "0")
        await until(lambda: node.store.ready() is None)


async def test_a_right_that_is_granted_later_makes_it_ready(start_redis: StartRedis) -> None:
    url = await with_user(start_redis, f"{ALL} -xdel")
    async with running_node(url) as node:
        await until(lambda: node.store.ready() == "the store refuses XDEL: NOPERM")
        async with Redis.from_url(url.replace("streamserver:sesame@", "")) as client:
            await client.acl_setuser("streamserver", enabled=True, commands=["+xdel"])
        await until(lambda: node.store.ready() is None)


@pytest.mark.parametrize("info", ["", " +info"])
async def test_the_documented_rights_suffice(start_redis: StartRedis, info: str) -> None:
    rights = least_rights()
    assert "info" not in rights.split("+"), "INFO is optional"
    url = await with_user(start_redis, rights + info, database=3)
    async with running_node(url) as near, running_node(url) as far:
        await until(lambda: near.store.ready() is None)
        log = MemoryLog(near.start())
        assert await near.try_publish(log, Claim("key", "print"), ["name"]) is None
        stream = await far.found(log.stream_id)
        with stream.reading():
            await until(lambda: near.readers(log.stream_id) == 1)
            log.close(DONE)
            assert await read_all(stream.log) == await read_all(log)
        claimed = await far.store.find_claim("key")
        assert claimed is not None
        await far.store.release_claim("key", claimed)
        await far.store.bind("other", log.stream_id)
        assert await near.store.lookup("other") == log.stream_id
        await near.store.unbind("other")
        await near.settled()
        assert near.store.ready() is None and far.store.ready() is None
        limits = RetryingConnection(url, lambda: None)
        running = asyncio.get_running_loop().create_task(limits.run())
        await limits.wait_connected()
        await limits.execute(*PERMISSION_PROBES)
        running.cancel()


async def test_readyz_answers_503_and_names_what_redis_refuses(
    start_redis: StartRedis, start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    url = await with_user(start_redis, f"{ALL} -xrevrange")
    server = await start_server({"provider": {"default": "echo"}, "resume": {"store": url}})
    refused = {"status": "unavailable", "reason": "the store refuses XREVRANGE: NOPERM"}
    async with asyncio.timeout(60):
        while True:
            async with http.get(f"{server.url}/readyz") as response:
                assert response.status == 503, "ready before every right was checked"
                if await response.json() == refused:
                    break
    assert "sesame" not in server.log
    async with Redis.from_url(url.replace("streamserver:sesame@", "")) as client:
        await client.acl_setuser("streamserver", enabled=True, commands=["+xrevrange"])
    async with asyncio.timeout(60):
        while True:
            async with http.get(f"{server.url}/readyz") as response:
                if response.status == 200:
                    break
            await asyncio.sleep(0.05)


def test_the_documented_rights_are_those_that_are_checked() -> None:
    documented = {word[1:] for word in least_rights().split() if word.startswith("+")}
    assert documented == {str(command[0]).lower() for command in PERMISSION_PROBES} | {"select"}


def test_no_address_is_in_a_reason() -> None:
    readiness = Readiness()
    readiness.connection_failed("SET", OSError(f"Connect call failed ('127.0.0.1', {free_port()})"))
    assert readiness.reason == "the store has not answered yet (OSError)"
