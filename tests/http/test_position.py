"""A position is the id of an event, or a refusal."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from streamserver.core.refusals import Refusal
from streamserver.http.apis.native.position import MAX_NUMBER, Position, position_of


def position(*headers: str, query: str | None = None) -> Position | None:
    given = CIMultiDict([("Last-Event-ID", value) for value in headers])
    return position_of(make_mocked_request("GET", "/", headers=given), query)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc:0", Position("abc", 0)),
        ("a_-Z9:17", Position("a_-Z9", 17)),
        ("abc:007", Position("abc", 7)),
        (f"abc:{MAX_NUMBER}", Position("abc", MAX_NUMBER)),
        ("abc:" + "9" * 100, Position("abc", MAX_NUMBER)),
        ("abc:end", Position("abc", None)),
        ("x" * 128 + ":1", Position("x" * 128, 1)),
    ],
)
def test_the_id_of_an_event_is_a_position(text: str, expected: Position) -> None:
    assert position(text) == expected
    assert position(query=text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("abc", "abc:", ":1", "abc:-1", "abc:+1", "abc: 1", " abc:1", "abc:1 ", "abc:1.0", "abc:1e3", "abc:0x1"),
        *(
            "abc:END",
            "abc:ends",
            "abc:1:2",
            "a b:1",
            "a/b:1",
            "äbc:1",
            "abc:１",
            "abc:٣",
            "abc:1\n",
            "\0",
            "null",
            "undefined",
        ),
        *("x" * 129 + ":1", "abc:" + "9" * 101, "abc:" + "9" * 5000),
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    for headers, query in (((text,), None), ((), text)):
        with pytest.raises(Refusal) as caught:
            position(*headers, query=query)
        assert caught.value.code == ("malformed")
        assert text not in caught.value.detail or len(text) < 2


def test_empty_is_as_if_absent() -> None:
    assert position() is None
    assert position("") is None
    assert position(query="") is None
    assert position("", query="") is None


def test_header_wins_over_the_query() -> None:
    assert position("abc:5", query="abc:1") == Position("abc", 5)
    assert position("", query="abc:1") == Position("abc", 1)


def test_two_headers_are_malformed() -> None:
    with pytest.raises(Refusal):
        position("abc:1", "abc:2")
