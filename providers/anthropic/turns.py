"""The Messages API: the turns of a conversation in its form."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any

from providers.base import ChatRequest, Message
from providers.chat_form import function_calls, unsupported
from providers.jsontext import as_json_object
from providers.message_text import is_text, text_of
from providers.opaque import readable_by

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,(.*)", re.DOTALL)
_SYSTEM_ROLES = ("system", "developer")


def system_text(messages: Sequence[Message]) -> str:
    """Return the text of all system messages, wherever they are."""
    return "\n\n".join(filter(None, (text_of(message) for message in messages if message.role in _SYSTEM_ROLES)))


def turns(request: ChatRequest) -> list[dict[str, Any]]:
    """Return the messages of ``request`` as alternating turns of ``user`` and ``assistant``.

    The results of tools are the first blocks of the user's next turn.
    Raises :class:`~providers.errors.InvalidRequest` for what the API cannot express.
    """
    turns: list[dict[str, Any]] = []
    results = 0
    for number, message in enumerate(request.messages):
        if message.role in _SYSTEM_ROLES:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = list(_blocks(request, message, f"messages[{number}]"))
        if not blocks:
            continue
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
            results = 0
        content = turns[-1]["content"]
        if message.role == "tool":
            content[results:results] = blocks
            results += len(blocks)
        else:
            content += blocks
    return turns


def has_signed_reasoning(request: ChatRequest) -> bool:
    """Return whether the last assistant turn has reasoning that its vendor signed: thinking in a tool round needs
    it."""
    last = next((message for message in reversed(request.messages) if message.role == "assistant"), None)
    return last is not None and any(readable_by(block.opaque, "messages", request.model) for block in last.reasoning)


def _blocks(request: ChatRequest, message: Message, field: str) -> Iterator[dict[str, Any]]:
    match message.role:
        case "tool":
            yield {
                "type": "tool_result",
                "tool_use_id": message.tool_call_id or "",
                "content": _result(request, message, field),
            }
        case "assistant":
            yield from _reasoning(request, message)
            yield from _content(request, message, field)
            for call in function_calls(request, message, field):
                if call.custom:
                    raise unsupported(request, f"{field}.tool_calls", "this provider has no tools of the type custom.")
                arguments = _arguments(request, call.arguments, field)
                yield {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}
        case _:
            yield from _content(request, message, field)


def _reasoning(request: ChatRequest, message: Message) -> Iterator[dict[str, Any]]:
    """Yield the thinking that the vendor signed. Any other is left out: without a signature it is refused."""
    for block in message.reasoning:
        if block.opaque is None or not readable_by(block.opaque, "messages", request.model):
            continue
        match block.opaque.data:
            case {"signature": str(signature)} if signature:
                yield {"type": "thinking", "thinking": block.text, "signature": signature}
            case {"data": str(data)}:
                yield {"type": "redacted_thinking", "data": data}


def _content(request: ChatRequest, message: Message, field: str) -> Iterator[dict[str, Any]]:
    """Yield the parts of ``message``. Empty texts are left out: the API refuses them."""
    if not isinstance(message.content, list):
        text = message.content or message.refusal
        if text:
            yield {"type": "text", "text": text}
        return
    for number, part in enumerate(message.content):
        if part["type"] != "text" or part["text"]:
            yield _part(request, part, f"{field}.content[{number}]")


def _result(request: ChatRequest, message: Message, field: str) -> str | list[dict[str, Any]]:
    return text_of(message) if is_text(message) else list(_content(request, message, field))


def _part(request: ChatRequest, part: dict[str, Any], field: str) -> dict[str, Any]:
    block: dict[str, Any]
    match part:
        case {"type": "text", "text": str(text)}:
            block = {"type": "text", "text": text}
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            block = {"type": "image", "source": _image_source(request, url, field)}
        case {"type": "file", "file": {"file_data": str(url), **file}}:
            block = {"type": "document", "source": _document_source(request, url, field)}
            if file.get("filename"):
                block["title"] = file["filename"]
        case _:
            raise unsupported(request, field, "this provider takes text, images, and files with their data only.")
    return {**block, "cache_control": part["cache_control"]} if part.get("cache_control") else block


def _image_source(request: ChatRequest, url: str, field: str) -> dict[str, Any]:
    if data := _DATA_URL.fullmatch(url):
        return {"type": "base64", "media_type": data[1], "data": data[2]}
    return _url_source(request, url, field)


def _document_source(request: ChatRequest, url: str, field: str) -> dict[str, Any]:
    data = _DATA_URL.fullmatch(url)
    if data is None:
        return _url_source(request, url, field)
    if data[1] == "application/pdf":
        return {"type": "base64", "media_type": data[1], "data": data[2]}
    if not data[1].startswith("text/"):
        raise unsupported(request, field, f"this provider takes PDF and text files only, not {data[1]}.")
    try:
        return {"type": "text", "media_type": "text/plain", "data": base64.b64decode(data[2]).decode()}
    except (binascii.Error, UnicodeDecodeError):
        raise unsupported(request, field, "the file is no text in UTF-8, encoded in base64.") from None


def _url_source(request: ChatRequest, url: str, field: str) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise unsupported(request, field, "expected an http:// or https:// address, or a data: URL in base64.")
    return {"type": "url", "url": url}


def _arguments(request: ChatRequest, arguments: str, field: str) -> dict[str, Any]:
    """Return a tool call's arguments, JSON text in chat completions, as the object that they stand for."""
    value = as_json_object(arguments)
    if value is None:
        raise unsupported(request, f"{field}.tool_calls", "the arguments of a tool call are not a JSON object.")
    return value
