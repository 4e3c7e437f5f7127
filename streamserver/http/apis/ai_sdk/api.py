"""The routes of the AI SDK's hook."""

from __future__ import annotations

from streamserver.http.apis.ai_sdk import handlers, operations
from streamserver.http.keys import bearer_or_api_key
from streamserver.http.routing import Access, Api, Route
from streamserver.wire.ai_sdk import AI_SDK_WIRE

_CHAT = "/api/ai/chat/{chat_id:.+}"
"""The hook encodes the id; its older versions do not, and some proxies decode it, so that it may contain ``/``."""

AI_SDK = Api(
    name=AI_SDK_WIRE.name,
    prefixes=("/api/ai",),
    refusal=AI_SDK_WIRE.refusal,
    api_key=bearer_or_api_key,
    routes=(
        Route(
            method="POST",
            path="/api/ai/chat",
            handler=handlers.send,
            access=Access.KEY,
            summary="AI SDK: start the answer to a chat's newest message, and stream it.",
            operation=operations.send,
        ),
        Route(
            method="GET",
            path=f"{_CHAT}/stream",
            handler=handlers.resume,
            access=Access.KEY,
            summary="AI SDK: replay the newest answer of a chat.",
            operation=operations.resume,
        ),
        Route(
            method="POST",
            path=f"{_CHAT}/stop",
            handler=handlers.stop,
            access=Access.KEY,
            summary="AI SDK: stop a chat's running answer.",
            operation=operations.stop,
        ),
    ),
)
