"""A request's query, strictly."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from aiohttp import web

from streamserver.core.refusals import Refusal, invalid
from streamserver.http.request_body import quotable

_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,3})?")


def read_query(request: web.Request, allowed: frozenset[str]) -> dict[str, str]:
    """Return the query's parameters, each of which may be there once.

    Raises :class:`~streamserver.core.refusals.Refusal` for one that is unknown or given twice.
    """
    _, _, raw = request.raw_path.partition("?")
    if not raw:
        return {}
    try:
        raw.encode()  # bytes that are no UTF-8 arrive as lone surrogates
        pairs = parse_qsl(raw.partition("#")[0], keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError:
        raise Refusal("malformed", "The query is not percent-encoded UTF-8.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise invalid(quotable(name), f"There is no such parameter. Allowed: {known}.")
        if name in fields:
            raise invalid(name, f"{name} is given more than once.")
        fields[name] = value
    return fields


def is_number(text: str) -> bool:
    """Return whether a query's or a header's value is a number, in decimal."""
    return text.isascii() and _NUMBER.fullmatch(text) is not None
