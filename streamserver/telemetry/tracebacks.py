"""Tracebacks without values.

An exception's message may quote what it failed on: a prompt, a token, a key. So a crash is logged as
the types of its exceptions and their frames, which lead to the bug.
"""

from __future__ import annotations

import traceback

from loguru import logger


def places(error: BaseException | None) -> str:
    """Return the chain of exceptions, each as its type and frames, without its message."""
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines.append(f"{type(error).__module__}.{type(error).__qualname__} (message left out)")
        frames = traceback.extract_tb(error.__traceback__)
        lines.extend(f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def log_crash(what: str, error: BaseException, **fields: object) -> None:
    """Log a bug in this server or in a plug-in."""
    logger.bind(event="crash", **fields, traceback=places(error)).error(what)
