"""The chunks that rebuild the parts that a UI message had before it was continued.

A client that resumes begins with an empty message, so that a replay of its continuation must repeat these parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamserver.wire.ai_sdk_parts import PROVIDER_KEY, Chunk
from streamserver.wire.events import to_json


def repeated_chunks(parts: Sequence[Mapping[str, Any]]) -> Iterator[Chunk]:
    """Yield the chunks that rebuild the steps, texts, reasoning and finished tool calls among ``parts``."""
    for number, part in enumerate(parts):
        match part:
            case {"type": "step-start"}:
                yield {"type": "start-step"}
            case {"type": "text" | "reasoning" as kind, "text": str(text)}:
                yield from _text(part, kind, text, f"e{number}")
            case {"type": str(kind), "toolCallId": str()}:
                yield from _tool(part, kind)


def tool_name(part: Mapping[str, Any]) -> str:
    """Return the name of the tool that a part of a UI message calls."""
    kind: str = part["type"]
    return str(part.get("toolName") or "") if kind == "dynamic-tool" else kind.removeprefix("tool-")


def own_metadata(part: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    """Return what this server attached to a part, from the first of ``fields`` that has any of it."""
    for field in fields:
        match part.get(field):
            case {"streamserver": dict(own)}:
                return own
    return {}


def _text(part: Mapping[str, Any], kind: str, text: str, part_id: str) -> Iterator[Chunk]:
    own = own_metadata(part, "providerMetadata")
    if text or own:
        yield {"type": f"{kind}-start", "id": part_id}
        yield {"type": f"{kind}-delta", "id": part_id, "delta": text}
        yield {"type": f"{kind}-end", "id": part_id, **_metadata(own)}


def _tool(part: Mapping[str, Any], kind: str) -> Iterator[Chunk]:
    """Yield the chunks of a finished call, never ``tool-input-available``: for that the hook runs the tool again
    (``onToolCall``): https://github.com/vercel/ai/blob/main/packages/ai/src/ui/process-ui-message-stream.ts."""
    call_id, given = part["toolCallId"], part.get("input")
    names = {"toolCallId": call_id, "toolName": tool_name(part)}
    if kind == "dynamic-tool":
        names["dynamic"] = True
    metadata = _metadata(own_metadata(part, "callProviderMetadata", "resultProviderMetadata"))
    match part:
        case {"state": "output-error"}:
            error = str(part.get("errorText") or "Error")
            yield {"type": "tool-input-error", **names, "input": given, "errorText": error, **metadata}
            return
        case {"state": "output-available"}:
            end: Chunk = {"type": "tool-output-available", "toolCallId": call_id, "output": part.get("output")}
        case {"state": "output-denied"} | {"state": "approval-responded", "approval": {"approved": False}}:
            end = {"type": "tool-output-denied", "toolCallId": call_id}
        case _:
            return
    is_text = isinstance(given, str)
    yield {"type": "tool-input-start", **names, **({"inputEncoding": "text"} if is_text else {}), **metadata}
    delta = given if is_text else to_json(given).decode()
    yield {"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": delta}
    yield end


def _metadata(own: Mapping[str, Any]) -> dict[str, Any]:
    return {"providerMetadata": {PROVIDER_KEY: dict(own)}} if own else {}
