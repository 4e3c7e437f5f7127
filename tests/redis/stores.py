"""Nodes without their HTTP, over a Redis."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from streamserver.redis.replicator import LogTTL
from streamserver.redis.store import RedisStore
from tests.support.nodes import Node


class RedisNode(Node):
    """A node over the Redis at ``url``."""

    def __init__(self, url: str, *, ending_wait_seconds: float = 60) -> None:
        ttl = LogTTL(running=60, ended=60)
        self.redis_store = RedisStore(url, ttl=ttl, max_readers=20, ending_wait_seconds=ending_wait_seconds)
        super().__init__(self.redis_store)

    async def settled(self) -> None:
        async with asyncio.timeout(60):
            await self.redis_store._replicator.wait_done()


async def node_at(stack: AsyncExitStack, port: int, *, ending_wait_seconds: float = 60) -> RedisNode:
    """Start a node over the Redis at ``port``, or at a proxy before it; it ends with ``stack``."""
    node = RedisNode(f"redis://127.0.0.1:{port}/0", ending_wait_seconds=ending_wait_seconds)
    await node.begin()
    stack.push_async_callback(node.store.aclose)
    return node
