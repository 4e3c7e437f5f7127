"""Frames that differ in nothing but the text of their token, as most of an answer's do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from providers.base import Reasoning, Text


_BACKSLASH = 0x5C
_decode_string = msgspec.json.Decoder(str).decode


class TokenShape:
    """All of a frame but the text of its one token. A frame of the same shape has a token of the same kind.

    Comparing two slices takes a third of the time that decoding the frame takes. Text with an escape in it is left to
    the decoder of frames.
    """

    __slots__ = ("_head", "_name", "_string", "_tail", "_token", "after", "before", "text")

    def __init__(self, name: str, before: bytes, after: bytes, token: type[Text] | type[Reasoning]) -> None:
        """``before`` ends with the quote before the text, ``after`` begins with the one behind it."""
        self._name = name
        self.before = before
        self.after = after
        self._head, self._tail = slice(len(before)), slice(-len(after), None)
        self._string = slice(len(before) - 1, 1 - len(after))
        self.text = slice(len(before), -len(after))
        """Where the text is in the data of a frame."""
        self._token = token

    @classmethod
    def of(cls, name: str, data: bytes, token: Text | Reasoning) -> TokenShape | None:
        """Return the shape of a frame, None if the text of ``token`` is not exactly once in it, or has to be decoded.

        What is found may still be another string than the token. The caller decodes :meth:`frame` to see.
        """
        before, quoted, after = data.partition(b'"%b"' % token.text.encode("utf-8", "replace"))
        if not quoted or quoted in after or b"\n" in data or not after:
            return None
        shape = cls(name, before + b'"', b'"' + after, type(token))
        return shape if shape.token_in(data, name) == token else None

    def frame(self, text: str) -> bytes:
        """Return the frame of this shape with ``text``, which needs no escapes."""
        return b"%b%b%b" % (self.before, text.encode(), self.after)

    def of_event(self) -> TokenShape:
        """Return the shape of the whole SSE event, as it comes when it comes alone, with such a frame as its data."""
        name = b"event: %b\n" % self._name.encode() if self._name else b""
        return TokenShape("", b"%bdata: %b" % (name, self.before), b"%b\n\n" % self.after, self._token)

    def token_in(self, data: bytes, name: str = "") -> Text | Reasoning | None:
        """Return the token of a frame, None if the frame has another shape, or has to be decoded."""
        # Slices: methods of bytes parse their arguments.
        string = data[self._string]
        if (
            data[self._head] != self.before
            or data[self._tail] != self.after
            or _BACKSLASH in string
            or name != self._name
        ):
            return None
        try:
            text = _decode_string(string)
        except ValueError:
            return None
        token = self._token  # Python looks for a method of that name in `self._token(text)`
        return token(text) if text else None
