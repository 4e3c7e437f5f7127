"""The tools of a Messages request, in the form of chat completions."""

from __future__ import annotations

from typing import Any

from streamserver.core.refusals import invalid


def read_tools(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return ``tools`` as functions. A server tool of Anthropic's stays as it is: only its vendor can run it.

    Raises a refusal that names the wrong field.
    """
    if not tools:
        return None
    return [_read_tool(tool, f"tools[{number}]") for number, tool in enumerate(tools)]


def read_tool_choice(choice: dict[str, Any] | None) -> tuple[str | dict[str, Any] | None, bool | None]:
    """Return the tool choice, and whether tools may be called in parallel; None where nothing is asked for."""
    if not choice:
        return None, None
    parallel = False if choice.get("disable_parallel_tool_use") is True else None
    match choice:
        case {"type": "auto"}:
            return "auto", parallel
        case {"type": "none"}:
            return "none", parallel
        case {"type": "any"}:
            return "required", parallel
        case {"type": "tool", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}, parallel
        case _:
            raise invalid("tool_choice.type", "Expected auto, any, none, or tool with a name.")


def _read_tool(tool: dict[str, Any], field: str) -> dict[str, Any]:
    if tool.get("type") not in (None, "custom"):
        return tool
    name = tool.get("name")
    if not isinstance(name, str) or not name:
        raise invalid(f"{field}.name", "Expected the tool's name.")
    function: dict[str, Any] = {"name": name}
    for theirs, ours in (("description", "description"), ("input_schema", "parameters"), ("strict", "strict")):
        if tool.get(theirs) is not None:
            function[ours] = tool[theirs]
    return {"type": "function", "function": function}
