"""The program: ``streamserver``, or ``python -m streamserver``."""

from __future__ import annotations

import os
import signal
import sys

from streamserver.import_conflict import explain_import_error


def run() -> int:
    """Run the command line. Return the exit status.

    Ctrl-C ends the process silently, also during the imports, which take most of the start; what has something to
    finish sets a handler of its own.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from streamserver.cli import main

        return main()
    except ModuleNotFoundError as error:
        if (conflict := explain_import_error(error)) is None:
            raise
        sys.stderr.write(f"streamserver: {conflict}\n")
        return 2
    except OSError as error:
        # Python opens this file for each TLS context, of which aiohttp makes two as it is imported.
        path = os.environ.get("SSLKEYLOGFILE")
        if not path or error.filename != path:
            raise
        sys.stderr.write(f"streamserver: SSLKEYLOGFILE: {path} cannot be written: {error.strerror}. Unset it.\n")
        return 2


if __name__ == "__main__":
    sys.exit(run())
