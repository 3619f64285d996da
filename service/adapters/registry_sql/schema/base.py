"""What all tables share: their metadata, the revision, and columns that many have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData

from service.adapters.registry_sql.column_types import Name

REVISION = "0007"
"""The schema this code works with: the newest file in `migrations/versions` (a test compares)."""

VERSION_TABLE = "holotype_version"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def serial(name: str) -> Column[int]:
    """An ever-growing number, for rows whose order of arrival matters."""
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def of_catalogue(*, primary_key: bool = False) -> Column[str]:
    """The catalogue that a row belongs to and goes with."""
    key = ForeignKey("holotype_catalogues.id", ondelete="CASCADE")
    return Column("catalogue_id", Name, key, nullable=False, primary_key=primary_key)


def of_job(*, primary_key: bool = False) -> Column[str]:
    """The job that a row belongs to and goes with."""
    key = ForeignKey("holotype_jobs.id", ondelete="CASCADE")
    return Column("job_id", Name, key, nullable=False, primary_key=primary_key)


def of_tenant() -> Column[str]:
    """The tenant that a row belongs to and goes with."""
    return Column("tenant", Name, ForeignKey("holotype_tenants.name", ondelete="CASCADE"), nullable=False)
