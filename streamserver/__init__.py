"""A streaming server for language models: tokens over Server-Sent Events, as they are generated."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamserver.import_conflict import explain_import_error
from streamserver.version import __version__

if TYPE_CHECKING:
    from streamserver.app import create_app
    from streamserver.config import ConfigError, Settings, load
    from streamserver.config.load import settings
    from streamserver.telemetry.logs import set_up_logs

__all__ = ["ConfigError", "Settings", "__version__", "create_app", "load", "set_up_logs", "settings"]

_MODULES = {
    "ConfigError": "streamserver.config",
    "Settings": "streamserver.config",
    "create_app": "streamserver.app",
    "load": "streamserver.config",
    "set_up_logs": "streamserver.telemetry.logs",
    "settings": "streamserver.config.load",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the command line starts before the rest is imported, and handles Ctrl-C by then."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        raise explain_import_error(error) or error from None
