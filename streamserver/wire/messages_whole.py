"""A whole message, put together from its events as the SDKs do it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from providers.jsontext import as_json_object
from streamserver.wire.events import without_nulls


def whole_message(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the message that ``events`` make up, with every field that they have."""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for event in events:
        match event:
            case {"type": "message_start", "message": dict(started)}:
                message = started
            case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                blocks[index] = block
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)} if index in blocks:
                if delta.get("type") == "input_json_delta":
                    inputs[index] = inputs.get(index, "") + str(delta.get("partial_json") or "")
                else:
                    _add_delta(blocks[index], delta)
            case {"type": "message_delta"}:
                _add_end(message, event)
    for index, text in inputs.items():
        if text:
            blocks[index]["input"] = _input(text)
    if blocks or not message.get("content"):  # a gateway may send a whole message as its beginning
        message["content"] = [blocks[index] for index in sorted(blocks)]
    return message


def _add_end(message: dict[str, Any], event: dict[str, Any]) -> None:
    """Add a ``message_delta``: its counts and tables that are null say nothing."""
    message.update(event.get("delta") or {})
    message["usage"] = {**(message.get("usage") or {}), **without_nulls(event.get("usage") or {})}
    message |= {name: value for name, value in without_nulls(event).items() if name not in ("type", "delta", "usage")}


def _add_delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta:
        case {"type": "text_delta", "text": str(text)}:
            block["text"] = block.get("text", "") + text
        case {"type": "thinking_delta", "thinking": str(text)}:
            block["thinking"] = block.get("thinking", "") + text
        case {"type": "signature_delta", "signature": str(signature)}:
            block["signature"] = signature
        case {"type": "citations_delta", "citation": citation}:
            block["citations"] = [*(block.get("citations") or ()), citation]
        case {"type": "compaction_delta", **fields}:
            block.update(fields)


def _input(text: str) -> dict[str, Any]:
    """Return a tool's input. It must be an object; text that is none is handed out under ``raw``."""
    value = as_json_object(text)
    return {"raw": text} if value is None else value
