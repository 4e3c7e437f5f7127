"""LangChain's chat models."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage

from tests.clients.python.seen import QUESTION, TIMEOUT, Seen, Task


def get_time(tz: str) -> str:
    """Return the time."""
    return f"noon in {tz}"


async def chat(task: Task, seen: Seen) -> None:
    await _ask(_openai(task, stream_usage=True), task, seen)


async def responses(task: Task, seen: Seen) -> None:
    await _ask(_openai(task, use_responses_api=True), task, seen)


def _openai(task: Task, **options: Any) -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(base_url=f"{task.url}/v1", **_fields(task), **options)


async def messages(task: Task, seen: Seen) -> None:
    from langchain_anthropic import ChatAnthropic

    limit: dict[str, Any] = {"max_tokens": 100}
    await _ask(ChatAnthropic(base_url=task.url, **limit, **_fields(task)), task, seen)


def _fields(task: Task) -> Any:
    options = {"max_retries": task.retries, "timeout": task.timeout or TIMEOUT}
    return {"model": task.model, "api_key": task.key, **options}


async def _ask(model: Any, task: Task, seen: Seen) -> None:
    """Ask until the model calls no more tools."""
    model = model.bind_tools([get_time]) if task.tools else model
    history: list[Any] = [HumanMessage(QUESTION)]
    while True:
        answer = await (_stream(model, history, task, seen) if task.streamed else model.ainvoke(history))
        if not task.streamed:
            seen.hear(answer.text, task)
        blocks = (block for block in answer.content_blocks if block["type"] == "reasoning")
        seen.reasoning += "".join(block.get("reasoning", "") for block in blocks)
        seen.usage = (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"])
        if not answer.tool_calls:
            return
        results = [ToolMessage(seen.run_tool(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
        history += [answer, *results]


async def _stream(model: Any, history: list[Any], task: Task, seen: Seen) -> Any:
    answer: Any = None
    async for piece in model.astream(history):
        answer = piece if answer is None else answer + piece
        seen.hear(piece.text, task)
    return answer
