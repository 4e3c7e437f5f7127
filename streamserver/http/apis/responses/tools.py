"""The tools of a Responses request, in the form of chat completions."""

from __future__ import annotations

from typing import Any

from streamserver.core.refusals import invalid


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
    if tool["type"] == "function" and tool.get("strict") is None:
        nested["function"]["strict"] = True  # absent means true here, and false in chat completions
    return nested


def _nested(tool: Any) -> dict[str, Any]:
    """Return a flat tool in the nested form of chat completions."""
    if not isinstance(tool, dict) or tool.get("type") not in ("function", "custom"):
        return dict(tool) if isinstance(tool, dict) else {}
    kind = tool["type"]
    return {"type": kind, kind: {name: value for name, value in tool.items() if name != "type" and value is not None}}
