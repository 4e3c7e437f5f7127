"""Chat completions: the chunks of a streamed answer, read.

Source: OpenAI's API reference, "Chat completions", and what the servers that copy it do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from providers.answer import AnswerParser, broken_off
from providers.base import Event, Reasoning, RefusalText, Text, ToolCall, Usage
from providers.errors import ProviderError
from providers.lenient import (
    as_count,
    as_object,
    as_text,
    as_word,
    is_end_marker,
    objects,
)
from providers.openai.chunks import CHUNK, Choice, Chunk, ChunkDelta, GroqFields
from providers.openai.reasoning_details import ReasoningDetails
from providers.text_so_far import TextSoFar
from providers.upstream_errors import raise_error_in, told_error

_KNOWN_IN_A_CALL = frozenset({"index", "id", "type", "function", "custom", "name", "arguments", "input"})
_LEGACY_CALL = "function_call"
_TOKEN_FIELDS = ("content", "reasoning_content", "reasoning")


class ChatParser(AnswerParser):
    """A parser of one stream of chunks, with what it has read so far."""

    def __init__(self, tool_names: Collection[str] = ()) -> None:
        """``tool_names`` are those of the tools that the model can call: a name may come in pieces."""
        super().__init__(tool_names)
        self._message = TextSoFar()
        """Text that came in whole messages instead of deltas."""
        self._reasoning_details = ReasoningDetails()
        self._usage: Usage | None = None
        """The counts that the provider gave last."""

    def _read(self, name: str, data: bytes) -> Sequence[Event]:
        chunk = self.decode(name, data, CHUNK)
        if chunk is None:
            self.complete = is_end_marker(data)
            return ()
        choices = chunk.choices
        if chunk.error or not (choices or chunk.usage):
            raise_error_in(name, data)
        # A list, and functions that add to it: three generators would cost as much as reading the JSON.
        events: list[Event] = []
        if self.model is None:
            events += self.report_model(chunk.model)
        usage = chunk.usage
        for choice in choices or ():
            if choice.index:
                continue
            delta = choice.delta
            if delta is not None:
                content = delta.content
                if (
                    content.__class__ is str
                    and content
                    and not (
                        delta.tool_calls
                        or delta.reasoning_content
                        or delta.reasoning
                        or delta.reasoning_details
                        or delta.refusal
                        or delta.function_call
                    )
                ):  # a token
                    self.has_text = True
                    events.append(Text(content))
                    if not (choice.finish_reason or choice.error):
                        continue  # a whole message beside it has nothing new
                else:
                    self._add_delta(delta, events)
            elif choice.text:
                self._add_parts(choice.text, events)
            if choice.finish_reason or choice.error or choice.message is not None:
                usage = usage or choice.usage or (chunk.x_groq or GroqFields()).usage
                self.model = chunk.model or self.model
                self._add_end(choice, events)
        if usage is not None:
            self._usage = usage.as_usage()
            events.append(self._usage)
        elif len(events) == 1 and not name and self.can_learn:
            self._learn(data, chunk, events[0])
        return events

    def rest(self) -> Iterator[ToolCall | Usage]:
        """Yield what is left to be told of tool calls, and the counts once more: they are of those calls too."""
        rest = list(super().rest())
        yield from rest
        if rest and self._usage is not None:
            yield self._usage

    def _learn(self, data: bytes, chunk: Chunk, event: Event) -> None:
        """Learn the shape of a chunk with one event, if that is a token."""
        if event.__class__ not in (Text, Reasoning) or chunk.choices is None or len(chunk.choices) > 1:
            return
        choice = chunk.choices[0]
        delta = choice.delta
        if delta is None or choice.finish_reason or choice.message is not None:
            return
        assert isinstance(event, (Text, Reasoning))
        for field in _TOKEN_FIELDS:
            if getattr(delta, field) == event.text:
                break
        else:
            return

        def has_token(data: bytes, text: str) -> bool:
            setattr(delta, field, text)
            return CHUNK.decode(data) == chunk

        self.learn("", data, event, has_token)

    def _add_delta(self, delta: ChunkDelta, events: list[Event]) -> None:
        if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
            self._add_reasoning(delta, events)
        if delta.content:
            self._add_parts(delta.content, events)
        if delta.tool_calls or delta.refusal or delta.function_call or delta.images or delta.audio:
            self._add_others(delta, events)

    def _add_reasoning(self, delta: ChunkDelta, events: list[Event]) -> None:
        text = as_word(delta.reasoning_content) or as_word(delta.reasoning)
        told = self._reasoning_details.add(delta.reasoning_details)
        if text := text or told:
            self.has_text = True
            events.append(Reasoning(text))

    def _add_parts(self, content: object, events: list[Event]) -> None:
        """Add content in parts, as Mistral's reasoning models stream it: ``text``, and ``thinking`` with texts."""
        for part in content if isinstance(content, list) else [content]:
            match part:
                case {"type": "thinking", "thinking": thinking}:
                    text = "".join(as_word(thought.get("text")) or "" for thought in objects(thinking))
                    text = text or as_word(thinking) or ""
                    kind: type[Text | Reasoning] = Reasoning
                case {"type": "refusal", "refusal": refusal}:
                    text, kind = as_text(refusal), RefusalText
                case {"text": text}:
                    text, kind = as_text(text), Text
                case dict():
                    self.has_unreadable, text = True, ""
                case _:
                    text, kind = as_text(part), Text
            if text:
                self.has_text = True
                events.append(kind(text))

    def _add_others(self, delta: ChunkDelta, events: list[Event]) -> None:
        if refusal := as_text(delta.refusal):
            self.has_text = True
            events.append(RefusalText(refusal))
        if delta.tool_calls:
            calls = list(objects(delta.tool_calls))
            for position, call in enumerate(calls):
                index = as_count(call.get("index"))
                key = position if index is None and len(calls) > 1 else index
                events += self.calls.add(key, extra=_extra(call), **_parts_of(call))
        elif delta.function_call:
            events += self.calls.add(_LEGACY_CALL, **_parts_of(as_object(delta.function_call)))
        self.has_unreadable = self.has_unreadable or bool(delta.images or delta.audio)

    def _add_end(self, choice: Choice, events: list[Event]) -> None:
        if choice.error:
            raise _choice_error(choice)
        if choice.message is not None:
            self._add_message(choice.message, events)
        if choice.finish_reason:
            self.end(choice.finish_reason, as_word(choice.stop_reason))
            events += self.calls.flush()
            if self.calls and (details := self._reasoning_details.for_next_turn()):
                events += self.calls.add(None, extra={"reasoning_details": details})

    def _add_message(self, message: ChunkDelta, events: list[Event]) -> None:
        """Add a whole message, if no deltas have told it before."""
        if self.has_text and not self._message:
            message.content = message.refusal = message.reasoning = message.reasoning_content = None
        elif isinstance(message.content, str):
            message.content = message.content.removeprefix(self._message.joined())
            self._message.add(message.content)
        if self.calls:
            message.tool_calls = message.function_call = None
        message.reasoning_details = None
        self._add_delta(message, events)


def _choice_error(choice: Choice) -> ProviderError:
    return told_error({"error": choice.error}) or broken_off(choice.finish_reason or "error")


def _parts_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return id, name and arguments of a call, which may be in ``function``, in ``custom``, or the call's own."""
    custom = call.get("custom")
    described = as_object(custom) or as_object(call.get("function")) or call
    return {
        "id": call.get("id"),
        "name": described.get("name"),
        "arguments": described.get("input" if custom else "arguments"),
        "custom": bool(custom),
    }


def _extra(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a call that are its provider's own, such as the signature of Gemini's ``extra_content``."""
    return {name: value for name, value in call.items() if name not in _KNOWN_IN_A_CALL and value}
