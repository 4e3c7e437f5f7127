#!/usr/bin/env python3
"""Build the documentation's site into ``build/docs``, and check it.

Every link and anchor has to lead somewhere, and no page may load anything from another host. Each page is there as
plain Markdown too, and ``llms.txt`` lists them. It needs ``pip install 'llm-streamserver[docs]'``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).resolve().parents[1]
LOADED = {"script", "img", "iframe", "source", "video", "audio", "embed", "object"}
LOADED_BY_LINK = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch", "manifest"}


def main() -> int:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    site = ROOT / config["site_dir"]
    shutil.rmtree(site, ignore_errors=True)
    built = subprocess.run([builder(), "build", "--clean", "--strict"], cwd=ROOT, timeout=300)
    if built.returncode != 0:
        return built.returncode
    write_markdown(config, site)
    wrong = [
        f"{path.relative_to(site)}: {fault}" for path in sorted(site.rglob("*.html")) for fault in faults(path, site)
    ]
    print("\n".join(wrong) or f"{len(list(pages(config['nav'])))} pages in {site}", file=sys.stderr)
    return 1 if wrong else 0


def builder() -> str:
    beside = Path(sys.executable).with_name("zensical")
    return str(beside) if beside.exists() else "zensical"


def pages(nav: list[Any]) -> Iterator[str]:
    """Yield the files of the navigation, in its order."""
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from pages(value) if isinstance(value, list) else [value]


def write_markdown(config: Any, site: Path) -> None:
    """Put each page's Markdown beside it, ``deployment.md`` beside ``deployment/``, and list all in ``llms.txt``."""
    lines, whole = [f"# {config['site_name']}", "", f"> {config['site_description']}.", "", "## Documentation", ""], []
    for name in pages(config["nav"]):
        text = (ROOT / config["docs_dir"] / name).read_text("utf-8").strip()
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text + "\n", "utf-8")
        lines.append(f"- [{text.partition(chr(10))[0].lstrip('# ')}]({name}): {summary(text)}")
        whole.append(text)
    (site / "llms.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (site / "llms-full.txt").write_text("\n\n".join(whole) + "\n", "utf-8")


def summary(text: str) -> str:
    """Return the first paragraph of a page."""
    paragraphs = text.split("\n\n")[1:]
    return " ".join(next((each for each in paragraphs if each[0] not in "#|`!-<"), "").split())


def faults(path: Path, site: Path) -> Iterator[str]:
    """Yield what is wrong with the page at ``path``: links that lead nowhere, and what other hosts would serve."""
    page = Page(path)
    for url in page.loaded:
        if urlsplit(url).netloc:
            yield f"loads {url}"
    for url in (*page.loaded, *page.links):
        parts = urlsplit(url)
        if parts.scheme or parts.netloc or path.name == "404.html":
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file() or not target.is_relative_to(site):
            yield f"{url} leads nowhere"
        elif parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in Page(target).ids:
            yield f"{url} has no such heading"


class Page(HTMLParser):
    """The addresses that a browser loads with a page, those that it links to, and the names in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text("utf-8"))
        style = re.findall(r"url\([\"']?([^\"')]+)", path.read_text("utf-8"))
        self.loaded = [url for url in (*self.loaded, *style) if not url.startswith("data:")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag in LOADED:
            self.loaded += [
                given[name] for name in ("src", "data") if name in given and not given[name].startswith("data:")
            ]
        elif tag == "link" and LOADED_BY_LINK & set(given.get("rel", "").split()):
            self.loaded.append(given.get("href", ""))
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])


if __name__ == "__main__":
    sys.exit(main())
