"""What can be made again (vectors, terms, model-made text), and documents with their chunks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "contextkit_memo",
        sa.Column("tenant_key", sa.LargeBinary, primary_key=True),
        sa.Column("space", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "contextkit_documents",
        sa.Column(
            "thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("n_chunks", sa.Integer, nullable=False),
        sa.Column("added_at", sa.Text, nullable=False),
        sa.Column("n_entries", sa.Integer, nullable=False),
        sa.UniqueConstraint("thread_id", "digest", name="contextkit_documents_digest"),
    )
    op.create_table(
        "contextkit_chunks",
        sa.Column("tenant_key", sa.LargeBinary, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
