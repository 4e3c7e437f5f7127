"""The pages of the documentation agree with the code: routes, events, codes, metrics, alerts, and commands that run."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamserver.container import KEY_VARIABLES, defaults
from streamserver.core.error_codes import FAILURES
from streamserver.http.apis import APIS
from streamserver.http.apis.native.api import NATIVE
from streamserver.http.apis.native.fields import QUERY_FIELDS, ChatFields
from streamserver.http.routing import Router
from streamserver.telemetry.metrics import METRICS
from streamserver.wire.problem import STATUS
from tests.conftest import StartServer

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
ROUTES = {(route.method, re.sub(r":[^}]*", "", route.path)) for _, route in Router(APIS)}

_REQUEST = re.compile(r"`(GET|POST|DELETE) (/[^`?]*)(?:\?[^`]*)?`")
_METRIC = re.compile(r"\bstreamserver_[a-z_]*(?:_total|_seconds|_bytes|_streams|_left_out)(?:_bucket|_sum|_count)?\b")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of every table with the first heading ``heading``."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in block.splitlines()]
        found += lines[2:] if lines[0][0] == heading else []
    return found


def code(cell: str) -> str:
    return cell.strip("`")


def wrong_requests(text: str) -> Iterator[str]:
    """Yield the requests that no route takes. A path with ``{id}`` is any path with one parameter in that place."""
    shapes = {(method, re.sub(r"\{[^}]*\}", "{}", path)) for method, path in ROUTES}
    for method, path in _REQUEST.findall(text):
        if (method, re.sub(r"\{[^}]*\}", "{}", path)) not in shapes:
            yield f"{method} {path}"


def wrong_metrics(text: str) -> Iterator[str]:
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("", "_bucket", "_sum", "_count")}
    known = {metric.full_name + suffix for metric in METRICS for suffix in suffixes[metric.kind]}
    yield from (name for name in _METRIC.findall(text) if name not in known)


def unreadable_blocks(text: str) -> Iterator[str]:
    readers: dict[str, Any] = {"python": ast.parse, "json": json.loads, "yaml": yaml.safe_load}
    for language, body in _FENCE.findall(text):
        try:
            readers.get(language, len)(body)
        except (SyntaxError, ValueError, yaml.YAMLError) as error:
            yield f"{language}: {error}"


def links_out_of_the_site(text: str) -> list[str]:
    """Return links to files of the repository, which the site does not have: pages name those as code."""
    return re.findall(r"\]\((\.\./[^)]*)\)", text)


def missing_files(text: str) -> list[str]:
    """Return the files and folders of the repository that a page names and that do not exist."""
    named = re.findall(r"`((?:tests|scripts|deploy|docs|benchmarks|web)/[\w./*-]+)`", text)
    return [name for name in named if not list(ROOT.glob(name.rstrip("/")))]


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


CHECKS = (wrong_requests, wrong_metrics, unreadable_blocks, links_out_of_the_site, missing_files)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_only_what_exists(page: Path, check: Any) -> None:
    text = page.read_text("utf-8")
    inside = text if page.parent in (DOCS, ROOT) else text.replace("](../", "](")  # a page in a folder of the site
    assert list(check(inside)) == []


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (wrong_requests, "`GET /api/chats`"),
        (wrong_requests, "`DELETE /api/providers`"),
        (wrong_metrics, "rate(streamserver_stream_total[5m])"),
        (wrong_metrics, "`streamserver_active_streams_bucket`"),
        (links_out_of_the_site, "see [the code](../streamserver/app.py)"),
        (missing_files, "see `tests/test_nothing.py` and `tests/faults`"),
        (unreadable_blocks, "```python\nimport\n```\n"),
        (unreadable_blocks, "```json\n{a: 1}\n```\n"),
    ],
)
def test_check_finds_what_is_wrong(check: Any, text: str) -> None:
    assert len(list(check(text))) == 1


def test_navigation_has_every_page_once() -> None:
    def named(entries: list[Any]) -> Iterator[str]:
        for entry in entries:
            for value in entry.values():
                yield from named(value) if isinstance(value, list) else [value]

    assert sorted(named(SITE["nav"])) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


# The wire reference


def test_wire_reference_has_every_route_that_clients_use() -> None:
    documented = {(method, path) for method, path in _REQUEST.findall(read("wire.md"))}
    undocumented = {route for route in ROUTES - documented if "{name" not in route[1]}
    # The page itself, another address of one model, and what Anthropic's client asks before it starts.
    refused = {("POST", "/v1/responses/compact"), ("POST", "/v1/responses/input_tokens")}
    assert undocumented == refused | {("GET", "/"), ("GET", "/v1/models/{model}"), ("HEAD", "/api/hello")}


def test_wire_reference_has_every_field_of_a_request() -> None:
    named = {name for cells in rows(read("wire.md"), "field") for name in re.findall(r"`(\w+)`", cells[0])}
    assert named == set(ChatFields.__struct_fields__)
    query = read("wire.md").partition("`GET` takes ")[2].partition(" in the query")[0]
    assert set(re.findall(r"`(\w+)`", query)) == {*QUERY_FIELDS, "idempotency_key"}


def test_wire_reference_has_every_error_code_with_its_status_or_retryable_flag() -> None:
    failures = {code(cells[0]): cells[2] for cells in rows(read("wire.md"), "code")}
    assert failures == {name: "yes" if failure.retryable else "no" for name, failure in FAILURES.items()}
    problems = {code(cells[0]): int(cells[1]) for cells in rows(read("wire.md"), "error code")}
    assert problems == dict(STATUS)


@pytest.mark.parametrize(("fail_after", "terminal"), [(None, "done"), (1, "error")])
async def test_events_have_the_fields_of_the_wire_reference(
    start_server: StartServer, fail_after: int | None, terminal: str
) -> None:
    echo = {"kind": "echo", "delay_ms": 0, **({} if fail_after is None else {"fail_after": fail_after})}
    server = await start_server({"providers": {"echo": echo}})
    answer = await asyncio.to_thread(output, "curl", "-sN", f"{server.url}/api/chat/stream?prompt=hello+world")
    events = dict(re.findall(r"^event: (\w+)\n(?:id: .*\n)?data: (\{.*\})$", answer, re.MULTILINE))
    documented = {code(cells[0]): set(re.findall(r"`(\w+)`", cells[1])) for cells in rows(read("wire.md"), "event")}
    for name in ("start", terminal):
        assert set(json.loads(events[name])) == documented[name], name


def test_native_routes_are_the_first_of_the_wire_reference() -> None:
    native = [(route.method, route.path) for route in NATIVE.routes]
    assert [request for request in _REQUEST.findall(read("wire.md")) if request in native][: len(native)] == native


# The promises


def test_each_promise_names_the_tests_that_hold_it() -> None:
    promises = rows((ROOT / "README.md").read_text("utf-8"), "promise")
    assert len(promises) == 5
    assert [cells[0] for cells in promises if "`tests/" not in cells[2]] == []


# Operations


def test_every_alert_is_explained() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    assert [code(cells[0]) for cells in rows(read("operations.md"), "alert")] == [rule["alert"] for rule in rules]


def test_every_shipped_file_of_the_deployment_page_exists() -> None:
    named = re.findall(r"(?<![\w/])(?:deploy|scripts)/[\w./*-]+\w", read("deployment.md") + read("operations.md"))
    assert len(named) > 8
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_deployment_page_has_the_defaults_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    documented = {code(cells[0]): cells[1] for cells in rows(read("deployment.md"), "variable")}
    assert set(documented) == {"PORT", *defaults({})} - {"STREAMSERVER_SERVER__PORT"}
    for name in ("STREAMSERVER_SERVER__HOST", "STREAMSERVER_AUTH__ALLOW_ANONYMOUS"):
        assert documented[name].startswith(f"`{defaults({})[name]}`")
    assert f": {defaults({})['STREAMSERVER_SERVER__PORT']}." in documented["PORT"]
    providers = re.findall(r"`([a-z]+)`", documented["STREAMSERVER_PROVIDER__DEFAULT"])
    assert providers == [*KEY_VARIABLES, defaults({})["STREAMSERVER_PROVIDER__DEFAULT"]]


# The quickstart


def commands(language: str) -> list[str]:
    blocks = [body for found, body in _FENCE.findall(read("quickstart.md")) if found == language]
    return [line.removeprefix("$ ") for body in blocks for line in body.splitlines() if line.startswith("$ ")]


async def test_commands_of_the_quickstart_stream_an_answer(start_server: StartServer) -> None:
    server = await start_server()
    curls = [command for command in commands("console") if command.startswith("curl ")]
    assert len(curls) == 2
    for command in curls:
        words = shlex.split(command.replace("http://127.0.0.1:8080", server.url))
        answer = await asyncio.to_thread(output, *words)
        assert "data: hello" in answer and "event: done" in answer, command


# The SDKs


def programs() -> list[str]:
    return [body for language, body in _FENCE.findall(read("sdks.md")) if language == "python"]


@pytest.mark.parametrize("program", programs(), ids=lambda program: re.findall(r"client\.([\w.]+)\(", program)[0])
async def test_examples_of_the_sdks_print_the_answer(program: str, start_server: StartServer) -> None:
    server = await start_server()
    text = program.replace("http://127.0.0.1:8080", server.url)
    assert text != program
    assert (await asyncio.to_thread(output, sys.executable, "-c", text)).strip() == "hello"
