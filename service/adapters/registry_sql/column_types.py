"""Column types: one meaning on SQLite and on PostgreSQL, whatever the user's text holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Dialect, Enum, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

from service.errors import InvalidInput


def storable(text: str) -> bool:
    """False for text that PostgreSQL or UTF-8 cannot hold: a NUL character, or half a surrogate pair.

    The latter is how Python spells a file name that is not valid UTF-8.
    """
    if text.isascii():
        return "\0" not in text
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


class _Text(TypeDecorator[str]):
    """Text that sorts by code point on every database: PostgreSQL would otherwise use the server's language."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text(collation="C") if dialect.name == "postgresql" else Text()


class Name(_Text):
    """Text that things are found by: refused with a sentence when it cannot be stored as it is."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is not None and not storable(value):
            raise InvalidInput(
                f"{value!r} holds a NUL character or is not valid UTF-8: name it otherwise", name=repr(value)
            )
        return value


class Shown(_Text):
    """Text for people, such as a file name: what cannot be stored is written as an escape."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None or storable(value):
            return value
        return value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


class Json(TypeDecorator[Mapping[str, Any]]):
    """A JSON object, kept as text: PostgreSQL's JSON types refuse infinite numbers, and nothing queries inside."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else json.dumps(dict(value), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, Any] | None:  # noqa: ARG002
        return None if value is None else cast("Mapping[str, Any]", json.loads(value))


class Labels(TypeDecorator[tuple[str, ...]]):
    """A few labels, in order; NULL for none, which is what nearly every row holds."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return json.dumps(list(value)) if value else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:  # noqa: ARG002
        return tuple(json.loads(value)) if value else ()


class Metadata(TypeDecorator[Mapping[str, str]]):
    """Short texts by name; NULL for none, which is what nearly every row holds."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, str] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return json.dumps(dict(value), sort_keys=True, separators=(",", ":")) if value else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, str]:  # noqa: ARG002
        return json.loads(value) if value else {}


def word(kind: type[StrEnum]) -> Enum:
    """The value of a StrEnum as text; no enumeration type in the database, so that a new word needs no migration."""
    return Enum(kind, native_enum=False, length=16, values_callable=lambda words: [item.value for item in words])
