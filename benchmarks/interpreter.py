"""The interpreter that the figures are from."""

from __future__ import annotations

import platform
import sysconfig


def describe_interpreter() -> str:
    """Return its version, and whether it was built with profile-guided optimisation, as far as it tells.

    ``--enable-optimizations`` is how CPython's own build asks for it. Debian asks in another way, and removes the
    compiler's option from the configuration that it installs.
    """
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    if "--enable-optimizations" in arguments:
        built = "built with profile-guided optimisation"
    elif sysconfig.get_config_var("PGO_PROF_USE_FLAG") == "":
        built = "built as Debian does, with profile-guided optimisation"
    else:
        built = "built without profile-guided optimisation"
    return f"{platform.python_implementation()} {platform.python_version()}, {built}."
