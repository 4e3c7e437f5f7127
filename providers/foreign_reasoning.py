"""Reasoning in a body of the provider's own protocol that another model made.

A client on one wire may be answered by several providers, and sends back the reasoning of all of them. Each vendor
refuses a signature or encrypted reasoning that is not its own. What came from elsewhere was handed out sealed
(:mod:`providers.opaque`), or unsigned; it is left out here, and all else stays as it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers import opaque
from providers.base import ApiProtocol


def own_messages(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return ``body`` of the Messages API without thinking that ``model`` did not sign.

    Thinking is turned off where the turn that it would go on from has lost its own: the API wants it back in a round
    of tools.
    """
    messages = body.get("messages")
    if not isinstance(messages, list):
        return dict(body)
    cleaned = [_own_turn(turn, model) for turn in messages]
    pairs = list(zip(messages, cleaned, strict=True))
    own = {**body, "messages": [turn for came, turn in pairs if turn is came or turn["content"]]}
    came, last = next((pair for pair in reversed(pairs) if _is_assistant(pair[0])), (None, None))
    if last is not came and not _has_thinking(last) and _has_results(messages[-1]) and _has_budget(body):
        del own["thinking"]
    return own


def own_input(body: Mapping[str, Any], model: str, *, stored: bool) -> dict[str, Any]:
    """Return ``body`` of the Responses API without reasoning that ``model`` cannot read.

    Unless answers are ``stored`` at the provider, that is also what it could only look up by its id.
    """
    items = body.get("input")
    if not isinstance(items, list):
        return dict(body)
    return {**body, "input": [own for item in items for own in _own_item(item, model, stored)]}


def own_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``body`` of chat completions without sealed reasoning, which is another protocol's."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return dict(body)
    return {**body, "messages": [without_sealed(message) for message in messages]}


def without_sealed(message: Any) -> Any:
    """Return a message of chat completions without sealed entries of ``reasoning_details``."""
    details = message.get("reasoning_details") if isinstance(message, dict) else None
    if not isinstance(details, list):
        return message
    kept = [each for each in details if not _is_sealed(each)]
    if len(kept) == len(details):
        return message
    rest = {name: value for name, value in message.items() if name != "reasoning_details"}
    return {**rest, "reasoning_details": kept} if kept else rest


def _is_sealed(detail: object) -> bool:
    match detail:
        case {"type": "reasoning.encrypted", "data": str(data)}:
            return opaque.unseal(data) is not None
        case _:
            return False


def _is_assistant(turn: object) -> bool:
    return isinstance(turn, dict) and turn.get("role") == "assistant"


def _own_turn(turn: Any, model: str) -> Any:
    content = turn.get("content") if isinstance(turn, dict) else None
    if not isinstance(content, list):
        return turn
    own = [kept for block in content for kept in _own_block(block, model)]
    return turn if own == content else {**turn, "content": own}


def _own_block(block: Any, model: str) -> Iterator[Any]:
    match block:
        case {"type": "thinking", **fields}:
            signature = fields.get("signature")
            data = _own(signature, "messages", model, "signature") if signature else None
            if data is not None:
                yield block if data == signature else {**block, "signature": data}
        case _:
            yield block


def _has_thinking(turn: Any) -> bool:
    return any(isinstance(block, dict) and "thinking" in str(block.get("type")) for block in turn["content"])


def _has_results(turn: Any) -> bool:
    content = turn.get("content") if isinstance(turn, dict) else None
    return any(isinstance(block, dict) and block.get("type") == "tool_result" for block in content or ())


def _has_budget(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"


def _own_item(item: Any, model: str, stored: bool) -> Iterator[Any]:
    match item:
        case {"type": "reasoning", "encrypted_content": str(encrypted)} if encrypted:
            data = _own(encrypted, "responses", model, "encrypted_content")
            if data is not None:
                yield item if data == encrypted else {**item, "encrypted_content": data}
        case {"type": "reasoning"} if not item.get("content") and not stored:
            pass
        case _:
            yield item


def _own(value: object, protocol: ApiProtocol, model: str, field: str) -> object:
    """Return ``value`` for ``field`` as its vendor made it, None if another vendor or model did."""
    sealed = opaque.unseal(value) if isinstance(value, str) else None
    if sealed is None:
        return value
    return sealed.data.get(field) if opaque.readable_by(sealed, protocol, model) else None
