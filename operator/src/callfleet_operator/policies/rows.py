"""Rows of the SIP proxy as a function of pods, and what a confirmed row means for a pod.

A row follows the readiness of a pod's containers and what we want of the pod, never the pod's own
Ready, of which the row is a part. What is not known changes nothing: a row, a gate and a pod keep
what was last confirmed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from callfleet_operator.model import Transport

from .address import sip_uri
from .views import PodView, Seen, Verdict

# A pod that Kubernetes ends goes on answering for at most 5 s (the agent's own limit): an agent's
# last row leaves before that, so that the proxy stops before the pod does.
LAST_ROW_HOLD_S = 4.0


class RowState(StrEnum):
    """What is wanted of a row."""

    ACTIVE = "active"
    INACTIVE = "inactive"


@dataclass(frozen=True)
class Row:
    """A wanted row. `weight` is 1 to 100, or 0 for no new calls."""

    uri: str
    pod_uid: str
    state: RowState
    weight: int = 100


@dataclass(frozen=True)
class RowCase:
    """A pod with an address, and what its row is decided from."""

    pod: PodView
    seen: Seen
    deleting: bool  # the whole agent goes
    unwanted: bool  # the agent is to have no pods at all
    replaced: bool  # another pod, which stays, is confirmed active
    now: float

    @property
    def last(self) -> bool:
        """It is the only one that takes calls, and calls are to be taken."""
        return self.seen is Seen.ACTIVE and not self.replaced and not self.unwanted


def wanted_rows(
    pods: Sequence[PodView],
    confirmed: Mapping[str, Seen],
    *,
    transports: Collection[Transport],
    deleting: bool = False,
    unwanted: bool = False,
    now: float,
) -> tuple[Row, ...]:
    """The rows of one agent, by URI. A pod without address, or that has ended, has none.

    Who leaves is what is written on the pods, never a plan of the moment: a plan changes its mind
    with every figure, and of two pods first the one and then the other would be taken out.
    """
    owners = pods_by_uri(pods, transports)
    alive = {uid: uri for uri, uid in owners.items()}
    taking = {
        pod.uid
        for pod in pods
        if _serves(pod)
        and not pod.barred
        and pod.draining_since is None
        and confirmed.get(alive.get(pod.uid, "")) is Seen.ACTIVE
    }
    rows: dict[str, Row] = {}
    for pod in pods:
        if pod.uid not in alive:
            continue
        uri = alive[pod.uid]
        case = RowCase(
            pod=pod,
            seen=confirmed.get(uri, Seen.ABSENT),
            deleting=deleting,
            unwanted=unwanted,
            replaced=bool(taking - {pod.uid}),
            now=now,
        )
        state = next((told for rule in ROW_RULES if (told := rule(case)) is not None), None)
        if state is not None:
            rows[uri] = Row(uri, pod.uid, state)
    return tuple(rows[uri] for uri in sorted(rows))


def pods_by_uri(pods: Sequence[PodView], transports: Collection[Transport]) -> dict[str, str]:
    """Whose each address is: of two pods with one address, the living one's. Pod UIDs by URI."""
    there = sorted((pod for pod in pods if pod.ip and not pod.finished), key=_age_last_living)
    return {sip_uri(pod.ip, transports): pod.uid for pod in there if pod.ip}


def presumed(
    confirmed: Mapping[str, Seen],
    pods: Sequence[PodView],
    transports: Collection[Transport],
    *,
    begins: bool = False,
) -> dict[str, Seen]:
    """What is known of rows, where the gates say what was confirmed last.

    To know nothing is not to know of no calls: who cannot ask every instance believes the gates. A
    process that begins does not know whose rows it sees, and that an address gets calls says
    nothing of a pod that never passed its gate there: another one had it before.
    """
    at = pods_by_uri(pods, transports)
    gated = {uri for uri, uid in at.items() if any(pod.uid == uid and pod.gate for pod in pods)}
    unproved = at.keys() - gated if begins else set()
    seen = {u: s for u, s in confirmed.items() if s is not Seen.ACTIVE or u not in unproved}
    return dict.fromkeys(gated, Seen.ACTIVE) | seen


def _age_last_living(pod: PodView) -> tuple[bool, float, str]:
    return pod.exists, pod.created, pod.uid


def _serves(pod: PodView) -> bool:
    return pod.exists and pod.containers_ready and not pod.unreachable


def _agent_goes(case: RowCase) -> RowState | None:
    return RowState.INACTIVE if case.deleting else None


def _it_is_barred(case: RowCase) -> RowState | None:
    """Rather no pod takes calls than this one."""
    return RowState.INACTIVE if case.pod.barred else None


