"""The JSON schema of ``config.toml``, with which an editor completes and checks it."""

from __future__ import annotations

from typing import Any

import msgspec

from providers.registry import Registry
from streamserver.config.settings import Settings
from streamserver.config.table import Setting, rows, tables


def json_schema(registry: Registry) -> dict[str, Any]:
    """Return the schema, with the options of every kind of provider in ``registry``."""
    options = {name: registry.kind(name).options for name in registry.names}
    # By class, as two kinds may share one.
    kinds = list(dict.fromkeys(options.values()))
    (root, *_), definitions = msgspec.json.schema_components([Settings, *kinds], ref_template="#/$defs/{name}")
    for section, kind in tables():
        for row in rows(section, kind):
            definitions[kind.__name__]["properties"][row.key]["description"] = _description(row)
    definitions["Settings"]["properties"]["providers"] = {
        "description": "one table [providers.NAME] for each provider",
        "type": "object",
        "additionalProperties": {"anyOf": [_provider(name, kind.__name__) for name, kind in options.items()]},
    }
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "config.toml of streamserver",
        **root,
        "$defs": definitions,
    }
    portable: dict[str, Any] = _with_portable_patterns(schema)
    return portable


def _description(row: Setting) -> str:
    return f"{row.about.meaning}. Allowed: {row.allowed}. A change applies: {row.about.applies}."


def _provider(name: str, options: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{options}", "properties": {"kind": {"const": name}}}


def _with_portable_patterns(schema: Any) -> Any:
    r"""Return ``schema`` with the regular expressions of ECMA 262, which JSON Schema uses: they have no ``\Z``."""
    match schema:
        case dict():
            return {
                key: value.replace(r"\Z", "$") if key == "pattern" else _with_portable_patterns(value)
                for key, value in schema.items()
            }
        case list():
            return [_with_portable_patterns(item) for item in schema]
        case _:
            return schema
