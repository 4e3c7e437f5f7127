"""The protocols at the HTTP edge, one package each: a new one is a row of :data:`APIS`."""

from __future__ import annotations

from streamserver.http.apis.ai_sdk.api import AI_SDK
from streamserver.http.apis.chat.api import CHAT, MODELS
from streamserver.http.apis.messages.api import MESSAGES
from streamserver.http.apis.native.api import NATIVE
from streamserver.http.apis.responses.api import RESPONSES
from streamserver.http.apis.site.api import SITE
from streamserver.http.routing import Api

APIS: tuple[Api, ...] = (NATIVE, CHAT, MODELS, MESSAGES, RESPONSES, AI_SDK, SITE)
"""Every API; the last one answers for paths without another's prefix."""

__all__ = ["APIS"]
