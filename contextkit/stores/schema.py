"""The tables of a SQL history, and the revisions that lead to them.

Tables carry a prefix because a PostgreSQL database is often shared with the application's own.
Tenant and thread names are found by their SHA-256, so that a name may have any length: an index
entry of PostgreSQL holds 2.7 kB at most. Entries stay a rowid table on SQLite: WITHOUT ROWID made
a log of 1.5 kB messages 2.3 times as large and twice as slow to write (measured).
"""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every revision that this contextkit knows, oldest first; the last is the one it works with."""
NEWEST = REVISIONS[-1]
VERSION_TABLE = "contextkit_version"

metadata = sa.MetaData()

threads = sa.Table(
    "contextkit_threads",
    metadata,
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
sa.Index("contextkit_threads_parent", threads.c.parent)

entries = sa.Table(
    "contextkit_entries",
    metadata,
    sa.Column("thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True),
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
sa.Index(
    "contextkit_entries_irregular",
    entries.c.thread_id,
    entries.c.seq,
    sqlite_where=entries.c.irregular,
    postgresql_where=entries.c.irregular,
)

views = sa.Table(
    "contextkit_views",
    metadata,
    sa.Column("thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

turns = sa.Table(
    "contextkit_turns",
    metadata,
    sa.Column("thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("closed_at", sa.Text, nullable=False),
    sa.Column("n_entries", sa.Integer, nullable=False),
)
"""`n_entries` of the log when the turn closed: a log cut off at its end shows against it."""

state = sa.Table(
    "contextkit_state",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

memo = sa.Table(
    "contextkit_memo",
    metadata,
    sa.Column("tenant_key", sa.LargeBinary, primary_key=True),
    sa.Column("space", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

documents = sa.Table(
    "contextkit_documents",
    metadata,
    sa.Column("thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True),
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
"""`n_entries` of the log when the document came: a fork takes along what came before its point."""

chunks = sa.Table(
    "contextkit_chunks",
    metadata,
    sa.Column("tenant_key", sa.LargeBinary, primary_key=True),
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
"""By the digest of their document: threads of a tenant share what they hold in common."""

summaries = sa.Table(
    "contextkit_summaries",
    metadata,
    sa.Column("thread_id", sa.Integer, sa.ForeignKey("contextkit_threads.id"), primary_key=True),
    sa.Column("level", sa.Integer, primary_key=True),
    sa.Column("start", sa.Integer, primary_key=True),
    sa.Column("stop", sa.Integer, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)
"""Every summary that was ever made, those that others stand for by now among them."""

cover = sa.Table(
    "contextkit_cover",
    metadata,
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
        [summaries.c.thread_id, summaries.c.level, summaries.c.start, summaries.c.stop],
        name="contextkit_cover_summary",
    ),
    sa.CheckConstraint("start < stop", name="contextkit_cover_range"),
    sa.CheckConstraint("previous IS NULL OR previous = start", name="contextkit_cover_chain"),
)
sa.Index(
    "contextkit_cover_first",
    cover.c.thread_id,
    unique=True,
    sqlite_where=cover.c.previous.is_(None),
    postgresql_where=cover.c.previous.is_(None),
)
"""The summaries that stand for a log now. Each begins where another ends (a foreign key), no two begin
or end at the same entry (unique), one has none before it: so they are a chain without gaps, and no
entry below its end is covered twice or not at all, whoever writes."""


def key_of(name: str) -> bytes:
    """What a tenant or thread name is found by."""
    return hashlib.sha256(name.encode("utf-8")).digest()
