"""JSON objects that nobody vouches for, field by field: each is what it must be, or a sentence says what it is not."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from service.errors import InvalidInput, quoted
from service.usecases.given_once import given_once


def encoded(value: Mapping[str, Any]) -> bytes:
    """Compact JSON, ASCII: half of a surrogate pair in a file name stays what it is."""
    return json.dumps(value, separators=(",", ":")).encode()


def fields_of(data: bytes, where: str, *, finite: bool = True) -> Fields:
    """The object in these bytes. Raises InvalidInput when they are none; with `finite` also for NaN and infinity."""
    try:
        value = json.loads(data, parse_constant=_refuse if finite else None, object_pairs_hook=given_once)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput(f"{where} is no JSON object: {reason[:200]}") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} is no JSON object but {type(value).__name__}")
    return Fields(value, where)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


class Fields:
    """An object's fields; every method raises InvalidInput where the field is missing or something else."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self.where = where

    @property
    def whole_object(self) -> Mapping[str, Any]:
        """All of it, as it is."""
        return self._values

    def names(self) -> list[str]:
        """All of them; none holds what cannot be stored."""
        for name in self._values:
            if not _storable(name):
                raise InvalidInput(f"{self.where}: the name {name!a} holds a control character or is no UTF-8")
        return list(self._values)

    def wrong(self, key: str, needed: str) -> InvalidInput:
        """The error for a field that is not what is needed."""
        given = json.dumps(self._values.get(key))
        return InvalidInput(f"{self.where}: {key[:100]!a} is {quoted(given)}; {needed} is needed")

    def value(self, key: str) -> object:
        """Whatever it is."""
        if key not in self._values:
            raise InvalidInput(f"{self.where} lacks {key!a}")
        return self._values[key]

    def text(self, key: str, longest: int) -> str:
        """Text that can be stored, of at most so many characters."""
        given = self.value(key)
        if not isinstance(given, str) or len(given) > longest or not _storable(given):
            raise self.wrong(key, f"text of at most {longest} characters, without NUL,")
        return given

    def matching(self, key: str, form: re.Pattern[str]) -> str:
        """Text of that form."""
        given = self.value(key)
        if not isinstance(given, str) or not form.fullmatch(given):
            raise self.wrong(key, f"text of the form {form.pattern}")
        return given

    def one_of(self, key: str, known: Collection[str]) -> str:
        """One of the known texts."""
        given = self.value(key)
        if not isinstance(given, str) or given not in known:
            raise self.wrong(key, f"one of {', '.join(known)}")
        return given

    def texts(self, key: str, most: int, longest: int) -> list[str]:
        """A list of at most so many different texts."""
        given = self.value(key)
        if not isinstance(given, list) or len(given) > most:
            raise self.wrong(key, f"a list of at most {most} texts")
        if not all(isinstance(one, str) and len(one) <= longest and _storable(one) for one in given):
            raise self.wrong(key, f"a list of texts of at most {longest} characters")
        if len(set(given)) != len(given):
            raise self.wrong(key, "a list of different texts")
        return given

    def whole(self, key: str, least: int, most: int) -> int:
        """A whole number within these bounds."""
        given = self.value(key)
        if type(given) is not int or not least <= given <= most:
            raise self.wrong(key, f"a whole number from {least} to {most}")
        return given

    def number(self, key: str, *, finite: bool = True) -> float:
        """A number, finite unless told otherwise."""
        given = self.value(key)
        if type(given) not in (int, float) or not isinstance(given, (int, float)):
            raise self.wrong(key, "a number")
        try:
            number = float(given)
        except OverflowError:
            raise self.wrong(key, "a number of 64 bits") from None
        if finite and not math.isfinite(number):
            raise self.wrong(key, "a finite number")
        return number

    def flag(self, key: str) -> bool:
        """True or false."""
        given = self.value(key)
        if not isinstance(given, bool):
            raise self.wrong(key, "true or false")
        return given

    def mapping(self, key: str) -> dict[str, Any]:
        """An object, whatever is in it."""
        given = self.value(key)
        if not isinstance(given, dict):
            raise self.wrong(key, "an object")
        return given

    def inner(self, key: str) -> Fields:
        """The fields of an object."""
        return Fields(self.mapping(key), f"{self.where}: {key}")

    def inners(self, key: str, most: int) -> list[Fields]:
        """The fields of each object of a list."""
        given = self.value(key)
        if not isinstance(given, list) or len(given) > most or not all(isinstance(one, dict) for one in given):
            raise self.wrong(key, f"a list of at most {most} objects")
        return [Fields(one, f"{self.where}: {key}") for one in given]


def _storable(text: str) -> bool:
    """Without NUL, which PostgreSQL does not take, and without halves of surrogate pairs, which are no UTF-8."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
