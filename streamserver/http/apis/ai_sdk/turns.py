"""UI messages in the form of chat completions.

Source: the AI SDK's ``UIMessage`` and ``convertToModelMessages``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from providers import opaque
from providers.base import Message, ReasoningBlock
from streamserver.core.refusals import invalid
from streamserver.http.apis.ai_sdk.files import read_file
from streamserver.http.apis.wires import check_strings
from streamserver.wire.ai_sdk_replay import own_metadata, tool_name
from streamserver.wire.events import to_json

_UNANSWERED = frozenset({"input-available", "approval-requested", "approval-responded"})
"""States of a tool call without an outcome. A call in ``input-streaming`` was never completed, and is left out."""


def read_turns(messages: Sequence[Any]) -> list[Message]:
    """Return the conversation. Raises a refusal that names the wrong message or part."""
    read: list[Message] = []
    for number, message in enumerate(messages):
        field = f"messages[{number}]"
        if not isinstance(message, dict):
            raise invalid(field, "Expected a message with parts.")
        if not isinstance(message.get("parts"), list):
            raise invalid(f"{field}.parts", "Expected a list.")
        parts = _checked(message["parts"], f"{field}.parts")
        match message.get("role"):
            case "system":
                read += [Message(role="system", content=text)] if (text := _texts(parts)) else []
            case "user":
                read += _user(parts, f"{field}.parts")
            case "assistant":
                is_last = not any(_is_from_user(later) for later in messages[number + 1 :])
                read += _assistant(parts, f"{field}.parts", is_last=is_last)
            case _:
                raise invalid(f"{field}.role", "Expected system, user or assistant.")
    return read


def _is_from_user(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"


def _checked(parts: Sequence[Any], field: str) -> list[dict[str, Any]]:
    for index, part in enumerate(parts):
        where = f"{field}[{index}]"
        if not isinstance(part, dict):
            raise invalid(where, "Expected a part with a type.")
        check_strings(part, where, "type")
        if part["type"] in ("text", "reasoning") and not isinstance(part.get("text"), str):
            raise invalid(f"{where}.text", "Expected a string.")
        if _is_tool(part) and not isinstance(part.get("toolCallId"), str):
            raise invalid(f"{where}.toolCallId", "Expected a string.")
        if _is_tool(part) and not tool_name(part):
            raise invalid(where, "Expected the tool's name.")
    return list(parts)


def _texts(parts: Sequence[dict[str, Any]]) -> str:
    return "".join(part["text"] for part in parts if part["type"] == "text")


def _user(parts: Sequence[dict[str, Any]], field: str) -> Iterator[Message]:
    content: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        match part:
            case {"type": "text", "text": str(text)} if text:
                content.append({"type": "text", "text": text})
            case {"type": "file"}:
                content.append(read_file(part, f"{field}[{index}]"))
    if len(content) == 1 and content[0]["type"] == "text":
        yield Message(role="user", content=content[0]["text"])
    elif content:
        yield Message(role="user", content=content)


def _assistant(parts: Sequence[dict[str, Any]], field: str, *, is_last: bool) -> Iterator[Message]:
    """Yield the steps of an assistant's message, each followed by the results of its tools.

    ``is_last``: no message of the user follows, so that the model is waiting for the outcome of every call.
    """
    step: list[dict[str, Any]] = []
    for index, part in enumerate([*parts, {"type": "step-start"}]):
        where = f"{field}[{index}]"
        if part["type"] in ("step-start", "steering-message"):
            yield from _step(step)
            step = []
            if part["type"] == "steering-message":
                yield from _steering(part, where)
        elif not _is_tool(part) or _outcome(part) is not None:
            step.append(part)
        elif is_last and part.get("state") in _UNANSWERED:
            raise invalid(where, "The call of this tool has no output yet.")


def _steering(part: dict[str, Any], field: str) -> Iterator[Message]:
    """Yield what the user said while the assistant was answering."""
    if not isinstance(part.get("parts"), list):
        raise invalid(f"{field}.parts", "Expected a list.")
    yield from _user(_checked(part["parts"], f"{field}.parts"), f"{field}.parts")


def _step(parts: Sequence[dict[str, Any]]) -> Iterator[Message]:
    calls = [part for part in parts if _is_tool(part)]
    text = _texts(parts)
    if not (text or calls):
        return
    reasoning = tuple(filter(None, map(_reasoning, parts)))
    tool_calls = [_call(call) for call in calls]
    yield Message(role="assistant", content=text or None, tool_calls=tool_calls or None, reasoning=reasoning)
    for call in calls:
        yield Message(role="tool", tool_call_id=call["toolCallId"], content=_outcome(call))


def _call(part: dict[str, Any]) -> dict[str, Any]:
    given, name = part.get("input"), tool_name(part)
    call: dict[str, Any] = {"id": part["toolCallId"]}
    if isinstance(given, str) and part.get("state") != "output-error":
        call |= {"type": "custom", "custom": {"name": name, "input": given}}
    else:
        if given is None and part.get("state") == "output-error":
            given = part.get("rawInput")
        if not isinstance(given, dict):  # the model's input was no JSON object, but providers want one back
            given = {} if given is None else {"invalid_input": given}
        call |= {"type": "function", "function": {"name": name, "arguments": to_json(given).decode()}}
    extra = own_metadata(part, "callProviderMetadata", "resultProviderMetadata").get("call")
    return {**call, "extra": extra} if isinstance(extra, dict) else call


def _outcome(call: dict[str, Any]) -> str | None:
    """Return the text that a call's tool turn has, None if the call has no outcome."""
    approval = call["approval"] if isinstance(call.get("approval"), dict) else {}
    match call.get("state"):
        case "output-available":
            output = call.get("output")
            return output if isinstance(output, str) else to_json(output).decode()
        case "output-error":
            return str(call.get("errorText") or "Error")
        case "output-denied":
            return str(approval.get("reason") or "The call was denied.")
        case "approval-responded" if approval.get("approved") is False:
            return str(approval.get("reason") or "The call was denied.")
        case _:
            return None


def _reasoning(part: dict[str, Any]) -> ReasoningBlock | None:
    """Return reasoning that its vendor can read again; any other is left out."""
    signature = own_metadata(part, "providerMetadata").get("signature") if part["type"] == "reasoning" else None
    sealed = opaque.unseal(signature) if isinstance(signature, str) else None
    return None if sealed is None else ReasoningBlock(part["text"], sealed)


def _is_tool(part: dict[str, Any]) -> bool:
    kind: str = part["type"]
    return kind.startswith("tool-") or kind == "dynamic-tool"
