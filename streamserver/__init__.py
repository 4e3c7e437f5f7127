"""A streaming server for language models: tokens over Server-Sent Events, as they are generated."""

import sys

from streamserver.version import __version__

try:
    from streamserver.app import create_app
    from streamserver.config import ConfigError, Settings, load
    from streamserver.config.load import settings
    from streamserver.telemetry.logs import set_up_logs
except ModuleNotFoundError as error:
    from streamserver.import_conflict import explain

    hidden = explain(error)
    if hidden is None:
        raise
    if sys.argv[:1] == ["-m"]:  # python -m streamserver, which is still looking for its __main__
        sys.stderr.write(f"streamserver: {hidden}\n")
        sys.exit(2)
    raise hidden from None

__all__ = ["ConfigError", "Settings", "__version__", "create_app", "load", "set_up_logs", "settings"]
