"""langchain-anthropic counts tokens. What else it does, ``tests/clients/test_contract.py`` shows."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.programs import miss


async def test_model_counts_tokens_before_it_asks(request: pytest.FixtureRequest, start_server: StartServer) -> None:
    if find_spec("langchain_anthropic") is None:
        miss("needs langchain-anthropic: pip install -e '.[clients]'", request)
    from langchain_anthropic import ChatAnthropic
    from langchain_core.messages import HumanMessage

    server = await start_server()
    fields: dict[str, Any] = {"model": "echo", "base_url": server.url, "api_key": "unused"}
    model = ChatAnthropic(**fields)
    assert await asyncio.to_thread(model.get_num_tokens_from_messages, [HumanMessage("hello")]) == 2
    model._client.close()
