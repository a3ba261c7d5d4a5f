"""What the services' role may do with each table."""

from callfleet_agent.storage.audit import audit_entries
from callfleet_agent.storage.roles import RIGHTS
from callfleet_agent.storage.tables import metadata


def test_every_table_of_the_services_is_in_the_list_and_no_other() -> None:
    assert set(RIGHTS) == set(metadata.tables)


def test_rows_of_the_audit_log_are_added_and_read_and_nothing_else() -> None:
    assert RIGHTS[audit_entries.name] == "SELECT, INSERT"
