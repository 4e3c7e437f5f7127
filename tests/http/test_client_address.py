"""The account of an anonymous user: its address, also behind proxies."""

from __future__ import annotations

import ipaddress
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from streamserver.http.client_address import client_of

PROXIES = ("10.0.0.0/8", "::1", "2001:db8:ffff::/48")


def client(peer: str, headers: list[tuple[str, str]] | None = None, proxies: tuple[str, ...] = PROXIES) -> str:
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (peer, 1234) if name == "peername" else default
    request = make_mocked_request("GET", "/", headers=CIMultiDict(headers or []), transport=transport)
    return client_of(request, proxies)


def xff(text: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", text)]


def forwarded(text: str) -> list[tuple[str, str]]:
    return [("Forwarded", text)]


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("::ffff:203.0.113.7", [], "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        # A stranger's headers are a stranger's words.
        ("203.0.113.7", xff("198.51.100.1"), "203.0.113.7"),
        ("203.0.113.7", forwarded("for=198.51.100.1"), "203.0.113.7"),
        # The last one that no trusted proxy wrote about another trusted proxy.
        ("10.0.0.1", xff("198.51.100.1"), "198.51.100.1"),
        ("10.0.0.1", xff("192.0.2.66, 198.51.100.1"), "198.51.100.1"),
        ("10.0.0.1", xff("192.0.2.66, 198.51.100.1, 10.9.9.9"), "198.51.100.1"),
        ("10.0.0.1", xff("10.1.1.1, 10.9.9.9"), "10.1.1.1"),
        ("10.0.0.1", [*xff("192.0.2.66"), *xff("198.51.100.1")], "198.51.100.1"),
        ("::1", xff("2001:db8:1:2:3::4"), "2001:db8:1:2::/64"),
        ("10.0.0.1", forwarded('for=192.0.2.66, for="[2001:db8:1:2::9]:4711";proto=https'), "2001:db8:1:2::/64"),
        ("10.0.0.1", forwarded("proto=https;For=198.51.100.1:80;by=10.0.0.1"), "198.51.100.1"),
        ("10.0.0.1", xff("198.51.100.1:4711"), "198.51.100.1"),
        # Both, saying the same; and disagreeing: one of them is not the proxy's.
        ("10.0.0.1", [*xff("198.51.100.1"), *forwarded("for=198.51.100.1")], "198.51.100.1"),
        ("10.0.0.1", [*xff("198.51.100.1"), *forwarded("for=192.0.2.66")], "10.0.0.1"),
        # Garbage is no address: the hop before it answers for it.
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", xff(""), "10.0.0.1"),
        ("10.0.0.1", xff("unknown"), "10.0.0.1"),
        ("10.0.0.1", xff("198.51.100.1, unknown"), "10.0.0.1"),
        ("10.0.0.1", xff("198.51.100.1, unknown, 10.2.2.2"), "10.2.2.2"),
        ("10.0.0.1", forwarded("for=_hidden"), "10.0.0.1"),
        ("10.0.0.1", forwarded("by=10.0.0.1"), "10.0.0.1"),
        ("10.0.0.1", forwarded('for="198.51.100.1'), "10.0.0.1"),
        ("10.0.0.1", xff("1" * 60_000), "10.0.0.1"),
        ("10.0.0.1", xff(",".join(["10.3.3.3"] * 5_000)), "10.3.3.3"),
    ],
)
def test_the_user_is_the_last_address_that_a_trusted_hop_vouches_for(
    peer: str, headers: list[tuple[str, str]], expected: str
) -> None:
    assert client(peer, headers) == expected


addresses = st.ip_addresses().map(str)
junk = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40)


@given(peer=addresses, text=junk, other=junk)
def test_user_is_an_address_for_any_headers(peer: str, text: str, other: str) -> None:
    everyone = ("0.0.0.0/0", "::/0")
    for found in (client(peer, [*xff(text), *forwarded(other)]), client(peer, xff(text), everyone)):
        ipaddress.ip_network(found)


@given(forged=st.lists(st.one_of(addresses, junk), max_size=5), true=addresses.filter(lambda text: text != "10.0.0.1"))
def test_client_cannot_forge_its_address_behind_a_proxy_that_appends(forged: list[str], true: str) -> None:
    headers = xff(", ".join([*forged, true]))
    assert client("10.0.0.1", headers, ("10.0.0.1",)) == client(true)
