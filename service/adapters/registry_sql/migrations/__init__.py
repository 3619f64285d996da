"""Alembic's folder: how the schema came to be, step by step. Run by `migrate.bring_up_to_date`."""
