"""The registry in SQL: SQLite by default, PostgreSQL by URL. Tables: `schema/`; one module a kind of record."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.adapters.registry_sql.browsing import Browsing
from service.adapters.registry_sql.catalogues import Catalogues
from service.adapters.registry_sql.chunks import Chunks
from service.adapters.registry_sql.claiming import Claims
from service.adapters.registry_sql.database import Database
from service.adapters.registry_sql.deleted import DeletedExamples
from service.adapters.registry_sql.dropped import DroppedExamples
from service.adapters.registry_sql.examples import Examples
from service.adapters.registry_sql.idempotency import Idempotency
from service.adapters.registry_sql.imports import Imports
from service.adapters.registry_sql.job_lists import JobLists
from service.adapters.registry_sql.job_retry import JobRetry
from service.adapters.registry_sql.job_states import JobStates
from service.adapters.registry_sql.jobs import Jobs
from service.adapters.registry_sql.keys import Keys
from service.adapters.registry_sql.measures import Measuring
from service.adapters.registry_sql.migrate import bring_up_to_date
from service.adapters.registry_sql.prompts import Prompts
from service.adapters.registry_sql.selections import Selections
from service.adapters.registry_sql.tenants import Tenants
from service.adapters.registry_sql.webhooks import Webhooks

__all__ = ["SqlRegistry"]


class SqlRegistry(
    Catalogues,
    Jobs,
    JobStates,
    JobLists,
    JobRetry,
    Claims,
    Chunks,
    Examples,
    DroppedExamples,
    DeletedExamples,
    Browsing,
    Selections,
    Tenants,
    Keys,
    Idempotency,
    Imports,
    Webhooks,
    Measuring,
    Prompts,
):
    """Implements `ports.Registry`. Each method is one transaction; threads and processes may call at once.

    Leases are compared with `clock` (seconds since the epoch): clocks of several machines must agree to within a
    fraction of the shortest lease.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        """Open the database, making or migrating its tables.

        Args:
            url: `sqlite:////folder/file.db` (the folder is made) or `postgresql://user:password@host/name`.
            clock: seconds since the epoch.

        Raises:
            InvalidInput: for a URL that cannot be used, or a database of a newer Holotype.
            Unavailable: when the database does not answer.
        """
        database = Database(url)
        try:
            bring_up_to_date(database)
        except Exception:
            database.close()
            raise
        super().__init__(database, clock)

    def close(self) -> None:
        self.database.close()
