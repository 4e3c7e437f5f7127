"""OpenAI's SDK: chat completions and Responses."""

from __future__ import annotations

from typing import Any

import openai

from tests.clients.python.seen import QUESTION, SCHEMA, TIMEOUT, Seen, Task

_FUNCTION = {"name": "get_time", "parameters": SCHEMA, "strict": True}


def client_of(task: Task) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{task.url}/v1", api_key=task.key, max_retries=task.retries, timeout=task.timeout or TIMEOUT
    )


async def chat(task: Task, seen: Seen) -> None:
    """Ask until the model calls no more tools."""
    tools: Any = {"tools": [{"type": "function", "function": _FUNCTION}]} if task.tools else {}
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    async with client_of(task) as client:
        while True:
            message = await _complete(client, task, seen, {"model": task.model, "messages": messages, **tools})
            if not message.tool_calls:
                return
            messages.append(message.model_dump(exclude={"parsed"}))
            messages += [
                {"role": "tool", "tool_call_id": call.id, "content": seen.run_tool(call.function.arguments)}
                for call in message.tool_calls
            ]


async def _complete(client: openai.AsyncOpenAI, task: Task, seen: Seen, asked: dict[str, Any]) -> Any:
    if not task.streamed:
        completion: Any = await client.chat.completions.create(**asked)
    else:
        async with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
            async for event in stream:
                if event.type == "content.delta":
                    seen.hear(event.delta, task)
            completion = await stream.get_final_completion()
    message = completion.choices[0].message
    seen.reasoning += getattr(message, "reasoning_content", None) or ""
    seen.usage = (completion.usage.prompt_tokens, completion.usage.completion_tokens)
    if not task.streamed:
        seen.hear(message.content, task)
    return message


async def responses(task: Task, seen: Seen) -> None:
    """Ask until the model calls no more tools."""
    tools: Any = {"tools": [{"type": "function", **_FUNCTION}]} if task.tools else {}
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    async with client_of(task) as client:
        while True:
            response = await _respond(client, task, seen, {"model": task.model, "input": history, **tools})
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                return
            history += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output]
            history += [
                {"type": "function_call_output", "call_id": call.call_id, "output": seen.run_tool(call.arguments)}
                for call in calls
            ]


async def _respond(client: openai.AsyncOpenAI, task: Task, seen: Seen, asked: dict[str, Any]) -> Any:
    if not task.streamed:
        response: Any = await client.responses.create(**asked)
        seen.hear(response.output_text, task)
    else:
        async with client.responses.stream(**asked) as stream:
            async for event in stream:
                if event.type == "response.output_text.delta":
                    seen.hear(event.delta, task)
            response = await stream.get_final_response()
    for item in response.output:
        if item.type == "reasoning":
            seen.reasoning += "".join(part.text for part in item.summary)
    seen.usage = (response.usage.input_tokens, response.usage.output_tokens)
    return response
