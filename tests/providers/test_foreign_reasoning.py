"""Reasoning that another model made does not reach a provider that would refuse it; all else stays as it came."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Opaque
from providers.foreign_reasoning import own_chat, own_input, own_messages
from providers.opaque import seal

OURS = seal(Opaque("messages", "claude-4-20250929", {"signature": "c2ln"}))
OTHER_MODELS = seal(Opaque("messages", "claude-3", {"signature": "b3RoZXI="}))
ENCRYPTED = seal(Opaque("responses", "gpt-5", {"id": "rs_1", "encrypted_content": "gAAA"}))

TEXT = {"type": "text", "text": "x"}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]}
THINKING = {"type": "enabled", "budget_tokens": 1024}


def thought(signature: Any) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "hm", "signature": signature}


def turn(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize("signature", ["", None, OTHER_MODELS, ENCRYPTED])
def test_messages_leaves_out_thinking_that_the_model_did_not_sign(signature: Any) -> None:
    body: dict[str, Any] = {"messages": [turn(thought(signature), USE), RESULT], "thinking": THINKING, "top_k": 1}
    assert own_messages(body, "claude-4") == {"messages": [turn(USE), RESULT], "top_k": 1}
    assert body["messages"][0]["content"][0]["type"] == "thinking", "the caller's body is not changed"


def test_messages_keeps_thinking_that_the_model_signed() -> None:
    redacted = {"type": "redacted_thinking", "data": "d"}
    body = {"messages": [turn(thought("c2ln"), redacted, TEXT, USE), RESULT], "thinking": THINKING}
    assert own_messages(body, "claude-4") == body
    sealed = {"messages": [turn(thought(OURS), USE), RESULT], "thinking": THINKING}
    assert own_messages(sealed, "claude-4") == {"messages": [turn(thought("c2ln"), USE), RESULT], "thinking": THINKING}


def test_messages_leaves_out_a_turn_of_nothing_but_foreign_thinking() -> None:
    asked = {"role": "user", "content": "?"}
    rest = [asked, turn(thought("c2ln"), TEXT), turn(), asked]
    body = {"messages": [asked, turn(thought("")), *rest], "thinking": THINKING}
    assert own_messages(body, "claude-4") == {**body, "messages": [asked, *rest]}


@pytest.mark.parametrize(("thinking", "kept"), [(THINKING, False), ({"type": "adaptive"}, True)])
def test_messages_thinks_on_unless_a_round_of_tools_has_lost_its_thinking(thinking: dict[str, Any], kept: bool) -> None:
    body = {"messages": [turn(thought(""), USE), RESULT], "thinking": thinking}
    assert ("thinking" in own_messages(body, "claude-4")) is kept
    plain = {"messages": [turn(thought(""), TEXT), {"role": "user", "content": "?"}], "thinking": thinking}
    assert "thinking" in own_messages(plain, "claude-4")


def reasoning(**fields: Any) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs_1", "summary": [], **fields}


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        (reasoning(encrypted_content="gAAA"), [reasoning(encrypted_content="gAAA")]),
        (reasoning(encrypted_content=ENCRYPTED), [reasoning(encrypted_content="gAAA")]),
        (reasoning(encrypted_content=OURS), []),
        (reasoning(encrypted_content=None, content=[]), []),
        (reasoning(), []),
        (reasoning(content=[{"type": "reasoning_text"}]), [reasoning(content=[{"type": "reasoning_text"}])]),
        ({"type": "of_next_year"}, [{"type": "of_next_year"}]),
        ("odd", ["odd"]),
    ],
)
def test_responses_leaves_out_reasoning_that_the_model_cannot_read(item: Any, kept: list[Any]) -> None:
    assert own_input({"input": [item], "n": 1}, "gpt-5", stored=False) == {"input": kept, "n": 1}


def test_responses_keeps_references_to_reasoning_that_is_stored() -> None:
    assert own_input({"input": [reasoning()]}, "gpt-5", stored=True) == {"input": [reasoning()]}


def test_chat_leaves_out_sealed_details() -> None:
    own = {"type": "reasoning.text", "text": "hm"}
    sealed = {"type": "reasoning.encrypted", "data": ENCRYPTED}
    odd: list[Any] = ["odd", {"role": "user", "content": None}]
    turns = [{"reasoning_details": [own, sealed], "a": None}, {"reasoning_details": [sealed], "b": 1}, *odd]
    assert own_chat({"messages": turns, "n": 2}) == {
        "messages": [{"reasoning_details": [own], "a": None}, {"b": 1}, *odd],
        "n": 2,
    }


@pytest.mark.parametrize("odd", [None, "x", {}, 7])
def test_bodies_of_an_odd_form_stay_as_they_came(odd: Any) -> None:
    assert own_messages({"messages": odd}, "m") == {"messages": odd}
    assert own_input({"input": odd}, "m", stored=False) == {"input": odd}
    assert own_chat({"messages": odd}) == {"messages": odd}
    assert own_messages({"messages": [odd, {"role": "assistant", "content": odd}]}, "m")["messages"][0] == odd
