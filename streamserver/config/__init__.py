"""Settings: what there is, and how it is found."""

from streamserver.config.load import ConfigError, Loaded, load
from streamserver.config.settings import Settings

__all__ = ["ConfigError", "Loaded", "Settings", "load"]
