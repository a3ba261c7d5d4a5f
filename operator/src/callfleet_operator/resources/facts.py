"""What the objects of an agent depend on besides its spec."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from callfleet_operator.model import OperatorSettings, PlatformSettings
from callfleet_operator.policies.scaling import FleetPlan

from . import Manifest
from .chains import LiveFacts


@dataclass(frozen=True)
class PlatformAddresses:
    """Where the platform's services are, HOST:PORT; empty: there is none."""

    session_manager: str = ""
    context_store: str = ""
    banking: str = ""

    @property
    def any(self) -> bool:
        return bool(self.session_manager or self.context_store or self.banking)


@dataclass(frozen=True)
class OperatorFacts:
    """The part of the operator's settings that reaches objects. No networks means anywhere."""

    namespace: str
    agent_image: str
    agent_image_pull_policy: str = "IfNotPresent"
    sip_cidrs: tuple[str, ...] = ()
    relay_cidrs: tuple[str, ...] = ()
    metrics_cidrs: tuple[str, ...] = ()
    traces_endpoint: str | None = None
    services: PlatformAddresses = PlatformAddresses()
    trusted_cidrs: tuple[str, ...] = ()  # whose word on the caller's number is believed
    sip_address: str = ""  # HOST:PORT of the proxy
    restrict_egress: bool = False
    egress_cidrs: tuple[str, ...] = ()  # where what has other names than Services' is


@dataclass(frozen=True)
class Facts:
    """Everything `desired` sees besides the agent and its pools.

    `revisions` are the stored ControllerRevisions by revision; `provider_keys` API keys and CAs by
    file name. An agent that is `refused` is to have no pods, whatever its spec says.
    """

    operator: OperatorFacts
    plan: FleetPlan
    revisions: Mapping[str, Manifest] = field(default_factory=dict)
    provider_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    live: LiveFacts = field(default_factory=LiveFacts)
    refused: bool = False


def operator_facts(settings: OperatorSettings, proxy: str) -> OperatorFacts:
    """The facts for agents of one proxy; one that is unknown has no networks."""
    found = settings.proxy(proxy)
    return OperatorFacts(
        namespace=settings.namespace,
        agent_image=settings.agent_image,
        agent_image_pull_policy=settings.agent_image_pull_policy,
        sip_cidrs=found.source_cidrs if found is not None else (),
        relay_cidrs=found.relay_cidrs if found is not None else (),
        metrics_cidrs=settings.metrics_cidrs,
        traces_endpoint=settings.traces_endpoint,
        services=_addresses(settings.platform),
        trusted_cidrs=found.source_cidrs if found is not None and found.trusted_caller_id else (),
        sip_address=found.sip_address if found is not None else "",
        restrict_egress=settings.agent_egress.restricted,
        egress_cidrs=settings.agent_egress.cidrs,
    )


def _addresses(platform: PlatformSettings | None) -> PlatformAddresses:
    if platform is None:
        return PlatformAddresses()
    return PlatformAddresses(
        platform.session_manager or "", platform.context_store or "", platform.banking or ""
    )
