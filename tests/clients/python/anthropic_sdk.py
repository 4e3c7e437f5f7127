"""Anthropic's SDK."""

from __future__ import annotations

from typing import Any

import anthropic

from tests.clients.python.seen import QUESTION, SCHEMA, TIMEOUT, Seen, Task


async def messages(task: Task, seen: Seen) -> None:
    """Ask until the model calls no more tools."""
    tools: Any = {"tools": [{"name": "get_time", "input_schema": SCHEMA}]} if task.tools else {}
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    options: dict[str, Any] = {"max_retries": task.retries, "timeout": task.timeout or TIMEOUT}
    async with anthropic.AsyncAnthropic(base_url=task.url, api_key=task.key, **options) as client:
        while True:
            message = await _ask(client, task, seen, {"model": task.model, "messages": history, **tools})
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                return
            history.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": seen.run_tool(call.input)} for call in calls
            ]
            history.append({"role": "user", "content": results})


async def _ask(client: anthropic.AsyncAnthropic, task: Task, seen: Seen, asked: dict[str, Any]) -> Any:
    if not task.streamed:
        message: Any = await client.messages.create(max_tokens=100, **asked)
    else:
        async with client.messages.stream(max_tokens=100, **asked) as stream:
            async for text in stream.text_stream:
                seen.hear(text, task)
            message = await stream.get_final_message()
    for block in message.content:
        if block.type == "thinking":
            seen.reasoning += block.thinking
        if block.type == "text" and not task.streamed:
            seen.hear(block.text, task)
    seen.usage = (message.usage.input_tokens, message.usage.output_tokens)
    return message
