"""The JSON schema accepts what the server accepts, and refuses what it refuses."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import jsonschema_rs
import pytest

from providers.options import Options
from providers.registry import Kind, Registry, load_registry
from streamserver.assets import default_config
from streamserver.cli import main
from streamserver.config.schema import json_schema
from streamserver.config.table import SETTINGS
from tests.config.test_settings import RIGHT


@pytest.fixture(scope="module")
def schema() -> Any:
    return json_schema(load_registry([]))


@pytest.mark.parametrize("tables", [*RIGHT, {}, tomllib.loads(default_config())])
def test_schema_accepts_what_the_server_accepts(schema: Any, tables: dict[str, Any]) -> None:
    jsonschema_rs.validate(schema, tables)


@pytest.mark.parametrize(
    "text",
    [
        "[limits]\nmax_promt_chars = 1",
        "[limits]\nmax_tokens = 0",
        "[server]\nport = '80'",
        "[server]\nunix_socket = 'relative'",
        "[server]\nallowed_hosts = ['https://a.b']",
        "[auth]\ncors_origins = ['https://a.b:443']",
        "[auth.users.anna]\nmax_tokens = 0",
        "[resume]\nstore = 'disk'",
        "[providers.x]\nkind = 'opnai'",
        "[providers.x]\nkind = 'openai'",
        "[providers.x]\nkind = 'echo'\nbase_url = 'http://h/v1'",
    ],
)
def test_schema_refuses_what_the_server_refuses(schema: Any, text: str) -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema, tomllib.loads(text))


def test_schema_describes_every_setting(schema: Any) -> None:
    for row in SETTINGS:
        section = schema["$defs"]["Settings"]["properties"][row.section]["$ref"].rpartition("/")[2]
        described = schema["$defs"][section]["properties"][row.key]["description"]
        assert row.about.meaning in described and row.allowed in described and row.about.applies in described


def test_schema_has_no_pattern_that_only_python_understands(schema: Any) -> None:
    patterns = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(schema))
    assert len(patterns) > 5
    assert [pattern for pattern in patterns if r"\\Z" in pattern or "(?i)" in pattern] == []


def test_schema_has_the_options_of_a_plug_in() -> None:
    class MineOptions(Options, frozen=True, kw_only=True):
        flavour: str = ""

    registry = Registry({"mine": lambda: Kind(MineOptions, lambda options, context: options)}, {})
    validator = jsonschema_rs.validator_for(json_schema(registry))
    assert validator.is_valid({"providers": {"x": {"kind": "mine", "flavour": "sweet"}}})
    assert not validator.is_valid({"providers": {"x": {"kind": "mine", "flavor": "sweet"}}})
    assert not validator.is_valid({"providers": {"x": {"kind": "echo"}}})


def test_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$defs"]["ServerSettings"]
