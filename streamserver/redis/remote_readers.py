"""The readers of this process's streams on other nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamserver.store.base import LocalStreams


class RemoteReaders:
    """Counts of readers, as their nodes report them: each change, and regularly all of them.

    A reader that is not reported again stops counting, so that no lost message has to be corrected.
    """

    def __init__(self, local: LocalStreams) -> None:
        self._local = local
        self.counts: dict[str, dict[str, int]] = {}
        """Stream → node → readers, of the streams that have any. To be changed here alone. The replicator looks into it
        for each token, where a method would be a call more."""
        self._last_report: dict[str, float] = {}
        """Node → the time of its last report."""

    def __bool__(self) -> bool:
        """Return whether any stream is read on another node."""
        return bool(self.counts)

    def nodes_of(self, stream_id: str) -> Iterable[str]:
        """Return the nodes on which the stream is read."""
        return self.counts.get(stream_id, ())

    def update(self, node: str, counts: Mapping[str, int], now: float) -> None:
        """Set how many readers ``node`` has of each of these streams."""
        self._last_report[node] = now
        for stream_id, readers in counts.items():
            self._set(node, stream_id, readers)

    def replace(self, node: str, counts: Mapping[str, int], now: float) -> None:
        """Set how many readers ``node`` has of these streams; it has none of any other."""
        gone = [stream_id for stream_id, nodes in self.counts.items() if node in nodes and stream_id not in counts]
        self.update(node, {**dict.fromkeys(gone, 0), **counts}, now)

    def expire_silent(self, before: float) -> None:
        """Drop the readers of nodes that have reported nothing since ``before``: they are dead."""
        for node in [node for node, heard in self._last_report.items() if heard < before]:
            self.replace(node, {}, before)
            del self._last_report[node]

    def restart_leases(self, now: float) -> None:
        """Restart every node's lease: no report could arrive until ``now``."""
        self._last_report = dict.fromkeys(self._last_report, now)

    def _set(self, node: str, stream_id: str, readers: int) -> None:
        stream = self._local.find(stream_id)
        nodes = self.counts.setdefault(stream_id, {})
        if readers and stream is not None:
            nodes[node] = readers
        else:
            nodes.pop(node, None)
        if not nodes:
            del self.counts[stream_id]
        if stream is not None:
            stream.set_remote_readers(sum(nodes.values()))
