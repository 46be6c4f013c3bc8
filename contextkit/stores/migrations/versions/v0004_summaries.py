"""Summaries of ranges of a log, and the cover: which of them stand for it now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "contextkit_summaries",
        sa.Column(
            "thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True
        ),
        sa.Column("level", sa.Integer, primary_key=True),
        sa.Column("start", sa.Integer, primary_key=True),
        sa.Column("stop", sa.Integer, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "contextkit_cover",
        sa.Column("thread_id", sa.Integer, primary_key=True),
        sa.Column("start", sa.Integer, primary_key=True),
        sa.Column("stop", sa.Integer, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("previous", sa.Integer),
        sa.UniqueConstraint("thread_id", "stop", name="contextkit_cover_stop"),
        sa.ForeignKeyConstraint(
            ["thread_id", "previous"],
            ["contextkit_cover.thread_id", "contextkit_cover.stop"],
            name="contextkit_cover_previous",
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.ForeignKeyConstraint(
            ["thread_id", "level", "start", "stop"],
            [
                "contextkit_summaries.thread_id",
                "contextkit_summaries.level",
                "contextkit_summaries.start",
                "contextkit_summaries.stop",
            ],
            name="contextkit_cover_summary",
        ),
        sa.CheckConstraint("start < stop", name="contextkit_cover_range"),
        sa.CheckConstraint("previous IS NULL OR previous = start", name="contextkit_cover_chain"),
    )
    op.create_index(
        "contextkit_cover_first",
        "contextkit_cover",
        ["thread_id"],
        unique=True,
        sqlite_where=sa.text("previous IS NULL"),
        postgresql_where=sa.text("previous IS NULL"),
    )
