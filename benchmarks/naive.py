"""The naive relay to compare with: aiohttp-sse and the OpenAI SDK."""

import asyncio
import sys

from aiohttp import web
from aiohttp_sse import sse_response
from openai import AsyncOpenAI

client = AsyncOpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)


async def stream(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    async with sse_response(request, allow_all_methods=True) as response:
        chunks = await client.chat.completions.create(
            model=asked["model"], messages=[{"role": "user", "content": asked["prompt"]}], stream=True
        )
        async for chunk in chunks:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                await response.send(text)
    return response


async def main() -> None:
    app = web.Application()
    app.router.add_post("/api/chat/stream", stream)
    runner = web.AppRunner(app)
    await runner.setup()
    await (site := web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)).start()
    print(site._server.sockets[0].getsockname()[1], flush=True)  # type: ignore[union-attr]
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
