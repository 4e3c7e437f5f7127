"""The requests of an answer: one that starts it, and those that read on and stop it."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import msgspec

from streamserver.client.errors import refusal_of


class StreamRequest(msgspec.Struct, frozen=True):
    """The part of a request that every connection of an answer repeats.

    ``give_up_after`` is for how many seconds the server may be out of reach. No request has a timeout of its own.
    """

    session: Callable[[], aiohttp.ClientSession]
    url: str
    headers: dict[str, str]
    body: bytes
    give_up_after: float

    async def start(self) -> aiohttp.ClientResponse:
        """Start the generation, or find it by its idempotency key."""
        headers = {**self.headers, "Content-Type": "application/json"}
        url = f"{self.url}/api/chat/stream"
        return await self.session().post(url, data=self.body, headers=headers, allow_redirects=False)

    async def resume(self, stream_id: str, next_event: int) -> aiohttp.ClientResponse:
        """Read a stream from its event number ``next_event`` on."""
        headers = {name: value for name, value in self.headers.items() if name != "Idempotency-Key"}
        if next_event:
            headers["Last-Event-ID"] = f"{stream_id}:{next_event - 1}"
        return await self.session().get(self._url_of(stream_id), headers=headers, allow_redirects=False)

    async def stop(self, stream_id: str) -> None:
        """Stop the generation of a stream. One that is not there any more has stopped.

        Raises :class:`~streamserver.client.errors.StreamError` if the server refuses.
        """
        async with self.session().delete(self._url_of(stream_id), headers=self.headers) as response:
            if response.status not in (204, 404):
                raise await refusal_of(response)

    def _url_of(self, stream_id: str) -> str:
        return f"{self.url}/api/chat/streams/{stream_id}"
