"""The objects that a pool owns: which there shall be, and which are left over."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from callfleet_operator.identity.names import pool_subject
from callfleet_operator.model import OperatorSettings, ProviderPool
from callfleet_operator.model.engines import OURS
from callfleet_operator.ports.certificates import LeafIssuer
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import NotFoundError
from callfleet_operator.ports.kinds import (
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    POD_MONITOR,
    SCALED_OBJECT,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Kind,
    Manifest,
    kind_of,
    name_of,
)
from callfleet_operator.ports.kube import KubeReader, KubeStore, Ref
from callfleet_operator.reconcile.applied import Applied, unchanged
from callfleet_operator.reconcile.secrets import SecretShelf, owned_by
from callfleet_operator.reconcile.views import speaks_plain
from callfleet_operator.resources.apply import with_hash
from callfleet_operator.resources.pools.desired import desired_of_pool
from callfleet_operator.resources.pools.facts import PoolFacts, pool_facts
from callfleet_operator.resources.pools.names import metadata, object_name, tls_name

OWNED: tuple[Kind, ...] = (
    HORIZONTAL_POD_AUTOSCALER,
    DEPLOYMENT,
    STATEFUL_SET,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    PERSISTENT_VOLUME_CLAIM,
    SERVICE_ACCOUNT,
    NETWORK_POLICY,
)
# Kinds of others, which a cluster may lack: they are not watched, but looked at by name.
FOREIGN = {
    "podmonitors.monitoring.coreos.com": POD_MONITOR,
    "scaledobjects.keda.sh": SCALED_OBJECT,
}
LOOK_AGAIN_S = 600.0


@dataclass
class PoolChildren:
    applied: Applied
    reader: KubeReader
    settings: OperatorSettings
    clock: Clock
    issuer: LeafIssuer
    secrets: SecretShelf
    _looked: dict[Ref, tuple[float, Manifest | None]] = field(default_factory=dict)

    def facts(self, pool: ProviderPool, users: tuple[str, ...]) -> PoolFacts:
        namespace = pool.metadata.namespace
        asking = (pod for user in users for pod in self.applied.of_agent(POD, namespace, user))
        serving = self.applied.of_pool(POD, namespace, pool.metadata.name)
        found = pool_facts(self.settings, definitions(self.applied.store), users)
        return replace(
            found,
            plaintext=any(map(speaks_plain, asking)),
            plain_pods=any(map(speaks_plain, serving)),
        )

    async def apply(self, pool: ProviderPool, facts: PoolFacts) -> None:
        """Raises ChildrenError for what was refused, and what says that the server is away."""
        wanted = desired_of_pool(pool, facts)
        await self.remove(pool, keep=wanted)
        await self._certify(pool)
        ours = [item for item in wanted if kind_of(item) not in FOREIGN.values()]
        await self.applied.apply_all(ours)
        for kind in FOREIGN.values():
            await self._foreign(pool, kind, [item for item in wanted if kind_of(item) == kind])

    async def remove(self, pool: ProviderPool, keep: list[Manifest]) -> None:
        """What belongs to the pool and shall not exist."""
        names = {(item["kind"], name_of(item)) for item in keep}
        for leftover in list(self._existing(pool)):
            if (kind_of(leftover).kind, name_of(leftover)) not in names:
                await self.applied.delete(leftover)

    async def _certify(self, pool: ProviderPool) -> None:
        """The certificate of servers of ours, made anew where what is there is not good."""
        if pool.spec.engine not in OURS:
            return
        namespace, name = pool.metadata.namespace, tls_name(pool.metadata.name)
        live = await self.secrets.look(namespace, name, self.issuer.kind)
        subject = pool_subject(namespace, pool.metadata.name, object_name(pool.metadata.name))
        made = self.issuer.issue(namespace, name, subject, live)
        if made is not None:
            ours = metadata(pool, name)
            ours["annotations"] = made["metadata"].get("annotations") or {}
            await self.secrets.apply(with_hash(made | {"metadata": ours}))

    async def release(self, pool: ProviderPool) -> None:
        """Nothing of it exists any more, but for the pool."""
        await self.remove(pool, keep=[])
        if pool.spec.engine in OURS:
            where = pool.metadata.namespace, tls_name(pool.metadata.name), pool.metadata.uid
            await self.secrets.remove(*where, self.issuer.kind)

    def _existing(self, pool: ProviderPool) -> Iterator[Manifest]:
        for kind in OWNED:
            for item in self.applied.of_pool(kind, pool.metadata.namespace, pool.metadata.name):
                if owned_by(item, pool.metadata.uid):
                    yield item

    async def _foreign(self, pool: ProviderPool, kind: Kind, wanted: list[Manifest]) -> None:
        if kind not in _present(self.applied.store):
            return
        ref = Ref(kind, pool.metadata.namespace, object_name(pool.metadata.name))
        live = await self._look(ref)
        if not wanted:
            if live is not None and owned_by(live, pool.metadata.uid):
                await self.applied.writer.delete(ref, uid=str(live["metadata"]["uid"]))
                self._looked[ref] = (self.clock.monotonic(), None)
        elif live is None or not unchanged(wanted[0], live):
            answer = await self.applied.writer.apply(wanted[0])
            self._looked[ref] = (self.clock.monotonic(), answer)

    async def _look(self, ref: Ref) -> Manifest | None:
        known = self._looked.get(ref)
        now = self.clock.monotonic()
        if known is not None and now - known[0] < LOOK_AGAIN_S:
            return known[1]
        try:
            found = await self.reader.get(ref.kind, ref.namespace, ref.name)
        except NotFoundError:
            found = None
        self._looked[ref] = (now, found)
        return found


def definitions(store: KubeStore) -> frozenset[str]:
    """The names of the definitions of others that we know."""
    found = {name_of(item) for item in store.list(CUSTOM_RESOURCE_DEFINITION)}
    return frozenset(found & FOREIGN.keys())


def _present(store: KubeStore) -> set[Kind]:
    return {FOREIGN[name] for name in definitions(store)}
