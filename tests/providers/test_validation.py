"""A wrong value is told by its key and by what would be right."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from providers.validation import Invalid, convert


class Inner(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1, description="a whole number from 1")] = 1
    names: tuple[str, ...] = ()
    ratio: Annotated[float, Meta(ge=0, le=2)] = 1.0
    kind: str


class Outer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    inner: Inner | None = None
    items: list[Inner] = []
    free: dict[str, Any] = {}
    flag: bool = False
    choice: str | list[int] | None = None
    maybe: bool | None = None


@pytest.mark.parametrize(
    ("value", "key", "said"),
    [
        ({"maybe": "yes"}, "maybe", "maybe = 'yes': expected true or false"),
        ({"choice": 1}, "choice", "choice = 1: expected a string or a list"),
        ({"inner": {"kind": "x", "count": 0}}, "inner.count", "inner.count = 0: expected a whole number from 1"),
        ({"inner": {"kind": "x", "count": True}}, "inner.count", "inner.count = True: expected a whole number from 1"),
        ({"inner": {"kind": "x", "count": "1"}}, "inner.count", "inner.count = '1': expected a whole number from 1"),
        ({"inner": {"kind": "x", "cuont": 1}}, "inner.cuont", "there is no such key; did you mean 'count'?"),
        ({"inner": {"kind": "x", "zzz": 1}}, "inner.zzz", "there is no such key; known are count, names, ratio, kind"),
        ({"inner": {}}, "inner.kind", "inner.kind: is missing"),
        ({"inner": {"kind": "x", "names": ["a", 1]}}, "inner.names[1]", "expected a string"),
        ({"inner": {"kind": "x", "names": "a"}}, "inner.names", "inner.names = 'a': expected a list"),
        ({"inner": {"kind": "x", "ratio": 2.5}}, "inner.ratio", "inner.ratio = 2.5: expected a number <= 2.0"),
        ({"inner": {"kind": "x", "ratio": float("nan")}}, "inner.ratio", "expected"),
        ({"inner": {"kind": "x", "ratio": float("inf")}}, "inner.ratio", "expected"),
        ({"inner": 5}, "inner", "expected a table"),
        ({"items": [{"kind": "x"}, {"kind": 1}]}, "items[1].kind", "expected a string"),
        ({"flag": 1}, "flag", "flag = 1: expected true or false"),
        ({"free": []}, "free", "expected a table"),
        ({"items": [{"kind": "x", "cuont": 1}]}, "items[0].cuont", "there is no such key; did you mean 'count'?"),
        ({"items": [{"kind": "x", "count": -1}]}, "items[0].count", "expected a whole number from 1"),
    ],
)
def test_convert_names_the_key_and_what_is_allowed(value: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        convert(value, Outer)
    assert caught.value.key == key
    assert said in str(caught.value)


def test_convert_puts_the_prefix_before_the_key() -> None:
    with pytest.raises(Invalid) as caught:
        convert({"kind": 1}, Inner, prefix="providers.my-own")
    assert caught.value.key == "providers.my-own.kind"


def test_invalid_shows_the_beginning_of_a_long_value() -> None:
    with pytest.raises(Invalid) as caught:
        convert({"inner": {"kind": "x", "count": "9" * 10_000}}, Outer)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)
