"""What the core sees of a SIP proxy: rows in, what became of them out.

A `Proxy` is one database and the instances that load it. The core hands over every agent of the
proxy at once, as often as it likes; the driver makes database and instances equal to that and says
what it found. Nothing here waits for a probe: the core looks again after `look_again_s`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Protocol

from callfleet_operator.ports.errors import PortError

MAX_WEIGHT = 100
_URI = re.compile(
    r"sip:(?:\[(?P<v6>[0-9a-fA-F:.]{2,45})\]|(?P<v4>[0-9.]{7,15})):(?P<port>[1-9][0-9]{0,4})"
    r"(?:;transport=(?:udp|tcp))?"
)
_NUMBER = re.compile(r"\+?[0-9]{2,20}")


class ProxyError(PortError):
    """A sync or observe could not be done; nothing that was confirmed before is taken back."""


class ProxyDatabaseUnavailable(ProxyError):  # noqa: N818
    """The database is away or did not answer in time. Trying again later helps."""


class StaleEpoch(ProxyError):  # noqa: N818
    """A newer leader has written. This process must not write again under `given`."""

    retry = False

    def __init__(self, given: int, newest: int) -> None:
        super().__init__(f"epoch {given} is older than {newest}, the newest in the database")
        self.given = given
        self.newest = newest


class ProxyMisconfigured(ProxyError):  # noqa: N818
    """Tables are missing, of another version, or the role has no right to them.

    Trying again helps only after a person migrated the database or granted the rights.
    """

    retry = False


class RowState(StrEnum):
    """What the core wants of a row."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class SeenState(StrEnum):
    """What the instances of a proxy say of a row, all of them taken together."""

    ACTIVE = "active"  # every instance sends it calls
    INACTIVE = "inactive"  # no instance sends it a new call, and no probe in flight can change that
    PROBING = "probing"  # not certain yet: waits for a probe, or the instances differ
    ABSENT = "absent"  # no instance has it
    UNKNOWN = "unknown"  # an instance did not answer, so nothing is confirmed

    @property
    def out(self) -> bool:
        """No new call can reach it: confirmed inactive or confirmed absent."""
        return self in {SeenState.INACTIVE, SeenState.ABSENT}


class RefusalReason(StrEnum):
    """Why a number was not given to an agent."""

    CLAIMED = "NumberClaimed"
    NOT_ALLOWED = "NumberNotAllowed"


class AgentProblem(StrEnum):
    """What a person must mend before an agent's set holds its rows, all of them, and no others."""

    SET_IDS_EXHAUSTED = "SetIdsExhausted"
    FOREIGN_ROW = "ForeignRow"  # somebody else's row holds this destination in the agent's set
    FOREIGN_ROW_BESIDE = "ForeignRowBeside"  # somebody else's row takes calls from the agent's

    @property
    def keeps_rows_out(self) -> bool:
        """The agent's own rows are not, or not all, in the proxy."""
        return self is not AgentProblem.FOREIGN_ROW_BESIDE


@dataclass(frozen=True, slots=True)
class WantedRow:
    """One pod as a destination.

    `uri` is `sip:ADDRESS:PORT`, with `;transport=tcp` where wanted: an address, never a host name,
    because one name that does not resolve can fail a proxy's whole reload. `weight` is 0 to 100
    relative to the agent's other rows; 0 means no new calls and is the same as INACTIVE.

    Raises ValueError for a URI or weight that a proxy could choke on.
    """

    uri: str
    pod_uid: str
    state: RowState = RowState.ACTIVE
    weight: int = MAX_WEIGHT

    def __post_init__(self) -> None:
        match = _URI.fullmatch(self.uri)
        if match is None or int(match["port"]) > 65535:
            raise ValueError(f"not a destination: {self.uri!r}")
        ip_address(match["v6"] or match["v4"])
        if type(self.weight) is not int or not 0 <= self.weight <= MAX_WEIGHT:
            raise ValueError(f"weight is 0 to {MAX_WEIGHT}, not {self.weight!r}")
        if not self.pod_uid:
            raise ValueError("a row needs the UID of its pod")

    @property
    def takes_calls(self) -> bool:
        return self.state is RowState.ACTIVE and self.weight > 0


