"""Why a model stopped, in the words of chat completions."""

from __future__ import annotations

from streamserver.log.records import Done


def chat_finish_reason(done: Done, *, has_refusal: bool) -> str:
    """Return the ``finish_reason`` of an answer. A refusal is told by its own field, so that it ends like any answer.

    Anthropic's ``pause_turn`` has no equal here; words of other providers pass as they are.
    """
    if done.finish_reason == "pause_turn" or (has_refusal and done.finish_reason == "content_filter"):
        return "stop"
    return done.finish_reason
