"""What the status of a VoiceAgent is judged by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from callfleet_operator.model import Transport

from .address import sip_uri
from .views import PodView, ReportView, Seen


@dataclass(frozen=True)
class DispatcherView:
    """What became of the agent in its SIP proxy. `synced` is None before the first try.

    `refused` gives the reason for each number that was not accepted, `owners` who has it, as
    namespace/name, where that is known.
    """

    synced: bool | None = None
    reason: str = ""
    message: str = ""
    set_id: int | None = None
    accepted: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PoolLink:
    """One link of a chain of providers. `ready` is None while its pool was not looked at."""

    stage: str
    name: str
    exists: bool = True
    capability: str | None = None
    ready: bool | None = None
    message: str = ""


@dataclass(frozen=True)
class AgentView:
    """All that was observed of a VoiceAgent."""

    generation: int
    wanted: int
    revision: str
    selector: str = ""
    pods: tuple[PodView, ...] = ()
    reports: Mapping[str, ReportView] = field(default_factory=dict)
    confirmed: Mapping[str, Seen] = field(default_factory=dict)
    dispatcher: DispatcherView = DispatcherView()
    numbers: tuple[str, ...] = ()
    transports: tuple[Transport, ...] = (Transport.UDP,)
    pools: tuple[PoolLink, ...] = ()
    deleting: bool = False
    proxy_known: bool = True
    own_bank: bool = False  # pods ask it by themselves
    own_bank_refused: bool = False  # the installation has agents ask its banking service
    bank_service: bool = True
    bank_secret: str = ""  # what is missing of what the bank asks for
    guard_message: str = ""
    apply_error: str = ""

    @property
    def bank_known(self) -> bool:
        """Whether there is a bank to ask."""
        return self.own_bank or self.bank_service

    @property
    def past_audit(self) -> tuple[PodView, ...]:
        """Pods that ask a bank by themselves, as long as they have calls."""
        return tuple(pod for pod in self.pods if pod.own_bank and not pod.finished)

    @property
    def existing(self) -> tuple[PodView, ...]:
        """Pods that are neither finished nor ending."""
        return tuple(pod for pod in self.pods if pod.exists)

    @property
    def ready(self) -> tuple[PodView, ...]:
        """Pods that take new calls."""
        return tuple(
            pod for pod in self.existing if pod.ready and pod.draining_since is None and pod.gate
        )

    @property
    def ready_as_wanted(self) -> tuple[PodView, ...]:
        """Pods of the current revision that take new calls."""
        return tuple(pod for pod in self.ready if pod.revision == self.revision)

    @property
    def leaving(self) -> tuple[PodView, ...]:
        """Pods that take no new calls and wait for theirs to end."""
        return tuple(
            pod
            for pod in self.pods
            if not pod.finished
            and (pod.draining_since is not None or pod.terminating_since is not None)
        )

    @property
    def pending_rows(self) -> tuple[PodView, ...]:
        """Pods whose containers are ready while the proxy does not confirm their row yet."""
        return tuple(
            pod
            for pod in self.existing
            if pod.containers_ready
            and pod.draining_since is None
            and pod.ip is not None
            and self.confirmed.get(sip_uri(pod.ip, self.transports)) is not Seen.ACTIVE
        )

    @property
    def problem(self) -> str:
        """What keeps pods from starting, in Kubernetes' word; empty when nothing is told."""
        return next((pod.problem for pod in self.existing if pod.problem), "")
