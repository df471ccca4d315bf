"""Alembic's entry: migrate over the connection that the ledger hands in."""

from alembic import context

from evomerge.runs.ledger.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=False,  # the ledger's own transaction holds the whole upgrade
)
context.run_migrations()
