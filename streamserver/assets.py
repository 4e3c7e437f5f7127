"""The files that travel with the package: the demo page and the default configuration.

In the repository they lie at the top; the wheel carries them inside the package.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_REPOSITORY = _PACKAGE.parent


def _find(name: str) -> Path:
    packaged = _PACKAGE / name
    return packaged if packaged.exists() else _REPOSITORY / name


def web_folder() -> Path:
    """Return the folder of the demo page."""
    return _find("web")


def default_config() -> str:
    """Return the text of the default ``config.toml``."""
    return _find("config.toml").read_text("utf-8")