@dataclass(frozen=True, slots=True)
class AgentRows:
    """What one VoiceAgent wants of the proxy. `gone`: give back its rows, numbers and set id.

    Raises ValueError when a number is no number or a destination is there twice.
    """

    uid: str
    namespace: str
    name: str
    numbers: tuple[str, ...] = ()
    rows: tuple[WantedRow, ...] = ()
    gone: bool = False
    media: str = "direct"  # direct | relay: whether the proxy puts rtpengine into the media's way

    def __post_init__(self) -> None:
        if any(_NUMBER.fullmatch(number) is None for number in self.numbers):
            raise ValueError("a number is 2 to 20 digits, with a plus sign or without")
        uris = [row.uri for row in self.rows]
        if len(set(uris)) != len(uris):
            raise ValueError("an agent has each destination once")
        if self.media not in {"direct", "relay"}:
            raise ValueError(f"media is direct or relay, not {self.media!r}")

    @property
    def owner(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A number that was refused; `owner` is namespace/name of who has it, empty when foreign."""

    reason: RefusalReason
    owner: str = ""


@dataclass(frozen=True, slots=True)
class AgentOutcome:
    """What became of one agent.

    `seen` has every wanted URI and every one of its leftovers, and no destination of a row that is
    somebody else's: those are not the agent's to wait for.
    """

    uid: str
    set_id: int | None = None
    accepted: tuple[str, ...] = ()
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    seen: Mapping[str, SeenState] = field(default_factory=dict)
    problem: AgentProblem | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What the instances hold: agent UID -> URI -> state, and endpoint -> error or None.

    `beside` are rows of others in an agent's set: a pod's address in one gets calls, whoever wrote
    it.

    `look_again_s` is the time after which another look can say more, None when all is settled.
    """

    agents: Mapping[str, Mapping[str, SeenState]]
    instances: Mapping[str, str | None]
    look_again_s: float | None = None
    beside: Mapping[str, Mapping[str, SeenState]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """There are instances, and every one of them answered."""
        return bool(self.instances) and not any(self.instances.values())

    def state_of(self, uid: str, uri: str) -> SeenState:
        """A URI that nobody mentions is absent only when every instance answered."""
        absent = SeenState.ABSENT if self.complete else SeenState.UNKNOWN
        seen = self.agents.get(uid, {}).get(uri)
        return seen or self.beside.get(uid, {}).get(uri, absent)

    def uris(self, uid: str, uids: Collection[str], held: Collection[str]) -> set[str]:
        """What is told of an agent whose pods are at `uids` and of whom `held` was seen before: of
        others' rows only those at a pod's address."""
        others = self.beside.get(uid, {}).keys() - set(uids)
        return ({*uids, *held} - others) | set(self.agents.get(uid, {}))


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """What became of all agents.

    `in_sync`: every instance answered and holds exactly the rows, numbers and states that were
    wanted, where a row wanted active may still wait for its probe. `look_again_s`: as in
    Observation.
    """

    agents: Mapping[str, AgentOutcome]
    instances: Mapping[str, str | None]
    in_sync: bool
    look_again_s: float | None = None
    beside: Mapping[str, Mapping[str, SeenState]] = field(default_factory=dict)

    @property
    def observation(self) -> Observation:
        """The read-back alone."""
        seen = {known: outcome.seen for known, outcome in self.agents.items()}
        return Observation(seen, self.instances, self.look_again_s, self.beside)

    def state_of(self, uid: str, uri: str) -> SeenState:
        """As Observation.state_of."""
        return self.observation.state_of(uid, uri)


class Proxy(Protocol):
    """One SIP proxy: a database and its instances."""

    @property
    def name(self) -> str: ...

    async def sync(self, agents: Sequence[AgentRows], *, epoch: int) -> SyncOutcome:
        """Make database and instances equal to `agents`, which are ALL agents of this proxy.

        One transaction, then one reload and a read-back for each instance at most. An agent of
        this installation that is not listed is treated as `gone`. Of two agents that want a number
        nobody has yet, the one listed first gets it: list them oldest first.

        Raises ProxyDatabaseUnavailable, ProxyMisconfigured, StaleEpoch (nothing was written).
        An instance that is away raises nothing: see `instances`.
        """
        ...

    async def observe(self) -> Observation:
        """Look at the instances and write nothing.

        Raises ProxyDatabaseUnavailable, ProxyMisconfigured.
        """
        ...

    async def close(self) -> None: ...
