"""The options of a kind of provider, and the context that it is built in."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from providers.transport import Transport

HttpUrl: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"^https?://[^\s/]", description="an http:// or https:// address")
]

ProxyAddress: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"^$|^https?://[^\s/]", description='an http:// or https:// address, or "" for no proxy')
]

VariableName: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="the name of an environment variable, in capitals, not a key itself",
    ),
]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys that every ``[providers.NAME]`` table may have. A kind adds its own in a subclass.

    ``models`` are further models that a request may ask for, besides ``model``.
    """

    kind: str
    model: str = ""
    models: tuple[str, ...] = ()


class ApiOptions(Options, frozen=True, kw_only=True):
    """The keys of a kind that asks a service over the network."""

    model: Annotated[str, msgspec.Meta(min_length=1, description="the name of a model")]
    api_key_env: VariableName | None = None
    """The environment variable that holds the key; absent: no key is sent."""
    proxy: ProxyAddress | None = None
    """The proxy for this provider; absent: what the environment names."""
    ca_file: Annotated[str, msgspec.Meta(min_length=1, description="the path of a file in PEM format")] | None = None
    """The only certificate authorities that are trusted; absent: ``SSL_CERT_FILE``, else those of the system."""
    extra: dict[str, Any] = {}
    """Parameters that are sent with every request, unless the request or this package sets them."""


class Context(msgspec.Struct, frozen=True):
    """The dependencies of a provider, besides its options.

    ``api_key`` is the value of the option ``api_key_env``, None if there is no such option.
    ``missing`` says in one line what keeps the provider from working, None if nothing does.
    """

    name: str
    transport: Transport
    api_key: str | None = None
    missing: str | None = None
