"""The statements on what stands beside the log: memo, documents, chunks; see `statements`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from contextkit.stores.schema import chunks, documents, memo
from contextkit.stores.statements import OWN, THREAD, ZERO

_tenant = bindparam("tenant", type_=sa.LargeBinary)
_space = bindparam("space", type_=sa.Text)
_digest = bindparam("digest", type_=sa.LargeBinary)
_start = bindparam("start", type_=sa.Integer)
_stop = bindparam("stop", type_=sa.Integer)
_in_space = (memo.c.tenant_key == _tenant, memo.c.space == _space)

_keys_json = func.json_each(bindparam("keys", type_=sa.Text)).table_valued("value")
LOAD_MEMO_SQLITE = select(memo.c.key, memo.c.value).where(
    *_in_space, memo.c.key.in_(select(_keys_json.c.value))
)
"""`keys` is a JSON list."""
LOAD_MEMO_POSTGRES = select(memo.c.key, memo.c.value).where(
    *_in_space, memo.c.key == sa.any_(bindparam("keys", type_=postgresql.ARRAY(sa.Text)))
)
_add_sqlite, _add_postgres = sqlite.insert(memo), postgresql.insert(memo)
SAVE_MEMO_SQLITE = _add_sqlite.on_conflict_do_update(
    index_elements=["tenant_key", "space", "key"], set_={"value": _add_sqlite.excluded.value}
)
SAVE_MEMO_POSTGRES = _add_postgres.on_conflict_do_update(
    index_elements=["tenant_key", "space", "key"], set_={"value": _add_postgres.excluded.value}
)
LIST_MEMO = select(memo.c.key).where(*_in_space)
DROP_SPACE = memo.delete().where(*_in_space)
DROP_KEY = DROP_SPACE.where(memo.c.key == bindparam("name", type_=sa.Text))

_COLUMNS = (
    documents.c.name,
    documents.c.media_type,
    documents.c.digest,
    documents.c.source,
    documents.c.number,
    documents.c.n_chunks,
    documents.c.added_at,
    documents.c.n_entries,
)
DOCUMENTS = select(*_COLUMNS).where(documents.c.thread_id == OWN).order_by(documents.c.number)
FIND_DOCUMENT = select(*_COLUMNS).where(documents.c.thread_id == OWN, documents.c.digest == _digest)
LAST_DOCUMENT = select(func.coalesce(func.max(documents.c.number), ZERO)).where(
    documents.c.thread_id == OWN
)
ADD_DOCUMENT = documents.insert()
CARRY_DOCUMENTS = documents.insert().from_select(
    [column.name for column in documents.c],
    select(
        sa.cast(bindparam("fork", type_=sa.Integer), sa.Integer),
        *(column for column in documents.c if column.name != "thread_id"),
    ).where(
        documents.c.thread_id == THREAD, documents.c.n_entries <= bindparam("at", type_=sa.Integer)
    ),
)
"""What a new fork takes along."""

CHUNKS = (
    select(chunks.c.body, chunks.c.place, chunks.c.number, documents.c.number)
    .join(documents, documents.c.digest == chunks.c.digest)
    .where(
        documents.c.thread_id == OWN,
        documents.c.number == bindparam("document", type_=sa.Integer),
        chunks.c.tenant_key == _tenant,
        chunks.c.number >= _start,
        chunks.c.number < _stop,
    )
    .order_by(chunks.c.number)
)
HAS_CHUNKS = select(chunks.c.number).where(
    chunks.c.tenant_key == _tenant, chunks.c.digest == _digest, chunks.c.number == ZERO
)
ADD_CHUNK_SQLITE = sqlite.insert(chunks).on_conflict_do_nothing()
ADD_CHUNK_POSTGRES = postgresql.insert(chunks).on_conflict_do_nothing()
