"""The wires that a load test speaks: where a request goes, what it holds, and how its answer is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from streamserver.loadtest.check import ChatCheck, Check, MessagesCheck, NativeCheck, ResponsesCheck


class LoadWire(msgspec.Struct, frozen=True):
    """One wire. ``body`` makes a request of a prompt and the plan's model."""

    path: str
    body: Callable[[str, str], dict[str, Any]]
    check: Callable[[str | None], Check]


def _chat(prompt: str, model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}


def _messages(prompt: str, model: str) -> dict[str, Any]:
    return {**_chat(prompt, model), "max_tokens": 4096}


def _responses(prompt: str, model: str) -> dict[str, Any]:
    return {"model": model, "input": prompt, "stream": True}


def _native(prompt: str, model: str) -> dict[str, Any]:
    return {"prompt": prompt, **({"model": model} if model else {})}


LOAD_WIRES: Mapping[str, LoadWire] = MappingProxyType(
    {
        "native": LoadWire("/api/chat/stream", _native, NativeCheck),
        "chat": LoadWire("/v1/chat/completions", _chat, ChatCheck),
        "messages": LoadWire("/v1/messages", _messages, MessagesCheck),
        "responses": LoadWire("/v1/responses", _responses, ResponsesCheck),
    }
)
