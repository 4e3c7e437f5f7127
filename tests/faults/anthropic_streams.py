"""What can happen in a stream of the Messages API."""
# ruff: noqa: E501 — a row is a line

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from typing import Any

from tests.faults.case import Case
from tests.faults.openai_streams import line_of
from tests.faults.upstreams import SSE, answers, closes_with, cut, hold, reset, sends, streams, streams_many

PAGE = "Anthropic's page, Streaming Messages"


def event(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def text(piece: str | None, index: int = 0) -> str:
    return event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})


def ends(reason: str | None = "end_turn", **usage: int | None) -> str:
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)


def fails(kind: str, **more: Any) -> str:
    return event("error", error={"type": kind, "message": "x", **more})


START = event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-x",
                                        "stop_reason": None, "usage": {"input_tokens": 7, "output_tokens": 1}})  # fmt: skip
OPEN = START + event("content_block_start", index=0, content_block={"type": "text", "text": ""}) + event("ping")
SHUT = event("content_block_stop", index=0)
STOP = event("message_stop")
HEL, LO = OPEN + text("Hel"), text("lo")
END = SHUT + ends(output_tokens=2) + STOP
ANSWER = HEL + LO + END
COUNTED: dict[str, Any] = {"text": "Hello", "usage": (7, 2)}
BAD = b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"\xf0\x9f\x98'
GONE, NONSENSE, TOLD = "upstream_disconnected", "upstream_error", "upstream_error"
LETTERS = (4_194_304 - 64) // 65


def millions() -> Iterator[bytes]:
    """Return a script of a million deltas of one letter."""
    return itertools.repeat(
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}\n\n' * 1000, 1000
    )


def log(reason: str | None, kind: str | None = None) -> dict[str, object]:
    return {"upstream_status": 200, "upstream_reason": reason, "upstream_type": kind}


