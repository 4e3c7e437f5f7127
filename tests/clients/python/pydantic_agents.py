"""Agents of pydantic-ai, with its models of each protocol."""

from __future__ import annotations

from typing import Any

import anthropic
from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
)

from tests.clients.python.openai_sdk import client_of
from tests.clients.python.seen import QUESTION, TIMEOUT, Seen, Task


async def chat(task: Task, seen: Seen) -> None:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async with client_of(task) as client:
        await _run(OpenAIChatModel(task.model, provider=OpenAIProvider(openai_client=client)), task, seen)


async def responses(task: Task, seen: Seen) -> None:
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async with client_of(task) as client:
        await _run(OpenAIResponsesModel(task.model, provider=OpenAIProvider(openai_client=client)), task, seen)


async def messages(task: Task, seen: Seen) -> None:
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    options: dict[str, Any] = {"max_retries": task.retries, "timeout": task.timeout or TIMEOUT}
    async with anthropic.AsyncAnthropic(base_url=task.url, api_key=task.key, **options) as client:
        await _run(AnthropicModel(task.model, provider=AnthropicProvider(anthropic_client=client)), task, seen)


async def _run(model: Any, task: Task, seen: Seen) -> None:
    """Run an agent, which asks until the model calls no more tools."""
    agent: Any = Agent(model)
    if task.tools:

        @agent.tool_plain  # type: ignore[untyped-decorator]
        def get_time(tz: str) -> str:
            """Return the time."""
            return seen.run_tool({"tz": tz})

    async with agent.iter(QUESTION) as run:
        async for node in run:
            if not Agent.is_model_request_node(node):
                continue
            if task.streamed:
                stream: Any
                async with node.stream(run.ctx) as stream:
                    async for event in stream:
                        _hear(event, task, seen)
    answers = [message for message in run.result.all_messages() if isinstance(message, ModelResponse)]
    if not task.streamed:
        for part in (part for answer in answers for part in answer.parts):
            _hear(PartStartEvent(index=0, part=part), task, seen)
    seen.usage = (answers[-1].usage.input_tokens, answers[-1].usage.output_tokens)


def _hear(event: Any, task: Task, seen: Seen) -> None:
    match event:
        case PartStartEvent(part=TextPart(content=text)) | PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            seen.hear(text, task)
        case (
            PartStartEvent(part=ThinkingPart(content=text))
            | PartDeltaEvent(delta=ThinkingPartDelta(content_delta=text))
        ):
            seen.reasoning += text or ""
