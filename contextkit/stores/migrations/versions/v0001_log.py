"""Threads, their entries, views and closed turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _threads()
    _entries()
    op.create_table(
        "contextkit_views",
        sa.Column(
            "thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True
        ),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "contextkit_turns",
        sa.Column(
            "thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("closed_at", sa.Text, nullable=False),
        sa.Column("n_entries", sa.Integer, nullable=False),
    )


def _threads() -> None:
    op.create_table(
        "contextkit_threads",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant_key", sa.LargeBinary, nullable=False),
        sa.Column("name_key", sa.LargeBinary, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("counter", sa.Text, nullable=False),
        sa.Column("parent", sa.Integer, sa.ForeignKey("contextkit_threads.id")),
        sa.Column("forked_at", sa.Integer, nullable=False),
        sa.UniqueConstraint("tenant_key", "name_key", name="contextkit_threads_name"),
    )
    op.create_index("contextkit_threads_parent", "contextkit_threads", ["parent"])


def _entries() -> None:
    op.create_table(
        "contextkit_entries",
        sa.Column(
            "thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True
        ),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("measure", sa.Text, nullable=False),
        sa.Column("total", sa.Text, nullable=False),
        sa.Column("grp", sa.Integer, nullable=False),
        sa.Column("request", sa.Integer, nullable=False),
        sa.Column("open", sa.Text),
        sa.Column("irregular", sa.Boolean, nullable=False),
    )
    op.create_index(
        "contextkit_entries_irregular",
        "contextkit_entries",
        ["thread_id", "seq"],
        sqlite_where=sa.text("irregular = 1"),
        postgresql_where=sa.text("irregular"),
    )
