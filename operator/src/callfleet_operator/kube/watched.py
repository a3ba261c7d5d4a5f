"""What the reflectors follow. Secrets are not among it: the operator has no right to list them."""

from dataclasses import dataclass

from callfleet_operator.ports.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    NETWORK_POLICY,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    PROVIDER_POOL,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    VOICE_AGENT,
    Kind,
)

_OURS = "app.kubernetes.io/managed-by=callfleet-operator"


@dataclass(frozen=True)
class Watched:
    """A kind, and which of its objects: those that the operator made, or all."""

    kind: Kind
    labels: str = ""


WATCHED = (
    Watched(VOICE_AGENT),
    Watched(PROVIDER_POOL),
    Watched(NODE),
    Watched(HORIZONTAL_POD_AUTOSCALER),
    Watched(CUSTOM_RESOURCE_DEFINITION),
    Watched(POD, _OURS),
    Watched(DEPLOYMENT, _OURS),
    Watched(STATEFUL_SET, _OURS),
    Watched(PERSISTENT_VOLUME_CLAIM, _OURS),
    Watched(SERVICE, _OURS),
    Watched(SERVICE_ACCOUNT, _OURS),
    Watched(CONFIG_MAP, _OURS),
    Watched(CONTROLLER_REVISION, _OURS),
    Watched(POD_DISRUPTION_BUDGET, _OURS),
    Watched(NETWORK_POLICY, _OURS),
)
