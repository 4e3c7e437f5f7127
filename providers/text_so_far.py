"""Text that comes in pieces, and perhaps once more as a whole."""

from __future__ import annotations


class TextSoFar:
    """The pieces that have come. APIs send a text in pieces, then the whole; their copies may leave out either."""

    __slots__ = ("_length", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def __len__(self) -> int:
        return self._length

    def add(self, piece: str) -> None:
        if piece:
            self._pieces.append(piece)
            self._length += len(piece)

    def ends_with(self, mark: str) -> bool:
        """Return whether the last piece ends with ``mark``, blanks left aside."""
        return bool(self._pieces) and self._pieces[-1].rstrip()[-len(mark) :] in ("", mark)

    def clear(self) -> None:
        """Begin another text."""
        self._pieces.clear()
        self._length = 0

    def joined(self) -> str:
        """Return all of it."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def rest_of(self, whole: str) -> str:
        """Return what ``whole`` has beyond the pieces; nothing if it does not begin with them."""
        so_far = self.joined()
        return whole[len(so_far) :] if whole.startswith(so_far) else ""
