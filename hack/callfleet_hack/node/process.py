"""Servers in the background, each known by its pid and start time.

A pid alone could by now belong to someone else's process; a pid with its start time cannot.
"""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from callfleet_hack.cache import cluster_dir, write_atomically
from callfleet_hack.errors import HackError

STOP_WITHIN_S = 5.0
LOG_LIMIT_BYTES = 50 << 20


@dataclass(frozen=True)
class Record:
    """A process that was started here."""

    pid: int
    start_ticks: int
    command: list[str]

    @property
    def alive(self) -> bool:
        return start_ticks(self.pid) == self.start_ticks


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def record_of(name: str) -> Record | None:
    try:
        return Record(**json.loads(_record_file(name).read_text()))
    except FileNotFoundError:
        return None


def is_running(name: str) -> bool:
    record = record_of(name)
    return record is not None and record.alive


def ensure_started(name: str, command: list[str]) -> bool:
    """Start a server unless it runs with this very command; whether it was started."""
    record = record_of(name)
    if record and record.alive:
        if record.command == command:
            return False
        stop(name)
    log = log_file(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    mode = "ab" if log.exists() and log.stat().st_size < LOG_LIMIT_BYTES else "wb"
    with log.open(mode) as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cluster_dir(),
            start_new_session=True,
        )
    entry = {"pid": process.pid, "start_ticks": start_ticks(process.pid) or 0, "command": command}
    write_atomically(_record_file(name), json.dumps(entry))
    return True


def require_running(name: str) -> None:
    if not is_running(name):
        end = log_file(name).read_text(errors="replace")[-1500:] if log_file(name).exists() else ""
        raise HackError(f"{name} ended; its log {log_file(name)} ends with:\n{end}")


def stop(name: str) -> None:
    """SIGTERM, then SIGKILL; nothing if it is not the process that was started."""
    record = record_of(name)
    if record and record.alive:
        end_process(record.pid)
    _record_file(name).unlink(missing_ok=True)


def end_process(pid: int, within_s: float = STOP_WITHIN_S) -> None:
    """End a process that is known to be ours."""
    started = start_ticks(pid)
    for number, patience_s in ((signal.SIGTERM, within_s), (signal.SIGKILL, STOP_WITHIN_S)):
        if started is None or start_ticks(pid) != started:
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        _wait_for_end(pid, started, patience_s)


def _wait_for_end(pid: int, started: int, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while start_ticks(pid) == started and time.monotonic() < deadline:
        time.sleep(0.02)


def log_file(name: str) -> Path:
    return cluster_dir() / "logs" / f"{name}.log"


def _record_file(name: str) -> Path:
    return cluster_dir() / "run" / f"{name}.json"
