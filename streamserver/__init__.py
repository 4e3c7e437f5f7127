"""A streaming server for language models: tokens over Server-Sent Events, as they are generated."""

from importlib.metadata import version

from streamserver.app import create_app
from streamserver.config import ConfigError, Settings, load

__version__ = version("streamserver")
__all__ = ["ConfigError", "Settings", "__version__", "create_app", "load"]
