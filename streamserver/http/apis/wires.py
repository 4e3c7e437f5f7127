"""What the APIs of the vendors' protocols have in common: reading a request, and starting its stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from aiohttp import web

from providers.base import ChatRequest
from providers.catalog import ProviderEntry
from providers.validation import Invalid, convert
from streamserver.core.idempotency import claim_for, parse_key
from streamserver.core.model_selection import select_by_model_name
from streamserver.core.refusals import Refusal, invalid
from streamserver.core.streams import StartResult
from streamserver.core.task import ChatTask
from streamserver.http.context import RequestContext
from streamserver.http.grace import grace_header, grace_of
from streamserver.http.keys import bearer_or_api_key
from streamserver.http.request_body import body_deadline, quotable, read_object
from streamserver.store.base import Claim

T = TypeVar("T", bound=msgspec.Struct)
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much to reason, on OpenAI's wires."""


async def read_json_object(context: RequestContext) -> dict[str, Any]:
    """Return the request's JSON object. Raises a :class:`~streamserver.core.refusals.Refusal` for anything else."""
    with body_deadline(context):
        return await read_object(context.http, context.settings.limits.max_body_bytes)


def read_as(body: dict[str, Any], kind: type[T]) -> T:
    """Return ``body`` as a ``kind``. Raises a refusal that names the wrong field."""
    try:
        return convert(body, kind)
    except Invalid as error:
        raise as_refusal(error) from None


def as_refusal(error: Invalid) -> Refusal:
    """Return a value that is not allowed as the refusal that names its field."""
    sentence = error.allowed[:1].upper() + error.allowed[1:]
    return invalid(quotable(error.key), sentence if sentence.endswith(("?", ".")) else f"{sentence}.")


def check_strings(table: Mapping[str, Any], field: str, *names: str) -> None:
    """Refuse ``table``, at ``field``, if one of its fields ``names`` is no string."""
    for name in names:
        if not isinstance(table.get(name), str):
            raise invalid(f"{field}.{name}", "Expected a string.")


def select_requested_model(context: RequestContext, model: object) -> tuple[ProviderEntry, str]:
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


def idempotency_key(context: RequestContext, in_query: str | None = None) -> str | None:
    """Return the request's idempotency key, from its header or a query parameter. Raises a refusal."""
    in_headers = context.http.headers.getall("Idempotency-Key", ())
    return parse_key([*(("Idempotency-Key", value) for value in in_headers), ("idempotency_key", in_query)])


def claim_of_request(context: RequestContext, key: str, content: object) -> Claim:
    """Return the claim of ``key``; ``content`` is what a retry with the same key must repeat, encodable as JSON."""
    data = json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")
    return claim_for(context.caller.key_name, key, data)


def grace_of_request(context: RequestContext, requested: float | None, *, has_key: bool) -> float:
    """Return the grace in seconds: ``requested`` by a field, else by ``X-Stream-Grace``. Raises a refusal."""
    in_header = grace_header(context.http, context.settings)
    return grace_of(in_header if requested is None else requested, context.settings, has_key=has_key)


def refuse_prefetch(context: RequestContext) -> None:
    """Raise a refusal for a browser's prefetch, which starts no generation."""
    if "prefetch" in context.http.headers.get("Sec-Purpose", "").lower():
        raise Refusal("forbidden", "A prefetch starts no generation.")


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
    refuse_prefetch(context)
    key = idempotency_key(context)
    grace_seconds = grace_of_request(context, requested_grace, has_key=key is not None)
    fields = {"grace_seconds": grace_seconds, **task_fields}
    task = ChatTask(request=request, entry=entry, wire=wire, options=options, **fields)
    claim = None if key is None else claim_of_request(context, key, [wire, body])
    return await context.streams.start(task, context.caller, claim)


def api_key_or_bearer(request: web.Request) -> str | None:
    """Return the key of a caller of Anthropic's wire: ``x-api-key`` wins over ``Authorization``."""
    return request.headers.get("X-API-Key", "").strip() or bearer_or_api_key(request)


def processing_time(context: RequestContext) -> dict[str, str]:
    """Return the header in which OpenAI tells the time until the headers of an answer."""
    milliseconds = (context.services.clock.time() - context.began) * 1000
    return {"openai-processing-ms": str(round(milliseconds))}
