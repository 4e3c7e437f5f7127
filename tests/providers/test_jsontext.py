"""JSON as others send it, never more than Unicode and the standard allow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.jsontext import MAX_DEPTH, DuplicateKey, loads, scalar, scalars

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=values)
def test_json_comes_back_as_it_was(value: Any) -> None:
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(text=st.text(st.characters(codec=None, categories=None)))
def test_half_a_pair_reads_as_the_replacement_character(text: str) -> None:
    clean = loads(json.dumps({text: [text]}).encode())
    ((key, (item,)),) = clean.items()
    assert key == item == scalar(json.loads(json.dumps(text)))
    clean[key][0].encode()


def test_a_whole_pair_is_its_character() -> None:
    assert loads(rb'"\ud83d\ude00 \ud83d x \ude00"') == "😀 \ufffd x \ufffd"
    assert scalars(["\ud800", {"\udfff": 1}]) == ["\ufffd", {"\ufffd": 1}]


@pytest.mark.parametrize(
    "text", [b"NaN", b"[Infinity]", b'{"a": -Infinity}', b"", b"{", b"\xff", b'"\xc3("', b"\xef\xbb\xbf{}"]
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        loads(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b'{"a":1,"a":1}', "a"),
        (b'{"b":[{"c":0},{"c":1,"d":2,"c":3}]}', "b[1].c"),
        (b'{"b":{"c":{"d":1,"d":1}},"b":1}', "b.c.d"),
        (b'[[{"a":1,"a":1}]]', "[0][0].a"),
        (b'{"x":1,"\\u0078":2}', "x"),
    ],
)
def test_a_doubled_key_is_named_by_its_path(text: bytes, path: str) -> None:
    with pytest.raises(DuplicateKey) as caught:
        loads(text, unique=True)
    assert caught.value.path == path
    assert loads(text)


@pytest.mark.parametrize("form", [b"[%s]", b'{"a":%s}'])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 990, 2000, 100_000])
def test_what_lies_too_deep_is_refused(form: bytes, depth: int) -> None:
    before, after = form.split(b"%s")
    with pytest.raises((ValueError, RecursionError)):
        loads(before * depth + b"1" + after * depth)


def test_what_is_as_deep_as_allowed_can_be_walked() -> None:
    value = loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert json.dumps(value)


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(ValueError):
        loads(b"1" * 100_000)
