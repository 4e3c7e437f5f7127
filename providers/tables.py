"""The tables ``[providers.NAME]`` of the configuration, read and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers.api_keys import ApiKey, read_api_key
from providers.options import ApiOptions, Options
from providers.registry import Registry, UnknownKind
from providers.routes import ProxyRoutes, check_route
from providers.validation import Invalid, check_address, check_json, convert


def read_options(name: str, table: Mapping[str, Any], registry: Registry) -> Options:
    """Return the validated options of ``[providers.NAME]``. Raises :class:`~providers.validation.Invalid`."""
    key = f"providers.{name}"
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise Invalid(f"{key}.kind", f"is missing; expected one of {', '.join(registry.names)}")
    try:
        options = registry.kind(kind).options
    except UnknownKind as error:
        raise Invalid(f"{key}.kind", str(error), kind) from None
    converted = convert(table, options, prefix=key)
    check_address(getattr(converted, "base_url", None), f"{key}.base_url")
    if isinstance(converted, ApiOptions):
        check_json(converted.extra, f"{key}.extra")
        check_route(converted, key)
    return converted


def api_key_of(options: Options, environ: Mapping[str, str]) -> ApiKey:
    """Return the key in the variable that ``options`` name, an empty one if they name none."""
    variable = options.api_key_env if isinstance(options, ApiOptions) else None
    return ApiKey() if variable is None else read_api_key(variable, environ)


def not_ready(
    tables: Mapping[str, Mapping[str, Any]], registry: Registry, environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the name of each provider with an unusable key or proxy, and the reason.

    Raises :class:`~providers.validation.Invalid` as :func:`~providers.build.build_catalog` does.
    """
    routes = ProxyRoutes(environ)
    for name, table in tables.items():
        options = read_options(name, table, registry)
        problem = routes.for_provider(name, options).problem(options)
        key = api_key_of(options, environ)
        problem = (key.problem if key.is_set else None) or problem
        if problem is not None:
            yield name, problem
