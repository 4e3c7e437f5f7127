"""The folder in which several workers keep their metrics together."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER_PREFIX = "streamserver-metrics-"
_LOCK = "lock"


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """Make a folder for as long as the block runs, and remove those of servers that were killed.

    A folder is in use while its lock is held: by the process that made it, and by the workers that it forked.
    Raises :class:`OSError`.
    """
    root = Path(tempfile.gettempdir())
    _remove_abandoned(root)
    made = Path(tempfile.mkdtemp(prefix=f".{FOLDER_PREFIX}"))
    lock = _locked(made / _LOCK)
    folder = root / made.name.removeprefix(".")
    try:
        made.rename(folder)  # not before it is locked: another server that starts now would remove it
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_abandoned(root: Path) -> None:
    for folder in root.glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):  # in use, or another user's
            os.close(_locked(folder / _LOCK))
            shutil.rmtree(folder)


def _locked(path: Path) -> int:
    """Return the descriptor of the locked file. Raises :class:`BlockingIOError` if another process holds the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
