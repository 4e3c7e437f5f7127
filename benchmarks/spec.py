"""What an answer of the benchmarks' upstream is like, written into the name of the model that is asked for."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(rb'"model":\s*"bench-(\d+)-(\d+)-(\d+)-(\d+)"')

MARK = b"~"
"""Ends every token, and is in nothing else on any wire: to count it is to count tokens."""


class Answer(NamedTuple):
    """``tokens`` of ``token_bytes`` each: the first ``head`` come 20 ms apart, the others ``gap_us``; 0: at once."""

    tokens: int
    gap_us: int = 0
    head: int = 0
    token_bytes: int = 6

    @property
    def model(self) -> str:
        return f"bench-{self.tokens}-{self.gap_us}-{self.head}-{self.token_bytes}"


def answer_in(body: bytes) -> Answer | None:
    """The answer that the JSON of a request asks for."""
    found = _NAME.search(body)
    return Answer(*map(int, found.groups())) if found else None
