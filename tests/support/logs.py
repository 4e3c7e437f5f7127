"""The log settings of a process, which are global: a test that changes them puts them back."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from loguru import logger

from streamserver.config.settings import LogSettings
from streamserver.telemetry.logs import set_up_logs


@contextmanager
def restored_logs() -> Iterator[None]:
    """Let a test set logs up. Without it, failures of later tests in the process would go unseen into its log."""
    root, names = logging.root, list(logging.Logger.manager.loggerDict)
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in names}
    hooks = sys.unraisablehook, sys.excepthook, threading.excepthook
    try:
        with warnings.catch_warnings():
            yield
    finally:
        logger.remove()
        sys.unraisablehook, sys.excepthook, threading.excepthook = hooks
        root.handlers = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)


def log_to_memory(**settings: str) -> io.StringIO:
    """Set logs up. Return the stream that everything logged goes to."""
    stream = io.StringIO()
    set_up_logs(LogSettings(**settings), stream)
    return stream
