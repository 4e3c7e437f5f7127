"""``streamserver schema``: the JSON schema of the configuration."""

from __future__ import annotations

import json

from providers.registry import Registry
from streamserver.config.schema import json_schema


def print_schema(registry: Registry) -> int:
    """Print the schema, with the options of the kinds of providers that are installed. Return the exit status."""
    print(json.dumps(json_schema(registry), indent=2, ensure_ascii=False))
    return 0
