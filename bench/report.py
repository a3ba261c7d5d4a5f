"""What every bench prints: the machine, the commit, one table, and the same as JSON."""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "load_before": load(),
        "python": platform.python_version(),
    }


def load() -> float:
    """How busy the machine was in the last minute."""
    return round(os.getloadavg()[0], 2)


class Meanwhile:
    """What the machine did from here on: how busy it was, and what its host took from it."""

    def __init__(self) -> None:
        self._began = psutil.cpu_times()

    def facts(self) -> dict[str, Any]:
        """Shares of all its cores in percent, and the load now."""
        spent = [now - then for now, then in zip(psutil.cpu_times(), self._began, strict=True)]
        used = dict(zip(self._began._fields, spent, strict=True))
        # The kernel counts a guest's time as user's, too.
        whole = sum(spent) - used.get("guest", 0.0) - used.get("guest_nice", 0.0)
        idle = used["idle"] + used.get("iowait", 0.0)

        def percent(seconds: float) -> float:
            return round(100 * seconds / whole, 1) if whole > 0 else 0.0

        return {
            "load_after": load(),
            "busy_percent": percent(whole - idle),
            "steal_percent": percent(used.get("steal", 0.0)),
        }


def commit() -> str:
    """The commit, with a plus when something is not committed."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")


def show(name: str, facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print facts, a table of the rows, and one line of JSON."""
    where = ", ".join(f"{key} {value}" for key, value in facts.items())
    print(f"{name} at {commit()}: {where}")
    columns = list(rows[0])
    cells = [columns, *([_text(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))
    result = {"bench": name, "commit": commit(), **facts, "rows": [known(row) for row in rows]}
    print(json.dumps(result, allow_nan=False))


def known(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with None, null in JSON, where there is no number: a percentile of nothing."""
    return {
        column: None if isinstance(value, float) and not math.isfinite(value) else value
        for column, value in row.items()
    }


def _text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if 0 < abs(value) < 1 else f"{value:.1f}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(percent / 100 * len(ordered) + 0.5) - 1))]
