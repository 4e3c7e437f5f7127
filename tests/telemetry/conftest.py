"""The process's log settings are global: each test puts them back."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest
from loguru import logger

from streamserver.config.settings import LogSettings
from streamserver.telemetry.logs import set_up_logs

SetUp = Callable[..., io.StringIO]


@pytest.fixture
def set_up() -> Iterator[SetUp]:
    """Return ``set_up(format="json", level="DEBUG")``: the stream that everything logged goes to."""
    root, names = logging.root, list(logging.Logger.manager.loggerDict)
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in names}
    hooks = sys.unraisablehook, sys.excepthook, threading.excepthook
    with warnings.catch_warnings():

        def start(**settings: str) -> io.StringIO:
            stream = io.StringIO()
            set_up_logs(LogSettings(**settings), stream)
            return stream

        yield start
    sys.unraisablehook, sys.excepthook, threading.excepthook = hooks
    logger.remove()
    root.handlers = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
