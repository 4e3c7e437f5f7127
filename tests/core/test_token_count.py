"""What a stream cost: the provider's numbers where it gives them, ours, and marked so, where not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import ChatRequest, Delta, Message, Reasoning, Text, ToolCall, Usage
from streamserver.core.token_count import TokenCount
from streamserver.log.memory import MemoryLog
from tests.support.records import DONE, START


class Counting:
    """The tokens of a stream, and its log."""

    def __init__(self, request: ChatRequest) -> None:
        self.log = MemoryLog(START)
        self.tokens = TokenCount(request, self.log)
        self.report = self.tokens.report

    def add(self, piece: Delta) -> None:
        self.log.append(piece)


def asked(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(messages=messages, model="m", max_tokens=9, **fields)


def counting(*content: str) -> Counting:
    return Counting(asked(*(Message(role="user", content=text) for text in content or ("12345678",))))


def numbers(count: Counting) -> tuple[int, int, bool]:
    total = count.tokens.total()
    assert total.total_tokens == total.prompt_tokens + total.completion_tokens
    return total.prompt_tokens, total.completion_tokens, total.estimated


def test_what_the_provider_says_is_exact() -> None:
    count = counting()
    count.add(Text("x" * 400))
    count.report(Usage(70, 90))
    assert numbers(count) == (70, 90, False)


def test_numbers_of_a_failed_attempt_give_way_to_those_of_the_next() -> None:
    count = counting()
    count.report(Usage(100, 5))
    count.tokens.begin_attempt()
    assert numbers(count) == (100, 5, False), "if it fails as well, and says nothing"
    count.add(Text("a"))
    assert numbers(count) == (2, 1, True), "if it answers, and says nothing"
    count.report(Usage(7, 1))
    assert numbers(count) == (7, 1, False)


def test_counts_are_estimated_and_marked_when_the_provider_gives_none() -> None:
    count = counting("12345", "678", "9")
    assert numbers(count) == (3, 0, True)
    for piece in (Text("a"), Reasoning("b"), ToolCall(0, "id", "name", "c")):
        count.add(piece)
    assert numbers(count) == (3, 3, True), "a token a piece"
    count.add(ToolCall(0, None, None, "x" * 37))
    assert numbers(count) == (3, 10, True), "or one for four characters, if that is more"


def test_a_prompt_of_parts_counts_by_its_text_and_no_prompt_is_free() -> None:
    image: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:" + "A" * 4000}}
    parts = [{"type": "text", "text": "x" * 40}, image]
    messages = [Message(role="user", content=parts), Message(role="assistant", tool_calls=[])]
    assert numbers(Counting(asked(*messages))) == (10, 0, True)
    assert numbers(counting("")) == (1, 0, True)


def test_tools_and_tool_calls_count_as_they_do_for_the_limit() -> None:
    call = {"id": "c" * 8, "type": "function", "function": {"name": "f" * 8, "arguments": "a" * 8}}
    tool = {"type": "function", "function": {"name": "f" * 8, "description": "d" * 8}}
    choice = {"type": "function", "function": {"name": "f" * 8}}
    messages = [Message(role="assistant", tool_calls=[call], refusal="r" * 8, name="n" * 8)]
    request = asked(*messages, tools=[tool], tool_choice=choice)
    own_words, frames = 8 * 8, 8 + 7 + 6
    assert numbers(Counting(request)) == (math.ceil((own_words + frames) / 4), 0, True)


def test_numbers_that_pieces_came_after_are_a_lower_bound() -> None:
    count = counting()
    count.report(Usage(70, 1))  # as Anthropic says it at an answer's start
    assert numbers(count) == (70, 1, False)
    count.add(Text("Hello, all of you"))
    assert numbers(count) == (70, 5, True)
    count.report(Usage(None, 30))
    count.add(Text("x"))
    assert numbers(count) == (70, 30, True)


def test_half_of_the_numbers_leaves_the_whole_an_estimate() -> None:
    count = counting()
    count.report(Usage(70, None))
    assert numbers(count) == (70, 0, True)
    count = counting()
    count.report(Usage(None, 5))
    assert numbers(count) == (2, 5, True)


def test_numbers_given_several_times_never_fall() -> None:
    count = counting()
    for usage in (Usage(70, 10), Usage(60, 20), Usage(None, 15), Usage(0, 0)):
        count.report(usage)
    assert numbers(count) == (70, 20, False)


said = st.one_of(
    st.builds(Text, st.text(max_size=50)),
    st.builds(Usage, st.none() | st.integers(0, 500), st.none() | st.integers(0, 500)),
)


@given(st.lists(said))
def test_count_is_at_least_the_providers_and_exact_when_usage_comes_last(
    events: list[Text | Usage],
) -> None:
    count = counting()
    highest = 0
    for event in events:
        if isinstance(event, Usage):
            count.report(event)
            highest = max(highest, event.completion_tokens or 0)
        else:
            count.add(event)
        assert numbers(count)[1] >= highest
    count.report(Usage(1000, 1000))
    assert numbers(count) == (1000, 1000, False)


@pytest.mark.parametrize("text", ["", "\U0001f600" * 8, "naïve"])
def test_characters_are_counted_and_not_bytes(text: str) -> None:
    count = counting(text)
    assert numbers(count)[0] == max(1, -(-len(text) // 4))
    count.add(Text("\U0001f600" * 8))
    assert numbers(count)[1] == 2


def test_the_end_is_no_piece() -> None:
    count = counting()
    count.add(Text("a"))
    count.report(Usage(70, 90))
    count.log.close(DONE)
    assert (count.tokens.pieces, numbers(count)) == (1, (70, 90, False))
