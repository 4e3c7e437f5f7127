"""API keys: reading, finding and making them."""

from __future__ import annotations

import sys
from types import FrameType

import pytest
from aiohttp.test_utils import make_mocked_request

from streamserver.http.keys import Keys, KeysError, bearer_or_api_key, digest_of, new_key, parse_keys, parse_keys_file


def test_name_of_finds_the_name_of_exactly_that_key() -> None:
    keys = parse_keys(" anna:key-a , bob:key:with:colons,, u.nal@x:schlüssel ")
    assert keys
    assert keys.name_of("key-a") == "anna"
    assert keys.name_of("key:with:colons") == "bob"
    assert keys.name_of("schlüssel") == "u.nal@x"
    for unknown in ("", "anna", "key-", "key-a ", "KEY-A", "key-a,bob", "\udcff"):
        assert keys.name_of(unknown) is None


@pytest.mark.parametrize("presented", ["key-0", "unknown"])
def test_name_of_takes_the_same_steps_with_any_number_of_keys(presented: str) -> None:
    def steps(count: int) -> int:
        """Return how many lines run and how many functions are called."""
        keys = Keys((f"name{number}", digest_of(f"key-{number}")) for number in range(count))
        found: list[str] = []

        def trace(frame: FrameType, event: str, argument: object) -> None:
            found.append(event)

        sys.setprofile(trace)
        try:
            keys.name_of(presented)
        finally:
            sys.setprofile(None)
        return len(found)

    assert steps(1) == steps(10_000)


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_keys_are_false_when_there_are_none(text: str) -> None:
    keys = parse_keys(text)
    assert not keys
    assert keys.name_of("") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sk-secret", "entry 1 is not of the form name:key"),
        ("anna:a,sk-secret", "entry 2 is not"),
        (":sk-secret", "entry 1 is not"),
        ("sk-secret:", "entry 1 is not"),
        ("anna: ,", "entry 1 is not"),
        ("anna:sk-secret,anna:b", "entry 2 repeats a name"),
        *((f"{name}:sk-secret", "entry 1: a name is 1 to 64 of A-Z") for name in ("ünal", "a b", "a\nb", "x" * 65)),
    ],
)
def test_parse_keys_quotes_nothing_when_an_entry_is_malformed(text: str, message: str) -> None:
    with pytest.raises(KeysError) as caught:
        parse_keys(text)
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)


def test_keys_hold_digests_only() -> None:
    keys = parse_keys("anna:sk-secret")
    assert "sk-secret" not in repr(vars(keys))


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "bearer  abc "}, "abc"),
        ({"X-API-Key": "abc"}, "abc"),
        ({"Authorization": "Bearer abc", "X-API-Key": "def"}, "abc"),
        ({"Authorization": "Basic abc", "X-API-Key": "def"}, "def"),
        ({"Authorization": "Bearer ", "X-API-Key": "def"}, "def"),
        ({"Authorization": "abc"}, None),
        ({"Authorization": "Basic abc"}, None),
        ({"X-API-Key": " "}, None),
        ({}, None),
    ],
)
def test_bearer_or_api_key_reads_both_headers_and_never_the_query(headers: dict[str, str], key: str | None) -> None:
    assert bearer_or_api_key(make_mocked_request("GET", "/?api_key=q&key=q", headers=headers)) == key


def test_new_key_is_found_by_its_line_which_does_not_contain_it() -> None:
    key, line = new_key("anna.b@example-1")
    other, _ = new_key("anna.b@example-1")
    assert len(key) > 40 and key != other
    assert key not in line
    keys = parse_keys_file(f"# people\n\n  {line}  # since May\r\n{new_key('bob')[1]}\n")
    assert keys.name_of(key) == "anna.b@example-1"
    assert keys.name_of(other) is None
    assert keys.names == {"anna.b@example-1", "bob"}


def test_a_name_can_have_two_keys_and_two_sources_add_up() -> None:
    (old, old_line), (new, new_line) = new_key("anna"), new_key("anna")
    keys = parse_keys("bob:b") + parse_keys_file(f"{old_line}\n{new_line}")
    assert [keys.name_of(key) for key in (old, new, "b")] == ["anna", "anna", "bob"]


@pytest.mark.parametrize("line", ["sk-secret", "anna:sk-secret", f"anna:sha256:{'A' * 64}", "a b:sha256:" + "a" * 64])
def test_parse_keys_file_names_the_line_and_quotes_nothing_when_it_is_malformed(line: str) -> None:
    with pytest.raises(KeysError, match=r"^line 2 is not of the form name:sha256:hash") as caught:
        parse_keys_file(f"# keys\n{line}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nb", "x" * 65])
def test_new_key_rejects_a_name_that_could_not_be_read_back(name: str) -> None:
    with pytest.raises(KeysError):
        new_key(name)
