"""The reasons for which there is no connection."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from providers.connection_errors import EXPLANATIONS, translate
from providers.errors import UpstreamUnavailable

DOCUMENT = Path(__file__).parents[2] / "docs" / "providers.md"


def test_the_document_explains_every_reason() -> None:
    lines = re.findall(r"^- `(\w+)`: (.+)$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert {reason: text for reason, text in lines if reason in EXPLANATIONS} == EXPLANATIONS


@pytest.mark.parametrize("error", [ValueError("not a url")])
def test_an_address_that_is_none_sends_nothing(error: Exception) -> None:
    translated = translate(error)
    assert isinstance(translated, UpstreamUnavailable)
    assert translated.detail.reason == "address" and not translated.sent
