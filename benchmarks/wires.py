"""The wires that the load client asks on: how each is asked, and how a token shows in its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.spec import MARK


class BenchWire(NamedTuple):
    """One wire."""

    target: str
    body: Callable[[str, str], str]
    """Return the fields of a request for a model and a prompt, without the braces."""
    mark: bytes = MARK
    """What is once in every token's event, and nowhere else."""

    def request(self, fields: str) -> bytes:
        """Return a whole HTTP request."""
        content = f"{{{fields}}}".encode()
        head = f"POST {self.target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def _chat(model: str, prompt: str) -> str:
    return f'"model":"{model}","stream":true,"messages":[{{"role":"user","content":"{prompt}"}}]'


def _ui(model: str, prompt: str) -> str:
    parts = f'[{{"type":"text","text":"{prompt}"}}]'
    return f'"model":"{model}","id":"{prompt}","messages":[{{"id":"1","role":"user","parts":{parts}}}]'


BENCH_WIRES: Mapping[str, BenchWire] = {
    "native": BenchWire("/api/chat/stream", lambda model, prompt: f'"model":"{model}","prompt":"{prompt}"'),
    "chat": BenchWire("/v1/chat/completions", _chat),
    "messages": BenchWire("/v1/messages", lambda model, prompt: _chat(model, prompt) + ',"max_tokens":100000'),
    "responses": BenchWire(
        "/v1/responses",
        lambda model, prompt: f'"model":"{model}","stream":true,"input":"{prompt}"',
        mark=b'"response.output_text.delta"',  # the events of the end repeat the text
    ),
    "ui": BenchWire("/api/ai/chat", _ui),
}


def echo_request(model: str) -> bytes:
    """Return a request to the echo provider, which sends the mark of a token back."""
    return BENCH_WIRES["native"].request(f'"model":"{model}","provider":"echo","prompt":"{MARK.decode()}"')
