"""The exception tree holds itself, and plug-ins, to the contract's codes."""

from __future__ import annotations

from typing import Any

import pytest

from providers.errors import BY_CODE, PROVIDER_ERROR_CODES, ProviderError, RateLimited, UpstreamTimeout
from tests.support.contract import STREAM_CODES


def test_error_codes_are_those_of_the_contract() -> None:
    assert set(BY_CODE) == set(PROVIDER_ERROR_CODES)
    for code, kind in BY_CODE.items():
        assert kind.retryable is STREAM_CODES[code]


def test_provider_error_cannot_be_raised_itself() -> None:
    with pytest.raises(TypeError, match="ProviderError is abstract"):
        ProviderError("x")


def test_timeout_names_the_deadlines_when_its_own_is_unknown() -> None:
    unknown: Any = "connect"
    with pytest.raises(ValueError, match=r"'connect'.*first_token, idle, total"):
        UpstreamTimeout(unknown, 3)


def test_subclass_inherits_the_code() -> None:
    class TooFast(RateLimited):
        default_message = "Too fast."

    error = TooFast(retry_after=3)
    assert (error.code, error.retryable, error.message, error.retry_after) == ("rate_limited", True, "Too fast.", 3)


def test_subclass_without_a_code_is_abstract() -> None:
    class Vendors(ProviderError):
        pass

    class VendorsRateLimited(Vendors, RateLimited):
        pass

    assert VendorsRateLimited().code == "rate_limited"
    with pytest.raises(TypeError, match="Vendors is abstract"):
        Vendors("x")


@pytest.mark.parametrize(
    ("base", "body"),
    [
        (ProviderError, {"code": "out_of_coffee", "retryable": True, "default_message": "x."}),
        (ProviderError, {"code": "cancelled", "retryable": False, "default_message": "x."}),
        (ProviderError, {"code": "rate_limited", "retryable": False, "default_message": "x."}),
        (ProviderError, {"code": "rate_limited", "retryable": True}),
        (RateLimited, {"code": "out_of_coffee"}),
        (RateLimited, {"code": "quota_exceeded"}),
        (RateLimited, {"retryable": False}),
    ],
)
def test_subclass_is_refused_when_its_code_is_not_in_the_contract(
    base: type[ProviderError], body: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=r"^Mine\b"):
        type("Mine", (base,), body)
