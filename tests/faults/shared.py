"""Rows that are the same for every API: no connection, no answer, or the answer of a proxy."""
# ruff: noqa: E501 — a row is a line

from __future__ import annotations

import gzip

from tests.faults.case import MARK, Case
from tests.faults.upstreams import HTML, SSE, answers, breaks_off, connection, cut, leaves, sends, silent, unused

TLS_ALERT = bytes.fromhex("15030100020228")  # RFC 8446, 6.2: fatal, handshake_failure
NGINX_502 = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n"
CLOUDFLARE_403 = (
    "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head>"
    f"<body>Sorry, you have been blocked {MARK}</body></html>"
)
NESTED = "[" * 60_000


def why(reason: str, **more: object) -> dict[str, object]:
    """Return the fields of the record when no answer came."""
    return {"upstream_reason": reason, "upstream_status": None, **more}


def status(number: int) -> dict[str, object]:
    """Return the fields of the record when the answer was not the API's."""
    return {"upstream_status": number, "upstream_type": None, "upstream_code": None}


BEFORE = [
    # name, what the upstream does, how it ends
    Case("connection refused", unused, "upstream_unavailable", at="refused", log=why("refused", maybe_billed=None)),
    Case("name not known", unused, "upstream_unavailable", at="unknown", log=why("dns", maybe_billed=None)),
    Case("TLS: plaintext", unused, "upstream_unavailable", at="tls", raw=connection(b"hello"), log=why("tls_to_plain_port")),
    Case("TLS: an alert", unused, "upstream_unavailable", at="tls", raw=connection(TLS_ALERT), log=why("tls")),
    Case("TLS: FIN in the handshake", unused, "upstream_unavailable", at="tls", raw=connection(b""), log=why("unreachable")),
    Case("TLS: an unknown certificate", unused, "upstream_unavailable", at="untrusted", log=why("certificate")),
    Case("TLS: silence", unused, "timeout", at="tls", raw=connection(b"", stay=True), short="first_token", says="first_token"),
    Case("accepts and says nothing", silent(), "timeout", short="first_token", says="first_token", log={"maybe_billed": True}),
    Case("accepts and says nothing (total)", silent(), "timeout", short="total", says="total"),
    Case("reset before an answer", breaks_off(), "upstream_disconnected", log=why("reset", maybe_billed=True)),
    Case("FIN before an answer", leaves(), "upstream_disconnected", log=why("closed", maybe_billed=True)),
    Case("FIN in the status line", sends("HTTP/1.1 20", cut), "upstream_disconnected", log=why("closed")),
    Case("FIN in the headers", sends("HTTP/1.1 200 OK\r\nContent-Ty", cut), "upstream_disconnected", log=why("closed")),
    Case("not HTTP", sends("SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), "upstream_error", log=why("not_http")),
    Case("a header of 100 KB", sends(f"HTTP/1.1 200 OK\r\nX: {'x' * 100_000}\r\n\r\n"), "upstream_error", log=why("not_http")),
]  # fmt: skip

INSTEAD = [
    Case("502 HTML from a proxy", answers(502, NGINX_502, HTML), "upstream_error", log=status(502), source="nginx"),
    Case("503 HTML, Retry-After", answers(503, "<h1>503</h1>", HTML, Retry_After="7"), "overloaded", retry_after=7, log=status(503)),
    Case("504 HTML", answers(504, "<h1>504</h1>", HTML), "upstream_error", log=status(504)),
    Case("500 empty", answers(500), "upstream_error", log=status(500)),
    Case("501 empty", answers(501), "upstream_error", log=status(501)),
    Case("599 empty", answers(599), "upstream_error", log=status(599)),
    Case("403 HTML", answers(403, CLOUDFLARE_403, HTML), "provider_auth", log=status(403), source="Cloudflare's block page"),
    Case("401 empty", answers(401), "provider_auth", log=status(401)),
    Case("404 HTML: a wrong address", answers(404, "<h1>404</h1>", HTML), "invalid_request", log=status(404)),
    Case("405 empty", answers(405), "invalid_request", log=status(405)),
    Case("407 empty", answers(407), "invalid_request", log=status(407)),
    Case("408 empty", answers(408), "upstream_error", log=status(408)),
    Case("413 HTML", answers(413, "<h1>413</h1>", HTML), "invalid_request", log=status(413)),
    Case("418 text", answers(418, f"teapot {MARK}", "text/plain"), "invalid_request", log=status(418)),
    Case("429 empty, a date in Retry-After", answers(429, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), "rate_limited"),
    Case("429 with a malformed Retry-After", answers(429, Retry_After="soon"), "rate_limited", log=status(429)),
    Case("429 with retry-after-ms", answers(429, Retry_After="9", retry_after_ms="1500"), "rate_limited", retry_after=1.5),
    Case("301", answers(301, Location="http://127.0.0.1:1/"), "upstream_error", log=status(301)),
    Case("302 with HTML", answers(302, "<h1>302</h1>", HTML, Location="/login"), "upstream_error", log=status(302)),
    Case("307", answers(307, Location="https://other.invalid/v1"), "upstream_error", log=status(307)),
    Case("308 without a Location", answers(308), "upstream_error", log=status(308)),
    Case("204", answers(204), "upstream_error", log=status(204)),
    Case("a 500 with a body that is cut", sends("HTTP/1.1 500 X\r\nContent-Length: 99\r\n\r\n{", cut), "upstream_error", log=status(500)),
    Case("a 429 without its body", sends("HTTP/1.1 429 X\r\nContent-Length: 99\r\n\r\n{"), "rate_limited", log=status(429)),
    Case("a 400 of brackets", answers(400, NESTED), "invalid_request", log=status(400)),
    Case("a 400 that is not UTF-8", answers(400, b'{"error":{"message":"\xff\xfe"}}'), "invalid_request", log=status(400)),
    Case("a 400 of 10 MB", answers(400, b"x" * 10_000_000), "invalid_request", log=status(400)),
    Case("a 500 in gzip", answers(500, gzip.compress(b"<h1>500</h1>"), HTML, Content_Encoding="gzip"), "upstream_error"),
    Case("200 HTML", answers(200, "<html>log in</html>", HTML), "upstream_error", log={"upstream_reason": "not_a_stream"}),
    Case("200 JSON", answers(200, {"hello": MARK}), "upstream_error", log={"upstream_reason": "not_a_stream"}),
    Case("200 JSON, type text", answers(200, {"hello": MARK}, "text/plain"), "upstream_error"),
    Case("200 JSON, type missing", answers(200, {"hello": MARK}, ""), "upstream_error"),
    Case("200 JSON that says it is a stream", answers(200, {"hello": MARK}, SSE), "upstream_error"),
    Case("200 empty", answers(200, b"", ""), "upstream_error", log={"upstream_reason": "not_a_stream"}),
    Case("200 empty, type JSON", answers(200), "upstream_error", log={"upstream_reason": "not_a_stream"}),
    Case("200 empty that says it is a stream", answers(200, b"", SSE), "upstream_disconnected", log={"upstream_status": 200}),
    Case("200 in gzip that is none", answers(200, b"hello", SSE, Content_Encoding="gzip"), "upstream_error"),
    Case("200 in an unknown encoding", answers(200, b"hello", SSE, Content_Encoding="br"), "upstream_error"),
]  # fmt: skip
