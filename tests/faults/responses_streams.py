"""What can happen in a stream of the Responses API."""
# ruff: noqa: E501 — a row is a line

from __future__ import annotations

import json
from typing import Any

from tests.faults.case import Case
from tests.faults.upstreams import closes_with, cut, hold, reset, sends, streams


def event(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': 0, **fields})}\n\n"


def text(piece: Any) -> str:
    return event(
        "response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=piece, logprobs=[]
    )


def message(status: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": list(content)}


def ends(status: str = "completed", said: str = "Hello", usage: Any = None, **fields: Any) -> str:
    """Return the item's end, and that of the Response."""
    item = message(status, {**PART, "text": said})
    response = {**RESPONSE, "status": status, "output": [item], "usage": USAGE if usage is None else usage, **fields}
    return event("response.output_item.done", output_index=0, item=item) + event(
        f"response.{status}", response=response
    )


def failed(code: str | None, **error: Any) -> str:
    told = {**RESPONSE, "status": "failed", "error": {"code": code, "message": "x", **error}}
    return event("response.failed", response=told)


PART = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
USAGE = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9,
         "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
RESPONSE: dict[str, Any] = {"id": "resp_theirs", "object": "response", "created_at": 1, "model": "gpt-x", "status": "in_progress",
                            "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None}  # fmt: skip
START = event("response.created", response=RESPONSE) + event("response.in_progress", response=RESPONSE)
OPEN = (
    START
    + event("response.output_item.added", output_index=0, item=message("in_progress"))
    + event("response.content_part.added", item_id="msg_1", output_index=0, content_index=0, part=PART)
)
HEL, LO, END = OPEN + text("Hel"), text("lo"), ends()
ANSWER = HEL + LO + END
COUNTED: dict[str, Any] = {"text": "Hello", "usage": (7, 2)}
GONE, NONSENSE, TOLD = "upstream_disconnected", "upstream_error", "upstream_error"

STREAMS = [
    # It breaks.
    Case("reset", streams(HEL, then=reset), GONE, "Hel"),
    Case("reset after the item", streams(HEL, LO, END.split("event: response.completed")[0], then=reset), GONE, "Hello"),
    Case("reset after the end", streams(ANSWER, then=reset), "done", **COUNTED),
    Case("reset before the first token", streams(OPEN, then=reset), GONE),
    Case("FIN", streams(HEL, then=cut), GONE, "Hel"),
    Case("FIN in the packet of the text", sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + HEL.encode(), cut), GONE, "Hel"),
    Case("end without a terminal event", closes_with(HEL, LO), GONE, "Hello"),
    Case("end after the start", streams(START), GONE),
    Case("end in an event", streams(HEL, LO[:-2]), GONE, "Hel"),
    # It makes no sense.
    Case("truncated JSON", streams(HEL, LO[:-9] + "\n\n", then=hold), NONSENSE, "Hel"),
    Case("text that is a number", streams(HEL, text(7), then=hold), NONSENSE, "Hel"),
    Case("brackets", streams(HEL, "event: response.output_text.delta\ndata: " + "[" * 60_000 + "\n\n", then=hold), NONSENSE, "Hel"),
    # The provider says that it failed.
    Case("error", streams(HEL, event("error", error={"type": "server_error", "message": "x"}), then=hold), TOLD, "Hel"),
    Case("error, flat", streams(HEL, event("error", code="server_error", message="x", param=None), then=hold), TOLD, "Hel"),
    Case("error before the first token", streams(START, event("error", error={"type": "server_error", "message": "x"}), then=hold), TOLD),
    Case("failed", streams(HEL, failed("server_error"), then=hold), TOLD, "Hel"),
    Case("failed before the first token", streams(OPEN, failed("server_error")), TOLD),
    Case("failed, rate limit", streams(START, failed("rate_limit_exceeded", message="Please try again in 90s."), then=hold), "rate_limited",
         retry_after=90),
    Case("failed, rate limit midway", streams(HEL, failed("rate_limit_exceeded")), "rate_limited", "Hel"),
    Case("failed, context length", streams(START, failed("context_length_exceeded")), "context_length"),
    Case("failed, overloaded midway", streams(HEL, failed("server_is_overloaded")), "overloaded", "Hel"),
    Case("cancelled there", streams(HEL, event("response.cancelled", response={**RESPONSE, "status": "cancelled"})), TOLD, "Hel"),
    # It stalls.
    Case("stall before the first token", streams(OPEN, then=hold), "timeout", short="first_token", says="first_token"),
    Case("stall", streams(HEL, then=hold), "timeout", "Hel", short="idle", says="idle"),
    Case("keepalives in a stall", streams(HEL, event("keepalive") * 9, then=hold), "timeout", "Hel", short="idle", says="idle"),
    Case("stall (total)", streams(START, then=hold), "timeout", short="total", says="total"),
    # It is odd, and well.
    Case("one byte at a time", streams(ANSWER, by=1), "done", **COUNTED),
    Case("CRLF", streams(ANSWER.replace("\n", "\r\n")), "done", **COUNTED),
    Case("no event names", streams(*(line + "\n\n" for line in ANSWER.split("\n") if line.startswith("data"))), "done", **COUNTED),
    Case("keepalives", streams(HEL, event("keepalive"), LO, END), "done", **COUNTED),
    Case("length", streams(HEL, LO, ends("incomplete", incomplete_details={"reason": "max_output_tokens"})), "done", finish="length", **COUNTED),
    Case("content filter", streams(HEL, LO, ends("incomplete", incomplete_details={"reason": "content_filter"})), "done",
         finish="content_filter", **COUNTED),
    Case("no output in the end", streams(HEL, LO, ends(output=[])), "done", **COUNTED),
    Case("no creation", streams(text("Hel"), LO, END), "done", **COUNTED),
    Case("no JSON by the letter", streams(HEL, LO.replace('"logprobs": []', '"logprobs": [NaN, "\t"]'), END), "done", **COUNTED),
    Case("lone surrogates", streams(HEL, text("\ud83d"), ends(said="Hel\ud83d")), "done", "Hel\ufffd"),
    Case("frames without an object", streams("data: null\n\n", HEL, "data: {}\n\n", LO, END), "done", **COUNTED),
    Case("usage without details", streams(HEL, LO, ends(usage={"input_tokens": 7, "output_tokens": 2, "total_tokens": 9})), "done", **COUNTED),
    Case("no usage", streams(HEL, LO, ends(usage={})), "done", "Hello", log={"estimated": True}),
    Case("tokens after the end", streams(ANSWER, text("no"), then=hold), "done", **COUNTED),
    Case("an end marker", streams(ANSWER, "data: [DONE]\n\n"), "done", **COUNTED),
]  # fmt: skip
