"""The settings as rows: made from their classes, for everything that lists or describes them."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union

import msgspec
from msgspec import Meta, Struct

from streamserver.config.settings import Section, Settings, User
from streamserver.config.types import About


class Setting(Struct, frozen=True):
    """A row of the table. ``allowed`` is the text of error messages after "expected"."""

    section: str
    key: str
    default: Any
    about: About
    allowed: str

    @property
    def path(self) -> str:
        """The dotted name, such as ``server.port``."""
        return f"{self.section}.{self.key}"


def sections() -> Iterator[tuple[str, type[Struct]]]:
    """Return the names and classes of the tables with fixed keys: all but ``[providers.NAME]``."""
    for each in msgspec.structs.fields(Settings):
        if isinstance(each.type, type) and issubclass(each.type, Section):
            yield each.encode_name, each.type


def tables() -> Iterator[tuple[str, type[Struct]]]:
    """Return :func:`sections`, and the table of one user."""
    yield from sections()
    yield "auth.users.NAME", User


def rows(section: str, kind: type[Struct]) -> Iterator[Setting]:
    """Return the settings of one table, in order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for each in msgspec.structs.fields(kind):
        about = next(meta for meta in hints[each.name].__metadata__ if isinstance(meta, About))
        default = each.default if each.default is not msgspec.NODEFAULT else each.default_factory()
        yield Setting(section, each.encode_name, default, about, _allowed(hints[each.name]))


def _allowed(hint: Any) -> str:
    """Return what a value may be, in words."""
    if typing.get_origin(hint) in (Union, UnionType):
        return _allowed(hint.__args__[0])
    if typing.get_origin(hint) is Annotated:
        descriptions = (meta.description for meta in hint.__metadata__ if isinstance(meta, Meta) and meta.description)
        return next(descriptions, None) or _allowed(hint.__origin__)
    if typing.get_origin(hint) is tuple:
        return f"a list; each {_allowed(hint.__args__[0])}"
    return "tables" if typing.get_origin(hint) is dict else {str: "a string", bool: "true or false"}[hint]


SETTINGS: tuple[Setting, ...] = tuple(row for name, kind in sections() for row in rows(name, kind))
"""Every setting with a fixed name."""
