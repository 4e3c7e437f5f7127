"""The temporary folder for the metrics of several workers."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from streamserver.commands.metrics_folder import FOLDER_PREFIX, metrics_folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def folders(temporary: Path) -> list[Path]:
    return [path for path in temporary.iterdir() if path.name.startswith(FOLDER_PREFIX)]


def killed_in_its_folder(temporary: Path) -> None:
    child = os.fork()
    if not child:
        with metrics_folder() as folder:
            (folder / "gauge_livesum_1.db").write_bytes(b"x")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(folders(temporary)) == 1


def test_folder_is_removed_at_the_end(temporary: Path) -> None:
    with metrics_folder() as folder:
        assert folders(temporary) == [folder]
    assert list(temporary.iterdir()) == []


def test_folder_of_a_killed_server_is_removed_by_the_next_one(temporary: Path) -> None:
    killed_in_its_folder(temporary)
    with metrics_folder() as folder:
        assert folders(temporary) == [folder]


def test_folder_in_use_is_left_alone(temporary: Path) -> None:
    with metrics_folder() as first, metrics_folder() as second:
        assert sorted(folders(temporary)) == sorted([first, second])


def test_folder_is_in_use_while_a_worker_of_a_killed_server_runs(temporary: Path) -> None:
    ended, end = os.pipe()
    parent = os.fork()
    if not parent:
        with metrics_folder():
            if not os.fork():
                os.close(end)
                os.read(ended, 1)  # until the test closes its end
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    (orphaned,) = folders(temporary)
    try:
        with metrics_folder():
            assert orphaned.exists()
    finally:
        os.close(end)
        os.close(ended)
