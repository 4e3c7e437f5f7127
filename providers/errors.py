"""What can go wrong at a provider.

::

    ProviderError
    ├── RateLimited            429; retry_after where it was given
    ├── QuotaExceeded          no money or quota left
    ├── Overloaded             503, 529, in-band overloaded_error
    ├── ProviderAuth           401, 403, or no key configured
    ├── ModelNotFound          ┐
    ├── ContextLength          │ the provider's 4xx, by what it says
    ├── ContentFilter          │
    ├── InvalidRequest         ┘
    ├── UpstreamUnavailable    no connection: refused, DNS, TLS
    ├── UpstreamError          408, 409, other 5xx, a redirect, malformed_response
    ├── UpstreamDisconnected   reset, cut, or ended without a finish reason
    └── UpstreamTimeout        a deadline passed

Each class carries the code of the wire contract, whether a client may try again, and a
message for the person at the screen. What the provider itself said is kept only as
:class:`UpstreamDetail`, which holds no free text: providers quote prompts and keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias, get_args

import msgspec

DeadlineName: TypeAlias = Literal["first_token", "idle", "total"]

PROVIDER_ERROR_CODES: Mapping[str, bool] = {
    "rate_limited": True,
    "quota_exceeded": False,
    "overloaded": True,
    "provider_auth": False,
    "model_not_found": False,
    "context_length": False,
    "content_filter": False,
    "invalid_request": False,
    "upstream_unavailable": True,
    "upstream_error": True,
    "upstream_disconnected": True,
    "timeout": True,
}
"""The wire contract's codes for what a provider may do, and whether a client may try again."""

_LOGGABLE = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


def loggable_identifier(value: object) -> str | None:
    """Return ``value`` if it is an identifier of at most 64 characters that may be logged, else None.

    Providers give error codes as strings, ints or null; anything longer or with
    spaces may be a sentence that quotes the user.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value)
    return text if _LOGGABLE.fullmatch(text) else None


class UpstreamDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's answer, reduced to what may be logged.

    ``reason`` is a word of ours for what was wrong, where the provider itself said nothing: ``refused``,
    ``dns``, ``tls``, ``certificate`` … (:mod:`providers.connection_errors`), ``not_json``, ``no_finish_reason`` …
    ``param`` is the field of the request that was wrong, in the spelling of the provider, or of the caller where the
    request was not sent. ``url`` is the address that was asked, without credentials.
    """

    status: int | None = None
    reason: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    request_id: str | None = None
    url: str | None = None

    def fields(self) -> dict[str, str | int]:
        """Return the fields that are known, for a log record, with an ``upstream_`` prefix."""
        known = msgspec.structs.asdict(self).items()
        return {f"upstream_{name}": value for name, value in known if value is not None}


class ProviderError(Exception):
    """A failure of a provider. ``sent`` is False if certainly no request reached it (nothing is billed).

    Abstract: raise one of the classes below it, or derive from one of them. A class has one of
    :data:`PROVIDER_ERROR_CODES`, which a subclass inherits and cannot change, because clients know no others.
    """

    code: ClassVar[str]
    retryable: ClassVar[bool]
    message: str
    """Public: shown to the person at the screen."""

    default_message: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        code = getattr(cls, "code", None)
        if code is None:
            return  # as abstract as this one
        if code not in PROVIDER_ERROR_CODES:
            raise TypeError(f"{cls.__name__}.code is {code!r}; clients know {', '.join(PROVIDER_ERROR_CODES)}")
        inherited = getattr(super(cls, cls), "code", code)
        if code != inherited:
            raise TypeError(f"{cls.__name__}.code is {code!r}, but its base class has the code {inherited!r}")
        if getattr(cls, "retryable", None) is not PROVIDER_ERROR_CODES[code]:
            raise TypeError(f"{cls.__name__}.retryable must be {PROVIDER_ERROR_CODES[code]}, as for every {code!r}")
        if not isinstance(getattr(cls, "default_message", None), str):
            raise TypeError(f"{cls.__name__}.default_message is missing")

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        detail: UpstreamDetail | None = None,
        sent: bool = True,
    ) -> None:
        if not hasattr(self, "code"):
            raise TypeError(f"{type(self).__name__} is abstract: raise one of the classes derived from ProviderError")
        self.message = message or self.default_message
        self.retry_after = retry_after
        self.detail = detail or UpstreamDetail()
        self.sent = sent
        super().__init__(self.message)


