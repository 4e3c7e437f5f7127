"""Model selection: which provider and model a request gets, by its names or by the caller's defaults."""

from __future__ import annotations

from providers.catalog import Catalog, ProviderEntry
from streamserver.core.caller import Permissions
from streamserver.core.refusals import Refusal, invalid


def allowed_providers(catalog: Catalog, permissions: Permissions) -> list[ProviderEntry]:
    """Return the providers that ``permissions`` allow, the default first if it is among them, else in their order."""
    if not permissions.providers:
        return [catalog.default, *(each for each in catalog if each is not catalog.default)]
    named = [each for name in permissions.providers if (each := catalog.get(name))]
    return sorted(named, key=lambda each: each is not catalog.default)


def allowed_models(entry: ProviderEntry, permissions: Permissions) -> list[str]:
    """Return the models of ``entry`` that ``permissions`` allow, the default first."""
    offered = dict.fromkeys((entry.model, *entry.models))
    if not permissions.models:
        return list(offered)
    return list(permissions.models) if entry.any_model else [each for each in offered if each in permissions.models]


def select_model(
    provider: str | None, model: str | None, catalog: Catalog, permissions: Permissions
) -> tuple[ProviderEntry, str]:
    """Return the provider to ask, and the model to ask it for. What is not allowed is treated as if it did not exist.

    Raises :class:`~streamserver.core.refusals.Refusal`, an ``invalid_request`` that names the field.
    """
    entry = _provider(provider, catalog, permissions)
    if model is not None and _offers(entry, model, permissions):
        return entry, model
    models = allowed_models(entry, permissions)
    if model is not None:
        raise invalid("model", f"Provider {entry.name} offers {', '.join(models) or 'you nothing'}.")
    if not models:
        raise invalid("model", f"You may use no model of provider {entry.name}.")
    return entry, models[0]


def select_by_model_name(name: str, catalog: Catalog, permissions: Permissions) -> tuple[ProviderEntry, str]:
    """Return the provider and model for the ``model`` field of a client wire.

    ``name`` is a provider's name, ``provider/model``, or a model of the default provider. Raises
    :class:`~streamserver.core.refusals.Refusal` with the code ``model_not_found`` for any other.
    """
    allowed = {entry.name: entry for entry in allowed_providers(catalog, permissions)}
    entry = allowed.get(name)
    if entry is not None and (models := allowed_models(entry, permissions)):
        return entry, models[0]
    provider, separator, model = name.partition("/")
    for entry, wanted in (
        (allowed.get(provider) if separator else None, model),
        (next(iter(allowed.values()), None), name),
    ):
        if entry is not None and wanted and _offers(entry, wanted, permissions):
            return entry, wanted
    raise Refusal(
        "model_not_found", "There is no such model here; GET /v1/models lists those there are.", field="model"
    )


def _offers(entry: ProviderEntry, model: str, permissions: Permissions) -> bool:
    return entry.offers(model) and (not permissions.models or model in permissions.models)


def _provider(name: str | None, catalog: Catalog, permissions: Permissions) -> ProviderEntry:
    if name is None and not permissions.providers:
        return catalog.default
    allowed = allowed_providers(catalog, permissions)
    entry = next((each for each in allowed if name in (None, each.name)), None)
    if entry is None:
        raise invalid("provider", f"There is no such provider; there are {', '.join(each.name for each in allowed)}.")
    return entry
