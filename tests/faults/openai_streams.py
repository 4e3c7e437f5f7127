"""What can happen in a stream of chat completions."""
# ruff: noqa: E501 — a row is a line

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from typing import Any

from tests.faults.case import Case
from tests.faults.upstreams import SSE, answers, closes_with, cut, hold, reset, said, sends, streams, streams_many
from tests.support.upstream import DONE, chunk, usage_chunk

HEL, LO, STOP = chunk("Hel"), chunk("lo"), chunk(finish="stop")
END = STOP + usage_chunk(7, 2) + DONE
ANSWER = HEL + LO + END
COUNTED: dict[str, Any] = {"text": "Hello", "usage": (7, 2)}
BAD = b'data: {"choices":[{"delta":{"content":"\xf0\x9f\x98'


def error(**fields: Any) -> str:
    return f"data: {json.dumps({'error': fields})}\n\n"


def deltas(*contents: Any) -> str:
    """Return chunks with any ``delta``."""
    return "".join(chunk(choices=[{"index": 0, "delta": delta}]) for delta in contents)


def millions() -> Iterator[bytes]:
    """Return a script of a million deltas of one letter."""
    return itertools.repeat(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' * 1000, 1000)


def line_of(size: int, start: bytes, end: bytes) -> Iterator[bytes]:
    return itertools.chain((start,), itertools.repeat(b"a" * 100_000, size // 100_000), (end,))


def log(reason: str | None, kind: str | None = None, code: str | None = None) -> dict[str, object]:
    return {"upstream_status": 200, "upstream_reason": reason, "upstream_type": kind, "upstream_code": code}


INSPECTED = {
    "code": "DataInspectionFailed",
    "message": "Output data may contain inappropriate content.",
    "request_id": "r1",
}
GONE, NONSENSE, TOLD = "upstream_disconnected", "upstream_error", "upstream_error"
LETTERS = (4_194_304 - 64) // 65  # of resume.max_log_bytes, less the start, so many bytes a record

STREAMS = [
    # It breaks.
    Case("reset", streams(HEL, then=reset), GONE, "Hel", log=log("reset")),
    Case("reset after the finish reason", streams(HEL, LO, STOP, then=reset), GONE, "Hello", log=log("reset")),
    Case("reset of a body without a length", closes_with(HEL, LO, STOP, then=reset), GONE, "Hello", log=log("reset")),
    Case("reset after the end marker", streams(HEL, LO, END, then=reset), "done", "Hello", usage=(7, 2)),
    Case("reset before the first token", streams(then=reset), GONE, log={**log("reset"), "maybe_billed": None}),
    Case("FIN", streams(HEL, then=cut), GONE, "Hel", log=log("cut")),
    Case("FIN after the finish reason", streams(HEL, LO, STOP, then=cut), GONE, "Hello", log=log("cut")),
    Case("FIN in the packet of the text", sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + HEL.encode(), cut),
         GONE, "Hel", log=log("cut")),
    Case("end without the marker", closes_with(HEL, LO, STOP), "done", "Hello"),
    Case("end without a finish reason", streams(HEL, LO), GONE, "Hello", log=log("no_finish_reason")),
    Case("marker without a finish reason", streams(HEL, LO, DONE), GONE, "Hello", log=log("no_finish_reason")),
    Case("marker alone", streams(DONE, then=hold), GONE, log=log("no_finish_reason")),
    Case("comments alone", streams(": OPENROUTER PROCESSING\n\n"), GONE, source="OpenRouter"),
    Case("end in an event", streams(HEL, LO[:-2]), GONE, "Hel"),
    Case("request id of a broken stream", streams(HEL, then=reset, x_request_id="req_9"), GONE, "Hel",
         log={**log("reset"), "upstream_request_id": "req_9"}),
    # It makes no sense.
    Case("truncated JSON", streams(HEL, LO[:-9] + "\n\n", then=hold), NONSENSE, "Hel", log=log("not_json")),
    Case("truncated UTF-8", streams(HEL, BAD + b"\n\n", then=hold), NONSENSE, "Hel", log=log("not_json")),
    Case("truncated UTF-8 in valid JSON", streams(HEL, BAD + b'"}}]}\n\n', then=hold), NONSENSE, "Hel", log=log("not_json")),
    Case("brackets", streams(HEL, "data: " + "[" * 60_000 + "\n\n", then=hold), NONSENSE, "Hel", log=log("not_json")),
    Case("content that is a number", streams(HEL, deltas({"content": 7}), then=hold), NONSENSE, "Hel", log=log("not_json")),
    Case("a malformed chunk of HTTP", sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), NONSENSE),
    Case("16 MB without an end", streams_many(lambda: line_of(20_000_000, b"data: ", b"")), NONSENSE,
         log=log("event_too_large")),
    # The provider says that it failed.
    Case("error", streams(HEL, error(message="x", type="server_error", code=None), then=hold), TOLD, "Hel",
         log=log(None, "server_error")),
    Case("error before the first token", streams(error(**said("server_error", "x")["error"]), then=hold), TOLD,
         log=log(None, "server_error")),
    Case("error in the packet of the text", streams(HEL + error(message="x"), then=hold), TOLD, "Hel"),
    Case("error, code an int", streams(HEL, error(message="Provider returned error", code=502), then=hold), TOLD, "Hel",
         log=log(None, None, "502"), source="OpenRouter"),
    Case("error beside a finish reason", streams(HEL, chunk("", finish="error", error={"code": 429, "message": "x"}), then=hold),
         "rate_limited", "Hel", source="OpenRouter"),
    Case("error, code 429 in a string", streams(HEL, error(message="x", code="429"), then=hold), "rate_limited", "Hel"),
    Case("error, overloaded", streams(HEL, error(message="x", type="overloaded_error"), then=hold), "overloaded", "Hel"),
    Case("error, code 503", streams(HEL, error(message="x", code=503), then=hold), "overloaded", "Hel"),
    Case("error, context overflow by message", streams(error(message="maximum context length is 4096", code=None)),
         "context_length"),
    Case("error, a string", streams(HEL, 'data: {"error": "out of memory"}\n\n', then=hold), TOLD, "Hel", source="Ollama"),
    Case("error, a list", streams(HEL, 'data: {"error": [1]}\n\n', then=hold), TOLD, "Hel"),
    Case("error by its object", streams(HEL, 'data: {"object":"error","message":"x","type":"BadRequestError","code":400}\n\n',
                                        then=hold), "invalid_request", "Hel", log=log(None, "BadRequestError", "400"), source="vLLM"),
    Case("error with an event name", streams(HEL, "event: error\n" + error(message="x", type="api_error"), then=hold),
         TOLD, "Hel", source="Groq"),
    Case("error null", streams(chunk("Hel", error=None), LO, END), "done", **COUNTED),
    Case("an event named error", streams(HEL, f"event: error\ndata: {json.dumps(INSPECTED)}\n\n", then=hold), "content_filter", "Hel",
         log=log(None, None, "DataInspectionFailed"), source="Alibaba Cloud Model Studio"),
    Case("an event named error first", streams(f"event:error\n:HTTP_STATUS/400\ndata:{json.dumps(INSPECTED)}\n\n", then=hold),
         "content_filter", log=log(None, None, "DataInspectionFailed"), source="Alibaba Cloud Model Studio"),
    Case("an event named error with a sentence", streams(HEL, "event: error\ndata: it broke\n\n", then=hold), TOLD, "Hel"),
    Case("throttled", streams(HEL, 'data: {"code":"Throttling.RateQuota","message":"x"}\n\n', then=hold), "rate_limited", "Hel"),
    Case("a wait in an error", streams(error(message="Please try again in 90s.", code="rate_limit_exceeded"), then=hold), "rate_limited",
         retry_after=90, log=log(None, None, "rate_limit_exceeded")),
    Case("a finish reason that is a failure", streams(HEL, chunk("", finish="abort"), DONE), TOLD, "Hel", log=log("broken_off", None, "abort"),
         source="vLLM"),
    Case("an error in a choice", streams(HEL, chunk(choices=[{"index": 0, "delta": {"content": ""}, "finish_reason": "error",
         "error": {"code": 502, "message": "Provider disconnected"}}]), DONE), TOLD, "Hel", log=log(None, None, "502"), source="OpenRouter"),
    Case("an answer of images", streams(deltas({"images": [{"type": "image_url", "image_url": {"url": "data:,"}}]}), STOP,
         usage_chunk(7, 1120), DONE), "upstream_error", says="images or audio", usage=(7, 1120), log=log("unreadable_output"),
         is_replayed=True),
    Case("a list with an error", streams(HEL, 'data: [{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}]\n\n', then=hold),
         "rate_limited", "Hel", source="Gemini"),
    Case("an error between events that is none", streams(HEL, '{"error":{"code":429,"message":"x"}}\n\n', then=hold), "rate_limited", "Hel",
         source="Lemonade"),
    Case("an error with nothing but a message", streams(HEL, 'data: {"detail":"Internal Server Error"}\n\n', then=hold), TOLD, "Hel",
         source="FastAPI"),
    Case("an error that is no event", streams(HEL, '{"error":{"code":429,"message":"x"}}'), "rate_limited", "Hel"),
    # It stalls.
    Case("frames without an object in a stall", streams(HEL, "data: null\n\ndata: : keepalive\n\ndata: []\n\n", then=hold), "timeout", "Hel",
         short="idle", says="idle"),
    Case("stall before the first token", streams(then=hold), "timeout", short="first_token", says="first_token"),
    Case("pings and no token", streams_many(lambda: itertools.repeat(b": ping\n\n", 50)), "timeout", short="first_token",
         says="first_token"),
    Case("role and no token", streams(deltas({"role": "assistant", "content": ""}), then=hold), "timeout",
         short="first_token", says="first_token"),
    Case("stall", streams(HEL, then=hold), "timeout", "Hel", short="idle", says="idle"),
    Case("stall (total)", streams(then=hold), "timeout", short="total", says="total"),
    Case("stall in an event", streams(HEL, LO[:-1], then=hold), "timeout", "Hel", short="idle", says="idle"),
    # It is odd, and well.
    Case("one byte at a time", streams(ANSWER, by=1), "done", **COUNTED),
    Case("seven bytes at a time", streams(HEL, chunk("😀"), END, by=7), "done", "Hel😀", usage=(7, 2)),
    Case("CRLF", streams(ANSWER.replace("\n", "\r\n")), "done", **COUNTED),
    Case("CRLF, one byte at a time", streams(ANSWER.replace("\n", "\r\n"), by=1), "done", **COUNTED),
    Case("CR", streams(ANSWER.replace("\n", "\r")), "done", **COUNTED),
    Case("a byte order mark", streams(b"\xef\xbb\xbf" + ANSWER.encode()), "done", **COUNTED),
    Case("no space after the colon", streams(ANSWER.replace("data: ", "data:")), "done", **COUNTED),
    Case("JSON on several lines", streams('data: {"choices":\ndata: [{"delta":{"content":"Hello"}}]}\n\n', END), "done", **COUNTED),
    Case("no JSON by the letter", streams('data: {"choices":[{"delta":{"content":"Hel"},"logprobs":[-Infinity, NaN]}]}\n\n',
         'data: {"x":"a\tb","choices":[{"delta":{"content":"lo"}}]}\n\n', END), "done", **COUNTED, source="vLLM"),
    Case("a finish reason that is the word null", streams(chunk("Hel", finish="null"), chunk("lo", finish="null"), END), "done", **COUNTED),
    Case("frames without an object", streams("data: null\n\n", HEL, "data: 7\n\ndata: []\n\ndata: : keepalive\n\n", LO, END), "done", **COUNTED),
    Case("blanks around the end marker", streams(HEL, LO, STOP, usage_chunk(7, 2), "data:  [DONE] \n\n", error(message="no")), "done", **COUNTED),
    Case("counts that are floats", streams(HEL, LO, STOP, chunk(choices=[], usage={"prompt_tokens": 7.0, "completion_tokens": 2.0}), DONE),
         "done", **COUNTED),
    Case("counts that are none", streams(HEL, LO, STOP, chunk(choices=[], usage={"prompt_tokens": "many", "completion_tokens": []}), DONE),
         "done", "Hello", log={"estimated": True}),
    Case("odd fields everywhere", streams(chunk("Hel", model=7, usage="x", choices=[{"index": "0", "delta": {"content": "Hel", "role": 1},
         "finish_reason": []}]), LO, END), "done", **COUNTED),
    Case("finish reason of a limit", streams(HEL, LO, chunk(finish="MAX_TOKENS"), usage_chunk(7, 2), DONE), "done", finish="length", **COUNTED),
    Case("comments", streams(": ping\n\n", HEL, ": ping\n", LO, ":\n\n", END), "done", **COUNTED),
    Case("empty data", streams("data:\n\n", HEL, "data: \n\n", LO, "data\n\n", END), "done", **COUNTED),
    Case("unknown SSE fields", streams("id: 1\nretry: 9\nfoo: bar\nevent: x\n" + HEL, LO, END), "done", **COUNTED),
    Case("unknown JSON", streams(chunk("Hel", x_groq={"id": [1]}, service_tier=None), LO, END), "done", **COUNTED),
    Case("an unknown object", streams('data: {"object":"something.new"}\n\n', HEL, LO, END), "done", **COUNTED),
    Case("empty choices", streams(chunk(choices=[], prompt_filter_results=[]), HEL, LO, END), "done", **COUNTED, source="Azure OpenAI"),
    Case("choices null", streams(chunk(choices=None), HEL, LO, END), "done", **COUNTED),
    Case("null content", streams(deltas({"content": None}, {}, {"content": "Hel"}, None), LO, END), "done", **COUNTED),
    Case("other choices", streams(HEL, chunk(choices=[{"index": 1, "delta": {"content": "no"}}]), LO, END), "done", **COUNTED),
    Case("text beside the finish reason", streams(HEL, chunk("lo", finish="stop"), usage_chunk(7, 2), DONE), "done", **COUNTED),
    Case("text after the finish reason", streams(HEL, STOP, LO, usage_chunk(7, 2), DONE), "done", "Hello"),
    Case("finish reason empty at first", streams(chunk("Hel", finish=""), LO, END), "done", **COUNTED),
    Case("usage before", streams(usage_chunk(7, 2), HEL, LO, STOP, DONE), "done", "Hello"),
    Case("usage twice", streams(HEL, LO, STOP, usage_chunk(7, 1), usage_chunk(7, 2), DONE), "done", **COUNTED),
    Case("usage beside choices", streams(HEL, LO, chunk(finish="stop", usage={"prompt_tokens": 7, "completion_tokens": 2}), DONE),
         "done", **COUNTED),
    Case("usage with every chunk", streams(*(chunk(t, usage={"prompt_tokens": 7, "completion_tokens": n})
                                             for n, t in enumerate(("Hel", "lo"), 1)), STOP, DONE), "done", **COUNTED, source="vLLM"),
    Case("usage null", streams(chunk("Hel", usage=None), LO, END), "done", **COUNTED),
    Case("no usage", streams(HEL, LO, STOP, DONE), "done", "Hello", log={"estimated": True}),
    Case("lone surrogates", streams('data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n', LO, END), "done", "a\ufffdlo"),
    Case("CRLF in a token", streams(chunk("a\r\nb\rc\nd"), END), "done", "a\nb\nc\nd"),
    Case("CRLF between tokens", streams(chunk("a\r"), chunk("\nb"), END), "done", "a\nb"),
    Case("U+2028, U+2029, U+0085 and NUL", streams(chunk("a\u2028b\u2029c\u0085d\0e"), END), "done", "a\u2028b\u2029c\u0085d\0e"),
    Case("U+2028 raw", streams('data: {"choices":[{"delta":{"content":"a\u2028b\u0085"}}]}\n\n', END), "done", "a\u2028b\u0085"),
    Case("headers long before the token", streams(": x\n\n" * 500, HEL, LO, END, by=5), "done", **COUNTED),
    Case("tokens after the end marker", streams(HEL, LO, END, chunk("no"), then=hold), "done", **COUNTED),
    Case("tokens after the marker, one packet", streams(ANSWER + chunk("no") + error(message="no")), "done", **COUNTED),
    Case("silence after the end marker", streams(ANSWER, then=hold), "done", **COUNTED),
    Case("a big header", streams(ANSWER, X_Policy="x" * 20_000), "done", **COUNTED),
    Case("type missing", streams(ANSWER, content_type=""), "done", **COUNTED),
    Case("an end marker in lower case", streams(HEL, LO, STOP, usage_chunk(7, 2), "data: [done]\n\n"), "done", **COUNTED),
    Case("an end that is not closed", streams(HEL, LO, STOP[:-2]), "done", "Hello"),
    Case("a stream that is labelled JSON", streams(ANSWER, content_type="application/json"), "done", **COUNTED),
    Case("a stream with the status 201", sends(f"HTTP/1.1 201 X\r\nContent-Type: {SSE}\r\nConnection: close\r\n\r\n{ANSWER}", cut), "done",
         **COUNTED, source="NestJS"),
    Case("gzip", answers(200, gzip.compress(ANSWER.encode()), SSE, Content_Encoding="gzip"), "done", **COUNTED),
    Case("HTTP/1.0", closes_with(HEL, LO, END), "done", **COUNTED),
    Case("no text at all", streams(END), "done", usage=(7, 2)),
    # It is large.
    Case("10 MB of text on a line", streams_many(lambda: line_of(10_000_000, b'data: {"choices":[{"delta":{"content":"', b'"}}]}\n\n')),
         "too_large"),
    Case("10 MB of something else on a line", streams_many(
        lambda: itertools.chain(line_of(10_000_000, b'data: {"x":"', b'"}\n\n'), (ANSWER.encode(),))), "done", **COUNTED, is_large=True),
    Case("a million tiny deltas", streams_many(millions), "too_large", "a" * LETTERS, is_large=True),
]  # fmt: skip
