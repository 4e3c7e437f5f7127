"""Whatever API a payload is of: half a surrogate pair reads as U+FFFD, and invalid JSON is the provider's failure."""

from __future__ import annotations

import pytest

from providers.base import Text
from providers.errors import UpstreamError
from providers.transport import Transport
from tests.conftest import StartUpstream
from tests.providers.asking import build, request
from tests.support.upstream import Exchange

APIS = {
    "chat": ({"kind": "openai"}, '{"choices": [{"delta": {"content": "TEXT"}}]}'),
    "responses": ({"kind": "openai", "api": "responses"}, '{"type": "response.output_text.delta", "delta": "TEXT"}'),
    "anthropic": ({"kind": "anthropic"}, '{"type": "content_block_delta", "index": 0, "delta": {"text": "TEXT"}}'),
}
NONSENSE = ["{", "\xff", '{"choices": [', "[" * 100_000]


@pytest.mark.parametrize(("table", "piece"), APIS.values(), ids=APIS)
@pytest.mark.parametrize("malformed_response", NONSENSE, ids=lambda malformed_response: malformed_response[:10])
async def test_parser_raises_when_a_payload_is_malformed(
    start_upstream: StartUpstream, transport: Transport, table: dict[str, str], piece: str, malformed_response: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        said = piece.replace("TEXT", "a\\ud83d|é")
        await exchange.send(f"data: {said}\n\n")
        await exchange.send(b"data: " + malformed_response.encode("latin-1") + b"\n\n")

    upstream = await start_upstream(script)
    provider = build({**table, "model": "m", "base_url": upstream.url}, transport)
    events = provider.stream(request())
    assert await anext(events) == Text("a\ufffd|é")
    with pytest.raises(UpstreamError, match="makes no sense"):
        await anext(events)
