"""What the objects of a pool depend on besides its spec."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from callfleet_operator.model.pod import Toleration
from callfleet_operator.model.providerpool import Gpu, ProviderPoolSpec
from callfleet_operator.model.settings import OperatorSettings, PoolSettings, ResourceProfile

POD_MONITORS = "podmonitors.monitoring.coreos.com"
SCALED_OBJECTS = "scaledobjects.keda.sh"


@dataclass(frozen=True)
class PoolFacts:
    """`definitions` are the names of the definitions of others that the cluster has; `users` the
    agents that name the pool. `plaintext`: some of their pods know no TLS to pools yet;
    `plain_pods`: some of the pool's own do not.
    """

    namespace: str
    agent_image: str
    agent_image_pull_policy: str = "IfNotPresent"
    pools: PoolSettings = field(default_factory=PoolSettings)
    metrics_cidrs: tuple[str, ...] = ()
    definitions: frozenset[str] = frozenset()
    users: tuple[str, ...] = ()
    plaintext: bool = False
    plain_pods: bool = False


def pool_facts(
    settings: OperatorSettings, definitions: frozenset[str], users: tuple[str, ...]
) -> PoolFacts:
    """The facts by the operator's settings."""
    return PoolFacts(
        namespace=settings.namespace,
        agent_image=settings.agent_image,
        agent_image_pull_policy=settings.agent_image_pull_policy,
        pools=settings.pools,
        metrics_cidrs=settings.metrics_cidrs,
        definitions=definitions,
        users=users,
    )


@dataclass(frozen=True)
class Hardware:
    """What a replica runs on: the spec's own words, and the profile's where it has none."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]
    gpu: Gpu | None
    node_selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...]
    runtime_class_name: str | None

    @property
    def gpus(self) -> int:
        return self.gpu.count if self.gpu is not None else 0


def hardware(spec: ProviderPoolSpec, settings: PoolSettings) -> Hardware:
    """A profile that is not there adds nothing: `policies.pool_status` says so."""
    found = settings.profile(spec.profile) if spec.profile is not None else None
    profile = found or ResourceProfile(name="none")
    own = spec.resources
    return Hardware(
        requests={**profile.resources.requests, **(own.requests if own else {})},
        limits={**profile.resources.limits, **(own.limits if own else {})},
        gpu=(own.gpu if own else None) or profile.resources.gpu,
        node_selector={**profile.node_selector, **spec.node_selector},
        tolerations=spec.tolerations or profile.tolerations,
        runtime_class_name=spec.runtime_class_name or profile.runtime_class_name,
    )
