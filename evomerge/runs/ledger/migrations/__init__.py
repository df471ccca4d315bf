"""Alembic migrations of the ledger: one revision until the first release."""
