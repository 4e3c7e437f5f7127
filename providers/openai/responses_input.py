"""The Responses API: the turns of a conversation as items of its ``input``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from providers.base import ChatRequest, Message, ReasoningBlock
from providers.chat_form import function_calls, unsupported
from providers.message_text import is_text, text_of
from providers.opaque import readable_by


def input_items(request: ChatRequest) -> list[dict[str, Any]]:
    """Return the messages of ``request`` as items.

    Raises :class:`~providers.errors.InvalidRequest` for a part that the API does not have.
    """
    return list(_Translation(request).items())


class _Translation:
    """One conversation on its way; ``_custom_ids`` are those of the calls of custom tools seen so far."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._custom_ids: set[str] = set()

    def items(self) -> Iterator[dict[str, Any]]:
        for number, message in enumerate(self._request.messages):
            field = f"messages[{number}]"
            match message.role:
                case "tool":
                    yield self._result(message, field)
                case "assistant":
                    yield from self._assistant(message, field)
                case _ if message.content:
                    yield {"role": message.role, "content": self._content(message, field)}

    def _assistant(self, message: Message, field: str) -> Iterator[dict[str, Any]]:
        """Yield the turn's reasoning, its words, then each of its tool calls."""
        for block in message.reasoning:
            if readable_by(block.opaque, "responses", self._request.model):
                yield _reasoning_item(block)
        if words := text_of(message) or message.refusal:
            phase = message.extra.get("phase")
            yield {"role": "assistant", "content": words, **({"phase": phase} if phase else {})}
        for call in function_calls(self._request, message, field):
            if call.custom:
                self._custom_ids.add(call.id)
                yield {"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": call.arguments}
            else:
                yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}

    def _result(self, message: Message, field: str) -> dict[str, Any]:
        call_id = message.tool_call_id or ""
        kind = "custom_tool_call_output" if call_id in self._custom_ids else "function_call_output"
        # A string wherever it can be one: servers that copy the API know no parts here.
        output = text_of(message) if is_text(message) else self._content(message, field)
        return {"type": kind, "call_id": call_id, "output": output}

    def _content(self, message: Message, field: str) -> str | list[dict[str, Any]]:
        if not isinstance(message.content, list):
            return message.content or ""
        return [self._part(part, f"{field}.content[{number}]") for number, part in enumerate(message.content)]

    def _part(self, part: dict[str, Any], field: str) -> dict[str, Any]:
        match part:
            case {"type": "text", "text": str(text)}:
                return {"type": "input_text", "text": text}
            case {"type": "image_url", "image_url": {"url": str(url), **rest}}:
                return {"type": "input_image", "image_url": url, "detail": rest.get("detail") or "auto"}
            case {"type": "file", "file": dict(file)}:
                return {"type": "input_file", **_file(file)}
            case _:
                raise unsupported(self._request, field, "this provider takes parts of text, images and files only.")


def _reasoning_item(block: ReasoningBlock) -> dict[str, Any]:
    assert block.opaque is not None
    summary = [{"type": "summary_text", "text": block.text}] if block.text else []
    return {"type": "reasoning", "summary": summary, **block.opaque.data}


def _file(file: dict[str, Any]) -> dict[str, Any]:
    """Return a file's fields: here an address has a name of its own."""
    data = file.get("file_data")
    if isinstance(data, str) and data.startswith(("http://", "https://")):
        return {"file_url": data, **{name: value for name, value in file.items() if name != "file_data"}}
    return file
