"""The wires that a load test speaks: where a request goes, what it holds, and how its answer is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from streamserver.loadtest.check import ChatCheck, Check, MessagesCheck, NativeCheck, ResponsesCheck


class Wire(msgspec.Struct, frozen=True):
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


WIRES: Mapping[str, Wire] = MappingProxyType(
    {
        "native": Wire("/api/chat/stream", _native, NativeCheck),
        "chat": Wire("/v1/chat/completions", _chat, ChatCheck),
        "messages": Wire("/v1/messages", _messages, MessagesCheck),
        "responses": Wire("/v1/responses", _responses, ResponsesCheck),
    }
)
