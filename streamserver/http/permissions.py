"""What a caller may use, from the settings."""

from __future__ import annotations

from streamserver.admission import Quota
from streamserver.config.settings import Settings, User
from streamserver.core.caller import Permissions

_NO_TABLE = User()


def permissions_of(key_name: str, settings: Settings) -> Permissions:
    """Return what the key of that name may use: its own table in ``[auth.users]``, and the general limits where that
    has none. Anonymous callers have an empty name and no table."""
    user = settings.auth.users.get(key_name, _NO_TABLE)
    limits = settings.limits
    return Permissions(
        quota=Quota(
            _first(user.max_streams, limits.max_streams_per_user),
            _first(user.requests_per_minute, limits.requests_per_minute),
            _first(user.tokens_per_day, limits.tokens_per_day),
        ),
        max_tokens=_first(user.max_tokens, limits.max_tokens),
        providers=user.providers,
        models=user.models,
    )


def _first(own: int | None, general: int) -> int:
    return general if own is None else own