STREAMS = [
    # It breaks.
    Case("reset", streams(HEL, then=reset, request_id="req_9"), GONE, "Hel", log={**log("reset"), "upstream_request_id": "req_9"}),
    Case("reset after the stop reason", streams(HEL, LO, SHUT, ends(), then=reset), GONE, "Hello", log=log("reset")),
    Case("reset of a body without a length", closes_with(HEL, LO, then=reset), GONE, "Hello", log=log("reset")),
    Case("reset after the end", streams(ANSWER, then=reset), "done", **COUNTED),
    Case("reset before the first token", streams(START, then=reset), GONE, log={**log("reset"), "maybe_billed": None}),
    Case("FIN", streams(HEL, then=cut), GONE, "Hel", log=log("cut")),
    Case("FIN in the packet of the text", sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + HEL.encode(), cut),
         GONE, "Hel", log=log("cut")),
    Case("end without message_stop", streams(HEL, LO, SHUT, ends()), GONE, "Hello", log=log("no_message_stop")),
    Case("end without a stop reason", streams(HEL, LO, SHUT, STOP), GONE, "Hello", log=log("no_stop_reason")),
    Case("end after a stop reason null", streams(HEL, LO, SHUT, ends(None), STOP), GONE, "Hello", log=log("no_stop_reason")),
    Case("end after the start", streams(START), GONE),
    Case("end in an event", streams(HEL, LO[:-2]), GONE, "Hel"),
    # It makes no sense.
    Case("truncated JSON", streams(HEL, LO[:-9] + "\n\n", then=hold), NONSENSE, "Hel", log=log("not_json")),
    Case("truncated UTF-8", streams(HEL, BAD + b'"}}\n\n', then=hold), NONSENSE, "Hel", log=log("not_json")),
    Case("text that is a number", streams(HEL, text(7), then=hold), NONSENSE, "Hel", log=log("not_json")),  # type: ignore[arg-type]
    Case("16 MB without an end", streams_many(lambda: line_of(20_000_000, b"data: ", b"")), NONSENSE, log=log("event_too_large")),
    # The provider says that it failed.
    Case("overloaded", streams(HEL, fails("overloaded_error"), then=hold), "overloaded", "Hel", log=log(None, "overloaded_error"),
         source=PAGE),
    Case("overloaded before the first token", streams(START, fails("overloaded_error"), then=hold), "overloaded",
         log=log(None, "overloaded_error"), source=PAGE),
    Case("api_error", streams(HEL, fails("api_error"), then=hold), TOLD, "Hel", log=log(None, "api_error"), source=PAGE),
    Case("api_error in the packet of the text", streams(HEL + fails("api_error"), then=hold), TOLD, "Hel"),
    Case("rate_limit_error", streams(HEL, fails("rate_limit_error"), then=hold), "rate_limited", "Hel"),
    Case("rate_limit_error without money", streams(fails("rate_limit_error", details={"error_code": "contract_spend_limit_reached"}),
                                                   then=hold), "quota_exceeded"),
    Case("context overflow", streams(fails("invalid_request_error", message="prompt is too long"), then=hold), "context_length"),
    Case("an unknown error", streams(HEL, fails("new_error"), then=hold), TOLD, "Hel", log=log(None, "new_error")),
    Case("an error without an object", streams(HEL, event("error"), then=hold), TOLD, "Hel"),
    Case("request id of an error", streams(HEL, event("error", error={"type": "api_error"}, request_id="req_7"), then=hold), TOLD, "Hel",
         log={**log(None, "api_error"), "upstream_request_id": "req_7"}),
    Case("an error without the object", streams(HEL, 'event: error\ndata: {"code":"Throttling","message":"x"}\n\n', then=hold),
         "rate_limited", "Hel"),
    Case("a stop reason that is a failure", streams(HEL, ends("network_error"), STOP), TOLD, "Hel",
         log={"upstream_reason": "broken_off", "upstream_code": "network_error"}, source="Z.ai"),
    Case("an answer of images", streams(START, event("content_block_start", index=0, content_block={"type": "image"}), SHUT, ends(), STOP),
         "upstream_error", says="images or audio", is_replayed=True),
    # It stalls.
    Case("stall before the first token", streams(then=hold), "timeout", short="first_token", says="first_token"),
    Case("pings and no token", streams(START, event("ping") * 9, then=hold), "timeout", short="first_token", says="first_token"),
    Case("stall", streams(HEL, then=hold), "timeout", "Hel", short="idle", says="idle"),
    Case("pings in a stall", streams(HEL, event("ping") * 9, then=hold), "timeout", "Hel", short="idle", says="idle"),
    # It is odd, and well.
    Case("one byte at a time", streams(ANSWER, by=1), "done", **COUNTED),
    Case("seven bytes at a time", streams(HEL, text("😀"), END, by=7), "done", "Hel😀", usage=(7, 2)),
    Case("CRLF", streams(ANSWER.replace("\n", "\r\n")), "done", **COUNTED),
    Case("CR", streams(ANSWER.replace("\n", "\r"), by=11), "done", **COUNTED),
    Case("comments", streams(": ping\n\n", HEL, ":\n", LO, END), "done", **COUNTED),
    Case("no event names", streams(*(line + "\n\n" for line in ANSWER.split("\n") if line.startswith("data"))), "done", **COUNTED),
    Case("unknown events", streams(event("new", delta="x", message=[1], usage=7), HEL, event("new_2", content_block=1), LO, END),
         "done", **COUNTED),
    Case("unknown deltas", streams(HEL, event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "x"}),
                                   event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}}), LO, END),
         "done", **COUNTED),
    Case("unknown blocks", streams(HEL, event("content_block_start", index=1, content_block={"type": "server_tool_use", "id": "s",
         "name": "web_search", "input": {}}), event("content_block_stop", index=1), LO, END), "done", **COUNTED),
    Case("frames without an object", streams("data: null\n\n", HEL, "event: ping\ndata: {}\n\ndata: {}\n\n", LO, END), "done", **COUNTED),
    Case("counts that are floats", streams(HEL, LO, SHUT, ends(output_tokens=2.0), STOP), "done", **COUNTED),  # type: ignore[arg-type]
    Case("context window exceeded", streams(HEL, LO, SHUT, ends("model_context_window_exceeded", output_tokens=2), STOP), "done",
         finish="length", **COUNTED),
    Case("null text", streams(OPEN, text(None), text(""), text("Hel"), LO, END), "done", **COUNTED),
    Case("text after the stop reason", streams(HEL, ends(output_tokens=2), LO, STOP), "done", "Hello"),
    Case("max_tokens", streams(HEL, LO, SHUT, ends("max_tokens", output_tokens=2), STOP), "done", finish="length", **COUNTED),
    Case("refusal", streams(START, ends("refusal", output_tokens=1), STOP), "done", finish="content_filter", usage=(7, 1)),
    Case("pause_turn", streams(HEL, ends("pause_turn", output_tokens=2), STOP), "done", "Hel", finish="pause_turn"),
    Case("usage twice", streams(HEL, LO, ends(output_tokens=1), ends(input_tokens=7, output_tokens=2), STOP), "done", **COUNTED),
    Case("usage null", streams(HEL, LO, ends(output_tokens=None), STOP), "done", "Hello"),
    Case("no usage", streams(text("Hel"), LO, event("message_delta", delta={"stop_reason": "end_turn"}), STOP), "done", "Hello",
         log={"estimated": True}),
    Case("lone surrogates", streams(HEL, text("\ud83d"), END), "done", "Hel\ufffd"),
    Case("CRLF in a token", streams(OPEN, text("a\r\nb\r"), text("\nc"), END), "done", "a\nb\nc"),
    Case("U+2028, U+0085 and NUL", streams(OPEN, text("a\u2028b\u0085c\0"), END), "done", "a\u2028b\u0085c\0"),
    Case("tokens after the end", streams(ANSWER, text("no"), then=hold), "done", **COUNTED),
    Case("an error after the end", streams(ANSWER + fails("api_error")), "done", **COUNTED),
    Case("gzip", answers(200, gzip.compress(ANSWER.encode()), SSE, Content_Encoding="gzip"), "done", **COUNTED),
    # It is large.
    Case("10 MB of text on a line", streams_many(lambda: line_of(10_000_000, BAD[:-3], b'"}}\n\n')), "too_large"),
    Case("a million tiny deltas", streams_many(millions), "too_large", "a" * LETTERS, is_large=True),
]  # fmt: skip
