"""What is owed to the stores, for Prometheus."""

from prometheus_client import CollectorRegistry, Gauge

from callfleet_agent.journal import Journal


def watch_journal(registry: CollectorRegistry, journal: Journal) -> None:
    """Show a journal's counts; they are read when they are asked for."""
    counts = journal.counts
    for name, text, read in (
        ("depth", "Records that are owed", lambda: len(journal)),
        ("bytes", "Their size", lambda: journal.bytes_owed),
        ("oldest_seconds", "How long the oldest is owed", lambda: journal.oldest_s),
        ("details_given_up_total", "Turns given up", lambda: counts.details_given_up),
        ("essentials_given_up_total", "Calls given up", lambda: counts.essentials_given_up),
        ("refused_total", "Records that no store takes", lambda: counts.refused),
        ("delivered_total", "Records delivered", lambda: counts.delivered),
        ("disk_failures_total", "Failures of the disk", lambda: counts.disk_failures),
    ):
        Gauge(f"callfleet_journal_{name}", text, registry=registry).set_function(read)