def _we_drain_it(case: RowCase) -> RowState | None:
    """The agent's last row stays until another takes the calls."""
    if case.pod.draining_since is None or case.pod.terminating_since is not None:
        return None
    return RowState.ACTIVE if case.last else RowState.INACTIVE


def _kubernetes_ends_it(case: RowCase) -> RowState | None:
    """The agent's last row stays until another takes the calls, or the pod is about to stop."""
    if case.pod.terminating_since is None:
        return None
    held = case.now < case.pod.terminating_since + LAST_ROW_HOLD_S
    return RowState.ACTIVE if case.last and held else RowState.INACTIVE


def _its_node_is_silent(case: RowCase) -> RowState | None:
    """The proxy's own probes decide: we only know that we know nothing."""
    if not case.pod.unreachable:
        return None
    return RowState.INACTIVE if case.seen.out else RowState.ACTIVE


def _its_containers_run(case: RowCase) -> RowState | None:
    return RowState.ACTIVE if case.pod.containers_ready else None


def _it_ran_before(case: RowCase) -> RowState | None:
    """A pod that has a row and stopped being ready keeps it, inactive.

    But when no other takes calls: a machine that is overloaded fails readiness probes of pods that
    still answer, and of a pod that is dead the proxy's own probes know.
    """
    if case.seen is Seen.ABSENT:
        return None
    return RowState.ACTIVE if case.last else RowState.INACTIVE


# The first rule that has something to say decides; without a word from any there is no row.
ROW_RULES: tuple[Callable[[RowCase], RowState | None], ...] = (
    _agent_goes,
    _it_is_barred,
    _we_drain_it,
    _kubernetes_ends_it,
    _its_node_is_silent,
    _its_containers_run,
    _it_ran_before,
)


@dataclass(frozen=True)
class GateVerdict(Verdict):
    """What the readiness gate of a pod should be; None leaves it as it is."""

    value: bool | None = None


_GATES: dict[Seen, tuple[bool | None, str, str]] = {
    Seen.ACTIVE: (True, "RowActive", "the SIP proxy sends calls to this pod"),
    Seen.INACTIVE: (False, "RowInactive", "the SIP proxy sends no calls to this pod"),
    Seen.ABSENT: (False, "RowAbsent", "the SIP proxy does not know this pod"),
    Seen.PROBING: (None, "RowProbing", "the SIP proxy is trying to reach this pod"),
    Seen.UNKNOWN: (None, "RowUnknown", "the SIP proxy did not say"),
}


def gate_verdicts(
    pods: Sequence[PodView], rows: Sequence[Row], seen: Mapping[str, Seen]
) -> dict[str, GateVerdict]:
    """The verdict for each pod that has a row or had one, by pod UID.

    A URI that is missing in `seen` was not looked at: that is ignorance, and changes nothing.
    """
    by_pod = {row.pod_uid: row for row in rows}
    verdicts = {}
    for pod in pods:
        row = by_pod.get(pod.uid)
        state = seen.get(row.uri, Seen.UNKNOWN) if row is not None else Seen.UNKNOWN
        value, reason, message = _GATES[state]
        if value is True and row is not None and row.state is RowState.INACTIVE:
            value, reason, message = None, "RowLeaving", "the SIP proxy is about to stop"
        verdicts[pod.uid] = GateVerdict(reason, message, value)
    return verdicts


@dataclass(frozen=True)
class GuardVerdict(Verdict):
    """Whether the rows may be written."""

    allowed: bool = True


def guard(
    confirmed: Mapping[str, Seen],
    owners: Mapping[str, str],
    rows: Sequence[Row],
    *,
    pods: Sequence[PodView],
    explained: Collection[str] = (),
    deleting: bool = False,
) -> GuardVerdict:
    """Refuses rows that would silence most of a set without a reason that was seen.

    `owners` names the pod UID of each confirmed URI. A loss is explained when the agent is being
    deleted, when the pod is still listed (then its own state is the reason), or when its deletion
    was seen (`explained`). A pod that is merely missing from a list explains nothing: that is what
    an incomplete list looks like.
    """
    active = {uri for uri, state in confirmed.items() if state is Seen.ACTIVE}
    kept = {row.uri for row in rows if row.state is RowState.ACTIVE}
    known = {pod.uid for pod in pods} | set(explained)
    lost = [uri for uri in active - kept if owners.get(uri) not in known]
    if deleting or len(lost) * 2 <= len(active):
        return GuardVerdict("Allowed", "no row leaves without a reason that was seen")
    message = (
        f"{len(lost)} of {len(active)} pods that take calls are missing from the list of pods, "
        "but no deletion of theirs was seen; their rows stay until the list is confirmed"
    )
    return GuardVerdict("MassDeactivation", message, allowed=False)
