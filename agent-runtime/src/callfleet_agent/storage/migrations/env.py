"""Alembic's entry: the connection comes from `callfleet_agent.storage.schema`."""

from alembic import context

from callfleet_agent.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="callfleet_platform_version",
)
with context.begin_transaction():
    context.run_migrations()
