"""Errors name the address that was asked, so that a wrong ``base_url`` is found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.errors import InvalidRequest, ModelNotFound, ProviderError
from providers.transport import Transport
from tests.conftest import StartUpstream
from tests.providers.asking import ask, build
from tests.support.upstream import Exchange

OPENAI = {"kind": "openai", "model": "m"}
ANTHROPIC = {"kind": "anthropic", "model": "m"}


async def failure(
    start_upstream: StartUpstream, transport: Transport, table: dict[str, Any], status: int, body: str
) -> ProviderError:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(status, body)

    upstream = await start_upstream(refuse)
    address = upstream.url.replace("//", "//user:password@")
    with pytest.raises(ProviderError) as caught:
        await ask(build({**table, "base_url": address}, transport))
    assert str(caught.value.detail.url).startswith(upstream.url)
    return caught.value


@pytest.mark.parametrize("body", ["404 page not found", '{"detail": "Not Found"}', ""])
@pytest.mark.parametrize(("table", "path"), [(OPENAI, "/chat/completions"), (ANTHROPIC, "/v1/messages")])
async def test_a_bare_404_says_which_path_was_asked_and_what_to_check(
    start_upstream: StartUpstream, transport: Transport, table: dict[str, Any], path: str, body: str
) -> None:
    error = await failure(start_upstream, transport, table, 404, body)
    assert isinstance(error, InvalidRequest)
    assert f"nothing at {path} (404)" in error.message and "base_url" in error.message
    assert str(error.detail.url).endswith(path)
    assert "password" not in str(error.detail)


async def test_a_404_that_names_the_model_is_about_the_model(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    body = json.dumps({"error": {"message": "The model 'm' does not exist", "code": "model_not_found"}})
    error = await failure(start_upstream, transport, OPENAI, 404, body)
    assert isinstance(error, ModelNotFound)
    assert error.message == ModelNotFound.default_message
