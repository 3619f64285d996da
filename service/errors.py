"""Every error that Holotype raises on purpose. No HTTP codes and no exit codes: those belong to the edges.

HolotypeError
├── InvalidInput              what was asked for cannot be asked: wrong name, path, number, format
│   ├── ImageRejected         one picture cannot be used; `reason` is a sentence for a person
│   ├── ManifestError         a manifest line cannot be read; names the line
│   └── IdempotencyConflict   an idempotency key was used for another request
├── NotFound                  the tenant has no such thing
│   ├── TenantNotFound
│   ├── CatalogueNotFound
│   ├── SelectionNotFound
│   ├── LabelNotFound
│   └── ExampleNotFound
├── AlreadyExists             a catalogue of that name is there
├── WrongState                what is asked for is not possible in the state that the job is in
├── NothingToServe            the catalogue holds no example that could answer
├── EncoderMismatch           two encoder fingerprints met; prints both
├── Busy                      somebody else holds what is needed
│   ├── DataDirectoryInUse    another process owns the data directory
│   ├── LeaseHeld             the catalogue or job is being worked on
│   └── RequestInFlight       a request with the same idempotency key is being worked on
├── AccessDenied              who asks may not
│   ├── NotAuthenticated      there is no valid key
│   └── NotPermitted          the key lacks the scope
├── LastAdminKey              without that key nobody could rule over tenants and keys any more
├── QuotaExceeded             the tenant has used up what it may use; details: quota, limit, retry_after_s
├── JobFailed                 a job ended without its result
├── PublishIncomplete         flags in the store disagree with the selection; the old selection still serves
└── Unavailable               an outside system does not answer; trying again may help
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

LONGEST_QUOTED = 60
MOST_LISTED = 5


def quoted(text: str) -> str:
    """What a person gave, in quotation marks for a message; of a long text the beginning and its length."""
    if len(text) <= LONGEST_QUOTED:
        return repr(text)
    return f"{text[:LONGEST_QUOTED]!r}... ({len(text)} characters)"


def counted(count: int, noun: str) -> str:
    """The number with its noun, "1 label" or "2 labels": for nouns whose plural has an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are: "a, b" or "a, b, c, d, e and 2 more"."""
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def there_are(given: str, names: Sequence[str]) -> str:
    """What to add to a message about a name that is not there: the few that are, or of many those that are close."""
    near = list(names) if len(names) <= MOST_LISTED else get_close_matches(given, names)
    told = ", ".join(map(quoted, near))
    return f"; there {'is' if len(near) == 1 else 'are'} {told}" if near else ""


class HolotypeError(Exception):
    """Base of all errors raised on purpose.

    `details` holds the numbers and names behind the message, JSON-serialisable, for `--json` output.
    """

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidInput(HolotypeError):
    """What was asked for cannot be asked."""


class ImageRejected(InvalidInput):
    """One picture cannot be used; the message is the reason, written for a person."""


class ManifestError(InvalidInput):
    """A manifest line cannot be read."""


class IdempotencyConflict(InvalidInput):
    """An idempotency key was used for another request."""


class NotFound(HolotypeError):
    """The tenant has no such thing."""


class TenantNotFound(NotFound):
    """There is no tenant of that name."""


class CatalogueNotFound(NotFound):
    """The tenant has no catalogue of that name."""


class SelectionNotFound(NotFound):
    """The catalogue has no such selection."""


class LabelNotFound(NotFound):
    """The catalogue has no class of that label."""


class ExampleNotFound(NotFound):
    """The catalogue has no such example."""


class AlreadyExists(HolotypeError):
    """A catalogue of that name is there already."""


class WrongState(HolotypeError):
    """What is asked for is not possible in the state that the job is in."""


class NothingToServe(HolotypeError):
    """The catalogue holds no example that could answer a query."""


class EncoderMismatch(HolotypeError):
    """Two encoder fingerprints met where one was expected; the message prints both."""


class Busy(HolotypeError):
    """Somebody else holds what is needed."""


class DataDirectoryInUse(Busy):
    """Another process owns the data directory."""


class LeaseHeld(Busy):
    """The catalogue or the job is being worked on by somebody else."""


class RequestInFlight(Busy):
    """A request with the same idempotency key is being worked on."""


class AccessDenied(HolotypeError):
    """Who asks may not."""


class NotAuthenticated(AccessDenied):
    """There is no valid key."""


class NotPermitted(AccessDenied):
    """The key lacks the scope."""


class LastAdminKey(HolotypeError):
    """Without that key nobody could rule over tenants and keys any more."""


class QuotaExceeded(HolotypeError):
    """The tenant has used up what it may use. `retry_after_s` is None where waiting alone does not help."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, **details: object) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **details)
        self.retry_after_s = retry_after_s


class JobFailed(HolotypeError):
    """A job ended without its result."""


class PublishIncomplete(HolotypeError):
    """The flags in the store disagree with the selection; the old selection still serves."""


class Unavailable(HolotypeError):
    """An outside system does not answer; trying again may help."""
