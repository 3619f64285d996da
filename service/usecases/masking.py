"""What looks like a credential, hidden in what is told: in the log, in problems, in traces."""

from __future__ import annotations

import re
from collections.abc import Mapping

MASK = "***"
_SECRETS = (
    re.compile(r"(holo_[0-9A-Za-z]+_)[0-9A-Za-z_-]{16,}"),
    re.compile(r"(whsec_)[0-9A-Za-z+/=_-]{16,}"),
    re.compile(r"(?i)(bearer\s+)(?!holo_\.\.\.)[^\s'\",;]{8,}"),
    re.compile(r"(://[^\s:/@]*:)[^\s/@]+(?=@)"),
)


def masked(line: str) -> str:
    """The line without anything that looks like a credential."""
    for secret in _SECRETS:
        line = secret.sub(rf"\1{MASK}", line)
    return line


def masked_value(value: object) -> object:
    """The same of all texts in a value of lists and mappings, whose names are texts too."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {masked_value(name): masked_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked_value(one) for one in value]
    return value
