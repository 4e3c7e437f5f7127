"""The release script refuses what is not ready to be released, before it changes anything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts/release"
GIT = ("git", "-c", "user.name=Tests", "-c", "user.email=tests@example.com", "-c", "commit.gpgsign=false")
READY = {
    "streamserver/version.py": '__version__ = "1.2.3"\n',
    "CHANGELOG.md": "# Changelog\n\n## 1.2.3 (2030-01-01)\n\n- Something.\n",
    # The checks of a change are the last gate before anything is built.
    ".ci/run": "#!/bin/sh\necho the checks ran >&2\nexit 3\n",
}


def repository(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / ".ci/run").chmod(0o755)
    (folder / "scripts").mkdir()
    shutil.copy(SCRIPT, folder / "scripts/release")
    origin = ("remote", "add", "origin", "https://example.com/owner/name.git")
    for command in (("init", "-q"), origin, ("add", "-A"), ("commit", "-q", "-m", "Start")):
        subprocess.run([*GIT, *command], cwd=folder, check=True, timeout=60)
    return folder


def release(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["scripts/release", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("version", ["", "v1.2.3", "1.2", "1.2.3-rc1", "1.2.3 "])
def test_release_wants_a_version(tmp_path: Path, version: str) -> None:
    done = release(repository(tmp_path, READY), version)
    assert done.returncode == 1 and "usage: scripts/release VERSION" in done.stderr


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"streamserver/version.py": '__version__ = "1.2.2"\n'}, "version.py has another version"),
        ({"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- Something.\n"}, "no section '## 1.2.3 (DATE)'"),
    ],
)
def test_release_refuses_when_a_file_is_not_ready(tmp_path: Path, changed: dict[str, str], message: str) -> None:
    done = release(repository(tmp_path, {**READY, **changed}), "1.2.3")
    assert done.returncode == 1 and message in done.stderr
    assert "the checks ran" not in done.stderr


def test_release_refuses_when_the_remote_is_no_address(tmp_path: Path) -> None:
    folder = repository(tmp_path, READY)
    subprocess.run([*GIT, "remote", "set-url", "origin", "/a/path"], cwd=folder, check=True, timeout=60)
    assert "no remote origin with an address" in release(folder, "1.2.3").stderr


def test_release_refuses_when_there_are_uncommitted_changes(tmp_path: Path) -> None:
    folder = repository(tmp_path, READY)
    (folder / "new.py").touch()
    assert "uncommitted changes" in release(folder, "1.2.3").stderr


def test_release_refuses_when_the_tag_exists(tmp_path: Path) -> None:
    folder = repository(tmp_path, READY)
    subprocess.run([*GIT, "tag", "v1.2.3"], cwd=folder, check=True, timeout=60)
    assert "the tag v1.2.3 exists" in release(folder, "1.2.3").stderr


def test_release_builds_and_tags_nothing_when_the_checks_fail(tmp_path: Path) -> None:
    folder = repository(tmp_path, READY)
    done = release(folder, "1.2.3")
    assert done.returncode == 3 and "the checks ran" in done.stderr
    assert not (folder / "dist").exists()
    assert subprocess.run([*GIT, "tag"], cwd=folder, capture_output=True, timeout=60).stdout == b""
