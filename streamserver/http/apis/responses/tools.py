"""The tools of a Responses request, in the form of chat completions."""

from __future__ import annotations

from typing import Any

from streamserver.core.refusals import invalid

_NEVER_STRICT = frozenset({"allOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas", "patternProperties"})


def read_tools(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return ``tools`` as those of chat completions. A hosted tool stays as it is: only its vendor can run it.

    Raises a refusal that names the wrong field.
    """
    if not tools:
        return None
    return [_read_tool(tool, f"tools[{number}]") for number, tool in enumerate(tools)]


def read_tool_choice(choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    match choice:
        case {"type": "function" | "custom" as kind, "name": str(name)}:
            return {"type": kind, kind: {"name": name}}
        case {"type": "allowed_tools", "tools": list(tools), **rest}:
            nested = [_nested(tool) for tool in tools]
            return {"type": "allowed_tools", "allowed_tools": {"mode": rest.get("mode") or "auto", "tools": nested}}
        case _:
            return choice


def _read_tool(tool: dict[str, Any], field: str) -> dict[str, Any]:
    if tool.get("type") not in ("function", "custom"):
        return tool
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise invalid(f"{field}.name", "Expected the tool's name.")
    nested = _nested(tool)
    if tool["type"] == "function" and tool.get("strict") is None and _is_strict(tool.get("parameters")):
        nested["function"]["strict"] = True  # absent means "if it can be" here, and false in chat completions
    return nested


def _is_strict(schema: Any) -> bool:
    """Return whether OpenAI takes ``schema`` with ``strict: true``: it refuses one with optional or further fields.

    Source: OpenAI's guide "Structured model outputs", "Supported schemas". Responses makes a schema strict by itself.
    """
    if not isinstance(schema, dict) or not _NEVER_STRICT.isdisjoint(schema):
        return False
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        properties = properties if isinstance(properties, dict) else {}
        if schema.get("additionalProperties") is not False or set(schema.get("required") or ()) != set(properties):
            return False
    children = [*(properties or {}).values(), *(schema.get("$defs") or {}).values(), *(schema.get("anyOf") or ())]
    return all(map(_is_strict, children)) and ("items" not in schema or _is_strict(schema["items"]))


def _nested(tool: Any) -> dict[str, Any]:
    """Return a flat tool in the nested form of chat completions."""
    if not isinstance(tool, dict) or tool.get("type") not in ("function", "custom"):
        return dict(tool) if isinstance(tool, dict) else {}
    kind = tool["type"]
    return {"type": kind, kind: {name: value for name, value in tool.items() if name != "type" and value is not None}}
