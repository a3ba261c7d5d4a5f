"""The table of docs/pools.md, from the rows of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def table(rows: Sequence[Row]) -> str:
    """A line for each engine; in each cell the figures for the numbers of streams of the run."""
    counts = ", ".join(str(count) for count in sorted({row["streams"] for row in rows}))
    lines = [
        f"| engine | first result, ms: p50 (p95); streams: {counts} | real-time factor "
        "| CPU ms | MiB |",
        "|---|---|---|---|---|",
    ]
    for engine in dict.fromkeys(row["engine"] for row in rows):
        mine = sorted(
            (row for row in rows if row["engine"] == engine), key=lambda row: row["streams"]
        )
        lines.append(
            f"| `{engine}` | {_cells(mine, _first)} | {_cells(mine, _factor)} "
            f"| {_cells(mine, _cpu)} per {mine[0]['each']} | {_cells(mine, _memory)} |"
        )
    return "\n".join(lines)


def _cells(rows: Sequence[Row], cell: Any) -> str:
    found = [cell(row) for row in rows]
    return found[0] if set(found) == {"–"} else ", ".join(found)


def _first(row: Row) -> str:
    return f"{_short(row['first p50 ms'])} ({_short(row['first p95 ms'])})"


def _factor(row: Row) -> str:
    factor = row["real-time factor"]
    return "–" if factor is None else _short(factor)


def _cpu(row: Row) -> str:
    return _short(row["CPU ms for each"])


def _memory(row: Row) -> str:
    return f"{row['MiB']:.0f}"


def _short(value: float) -> str:
    """Two figures at least, and no more than are known."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
