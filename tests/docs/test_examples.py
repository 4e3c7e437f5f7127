"""What the documentation says is so: every example is a configuration, every name exists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import msgspec
import pytest

from providers.base import Provider
from providers.options import Context, Options
from providers.registry import GROUP, Kind, load_registry
from providers.validation import Invalid, convert
from streamserver.arguments import build_parser
from streamserver.config import Settings
from streamserver.config.load import _check
from streamserver.core.error_codes import FAILURES
from streamserver.wire.problem import STATUS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
CODES = {*FAILURES, *STATUS}
SECTIONS: dict[str, Any] = msgspec.to_builtins(Settings())

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_KEY = re.compile(r"`([a-z]+)\.([a-z_]+)(?: *=[^`]*)?`")
_VARIABLE = re.compile(r"\bSTREAMSERVER_([A-Z]+)__([A-Z0-9_]+)")
_COMMAND = re.compile(r"\bstreamserver((?: +(?:-[^\s|&;>`'\")]+|check|serve|providers|\w+\.toml))+)")


class PlugInOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The options of a kind that a page brings itself, which are not known here."""


def never(options: Any, context: Context) -> Provider:
    raise NotImplementedError


PLUG_IN = Kind(PlugInOptions, never)


def wrong_examples(text: str) -> Iterator[str]:
    """Yield what is wrong with the fenced TOML: each block changes the defaults, and the page's other blocks may
    bring the providers and kinds that it names."""
    blocks = []
    for language, body in _FENCE.findall(text):
        if language == "toml":
            try:
                blocks.append(tomllib.loads(body))
            except tomllib.TOMLDecodeError as error:
                yield str(error)
    providers, plug_ins = dict(SECTIONS["providers"]), []
    for block in blocks:
        providers.update(block.get("providers", {}))
        names = block.get("project", {}).get("entry-points", {}).get(GROUP, {})
        plug_ins += [EntryPoint(name, f"{__name__}:PLUG_IN", GROUP) for name in names]
    registry = load_registry(plug_ins)
    for block in blocks:
        if block.keys() <= SECTIONS.keys():  # else another program's file
            try:
                _check(convert({**block, "providers": {**providers, **block.get("providers", {})}}, Settings), registry)
            except Invalid as error:
                yield str(error)


def tables(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield every table's first heading, and the first cells of its rows."""
    for block in re.findall(r"(?:^\s*\|.*\n)+", text, re.MULTILINE):
        first, _, *rows = [line.strip().strip("|").split("|")[0].strip() for line in block.strip().splitlines()]
        yield first.lower(), rows


def wrong_codes(text: str) -> Iterator[str]:
    """Yield error codes, in tables that begin with ``code``, that nothing sends."""
    for heading, rows in tables(text):
        if heading in ("code", "error code"):
            for row in rows:
                yield from (code for code in re.findall(r"`([^`]+)`", row) if code not in CODES)


def wrong_keys(text: str) -> Iterator[str]:
    """Yield settings that do not exist: in tables, in the text, and as variables."""
    for heading, rows in tables(text):
        if heading in ("key", "setting"):
            for row in rows:
                yield from (
                    key for key in re.findall(r"`([^`]+)`", row) if "." in key and not is_setting(*key.split("."))
                )
    for section, key in _KEY.findall(text):
        if section in SECTIONS and not is_setting(section, key):
            yield f"{section}.{key}"
    for section, key in _VARIABLE.findall(text):
        if not is_setting(section.lower(), *key.lower().split("__")):
            yield f"STREAMSERVER_{section}__{key}"


def is_setting(section: str, *key: str) -> bool:
    return section in SECTIONS and (section == "providers" or "".join(key[:1]) in SECTIONS[section])


def wrong_flags(text: str) -> Iterator[str]:
    """Yield flags of the command line that do not exist."""
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", full_help()))
    for words in _COMMAND.findall(text):
        yield from (flag for flag in re.findall(r"(?<=\s)--?[a-z][a-z-]*", words) if flag not in known)


def full_help() -> str:
    """Return the help of the program and of each of its commands."""
    parser = build_parser()
    commands = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
    return parser.format_help() + "".join(sub.format_help() for each in commands for sub in each.values())


CHECKS = (wrong_examples, wrong_codes, wrong_keys, wrong_flags)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_says_is_so(page: Path, check: Any) -> None:
    assert list(check(page.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("check", "text", "found"),
    [
        (wrong_examples, "```toml\n[limits]\nmax_tokens = 0\n```\n", 1),
        (wrong_examples, "```toml\n[limits\n```\n", 1),
        (wrong_examples, '```toml\n[providers.x]\nkind = "nothing"\n```\n', 1),
        (wrong_examples, '```toml\n[provider]\ndefault = "nobody"\n```\n', 1),
        (wrong_examples, "```toml\n[limits]\nmax_tokens = 5\n```\n```toml\n[tool.other]\na = 1\n```\n", 0),
        (wrong_examples, '```toml\n[providers.x]\nkind="echo"\n```\n```toml\n[provider]\ndefault="x"\n```\n', 0),
        (wrong_codes, "\n| code | when |\n|---|---|\n| `timeout`, `timed_out` | late |\n", 1),
        (wrong_codes, "\n| event | data |\n|---|---|\n| `no_code` | x |\n", 0),
        (wrong_keys, "\n| key | default |\n|---|---|\n| `server.prot` | 8080 |\n| `server.port` | 8080 |\n", 1),
        (wrong_keys, "set `limits.max_token` or `limits.max_tokens = 5`, not `event.data`", 1),
        (wrong_keys, "`STREAMSERVER_LIMITS__MAX_TOKEN=5 STREAMSERVER_PROVIDERS__X__MODEL=y streamserver`", 1),
        (wrong_flags, "$ streamserver check --config a.toml --prot 80", 1),
        (wrong_flags, "$ streamserver --port 80 | less --no-such", 0),
    ],
)
def test_these_checks_can_fail(check: Any, text: str, found: int) -> None:
    assert len(set(check(text))) == found


def test_deployment_says_what_is_asked_of_redis_and_what_is_of_each_process() -> None:
    text = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    assert "Redis 6.2 or later" in text, "XADD NOMKSTREAM"
    assert "limits.max_streams`, `limits.max_readers_per_stream`, `resume.max_total_bytes" in text
    gunicorn = text.partition("## Behind gunicorn")[2].partition("\n## ")[0]
    assert "`server.reload`" in gunicorn and "send buffer" in gunicorn


def test_contributing_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rooms = [path.parent for path in ROOT.glob("*/*/__init__.py") if path.parts[-3] in ("streamserver", "providers")]
    assert len(rooms) > 8
    assert [room.name for room in rooms if f"{room.name}/`" not in text] == []
