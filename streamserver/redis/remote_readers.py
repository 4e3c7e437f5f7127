"""Who reads this process's streams on other nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamserver.store.base import Local


class Audience:
    """Readers remote_readers, as their nodes tell us: at each change, and every now and then all of them.

    Nothing has to be taken back by hand: who is not told of again does not count.
    """

    def __init__(self, local: Local) -> None:
        self._local = local
        self._counts: dict[str, dict[str, int]] = {}
        """Stream → node → readers."""
        self._heard: dict[str, float] = {}
        """Node → when it last told us."""

    def nodes_of(self, stream_id: str) -> Iterable[str]:
        """Where the stream is read."""
        return self._counts.get(stream_id, ())

    def change(self, node: str, counts: Mapping[str, int], now: float) -> None:
        """``node`` has so many readers of each of these streams."""
        self._heard[node] = now
        for stream_id, readers in counts.items():
            self._set(node, stream_id, readers)

    def replace(self, node: str, counts: Mapping[str, int], now: float) -> None:
        """``node`` has these readers of ours, and no others."""
        gone = [stream_id for stream_id, nodes in self._counts.items() if node in nodes and stream_id not in counts]
        self.change(node, {**dict.fromkeys(gone, 0), **counts}, now)

    def forget_silent(self, before: float) -> None:
        """Drop the readers of nodes that have told nothing since ``before``: they are dead."""
        for node in [node for node, heard in self._heard.items() if heard < before]:
            self.replace(node, {}, before)
            del self._heard[node]

    def excuse_silence(self, now: float) -> None:
        """Nobody could tell us anything until ``now``."""
        self._heard = dict.fromkeys(self._heard, now)

    def _set(self, node: str, stream_id: str, readers: int) -> None:
        stream = self._local.find(stream_id)
        nodes = self._counts.setdefault(stream_id, {})
        if readers and stream is not None:
            nodes[node] = readers
        else:
            nodes.pop(node, None)
        if not nodes:
            del self._counts[stream_id]
        if stream is not None:
            stream.set_remote_readers(sum(nodes.values()))
