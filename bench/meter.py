"""CPU and memory of a process with its children."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Memory:
    """In KiB: what is resident, and the same with what processes share divided among them."""

    rss: float
    pss: float


@dataclass(frozen=True, slots=True)
class Meter:
    """Watches one process and what it has started."""

    process: psutil.Process

    @classmethod
    def of(cls, pid: int | None) -> "Meter":
        """A process that runs."""
        return cls(psutil.Process(pid))

    def cpu_s(self) -> float:
        """Seconds up to now, children that have ended included."""
        seconds = 0.0
        for one in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                seconds += times.user + times.system
        ended = self.process.cpu_times()
        return seconds + ended.children_user + ended.children_system

    def rss_mib(self) -> float:
        """Resident memory now."""
        found = 0.0
        for one in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += one.memory_info().rss
        return found / 2**20

    def memory(self) -> Memory:
        """Now; it takes some milliseconds of the processes' time."""
        rss = pss = 0.0
        for one in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):
                found = one.memory_full_info()
                rss, pss = rss + found.rss / 1024, pss + found.pss / 1024
        return Memory(rss, pss)

    def _all(self) -> Iterator[psutil.Process]:
        yield self.process
        yield from self.process.children(recursive=True)
