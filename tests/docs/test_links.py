"""The links of the Markdown files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them, and those that it sets itself."""
    without_blocks = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set(_ANCHOR.findall(text))
    for heading in _HEADING.findall(without_blocks):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def broken_links(page: Path) -> Iterator[str]:
    """Yield each link to a file or a heading that does not exist. Links to other sites are not followed."""
    text = _CODE.sub("", page.read_text("utf-8"))
    for link in (*_INLINE.findall(text), *_REFERENCE.findall(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        has_anchors = bool(anchor) and target.suffix == ".md"
        if not target.exists() or (has_anchors and anchor not in anchors(target.read_text("utf-8"))):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One `two`: three\n# Twice\n# Twice\n", "utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n"
        "[a](other.md#one-two-three) [b](other.md#twice-1) [c](#here) [d](https://example.org/#x) `[e](no.md)`\n"
        "```\n[f](no.md)\n```\n[g](other.md#twice-2) [h](#nowhere) [i](gone.md)\n\n[j]: missing.md\n",
        "utf-8",
    )
    assert list(broken_links(page)) == ["other.md#twice-2", "#nowhere", "gone.md", "missing.md"]
