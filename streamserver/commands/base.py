"""What the commands share."""

from __future__ import annotations

import os

from streamserver.app import keys_for
from streamserver.config import Settings
from streamserver.http.keys import Keys, KeysError


class CommandError(Exception):
    """What was asked cannot be done; the message says what to do about it, in one line."""


def keys_of(settings: Settings) -> Keys:
    """The API keys of the environment and the file. Raises :class:`CommandError`."""
    try:
        return keys_for(settings, os.environ)
    except KeysError as error:
        raise CommandError(str(error)) from None
