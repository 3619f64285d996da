"""What is wrong with a body, parameter or header, in words of this API instead of the validating library's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_WORDS = {
    "missing": "is needed",
    "extra_forbidden": "is nothing that can be given here",
    "model_attributes_type": "must be a JSON object, sent with `Content-Type: application/json`",
}
"""By the library's kind of error; what is not here is told in its own words, which say what was expected."""
MOST_TOLD = 5


def wrong_lines(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Where and what, one a finding: `at` is the place (`body.name`), `message` goes behind it."""
    return [_line(one) for one in errors]


def in_a_sentence(lines: Sequence[Mapping[str, str]]) -> str:
    """The first few findings, and how many more there are."""
    told = "; ".join(f"{line['at']} {line['message']}" for line in lines[:MOST_TOLD])
    more = len(lines) - MOST_TOLD
    return f"{told}; and {more} more" if more > 0 else told


def _line(error: Mapping[str, Any]) -> dict[str, str]:
    place, kind = error["loc"], error["type"]
    if kind == "json_invalid":
        reason = error.get("ctx", {}).get("error", "")
        return {"at": "body", "message": f"is no JSON text: {reason} at character {place[-1]}"}
    return {"at": ".".join(map(str, place)), "message": _WORDS.get(kind) or _lengths(error) or _own_words(error["msg"])}


def _lengths(error: Mapping[str, Any]) -> str | None:
    """What is said of a text or list that is too short or too long; None for other findings."""
    limits = error.get("ctx")
    if not limits:
        return None
    match error["type"]:
        case "string_too_short":
            least = limits["min_length"]
            return (
                "is empty: at least one character is needed"
                if least == 1
                else f"is too short: {least} characters at least"
            )
        case "string_too_long":
            return f"is too long: {limits['max_length']} characters at most"
        case "too_short":
            return (
                "is empty: at least one is needed"
                if limits["min_length"] == 1
                else f"needs {limits['min_length']} at least"
            )
        case "too_long":
            return f"is too many: {limits['max_length']} at most"
    return None


def _own_words(text: str) -> str:
    """A check of ours says the sentence itself; the library begins with a capital "Input should be ..."."""
    said = text.removeprefix("Value error, ").removeprefix("Input ")
    return f"{said[:1].lower()}{said[1:]}"
