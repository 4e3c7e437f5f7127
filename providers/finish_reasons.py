"""Why a model stopped: the words of all providers, in one table.

Sources: the API references of OpenAI, Anthropic, Google, Mistral, DeepSeek, Cohere and Z.ai; the finish reasons of
vLLM (``vllm/v1/request.py``), SGLang and Text Generation Inference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REASON_WORDS: Mapping[str, tuple[str, ...]] = {
    "stop": ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed"),
    "length": (
        *("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_length", "model_length"),
        *("model_context_window_exceeded", "context_window_exceeded", "context_length_exceeded", "token_limit"),
    ),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
    "content_filter": (
        *("content_filter", "content_filtered", "content_policy_violation", "refusal", "safety", "sensitive"),
        *("recitation", "blocklist", "prohibited_content", "spii", "image_safety", "guardrail_intervened"),
    ),
}
_REASONS = {word: reason for reason, words in _REASON_WORDS.items() for word in words}
_FAILURE = re.compile(
    r"error|abort|fail|cancel|interrupt|time_?d?_?out|exception|insufficient|unavailable|overload|malformed|disconnect",
    re.IGNORECASE,
)
"""Words for a generation that broke off: ``network_error``, ``insufficient_system_resource``, ``abort`` …"""


def is_failure(word: str) -> bool:
    """Return whether a provider's ``word`` says that the generation broke off, and so is no end of an answer."""
    return word.lower() not in _REASONS and _FAILURE.search(word) is not None


def is_stop(word: str) -> bool:
    """Return whether a provider's ``word`` says nothing but that the answer ended."""
    return _REASONS.get(word.lower()) == "stop"


def finish_reason(word: str, *, called_tools: bool) -> str:
    """Return ``stop``, ``length``, ``tool_calls``, ``content_filter``, or ``word`` itself if it is unknown.

    Some servers say ``stop`` at the end of an answer that calls tools: with ``called_tools`` that is ``tool_calls``.
    """
    reason = _REASONS.get(word.lower(), word)
    return "tool_calls" if reason == "stop" and called_tools else reason
