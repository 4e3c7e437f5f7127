"""Which provider and model a request gets: those it names, or the user's defaults."""

from __future__ import annotations

from providers.catalog import Catalog, ProviderEntry
from streamserver.config.settings import User
from streamserver.http.problems import invalid


def allowed_providers(catalog: Catalog, user: User) -> list[ProviderEntry]:
    """Those that ``user`` may ask, the default first where it is among them, else in the order of the user's table."""
    if not user.providers:
        return [catalog.default, *(each for each in catalog if each is not catalog.default)]
    named = [each for name in user.providers if (each := catalog.get(name))]
    return sorted(named, key=lambda each: each is not catalog.default)


def choose(provider: str | None, model: str | None, catalog: Catalog, user: User) -> tuple[ProviderEntry, str]:
    """The provider to ask, and for which model. What is not allowed to ``user`` is as if it were not there.

    Raises :class:`~streamserver.http.problems.Problem`, a 422 that names the field.
    """
    configured = _provider(provider, catalog, user)
    models = _models(configured, user)
    if model is None:
        if not models:
            raise invalid("model", f"You may use no model of provider {configured.name}.")
        return configured, models[0]
    if not configured.offers(model) or (user.models and model not in user.models):
        raise invalid("model", f"Provider {configured.name} offers {', '.join(models) or 'you nothing'}.")
    return configured, model


def _models(configured: ProviderEntry, user: User) -> list[str]:
    """The models of ``configured`` that ``user`` may ask for, the default first."""
    offered = dict.fromkeys((configured.model, *configured.models))
    if not user.models:
        return list(offered)
    return list(user.models) if configured.any_model else [each for each in offered if each in user.models]


def _provider(name: str | None, catalog: Catalog, user: User) -> ProviderEntry:
    if not user.providers:
        configured = catalog.default if name is None else catalog.get(name)
    else:
        allowed = allowed_providers(catalog, user)
        configured = next((each for each in allowed if name in (None, each.name)), None)
    if configured is None:
        names = ", ".join(each.name for each in allowed_providers(catalog, user))
        raise invalid("provider", f"There is no such provider; there are {names}.")
    return configured
