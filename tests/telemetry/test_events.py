"""The table of events is what the code logs, and what the page says; a field has one type."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from providers.errors import UpstreamDetail
from streamserver.telemetry.events import EVENTS, TYPES
from streamserver.telemetry.record import fields_of
from tests.conftest import StartServer
from tests.support.client import get_events, stream_url
from tests.telemetry.test_logs import DONE, outcome

ROOT = Path(__file__).parents[2]
LOG_CALLS = ("bind", "debug", "log", "log_refusal")


def calls() -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Yield every call in the server, by the name of what is called, with its keyword arguments."""
    for path in (ROOT / "streamserver").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
                yield str(name), {each.arg: each.value for each in node.keywords if each.arg}


def logged() -> dict[str, set[str]]:
    """Return the fields that are bound with each event in the code. Where a variable names the event: None."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, given in calls():
        event = given.get("event")
        if name == "log_crash":
            found["crash"] |= given.keys()
        elif isinstance(event, ast.Constant) and isinstance(event.value, str):
            found[event.value] |= given.keys() - {"event", "by"} if name in LOG_CALLS else set()
        elif name == "bind":
            found[""] |= given.keys() - {"event"}
    return found


def test_what_the_code_logs_is_in_the_table_and_nothing_else_is() -> None:
    found = logged()
    anywhere = set().union(*found.values())
    unnamed = found.pop("")
    table = {event.name: set(event.fields) for event in EVENTS}
    assert {
        name: fields - table.get(name, set()) for name, fields in found.items() if fields - table.get(name, set())
    } == {}
    assert set(found) | {"log"} == set(table), "log is what others logged, bound by a dictionary"
    assert unnamed <= set(TYPES)
    assert set().union(*table.values()) <= anywhere | {"logger"}


def test_the_page_has_the_table() -> None:
    text = (ROOT / "docs" / "logs.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)*) ?\| (.*?) \|$", text.partition("## Other events")[2], re.MULTILINE
    )
    assert rows == [(event.name, ", ".join(f"`{name}`" for name in event.fields), event.when) for event in EVENTS]


def test_the_page_has_every_field_of_a_streams_record() -> None:
    text = (ROOT / "docs" / "logs.md").read_text("utf-8")
    cells = re.findall(r"^\| (`.*?`) \| .*? \|$", text.partition("## Other events")[0], re.MULTILINE)
    said = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    detail = UpstreamDetail(status=1, reason="r", type="t", code="c", param="p", request_id="i", url="u")
    assert said == set(fields_of(outcome(DONE, detail=detail, maybe_billed=True)))


def test_every_field_has_a_type() -> None:
    assert {name for event in EVENTS for name in event.fields} <= set(TYPES)
    detail = UpstreamDetail(status=1, reason="r", type="t", code="c", param="p", request_id="i", url="u")
    fields = fields_of(outcome(DONE, detail=detail, maybe_billed=True))
    assert wrong(fields) == []


def wrong(record: dict[str, object]) -> list[str]:
    """Return the fields of a record that are not of their type."""
    return [
        name
        for name, value in record.items()
        if value is not None
        and (not isinstance(value, TYPES[name]) or (isinstance(value, bool) and TYPES[name] is not bool))
    ]


async def test_records_of_a_server_keep_to_the_table(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server({"log": {"format": "json", "level": "DEBUG"}})
    await get_events(http, stream_url(server.url))
    for path in ("/nothing", "/api/providers"):
        async with http.get(server.url + path):
            pass
    server.terminate()
    assert await server.wait() == 0
    kinds = ("stream", "request", "reader", "drain")
    for kind in kinds:
        assert server.records(kind), kind
        assert [wrong(record) for record in server.records(kind) if wrong(record)] == []
