"""The input of a Responses request, in the form of chat completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from providers import opaque
from providers.base import Message, Opaque, ReasoningBlock, Role
from streamserver.core.refusals import invalid
from streamserver.http.apis.wires import check_strings

_ROLES: dict[str, Role] = {"user": "user", "system": "system", "developer": "developer", "assistant": "assistant"}


def read_turns(instructions: str | None, items: str | Sequence[Any]) -> tuple[list[Message], list[dict[str, Any]]]:
    """Return the conversation as messages of chat completions, and the items that only their vendor knows.

    Raises a refusal that names the wrong item.
    """
    turns = _Turns()
    if instructions:
        turns.add(Message(role="system", content=instructions))
    if isinstance(items, str):
        turns.add(Message(role="user", content=items))
    else:
        for number, item in enumerate(items):
            turns.read(item, f"input[{number}]")
    return turns.messages(), turns.unknown


def newest_prompt_field(items: str | Sequence[Any]) -> str:
    """Return the name of the field with the user's newest words."""
    newest = "input"
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if item.get("role") == "user":
            newest = f"input[{number}].content"
    return newest


class _Turns:
    """Messages, with the parts of an assistant's turn, which are items of their own here, put together."""

    def __init__(self) -> None:
        self.unknown: list[dict[str, Any]] = []
        """Items that only their vendor knows, such as a hosted tool's call."""
        self._messages: list[Message] = []
        self._texts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._reasoning: list[ReasoningBlock] = []

    def add(self, message: Message) -> None:
        self._end_assistant()
        self._messages.append(message)

    def messages(self) -> list[Message]:
        self._end_assistant()
        return self._messages

    def read(self, item: Any, field: str) -> None:
        if not isinstance(item, dict):
            raise invalid(field, "Expected an object.")
        if item.get("type") is not None:
            check_strings(item, field, "type")
        match item.get("type") or "message":
            case "message":
                self._message(item, field)
            case "function_call":
                arguments = _optional_string(item, "arguments", field) or "{}"
                function = {"name": _string(item, "name", field), "arguments": arguments}
                self._calls.append({"id": _string(item, "call_id", field), "type": "function", "function": function})
            case "custom_tool_call":
                text = _optional_string(item, "input", field)
                custom = {"name": _string(item, "name", field), "input": text}
                self._calls.append({"id": _string(item, "call_id", field), "type": "custom", "custom": custom})
            case "function_call_output" | "custom_tool_call_output":
                content = _content(item.get("output"), f"{field}.output")
                self.add(Message(role="tool", tool_call_id=_string(item, "call_id", field), content=content))
            case "reasoning":
                self._reasoning.append(_reasoning(item))
            case _:
                self.unknown.append(item)

    def _message(self, item: dict[str, Any], field: str) -> None:
        role = _ROLES.get(str(item.get("role")))
        if role is None:
            raise invalid(f"{field}.role", f"Expected one of {', '.join(_ROLES)}.")
        content = _content(item.get("content"), f"{field}.content")
        if role != "assistant":
            self.add(Message(role=role, content=content))
            return
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        self._texts += [part["text"] for part in parts if part["type"] == "text"]

    def _end_assistant(self) -> None:
        if self._texts or self._calls or self._reasoning:
            self._messages.append(
                Message(
                    role="assistant",
                    content="".join(self._texts) or None,
                    tool_calls=self._calls or None,
                    reasoning=tuple(self._reasoning),
                )
            )
        self._texts, self._calls, self._reasoning = [], [], []


def _reasoning(item: dict[str, Any]) -> ReasoningBlock:
    """Return a reasoning item. An opaque part of an unknown form is left out, never refused."""
    text = _texts_of(item.get("summary")) or _texts_of(item.get("content"))
    encrypted = item.get("encrypted_content")
    if not isinstance(encrypted, str) or not encrypted:
        return ReasoningBlock(text)
    data = {"id": item.get("id"), "encrypted_content": encrypted}
    return ReasoningBlock(text, opaque.unseal(encrypted) or Opaque("responses", "", data))


def _texts_of(parts: object) -> str:
    texts = (part.get("text") for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()
    return "\n\n".join(text for text in texts if isinstance(text, str))


def _content(content: object, field: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise invalid(field, "Expected a string, or a list of parts.")
    parts = [_part(part, f"{field}[{number}]") for number, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


_CONTENT_STRINGS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("input_text", "output_text", "text", "summary_text"), ("text",)),
    "refusal": ("refusal",),
}
"""The strings that each type of part must have."""


def _part(part: object, field: str) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise invalid(field, "Expected an object.")
    check_strings(part, field, "type", *_CONTENT_STRINGS.get(str(part.get("type")), ()))
    match part:
        case {"type": "input_text" | "output_text" | "text" | "summary_text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "refusal", "refusal": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str(url), **rest}:
            detail = {"detail": rest["detail"]} if isinstance(rest.get("detail"), str) else {}
            return {"type": "image_url", "image_url": {"url": url, **detail}}
        case {"type": "input_file", **rest}:
            named = {"file_data": rest.get("file_data") or rest.get("file_url"), "file_id": rest.get("file_id")}
            file = {name: value for name, value in named.items() if isinstance(value, str)}
            if not file:
                raise invalid(field, "Expected file_data, file_url or file_id.")
            return {"type": "file", "file": {**file, "filename": rest.get("filename") or "document"}}
        case {"type": "input_audio", "input_audio": dict(audio)}:
            return {"type": "input_audio", "input_audio": audio}
        case {"type": "input_image", "file_id": str(file_id)}:
            return {"type": "input_image", "file_id": file_id}  # its id means something to its vendor only
        case {"type": "input_image"}:
            raise invalid(f"{field}.image_url", "Expected a string, or a file_id.")
        case _:
            raise invalid(f"{field}.type", "Expected a part of a known type, with its fields.")


def _optional_string(item: dict[str, Any], name: str, field: str) -> str:
    return "" if item.get(name) in (None, "") else _string(item, name, field)


def _string(item: dict[str, Any], name: str, field: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"{field}.{name}", "Expected a string.")
    return value
