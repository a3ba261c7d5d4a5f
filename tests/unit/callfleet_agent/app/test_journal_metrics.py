"""What is owed to the stores is shown as it is now."""

from pathlib import Path
from uuid import uuid4

from callfleet_agent.app.metrics import AgentMetrics
from callfleet_agent.journal import Journal, JournalSettings, Weight


def test_depth_age_and_what_was_given_up(tmp_path: Path) -> None:
    journal = Journal(JournalSettings(folder=tmp_path, key=bytes(32), most_bytes=1000))
    metrics = AgentMetrics(capacity=1)
    metrics.watch(journal)

    def shown(name: str) -> float:
        return metrics.registry.get_sample_value(f"callfleet_journal_{name}") or 0.0

    assert (shown("depth"), shown("oldest_seconds")) == (0, 0)
    journal.append(Weight.ESSENTIAL, 1, uuid4(), uuid4(), b"x" * 300)
    for _ in range(4):
        journal.append(Weight.DETAIL, 2, uuid4(), uuid4(), b"x" * 300)

    assert (shown("depth"), shown("details_given_up_total")) == (2, 3)
    assert 0 < shown("oldest_seconds") < 60
    assert 0 < shown("bytes") <= 1000
    for _ in range(2):
        head = journal.head()
        assert head is not None
        journal.delivered(head)
    assert (shown("depth"), shown("delivered_total"), shown("oldest_seconds")) == (0, 2, 0)
    journal.close()
