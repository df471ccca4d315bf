"""Leases, drivers, workers and requests; where the time of an attempt went."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns."""
    for name, default in (("tokenise_s", "0"), ("wait_s", "0"), ("busy_s", "0"), ("devices", "1")):
        column = sa.Column(name, sa.Float(), nullable=False, server_default=default)
        op.add_column("attempt", column)
    op.create_table(
        "lease",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("candidate_id", sa.String(length=255), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("granted_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "candidate_id", "split", "number"),
    )
    op.create_table(
        "request",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("made_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "sequence"),
    )
    op.create_table(
        "driver",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("beat_s", sa.Float(), nullable=False),
        sa.Column("lease_s", sa.Float(), nullable=False),
        sa.Column("writes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_table(
        "worker",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("worker", sa.String(length=255), nullable=False),
        sa.Column("node", sa.String(length=255), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("candidate_id", sa.String(length=255), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("since_s", sa.Float(), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.Column("busy_s", sa.Float(), nullable=False),
        sa.Column("alive_s", sa.Float(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("beat_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "worker"),
    )
