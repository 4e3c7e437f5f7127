"""The shape of an answer of the benchmarks' upstream, encoded in the name of the model."""

from __future__ import annotations

import re
from typing import NamedTuple

_MODEL_NAME = re.compile(rb'"model":\s*"bench-(\d+)-(\d+)-(\d+)-(\d+)"')

MARK = b"~"
"""The end of every token, and of nothing else on any wire, so that counting it counts tokens."""


class BenchAnswer(NamedTuple):
    """An answer of ``tokens``, each of ``token_bytes``: ``head`` of them 20 ms apart, then ``gap_us`` (0: at once)."""

    tokens: int
    gap_us: int = 0
    head: int = 0
    token_bytes: int = 6

    @property
    def model(self) -> str:
        return f"bench-{self.tokens}-{self.gap_us}-{self.head}-{self.token_bytes}"


def answer_in(body: bytes) -> BenchAnswer | None:
    """Return the answer that a request asks for."""
    found = _MODEL_NAME.search(body)
    return BenchAnswer(*map(int, found.groups())) if found else None
