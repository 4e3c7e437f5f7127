"""Opaque reasoning survives a round over another wire, and goes back only to the model that made it."""

from __future__ import annotations

import base64

import pytest

from providers.base import Opaque
from providers.opaque import readable_by, seal, unseal

PART = Opaque("messages", "claude-sonnet-4-5-20250929", {"signature": "c2ln"})


def test_unseal_returns_what_was_sealed() -> None:
    assert unseal(seal(PART)) == PART


@pytest.mark.parametrize(
    "text",
    ["", "gAAAAB-not-base64", "é", base64.b64encode(b"{}").decode(), base64.b64encode(b'{"v":2}').decode(), "AAAA"],
)
def test_unseal_returns_none_for_what_it_did_not_make(text: str) -> None:
    assert unseal(text) is None


@pytest.mark.parametrize(
    ("protocol", "made_by", "model", "expected"),
    [
        ("messages", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5", True),
        ("messages", "claude-sonnet-4-5", "claude-sonnet-4-5@20250929", True),
        ("messages", "", "claude-sonnet-4-5", True),
        ("messages", "claude-opus-4-5", "claude-sonnet-4-5", False),
        ("responses", "gpt-5-2025-08-07", "gpt-5", False),
    ],
)
def test_readable_by_is_the_protocol_and_the_family_of_models(
    protocol: str, made_by: str, model: str, expected: bool
) -> None:
    part = Opaque(protocol, made_by, {"signature": "s"})  # type: ignore[arg-type]
    assert readable_by(part, "messages", model) is expected
    assert readable_by(None, "messages", model) is False
