"""ProviderPools: what agents may use, the keys of external engines, and each pool's status."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from callfleet_operator.model import Hosting, ProviderPool, Stage, VoiceAgent
from callfleet_operator.model.voiceagent import PoolReference
from callfleet_operator.policies.agent_view import PoolLink
from callfleet_operator.policies.pool_status import PoolView, ProbeView, SecretView, pool_status
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.kinds import (
    PROVIDER_POOL,
    SECRET,
    Manifest,
    name_of,
)
from callfleet_operator.ports.kube import KubeReader, KubeStore, Ref
from callfleet_operator.ports.probe import EngineProbe
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.conditions import StatusWriter
from callfleet_operator.reconcile.errors import UnreadableError
from callfleet_operator.reconcile.keys import users_of
from callfleet_operator.reconcile.views import rfc3339

CHECK_AGAIN_S = 60.0


@dataclass
class PoolKeys:
    """Keys of external engines, by pool. Their text never leaves for a log or a status."""

    _keys: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)

    def put(self, namespace: str, pool: str, key: str | None) -> bool:
        """Whether it differs from what was known."""
        address = (namespace, pool)
        if self._keys.get(address) == key:
            return False
        if key is None:
            del self._keys[address]
        else:
            self._keys[address] = key
        return True

    def of(self, namespace: str, pools: Iterable[str]) -> dict[str, str]:
        return {pool: key for pool in pools if (key := self._keys.get((namespace, pool)))}


def read_pool(manifest: Manifest) -> ProviderPool:
    """Raises UnreadableError."""
    try:
        return ProviderPool.model_validate(manifest, extra="ignore")
    except ValidationError:
        raise UnreadableError(f"ProviderPool {name_of(manifest)} cannot be read") from None


def pools_of(agent: VoiceAgent, store: KubeStore) -> dict[str, ProviderPool]:
    """The pools that an agent names and that are there, by name."""
    names = {link.pool for _, chain in _chains(agent) for link in chain}
    found = {}
    for name in sorted(names):
        manifest = store.get(PROVIDER_POOL, agent.metadata.namespace, name)
        if manifest is not None:
            found[name] = read_pool(manifest)
    return found


def pool_links(agent: VoiceAgent, pools: Mapping[str, ProviderPool]) -> tuple[PoolLink, ...]:
    """Every link of every chain, with what is known of its pool."""
    return tuple(
        _link(stage, link.pool, pools.get(link.pool))
        for stage, chain in _chains(agent)
        for link in chain
    )


@dataclass
class PoolReconciler:
    """`changed(agents)` wakes the agents that use a pool whose key changed."""

    applied: Applied
    reader: KubeReader
    probe: EngineProbe
    keys: PoolKeys
    status: StatusWriter
    clock: Clock
    changed: Callable[[Iterable[Ref]], None]

    async def reconcile(self, ref: Ref) -> float | None:
        """External pools are looked at again after CHECK_AGAIN_S. Raises PortErrors."""
        manifest = self.applied.get(PROVIDER_POOL, ref.namespace, ref.name)
        if manifest is None:
            self.keys.put(ref.namespace, ref.name, None)
            self.status.forget(ref)
            return None
        pool = read_pool(manifest)
        users = sorted(users_of(self.applied.store, ref.namespace, ref.name))
        secret, key = await self._secret(pool)
        if self.keys.put(ref.namespace, ref.name, key):
            self.changed(users)
        view = PoolView(
            generation=pool.metadata.generation,
            spec=pool.spec,
            secret=secret,
            probe=await self._probe(pool, secret, key),
            used_by=len(users),
        )
        new = pool_status(view, pool.status, rfc3339(self.clock.wall()))
        later = await self.status.write(ref, manifest, pool.status, new)
        if pool.spec.hosting is not Hosting.EXTERNAL:
            return later
        return min(later, CHECK_AGAIN_S) if later is not None else CHECK_AGAIN_S

    async def _secret(self, pool: ProviderPool) -> tuple[SecretView | None, str | None]:
        """Whether the Secret and its key are there, and the key."""
        external = pool.spec.external
        if external is None or external.secret_ref is None:
            return None, None
        reference = external.secret_ref
        found = await self.reader.get(SECRET, pool.metadata.namespace, reference.name)
        key = _text((found or {}).get("data") or {}, reference.key)
        return SecretView(found=found is not None, key_found=key is not None), key

    async def _probe(
        self, pool: ProviderPool, secret: SecretView | None, key: str | None
    ) -> ProbeView | None:
        """Nobody is asked without the key that they want to see."""
        if pool.spec.hosting is not Hosting.EXTERNAL:
            return None
        if secret is not None and key is None:
            return None
        outcome = await self.probe.probe(pool, key)
        return ProbeView(ok=outcome.ok, message=outcome.message)


def _chains(agent: VoiceAgent) -> tuple[tuple[Stage, tuple[PoolReference, ...]], ...]:
    providers = agent.spec.providers
    return ((Stage.ASR, providers.asr), (Stage.LLM, providers.llm), (Stage.TTS, providers.tts))


def _link(stage: Stage, name: str, pool: ProviderPool | None) -> PoolLink:
    if pool is None:
        return PoolLink(stage.value, name, exists=False)
    capability = pool.spec.capability.value
    conditions = pool.status.conditions if pool.status is not None else ()
    ready = next((item for item in conditions if item.type == "Ready"), None)
    if ready is None or ready.observed_generation != pool.metadata.generation:
        return PoolLink(stage.value, name, capability=capability)
    known = {"True": True, "False": False}.get(ready.status)
    return PoolLink(stage.value, name, capability=capability, ready=known, message=ready.message)


def _text(data: Manifest, name: str) -> str | None:
    try:
        return base64.b64decode(data[name], validate=True).decode().strip() or None
    except (KeyError, binascii.Error, UnicodeDecodeError):
        return None
