"""Keys let in whom they name, and are never quoted."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from streamserver.http.keys import KeysError, new_key, parse_keys, parse_keys_file, presented_key


def test_every_key_has_its_name() -> None:
    keys = parse_keys(" anna:key-a , bob:key:with:colons,, u.nal@x:schlüssel ")
    assert keys
    assert keys.name_of("key-a") == "anna"
    assert keys.name_of("key:with:colons") == "bob"
    assert keys.name_of("schlüssel") == "u.nal@x"
    for nobodys in ("", "anna", "key-", "key-a ", "KEY-A", "key-a,bob", "\udcff"):
        assert keys.name_of(nobodys) is None


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_without_keys_there_are_none(text: str) -> None:
    keys = parse_keys(text)
    assert not keys
    assert keys.name_of("") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sk-secret", "entry 1 is not of the form name:key"),
        ("anna:a,sk-secret", "entry 2 is not"),
        (":sk-secret", "entry 1 is not"),
        ("sk-secret:", "entry 1 is not"),
        ("anna: ,", "entry 1 is not"),
        ("anna:sk-secret,anna:b", "entry 2 has a name that is there already"),
        *((f"{name}:sk-secret", "entry 1: a name is 1 to 64 of A-Z") for name in ("ünal", "a b", "a\nb", "x" * 65)),
    ],
)
def test_what_cannot_be_read_is_told_without_a_word_of_it(text: str, said: str) -> None:
    with pytest.raises(KeysError) as caught:
        parse_keys(text)
    assert str(caught.value).startswith(said)
    assert "secret" not in str(caught.value)


def test_no_key_is_held_as_it_is() -> None:
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
def test_a_key_is_taken_from_either_header_and_never_from_the_query(headers: dict[str, str], key: str | None) -> None:
    assert presented_key(make_mocked_request("GET", "/?api_key=q&key=q", headers=headers)) == key


def test_a_new_key_is_let_in_by_its_line_alone_and_is_not_in_it() -> None:
    key, line = new_key("anna.b@example-1")
    other, _ = new_key("anna.b@example-1")
    assert len(key) > 40 and key != other
    assert key not in line
    keys = parse_keys_file(f"# people\n\n  {line}  # since May\r\n{new_key('bob')[1]}\n")
    assert keys.name_of(key) == "anna.b@example-1"
    assert keys.name_of(other) is None
    assert keys.names == {"anna.b@example-1", "bob"}


def test_a_name_may_have_an_old_key_and_its_successor_and_files_add_to_the_environment() -> None:
    (old, old_line), (new, new_line) = new_key("anna"), new_key("anna")
    keys = parse_keys("bob:b") + parse_keys_file(f"{old_line}\n{new_line}")
    assert [keys.name_of(key) for key in (old, new, "b")] == ["anna", "anna", "bob"]


@pytest.mark.parametrize("line", ["sk-secret", "anna:sk-secret", f"anna:sha256:{'A' * 64}", "a b:sha256:" + "a" * 64])
def test_a_line_that_is_none_is_named_by_its_number_and_not_quoted(line: str) -> None:
    with pytest.raises(KeysError, match=r"^line 2 is not of the form name:sha256:hash") as caught:
        parse_keys_file(f"# keys\n{line}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nb", "x" * 65])
def test_a_name_that_could_not_be_read_back_gets_no_key(name: str) -> None:
    with pytest.raises(KeysError):
        new_key(name)
