"""The ``azure`` kind: OpenAI's models at Azure.

Azure has OpenAI's API at addresses of its own and takes the key in ``api-key``. With an
``api_version`` requests go to a deployment (``/openai/deployments/NAME/chat/completions?api-version=…``),
as the SDK's Azure client has it; without one to the v1 API (``/openai/v1/…``), which has no versions and
takes the deployment as the ``model``.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias
from urllib.parse import quote

from msgspec import Meta

from providers.address import Address, join, sdk_headers
from providers.openai import chat_request
from providers.openai.kind import OpenAIApi, path_of
from providers.openai.options import SharedOptions
from providers.options import Context, HttpUrl

ApiVersion: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$",
        description='a version such as "2024-10-21"; absent for the v1 API',
    ),
]


class AzureOptions(SharedOptions, frozen=True, kw_only=True):
    """``[providers.NAME]`` with ``kind = "azure"``. ``model`` and ``models`` are names of deployments.

    ``base_url`` is the resource's address: ``https://RESOURCE.openai.azure.com``.
    """

    base_url: HttpUrl
    api_version: ApiVersion | None = None


class Azure(OpenAIApi):
    """A provider of OpenAI's models at Azure."""

    def __init__(self, options: AzureOptions, context: Context) -> None:
        super().__init__(options, context, address_of(options, context.api_key))


def address_of(options: AzureOptions, key: str | None) -> Address:
    """Return where requests go; without ``key`` no credentials are sent."""
    has_version = options.api_version is not None
    base_url = join(options.base_url, "openai" if has_version else "openai/v1")
    query = f"?api-version={options.api_version}" if has_version else ""

    def url(model: str) -> str:
        return f"{join(base_url, deployment_path(options, model))}{query}"

    headers = sdk_headers("AsyncAzureOpenAI" if has_version else "AsyncOpenAI", "openai")
    return Address(url, headers if key is None else {**headers, "api-key": key})


def deployment_path(options: AzureOptions, model: str) -> str:
    """Return the path of the API for ``model``. With a version, chat completions belong to a deployment."""
    path = path_of(options)
    if options.api_version is None or path != chat_request.PATH:
        return path
    return f"deployments/{quote(model, safe='')}/{path}"
