"""Metadata that is made when the package is built: the links to the repository, and the README with those links."""

from __future__ import annotations

import re
import subprocess
import sys
from email import message_from_string
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

IMAGE = re.compile(r"^!\[[^\]]*\]\((?!https?:)[^)]*\)\n*", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)]*)\)")
REMOTE = re.compile(r"(?:https://(?:[^@/]*@)?|ssh://git@|git@)([\w-]+(?:\.[\w-]+)+)[:/]([\w./-]+?)(?:\.git)?/?")
SOURCE = "Source"


class PackageMetadata(MetadataHookInterface):
    """Sets ``readme`` and ``urls``; pyproject.toml names them as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        check_python(metadata["requires-python"])
        root = Path(self.root)
        repository = repository_of(root)
        text = (root / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_links(text, repository)}
        metadata["urls"] = urls(repository)


def check_python(required: str, running: tuple[int, ...] = sys.version_info[:3]) -> None:
    """End the build for a Python that is too old, with one line: pip would name a dependency that does not exist."""
    oldest = required.removeprefix(">=")
    if running < tuple(map(int, oldest.split("."))):
        raise SystemExit(f"llm-streamserver needs Python {oldest} or later, and this is {'.'.join(map(str, running))}")


def repository_of(root: Path) -> str | None:
    """Return the address of the repository's page, or None where there is none.

    A source distribution knows it from the build that made it, a clone from its remote ``origin``. The address is
    written nowhere else, so that a fork publishes its own.
    """
    built = root / "PKG-INFO"
    if built.exists():
        known = dict(
            line.split(", ", 1) for line in message_from_string(built.read_text("utf-8")).get_all("Project-URL", ())
        )
        return known.get(SOURCE)
    if not (root / ".git").exists():  # else git would find a repository around this one
        return None
    try:
        command = ("git", "-C", str(root), "remote", "get-url", "origin")
        remote = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
    except OSError:
        return None
    return page_of(remote.strip())


def page_of(remote: str) -> str | None:
    """Return the page of a remote, without the credentials that it may hold; None for a path or an unknown form."""
    found = REMOTE.fullmatch(remote)
    return f"https://{found[1]}/{found[2]}" if found else None


def urls(repository: str | None) -> dict[str, str]:
    """Return the links that the package index shows."""
    if repository is None:
        return {}
    return {
        "Documentation": f"{repository}/blob/main/docs/index.md",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
        SOURCE: repository,
    }


def with_links(text: str, repository: str | None) -> str:
    """Return ``text`` without pictures of the repository, and with links to its files made absolute, or dropped."""
    target = r"\1" if repository is None else rf"[\1]({repository}/blob/main/\2)"
    return LINK.sub(target, IMAGE.sub("", text))
