"""What a run of the operator, or of the floor, came to."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Row:
    what: str
    seconds: float
    requests_per_agent: float
    cpu_s: float
    peak_rss_mib: float
    writes: int


def table(rows: Sequence[Row]) -> str:
    """As text."""
    head = f"{'':30}{'seconds':>10}{'req/agent':>11}{'CPU s':>8}{'peak MiB':>10}{'writes':>8}"
    lines = [
        f"{row.what:30}{row.seconds:>10.2f}{row.requests_per_agent:>11.2f}{row.cpu_s:>8.2f}"
        f"{row.peak_rss_mib:>10.0f}{row.writes:>8}"
        for row in rows
    ]
    return "\n".join([head, *lines])
