"""Everything that shall exist for a pool."""

from callfleet_operator.model import Hosting, ProviderPool
from callfleet_operator.resources import Manifest
from callfleet_operator.resources.apply import with_hash

from .facts import PoolFacts
from .network import network_policy, peers, service, service_account
from .pod import server_of
from .scaling import autoscaler, pod_monitor
from .store import cache_claim, store
from .workload import disruption_budget, workload


def desired_of_pool(pool: ProviderPool, facts: PoolFacts) -> list[Manifest]:
    """All objects of a pool in the order in which they are applied, each with its hash.

    Nothing for an engine that runs inside the agents or at somebody else's.
    """
    if pool.spec.hosting is not Hosting.MANAGED:
        return []
    server = server_of(pool, facts)
    optional = (
        cache_claim(pool, store(pool, facts)),
        peers(pool) if pool.spec.nodes is not None else None,
        autoscaler(pool, server, facts),
        pod_monitor(pool, server, facts),
    )
    manifests = [
        service_account(pool),
        network_policy(pool, server, facts),
        service(pool, server),
        disruption_budget(pool),
        *(manifest for manifest in optional if manifest is not None),
        workload(pool, facts),
    ]
    return [with_hash(manifest) for manifest in manifests]