class RateLimited(ProviderError):
    code = "rate_limited"
    retryable = True
    default_message = "The model's provider is limiting requests right now. Try again in a moment."


class QuotaExceeded(ProviderError):
    code = "quota_exceeded"
    retryable = False
    default_message = "The account at the model's provider has no quota or credit left."


class Overloaded(ProviderError):
    code = "overloaded"
    retryable = True
    default_message = "The model's provider is overloaded. Try again in a moment."


class ProviderAuth(ProviderError):
    code = "provider_auth"
    retryable = False
    default_message = "The model's provider refused this server's credentials."


class ModelNotFound(ProviderError):
    code = "model_not_found"
    retryable = False
    default_message = "The provider does not know this model, or this server's account may not use it."


class ContextLength(ProviderError):
    code = "context_length"
    retryable = False
    default_message = "The conversation is too long for this model."


class ContentFilter(ProviderError):
    code = "content_filter"
    retryable = False
    default_message = "The provider's content filter refused this request."


class InvalidRequest(ProviderError):
    code = "invalid_request"
    retryable = False
    default_message = "The provider did not accept this request."


class UpstreamUnavailable(ProviderError):
    code = "upstream_unavailable"
    retryable = True
    default_message = "The model's provider could not be reached."


class UpstreamError(ProviderError):
    code = "upstream_error"
    retryable = True
    default_message = "The model's provider failed."


class UpstreamDisconnected(ProviderError):
    code = "upstream_disconnected"
    retryable = True
    default_message = "The connection to the model's provider broke before the answer was complete."


def malformed_response(reason: str) -> UpstreamError:
    """Return the error for a malformed response; ``reason`` is a word for what was wrong."""
    return UpstreamError(
        "The model's provider sent an answer that makes no sense.", detail=UpstreamDetail(reason=reason)
    )


def not_a_stream() -> UpstreamError:
    """Return the error for a 200 with something else than a stream."""
    return UpstreamError(
        "The model's provider answered with something else than a stream.", detail=UpstreamDetail(reason="not_a_stream")
    )


def disconnected(reason: str) -> UpstreamDisconnected:
    """Return the error for a connection, or a stream, that ended too early; ``reason`` is a word for how."""
    return UpstreamDisconnected(detail=UpstreamDetail(reason=reason))


class UpstreamTimeout(ProviderError):
    """A deadline that passed: ``deadline`` is its name, ``seconds`` its length."""

    code = "timeout"
    retryable = True
    default_message = "The model took too long."

    _MESSAGES: ClassVar[Mapping[DeadlineName, str]] = {
        "first_token": "No answer began within {:g} s (first_token).",
        "idle": "The answer stalled for {:g} s (idle).",
        "total": "The answer was not complete within {:g} s (total).",
    }

    def __init__(self, deadline: DeadlineName, seconds: float) -> None:
        if deadline not in self._MESSAGES:
            raise ValueError(f"there is no deadline {deadline!r}; expected one of {', '.join(get_args(DeadlineName))}")
        self.deadline = deadline
        super().__init__(self._MESSAGES[deadline].format(seconds))


BY_CODE: Mapping[str, type[ProviderError]] = {
    kind.code: kind
    for kind in (
        RateLimited,
        QuotaExceeded,
        Overloaded,
        ProviderAuth,
        ModelNotFound,
        ContextLength,
        ContentFilter,
        InvalidRequest,
        UpstreamUnavailable,
        UpstreamError,
        UpstreamDisconnected,
        UpstreamTimeout,
    )
}
"""Every class of the tree by its code."""
