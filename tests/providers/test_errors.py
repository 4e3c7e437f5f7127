"""The exception tree holds itself, and plug-ins, to the contract's codes."""

from __future__ import annotations

from typing import Any

import pytest

from providers.errors import BY_CODE, CODES, ProviderError, RateLimited, UpstreamTimeout
from tests.support.contract import STREAM_CODES


def test_the_codes_are_the_contracts() -> None:
    assert set(BY_CODE) == set(CODES)
    for code, kind in BY_CODE.items():
        assert kind.retryable is STREAM_CODES[code]


def test_the_base_says_that_it_is_abstract() -> None:
    with pytest.raises(TypeError, match="ProviderError is abstract"):
        ProviderError("x")


def test_a_deadline_that_nobody_knows_is_named_with_those_there_are() -> None:
    unknown: Any = "connect"
    with pytest.raises(ValueError, match=r"'connect'.*first_token, idle, total"):
        UpstreamTimeout(unknown, 3)


def test_a_subclass_has_the_code_of_its_class() -> None:
    class TooFast(RateLimited):
        default_message = "Too fast."

    error = TooFast(retry_after=3)
    assert (error.code, error.retryable, error.message, error.retry_after) == ("rate_limited", True, "Too fast.", 3)


def test_a_common_ancestor_of_somebodys_own_has_no_code_and_is_abstract() -> None:
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
def test_no_class_puts_something_on_the_wire_that_the_contract_does_not_have(
    base: type[ProviderError], body: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=r"^Mine\b"):
        type("Mine", (base,), body)
