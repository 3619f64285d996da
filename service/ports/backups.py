"""Copies of all records, as one file of one moment."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from service.ports.registry import Registry

RESTORING = "restoring-"
"""Begins the name of the folder of a restore that has not ended, in the data directory; behind it the backup's id."""


class RecordsCopies(Protocol):
    """Where the records are: a database that others may be working on."""

    def copy_to(self, file: Path) -> None:
        """Everything as it is at one moment, into a new file. Others go on reading and writing meanwhile.

        Raises InvalidInput where there are no records, or those of another version that cannot be copied as they are.
        """
        ...

    def opened(self, file: Path) -> AbstractContextManager[Registry]:
        """The records in such a file, brought up to date. Raises InvalidInput for those of a newer version."""
        ...

    def is_empty(self) -> bool:
        """Are there neither tenants nor catalogues? True where there is no database yet."""
        ...

    def fill_from(self, file: Path) -> None:
        """What the file holds becomes the records, all at once. Raises InvalidInput unless they are empty."""
        ...
