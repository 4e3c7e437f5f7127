"""Where a provider's requests go, and with which headers: those that the vendor's own SDK would send.

The SDKs take one to three seconds to import, and would make nothing but this. What they would send is made here
without them, for the version that is installed; :mod:`providers.sdk` and the tests compare it with theirs.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_SYSTEMS: Mapping[str, str] = {
    "darwin": "MacOS",
    "freebsd": "FreeBSD",
    "linux": "Linux",
    "openbsd": "OpenBSD",
    "windows": "Windows",
}
_MACHINES: Mapping[str, str] = {"aarch64": "arm64", "arm64": "arm64", "arm": "arm", "x86_64": "x64"}


class Address(msgspec.Struct, frozen=True):
    """The address and headers of requests. ``url`` is given the model."""

    url: Callable[[str], str]
    headers: Mapping[str, str]

    def __post_init__(self) -> None:
        # aiohttp needs the names in lower case for each request: its own dictionary keeps them.
        msgspec.structs.force_setattr(self, "headers", CIMultiDictProxy(CIMultiDict(self.headers)))


def join(base_url: str, path: str) -> str:
    """Return ``path``, which is quoted already, under ``base_url``."""
    return f"{str(URL(base_url)).rstrip('/')}/{path}"


def sdk_headers(client: str, package: str) -> dict[str, str]:
    """Return the headers that the asynchronous ``client`` of the SDK ``package`` sends with every request.

    Raises :class:`ImportError` if the package is not installed.
    """
    installed = version(package)
    return {
        "Accept": "text/event-stream",
        "Content-Type": "application/json",
        "User-Agent": f"{client}/Python {installed}",
        "X-Stainless-Lang": "python",
        "X-Stainless-Package-Version": installed,
        "X-Stainless-OS": _system(),
        "X-Stainless-Arch": _machine(),
        "X-Stainless-Runtime": platform.python_implementation(),
        "X-Stainless-Runtime-Version": platform.python_version(),
        "X-Stainless-Async": "async:asyncio",
    }


def _system() -> str:
    name = platform.system().lower()
    return _SYSTEMS.get(name, f"Other:{name}" if name else "Unknown")


def _machine() -> str:
    name = platform.machine().lower()
    if sys.maxsize <= 2**32 and name not in _MACHINES:
        return "x32"
    return _MACHINES.get(name, f"other:{name}" if name else "unknown")
