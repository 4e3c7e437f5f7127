"""Which proxy a request goes through, by the environment."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from yarl import URL

from providers.proxies import Proxies, UnusableProxy

OPENAI = "https://api.openai.com/v1/chat/completions"
LOCAL = "http://vllm.example:8000/v1/chat/completions"


def found(environ: Mapping[str, str], url: str) -> str | None:
    proxy = Proxies(environ).find(URL(url))
    return None if proxy is None else str(proxy).rstrip("/")


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, OPENAI, None),
        ({"HTTPS_PROXY": "http://p:3128"}, OPENAI, "http://p:3128"),
        ({"https_proxy": "http://p:3128"}, OPENAI, "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128"}, LOCAL, None),
        ({"HTTP_PROXY": "http://p:3128"}, LOCAL, "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, OPENAI, None),
        ({"ALL_PROXY": "http://p:3128"}, LOCAL, "http://p:3128"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:3128"}, OPENAI, "http://p:3128"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1"}, OPENAI, "http://lower:1"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": ""}, OPENAI, None),
        ({"HTTPS_PROXY": "p:3128"}, OPENAI, "http://p:3128"),
        ({"HTTPS_PROXY": "http://user:word@p:3128"}, OPENAI, "http://user:word@p:3128"),
        ({"HTTP_PROXY": "http://p:3128", "REQUEST_METHOD": "GET"}, LOCAL, None),
        ({"ALL_PROXY": "socks5://s:1", "HTTPS_PROXY": "http://p:3128"}, OPENAI, "http://p:3128"),
    ],
)
def test_a_proxy_is_found_by_the_scheme_of_the_address(environ: Mapping[str, str], url: str, proxy: str | None) -> None:
    assert found(environ, url) == proxy


@pytest.mark.parametrize(
    ("exempt", "direct", "proxied"),
    [
        ("*", [OPENAI, LOCAL], []),
        ("openai.com", [OPENAI, "https://openai.com/"], ["https://notopenai.com/"]),
        (".openai.com", [OPENAI], ["https://openai.com/"]),
        ("*.openai.com", [OPENAI], ["https://openai.com/"]),
        ("other.example, OPENAI.com ,", [OPENAI], [LOCAL]),
        ("vllm.example:8000", [LOCAL], ["http://vllm.example/", "http://vllm.example:8001/"]),
        ("10.0.0.0/8", ["http://10.1.2.3:8000/"], ["http://11.1.2.3/"]),
        ("10.1.2.3", ["http://10.1.2.3/"], ["http://10.1.2.4/"]),
        ("fd00::1", ["http://[fd00::1]:8000/"], ["http://[fd00::2]/"]),
        ("fd00::/8", ["http://[fd00::1]:8000/"], ["http://[fe80::2]/"]),
        ("[fd00::1]:8000", ["http://[fd00::1]:8000/"], ["http://[fd00::1]/"]),
        ("https://openai.com", ["https://openai.com/"], ["http://openai.com/"]),
        ("::::,http://[,ex ample", [], [OPENAI, LOCAL]),
    ],
)
def test_no_proxy_exempts_hosts_and_networks(exempt: str, direct: list[str], proxied: list[str]) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        environ = {"ALL_PROXY": "http://p:3128", name: exempt}
        assert [url for url in direct if found(environ, url) is not None] == []
        assert [url for url in proxied if found(environ, url) is None] == []


@pytest.mark.parametrize(
    "host", ["localhost", "localhost.", "my.localhost", "127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_loopback_is_never_asked_through_an_inherited_proxy(host: str) -> None:
    assert found({"ALL_PROXY": "http://p:3128"}, f"http://{host}:11434/v1") is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("socks5://user:word@s:1080", "HTTPS_PROXY names a socks5:// proxy; expected an http:// or https:// address"),
        ("htp://x", "HTTPS_PROXY names a htp:// proxy; expected an http:// or https:// address"),
        ("wo rd://x", "HTTPS_PROXY names no address; expected an http:// or https:// address"),
        ("http://[", "HTTPS_PROXY is not the address of a proxy; expected one like http://proxy.example:3128"),
        ("http://p:99999", "HTTPS_PROXY is not the address of a proxy; expected one like http://proxy.example:3128"),
        ("http://", "HTTPS_PROXY is not the address of a proxy; expected one like http://proxy.example:3128"),
    ],
)
def test_an_unusable_proxy_is_named_without_its_value(value: str, says: str) -> None:
    with pytest.raises(UnusableProxy) as error:
        found({"HTTPS_PROXY": value}, OPENAI)
    assert str(error.value) == says
    assert found({"HTTPS_PROXY": value}, LOCAL) is None, "an address that it is not for is asked as ever"
