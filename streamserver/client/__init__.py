"""A client of the native API: reads an answer to its end over a network that breaks.

An answer is started once, under an idempotency key, and resumed after its last event whenever the connection breaks:
each event arrives once and in order, and there is exactly one ending. ``web/client`` is the same in JavaScript.
"""

from streamserver.client.answer import Answer, Status
from streamserver.client.client import Client, read
from streamserver.client.errors import StreamError
from streamserver.client.events import (
    DoneEvent,
    ReasoningEvent,
    StartEvent,
    StreamEvent,
    TextEvent,
    ToolCallEvent,
)

__all__ = [
    "Answer",
    "Client",
    "DoneEvent",
    "ReasoningEvent",
    "StartEvent",
    "Status",
    "StreamError",
    "StreamEvent",
    "TextEvent",
    "ToolCallEvent",
    "read",
]
