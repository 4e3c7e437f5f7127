"""Nodes without their HTTP, over a Redis."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from streamserver.redis.replicator import Lifetimes
from streamserver.redis.store import RedisStore
from tests.support.nodes import Node


class RedisNode(Node):
    """A node over the Redis at ``url``."""

    def __init__(self, url: str) -> None:
        self.redis_store = RedisStore(url, lifetimes=Lifetimes(running=60, ended=60), max_readers=20)
        super().__init__(self.redis_store)

    async def settled(self) -> None:
        async with asyncio.timeout(20):
            await self.redis_store._mirror.until_done()


async def node_at(stack: AsyncExitStack, port: int) -> RedisNode:
    """A node over the Redis at ``port``, or at a proxy before it; it ends with ``stack``."""
    node = RedisNode(f"redis://127.0.0.1:{port}/0")
    await node.begin()
    stack.push_async_callback(node.store.aclose)
    return node
