"""Run by Alembic: upgrades over the connection and in the transaction of `stores/upgrade.py`."""

from alembic import context

from contextkit.stores.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
