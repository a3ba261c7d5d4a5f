"""What the decisions see of the world. The core fills these from its caches and its ports."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Seen(StrEnum):
    """What the proxy's instances say of a row, all of them taken together."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    PROBING = "probing"
    ABSENT = "absent"
    UNKNOWN = "unknown"

    @property
    def out(self) -> bool:
        """Whether it is confirmed that no new call reaches the row."""
        return self in {Seen.INACTIVE, Seen.ABSENT}


@dataclass(frozen=True)
class PodView:
    """A pod of an agent. Times are seconds on the clock that `now` is read from."""

    name: str
    uid: str
    revision: str
    ip: str | None = None
    containers_ready: bool = False
    ready: bool = False
    terminating_since: float | None = None
    finished: bool = False  # its phase is Succeeded or Failed
    unreachable: bool = False  # its node does not answer
    gate: bool | None = None  # the condition callfleet.io/in-dispatcher; None: not set yet
    draining_since: float | None = None  # we asked it to leave
    deletion_cost: int = 0
    created: float = 0.0
    cordoned: bool = False  # its node takes no new pods
    problem: str = ""  # why it does not start, as Kubernetes says it: ImagePullBackOff …
    row: Seen = Seen.UNKNOWN  # what the proxy last said of its row
    own_bank: bool = False  # it asks a bank by itself
    barred: bool = False  # it may take no more calls, whether others do or not

    @property
    def takes_calls(self) -> bool:
        """Whether it stays, runs, and the proxy was seen to send it calls."""
        stays = self.exists and not self.unreachable and self.draining_since is None
        stays = stays and not self.barred
        return stays and self.containers_ready and self.gate is True and self.row is Seen.ACTIVE

    @property
    def exists(self) -> bool:
        """Whether it counts as a replica: neither finished nor on its way out."""
        return not self.finished and self.terminating_since is None


@dataclass(frozen=True)
class ReportView:
    """What a pod last said of itself, and whether it can be heard now."""

    pod_uid: str
    heard: bool = True
    draining: bool = False
    calls: int = 0
    capacity: int = 0
    terminating: bool = False


Reports = Mapping[str, ReportView]


def calls_of(pod: PodView, reports: Reports) -> int:
    """Calls of a pod by its last report, also when it cannot be heard now."""
    report = reports.get(pod.uid)
    return report.calls if report is not None else 0


@dataclass(frozen=True)
class Verdict:
    """A reason for programs and a message for people."""

    reason: str
    message: str
