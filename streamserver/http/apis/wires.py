"""What the APIs of the vendors' protocols have in common: reading a request, and starting its stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from aiohttp import web

from providers.base import ChatRequest
from providers.catalog import ProviderEntry
from providers.validation import Invalid
from streamserver.core.idempotency import claim_for, parse_key
from streamserver.core.model_selection import select_by_model_name
from streamserver.core.refusals import Refusal, invalid
from streamserver.core.streams import StartResult
from streamserver.core.task import ChatTask
from streamserver.http.context import RequestContext
from streamserver.http.grace import grace_header, grace_of
from streamserver.http.request_body import body_deadline, quotable, read_object

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much to reason, on OpenAI's wires."""


async def read_body(context: RequestContext) -> dict[str, Any]:
    """Return the request's JSON object. Raises a :class:`~streamserver.core.refusals.Refusal` for anything else."""
    with body_deadline(context):
        return await read_object(context.http, context.settings.limits.max_body_bytes)


def as_refusal(error: Invalid) -> Refusal:
    """Return a value that is not allowed as the refusal that names its field."""
    sentence = error.allowed[:1].upper() + error.allowed[1:]
    return invalid(quotable(error.key), sentence if sentence.endswith(("?", ".")) else f"{sentence}.")


def select_model(context: RequestContext, model: object) -> tuple[ProviderEntry, str]:
    """Return the provider and the model that a wire's ``model`` names. Raises a refusal for any other."""
    if not isinstance(model, str) or not model:
        raise invalid("model", "Expected the name of a model; GET /v1/models lists them all.")
    return select_by_model_name(model, context.streams.catalog, context.caller.permissions)


def max_tokens_of(context: RequestContext, body: Mapping[str, Any], *fields: str) -> int:
    """Return the limit that the first of ``fields`` sets, or the caller's own if none does.

    Raises a refusal for one that is not a whole number from 1 to the caller's limit.
    """
    most = context.caller.permissions.max_tokens
    for field in fields:
        value = body.get(field)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise invalid(field, "Expected a whole number from 1.")
        if value > most:
            raise invalid(field, f"{field} is at most {most}.")
        return value
    return most


async def start(
    context: RequestContext,
    body: Mapping[str, Any],
    request: ChatRequest,
    entry: ProviderEntry,
    *,
    wire: str,
    options: Mapping[str, Any],
    requested_grace: float | None = None,
    **task_fields: Any,
) -> StartResult:
    """Start the stream of a wire's request, or find the one that its ``Idempotency-Key`` started.

    ``body`` is what a retry with the same key must repeat. ``requested_grace`` is what a field of it asks for, in
    seconds; else the header ``X-Stream-Grace`` counts. ``task_fields`` are further fields of the
    :class:`~streamserver.core.task.ChatTask`. Raises a refusal.
    """
    caller, settings = context.caller, context.settings
    in_headers = context.http.headers.getall("Idempotency-Key", ())
    key = parse_key(("Idempotency-Key", value) for value in in_headers)
    claim = None
    if key is not None:
        content = json.dumps([wire, body], sort_keys=True).encode("utf-8", "surrogatepass")
        claim = claim_for(caller.key_name, key, content)
    in_header = grace_header(context.http, settings)
    requested = in_header if requested_grace is None else requested_grace
    grace_seconds = grace_of(requested, settings, has_key=key is not None)
    fields = {"grace_seconds": grace_seconds, **task_fields}
    task = ChatTask(request=request, entry=entry, wire=wire, options=options, **fields)
    return await context.streams.start(task, caller, claim)


def bearer_or_api_key(request: web.Request) -> str | None:
    """Return the key of a caller of OpenAI's wires: ``Authorization`` wins over ``X-API-Key``."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return request.headers.get("X-API-Key", "").strip() or None


def api_key_or_bearer(request: web.Request) -> str | None:
    """Return the key of a caller of Anthropic's wire: ``x-api-key`` wins over ``Authorization``."""
    return request.headers.get("X-API-Key", "").strip() or bearer_or_api_key(request)


def processing_time(context: RequestContext) -> dict[str, str]:
    """Return the header in which OpenAI tells the time until the headers of an answer."""
    milliseconds = (context.services.clock.time() - context.began) * 1000
    return {"openai-processing-ms": str(round(milliseconds))}
