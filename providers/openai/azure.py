"""The ``azure`` kind: OpenAI's models at Azure.

Azure has OpenAI's API at addresses of its own and takes the key in ``api-key``. With an
``api_version`` requests go to a deployment (``/openai/deployments/NAME/chat/completions?api-version=…``),
as the SDK's Azure client has it; without one to the v1 API (``/openai/v1/…``), which has no versions and
is told the deployment as the ``model``.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias
from urllib.parse import quote

import openai
from msgspec import Meta

from providers.openai import chat_request
from providers.openai.kind import Address, OpenAIApi, headers_of, path_of
from providers.openai.options import SharedOptions
from providers.options import Context, HttpUrl
from providers.sdk import without_environment

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
    """OpenAI's models at Azure."""

    def __init__(self, options: AzureOptions, context: Context) -> None:
        address = _versioned if options.api_version is not None else _v1
        super().__init__(options, context, address(options, context.api_key))


def _versioned(options: AzureOptions, key: str | None) -> Address:
    with without_environment():
        client = openai.AsyncAzureOpenAI(
            api_key=key or "none",
            api_version=options.api_version,
            azure_endpoint=options.base_url,
            max_retries=0,
        )
    base, path = client.base_url, path_of(options)
    query = {"api-version": options.api_version or ""}

    def url(model: str) -> str:
        # Of the two only chat completions belong to a deployment.
        where = f"deployments/{quote(model, safe='')}/{path}" if path == chat_request.PATH else path
        return str(base.join(where).copy_merge_params(query))

    return Address(url, headers_of(client, key))


def _v1(options: AzureOptions, key: str | None) -> Address:
    with without_environment():
        client = openai.AsyncOpenAI(
            api_key="none",
            base_url=f"{options.base_url.rstrip('/')}/openai/v1",
            max_retries=0,
        )
    url = str(client.base_url.join(path_of(options)))
    credentials = {} if key is None else {"api-key": key}
    return Address(lambda model: url, {**headers_of(client, None), **credentials})
