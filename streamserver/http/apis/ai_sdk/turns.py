"""UI messages in the form of chat completions.

Source: the AI SDK's ``UIMessage`` and ``convertToModelMessages``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from providers import opaque
from providers.base import Message, ReasoningBlock
from streamserver.core.refusals import invalid

_FINISHED = frozenset({"output-available", "output-error", "output-denied"})


def read_turns(messages: Sequence[Any]) -> list[Message]:
    """Return the conversation. Raises a refusal that names the wrong message or part."""
    read: list[Message] = []
    for number, message in enumerate(messages):
        field = f"messages[{number}]"
        is_last = number == len(messages) - 1
        if not isinstance(message, dict) or not isinstance(message.get("parts"), list):
            raise invalid(field, "Expected a message with parts.")
        parts = [_checked(part, f"{field}.parts[{index}]") for index, part in enumerate(message["parts"])]
        match message.get("role"):
            case "system":
                read.append(Message(role="system", content=_texts(parts)))
            case "user":
                read += _user(parts, field)
            case "assistant":
                read += _assistant(parts, field, is_last=is_last)
            case _:
                raise invalid(f"{field}.role", "Expected system, user or assistant.")
    return read


def earlier_parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of an assistant's message that goes on, for a replay, which begins with an empty message."""
    parts: list[dict[str, Any]] = []
    for part in message.get("parts") or ():
        match part:
            case {"type": "text" | "reasoning" as kind, "text": str(text)} if text:
                parts.append({"type": kind, "text": text})
            case {"type": str(kind), "toolCallId": str(call_id)}:
                tool = {"type": "tool", "id": call_id, "name": _tool_name(part, kind), "input": part.get("input")}
                if part.get("state") == "output-available":
                    tool["output"] = part.get("output")
                elif part.get("state") in _FINISHED:
                    tool["error"] = str(part.get("errorText") or "The call was denied.")
                parts.append(tool)
    return parts


def _checked(part: Any, field: str) -> dict[str, Any]:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise invalid(field, "Expected a part with a type.")
    if part["type"] in ("text", "reasoning") and not isinstance(part.get("text"), str):
        raise invalid(f"{field}.text", "Expected a string.")
    if _is_tool(part) and not isinstance(part.get("toolCallId"), str):
        raise invalid(f"{field}.toolCallId", "Expected a string.")
    return part


def _texts(parts: Sequence[dict[str, Any]]) -> str:
    return "".join(part["text"] for part in parts if part["type"] == "text")


def _user(parts: Sequence[dict[str, Any]], field: str) -> Iterator[Message]:
    content: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        where = f"{field}.parts[{index}]"
        match part:
            case {"type": "text", "text": str(text)}:
                content += [{"type": "text", "text": text}] if text else []
            case {"type": "file"}:
                content.append(_file(part, where))
            case {"type": "steering-message", "text": str(text)} if text:
                content.append({"type": "text", "text": text})
    if content and all(part["type"] == "text" for part in content):
        yield Message(role="user", content="".join(part["text"] for part in content))
    elif content:
        yield Message(role="user", content=content)


def _file(part: dict[str, Any], field: str) -> dict[str, Any]:
    url, kind = part.get("url"), part.get("mediaType")
    if not isinstance(url, str) or not isinstance(kind, str):
        raise invalid(field, "Expected a file with a url and a mediaType.")
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if kind.startswith("audio/") and url.startswith("data:"):
        audio = {"data": url.partition(",")[2], "format": kind.removeprefix("audio/")}
        return {"type": "input_audio", "input_audio": audio}
    return {"type": "file", "file": {"file_data": url, "filename": part.get("filename") or "document"}}


def _assistant(parts: Sequence[dict[str, Any]], field: str, *, is_last: bool) -> Iterator[Message]:
    """Yield the steps of an assistant's message, each with the results of its tools behind it."""
    step: list[dict[str, Any]] = []
    for index, part in enumerate([*parts, {"type": "step-start"}]):
        if part["type"] == "step-start":
            yield from _step(step)
            step = []
        elif _is_tool(part):
            state = part.get("state")
            if state == "input-available" and is_last:
                raise invalid(f"{field}.parts[{index}]", "The call of this tool has no output yet.")
            if state in _FINISHED:
                step.append(part)
        else:
            step.append(part)


def _step(parts: Sequence[dict[str, Any]]) -> Iterator[Message]:
    calls = [part for part in parts if _is_tool(part)]
    text = _texts(parts)
    reasoning = tuple(filter(None, map(_reasoning, parts)))
    if not (text or calls or reasoning):
        return
    tool_calls = [
        {
            "id": call["toolCallId"],
            "type": "function",
            "function": {"name": _tool_name(call, call["type"]), "arguments": json.dumps(call.get("input") or {})},
        }
        for call in calls
    ]
    yield Message(role="assistant", content=text or None, tool_calls=tool_calls or None, reasoning=reasoning)
    for call in calls:
        yield Message(role="tool", tool_call_id=call["toolCallId"], content=_output(call))


def _output(call: dict[str, Any]) -> str:
    match call.get("state"):
        case "output-available":
            output = call.get("output")
            return output if isinstance(output, str) else json.dumps(output)
        case "output-error":
            return str(call.get("errorText") or "Error")
        case _:
            return "The call was denied."


def _reasoning(part: dict[str, Any]) -> ReasoningBlock | None:
    """Return reasoning that its vendor can read again; any other is left out."""
    match part:
        case {"type": "reasoning", "providerMetadata": {"streamserver": {"signature": str(signature)}}}:
            sealed = opaque.unseal(signature)
            return None if sealed is None else ReasoningBlock(part["text"], sealed)
        case _:
            return None


def _is_tool(part: dict[str, Any]) -> bool:
    kind: str = part["type"]
    return kind.startswith("tool-") or kind == "dynamic-tool"


def _tool_name(part: dict[str, Any], kind: str) -> str:
    return str(part.get("toolName") or "") if kind == "dynamic-tool" else kind.removeprefix("tool-")
