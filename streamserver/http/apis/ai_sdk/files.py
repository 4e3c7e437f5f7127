"""The files in a user's UI message, in the form of chat completions."""

from __future__ import annotations

from typing import Any

from streamserver.core.refusals import invalid

_SCHEMES = ("data:", "https:", "http:")
_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}
"""OpenAI's names of audio formats, where they are not those of the media type."""


def read_file(part: dict[str, Any], field: str) -> dict[str, Any]:
    """Return the content part of a file. Raises a refusal that names the wrong ``field``."""
    if part.get("providerReference"):
        raise invalid(f"{field}.providerReference", "Files kept at a provider are not supported. Send a URL.")
    url, kind = part.get("url"), part.get("mediaType")
    if not isinstance(url, str) or not url.lower().startswith(_SCHEMES):
        raise invalid(f"{field}.url", "Expected a data URL, or one of http or https.")
    if not isinstance(kind, str) or not kind:
        raise invalid(f"{field}.mediaType", "Expected a media type.")
    top, _, rest = kind.lower().partition("/")
    if top == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if top == "audio":
        return {"type": "input_audio", "input_audio": _audio(url, rest, field)}
    name = part.get("filename")
    return {"type": "file", "file": {"file_data": url, "filename": name if isinstance(name, str) else "document"}}


def _audio(url: str, subtype: str, field: str) -> dict[str, str]:
    head, _, data = url.partition(",")
    if not head.lower().endswith(";base64"):
        raise invalid(f"{field}.url", "Expected audio as a data URL in base64.")
    name = subtype.partition(";")[0]
    return {"data": data, "format": _AUDIO_FORMATS.get(name, name)}
