"""Wrong arguments: a typed error that names the argument, before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from streamserver.client import Client, StreamError
from tests.client.runtimes import SCRIPT_RUNTIME, SOURCE, script_command
from tests.support.commands import output_of

IN_JAVASCRIPT: list[tuple[dict[str, Any], str]] = [
    ({"url": "nonsense://h"}, "url"),
    ({"url": "nonsense"}, "url"),
    ({"url": "http://user:word@h"}, "url"),
    ({"options": {"prompt": " "}}, "prompt"),
    ({"options": {}}, "prompt"),
    ({"options": {"prompt": 7}}, "prompt"),
    ({"options": {"prompt": "x", "messages": [{"role": "user", "content": "x"}]}}, "prompt"),
    ({"options": {"messages": []}}, "messages"),
    ({"options": {"messages": "x"}}, "messages"),
    ({"options": {"prompt": "x", "key": "a\nb"}}, "key"),
    ({"options": {"prompt": "x", "giveUpAfter": 0}}, "giveUpAfter"),
    ({"options": {"prompt": "x", "idempotencyKey": "short"}}, "idempotencyKey"),
    ({"options": {"prompt": "x", "headers": {"a b": "c"}}}, "headers"),
    ({"id": "a b"}, "id"),
    ({"id": 7}, "id"),
    ({"id": "a", "options": {"after": 1.5}}, "after"),
    ({"id": "a", "options": {"keepaliveSeconds": -1}}, "keepaliveSeconds"),
]
IN_PYTHON: list[tuple[Callable[[], object], str]] = [
    (lambda: Client("nonsense://h"), "url"),
    (lambda: Client("nonsense"), "url"),
    (lambda: Client("http://user:word@h"), "url"),
    (lambda: Client("http://h", key="a\nb"), "key"),
    (lambda: Client("http://h", give_up_after=0), "give_up_after"),
    (lambda: Client("http://h", headers={"a b": "c"}), "headers"),
    (lambda: Client("http://h", headers={"a": "b\r\nc: d"}), "headers"),
    (lambda: Client("http://h").stream(" "), "prompt"),
    (lambda: Client("http://h").stream(), "prompt"),
    (lambda: Client("http://h").stream(7), "prompt"),  # type: ignore[arg-type]
    (lambda: Client("http://h").stream("x", messages=[{"role": "user"}]), "prompt"),
    (lambda: Client("http://h").stream(messages=[]), "messages"),
    (lambda: Client("http://h").stream(messages="x"), "messages"),  # type: ignore[arg-type]
    (lambda: Client("http://h").stream("x", idempotency_key="short"), "idempotency_key"),
    (lambda: Client("http://h").stream("x", tools=[object()]), "body"),
    (lambda: Client("http://h").resume("a b"), "stream_id"),
    (lambda: Client("http://h").resume("a", after=-1), "after"),
    (lambda: Client("http://h").resume("a", keepalive_seconds=0), "keepalive_seconds"),
]


@pytest.mark.parametrize(("call", "field"), IN_PYTHON)
def test_the_python_client_names_the_wrong_argument(call: Callable[[], object], field: str) -> None:
    with pytest.raises(StreamError, match=f"^{field} .+\\.$") as caught:
        call()
    assert (caught.value.code, caught.value.field, caught.value.retryable) == ("invalid_request", field, False)


async def test_the_javascript_client_names_the_wrong_argument(find_program: Callable[[str], str]) -> None:
    cases = json.dumps([case for case, _ in IN_JAVASCRIPT])
    printed = await output_of(*script_command(find_program(SCRIPT_RUNTIME), "arguments.js"), SOURCE, cases)
    assert json.loads(printed) == [field for _, field in IN_JAVASCRIPT]


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h", "http://h"),
        ("https://h:8443/", "https://h:8443"),
        ("http://h/api/chat/stream?prompt=x", "http://h"),
        ("http://h/api/chat/streams/abc", "http://h"),
        ("http://h/v1", "http://h"),
        ("http://h/tools/chat/v1/chat/completions", "http://h/tools/chat"),
        ("http://h/api", "http://h/api"),
        ("http://h/client.js", "http://h"),
    ],
)
def test_any_address_of_the_api_names_the_server(url: str, root: str) -> None:
    assert Client(url).url == root
