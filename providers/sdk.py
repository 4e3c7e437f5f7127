"""The vendors' SDKs, asked what they would send: the reference for :mod:`providers.address`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from providers.address import Address
from providers.options import Options

_PLACEHOLDER_KEY = "sk-none"
_PREFIXES = ("OPENAI_", "ANTHROPIC_", "AZURE_OPENAI_")
_ROUTE = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"})
"""The SDKs' own HTTP clients, which send nothing here, cannot be built with some values of these."""
_NOT_COMPARED = frozenset({"accept", "x-stainless-async"})
"""Set for each request: the SDKs accept JSON even for a stream, and detect the event loop as they send."""


def sdk_differences(options: Options) -> list[str]:
    """Return how requests to the provider of ``options`` differ from those of its vendor's SDK, one line each.

    Imports the SDK, which takes seconds and blocks: not for a server. Empty for kinds without an SDK.
    Raises :class:`ImportError` if the SDK cannot be imported.
    """
    ours_and_theirs = _HEADS.get(options.kind)
    if ours_and_theirs is None:
        return []
    with _without_environment():
        (our_url, our_headers), (their_url, their_headers) = ours_and_theirs(options)
    ours, theirs = {"url": our_url, **our_headers}, {"url": their_url, **their_headers}
    return [
        f"{name} is {ours.get(name)!r}, and the SDK's is {theirs.get(name)!r}"
        for name in sorted((ours.keys() | theirs.keys()) - _NOT_COMPARED)
        if ours.get(name) != theirs.get(name)
    ]


_Head = tuple[str, dict[str, str]]


def _openai(options: Any) -> tuple[_Head, _Head]:
    import openai

    from providers.openai.kind import address_of, path_of

    client = openai.AsyncOpenAI(
        api_key=_PLACEHOLDER_KEY,
        organization=options.organization,
        project=options.project,
        base_url=options.base_url,
        max_retries=0,
    )
    theirs = str(client.base_url.join(path_of(options))), _merged(client.default_headers, client.auth_headers)
    return _ours(address_of(options, _PLACEHOLDER_KEY), options), theirs


def _azure(options: Any) -> tuple[_Head, _Head]:
    import openai

    from providers.openai.azure import address_of, deployment_path

    if options.api_version is None:
        base_url = f"{options.base_url.rstrip('/')}/openai/v1"
        v1 = openai.AsyncOpenAI(api_key=_PLACEHOLDER_KEY, base_url=base_url, max_retries=0)
        headers = _merged(v1.default_headers, {"api-key": _PLACEHOLDER_KEY})
        url = str(v1.base_url.join(deployment_path(options, options.model)))
    else:
        client = openai.AsyncAzureOpenAI(
            api_key=_PLACEHOLDER_KEY, api_version=options.api_version, azure_endpoint=options.base_url, max_retries=0
        )
        headers = _merged(client.default_headers, client.auth_headers)
        path = client.base_url.join(deployment_path(options, options.model))
        url = str(path.copy_merge_params({"api-version": options.api_version}))
    return _ours(address_of(options, _PLACEHOLDER_KEY), options), (url, headers)


def _anthropic(options: Any) -> tuple[_Head, _Head]:
    import anthropic

    from providers.anthropic.kind import PATH, address_of

    client = anthropic.AsyncAnthropic(api_key=_PLACEHOLDER_KEY, base_url=options.base_url, max_retries=0)
    url = f"{str(client.base_url).rstrip('/')}/{PATH}"
    return _ours(address_of(options, _PLACEHOLDER_KEY), options), (
        url,
        _merged(client.default_headers, client.auth_headers),
    )


_HEADS: Mapping[str, Callable[[Any], tuple[_Head, _Head]]] = {
    "openai": _openai,
    "azure": _azure,
    "anthropic": _anthropic,
}


def _ours(address: Address, options: Options) -> _Head:
    return address.url(options.model), _merged(address.headers)


def _merged(*mappings: Mapping[str, object]) -> dict[str, str]:
    """Return headers by their names in lower case, without the SDKs' markers of headers to leave out."""
    return {name.lower(): value for mapping in mappings for name, value in mapping.items() if isinstance(value, str)}


@contextmanager
def _without_environment() -> Iterator[None]:
    """Keep the SDKs from reading addresses, organisations and headers from the environment inside this block."""
    hidden = {
        name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_PREFIXES) or name.upper() in _ROUTE
    }
    try:
        yield
    finally:
        os.environ.update(hidden)
