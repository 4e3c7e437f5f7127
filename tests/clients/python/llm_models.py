"""Simon Willison's ``llm``, with the models of the file ``extra-openai-models.yaml``."""

from __future__ import annotations

from typing import Any

import llm
from llm.default_plugins.openai_models import AsyncChat, AsyncResponses

from tests.clients.python.seen import QUESTION, Seen, Task


async def chat(task: Task, seen: Seen) -> None:
    await _ask(AsyncChat, task, seen)


async def responses(task: Task, seen: Seen) -> None:
    await _ask(AsyncResponses, task, seen)


async def _ask(kind: Any, task: Task, seen: Seen) -> None:
    """Ask until the model calls no more tools, which is what ``llm`` calls a chain."""

    def get_time(tz: str) -> str:
        """Return the time."""
        return seen.run_tool({"tz": tz})

    class Model(kind):  # type: ignore[misc]
        """The model; ``llm`` has no option for its number of retries."""

        def get_client(self, key: str | None, *, async_: bool = False) -> Any:
            return super().get_client(key, async_=async_).with_options(max_retries=task.retries)

    model = Model(task.model, api_base=f"{task.url}/v1", supports_tools=True, reasoning=True)
    tool: Any = llm.Tool
    tools = [tool.function(get_time)] if task.tools else []
    chain = model.chain(QUESTION, tools=tools, stream=task.streamed, key=task.key)
    async for response in chain.responses():
        async for event in response.astream_events():
            if event.type == "text":
                seen.hear(event.chunk, task)
            if event.type == "reasoning":
                seen.reasoning += event.chunk
        seen.usage = (response.input_tokens, response.output_tokens)
