"""Sources of answers behind one interface.

What a plug-in needs is here: the values of :mod:`providers.base`, the errors of
:mod:`providers.errors`, and :class:`Kind`, which an entry point in the group
``streamserver.providers`` names. Nothing here imports ``streamserver``.
"""

from providers.base import (
    AnsweringModel,
    Attempt,
    AttemptFailed,
    BlockEnd,
    ChatRequest,
    Delta,
    Event,
    Finish,
    Message,
    Opaque,
    Provider,
    Reasoning,
    ReasoningBlock,
    RefusalText,
    Text,
    TokenCounter,
    ToolCall,
    Usage,
)
from providers.errors import ProviderError
from providers.options import ApiOptions, Context, Options
from providers.registry import Kind, Registry, load_registry

__all__ = [
    "AnsweringModel",
    "ApiOptions",
    "Attempt",
    "AttemptFailed",
    "BlockEnd",
    "ChatRequest",
    "Context",
    "Delta",
    "Event",
    "Finish",
    "Kind",
    "Message",
    "Opaque",
    "Options",
    "Provider",
    "ProviderError",
    "Reasoning",
    "ReasoningBlock",
    "RefusalText",
    "Registry",
    "Text",
    "TokenCounter",
    "ToolCall",
    "Usage",
    "load_registry",
]
