"""ProviderPools: what agents may use, the engines that we run, and each pool's status."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from pydantic import ValidationError

from callfleet_operator.model import Hosting, ProviderPool, Stage, VoiceAgent
from callfleet_operator.model.voiceagent import PoolReference
from callfleet_operator.policies.agent_view import PoolLink
from callfleet_operator.policies.pool_judgement import first
from callfleet_operator.policies.pool_managed import BEFORE_APPLY
from callfleet_operator.policies.pool_status import pool_status
from callfleet_operator.policies.pool_view import (
    FiguresView,
    Loading,
    ManagedView,
    PoolView,
    ProbeView,
    ProgressView,
)
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import NotFoundError
from callfleet_operator.ports.kinds import PROVIDER_POOL, VOICE_AGENT, Manifest, name_of
from callfleet_operator.ports.kube import KubeReader, KubeStore, Ref
from callfleet_operator.ports.probe import EngineProbe, Figures
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.conditions import StatusWriter
from callfleet_operator.reconcile.errors import ChildrenError, UnreadableError
from callfleet_operator.reconcile.keys import pools_of as names_of_pools
from callfleet_operator.reconcile.keys import users_of
from callfleet_operator.reconcile.pool_children import PoolChildren
from callfleet_operator.reconcile.pool_keys import Credentials, PoolKeys, look
from callfleet_operator.reconcile.pool_scaler import PoolScaler
from callfleet_operator.reconcile.pool_views import managed_view
from callfleet_operator.reconcile.views import rfc3339, soonest
from callfleet_operator.resources.pools.facts import PoolFacts
from callfleet_operator.resources.pools.names import LOADER_PORT, PROBE_PORT, selector_text
from callfleet_operator.resources.pools.pod import server_of

CHECK_AGAIN_S, LOADING_S = 60.0, 3.0
FINALIZER = "callfleet.io/in-use"


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
    children: PoolChildren
    scaler: PoolScaler
    status: StatusWriter
    clock: Clock
    changed: Callable[[Iterable[Ref]], None]

    async def reconcile(self, ref: Ref) -> float | None:
        """The seconds after which to look again. Raises PortErrors, after what could be done."""
        manifest = self.applied.get(PROVIDER_POOL, ref.namespace, ref.name)
        if manifest is None:
            self._forget(ref)
            return None
        pool = read_pool(manifest)
        users = tuple(sorted(user.name for user in users_of(self.applied.store, *ref_of(ref))))
        if pool.metadata.deletion_timestamp is not None and not users:
            await self._let_go(ref, manifest)
            return None
        manifest = await self._hold(ref, manifest)

        found = await look(self.reader, pool)
        if self.keys.put(ref.namespace, ref.name, found.files):
            self.changed(Ref(VOICE_AGENT, ref.namespace, name) for name in users)
        view, refused, due = await self._gather(ref, pool, users, found)
        manifest = self.applied.get(PROVIDER_POOL, ref.namespace, ref.name) or manifest
        new = pool_status(view, pool.status, rfc3339(self.clock.wall()))
        await self.status.write(ref, manifest, pool.status, new)
        if refused is not None:
            raise refused
        return soonest(due, _look_again(view))

    async def _gather(
        self, ref: Ref, pool: ProviderPool, users: tuple[str, ...], found: Credentials
    ) -> tuple[PoolView, ChildrenError | None, float | None]:
        """What is seen of a pool, after what it asks for was applied."""
        view = PoolView(
            generation=pool.metadata.generation,
            spec=pool.spec,
            secret=found.secret,
            ca=found.ca,
            users=users,
            deleting=pool.metadata.deletion_timestamp is not None,
        )
        if pool.spec.hosting is Hosting.MANAGED:
            return await self._managed(ref, pool, view, found)
        await self.children.release(pool)
        return replace(view, probe=await self._probe(pool, found)), None, None

    async def _managed(
        self, ref: Ref, pool: ProviderPool, view: PoolView, found: Credentials
    ) -> tuple[PoolView, ChildrenError | None, float | None]:
        facts = self.children.facts(pool, view.users)
        seen = managed_view(pool, facts, self.applied, self.clock.wall())
        seen = replace(seen, credentials=found.model)
        view = replace(view, managed=seen, selector=selector_text(pool))
        if first(BEFORE_APPLY, view) is not None:
            return view, None, None
        due = await self.scaler.scale(ref, pool, view.users)
        try:
            await self.children.apply(pool, facts)
        except ChildrenError as error:
            return replace(view, managed=replace(seen, apply_error=str(error)[:600])), error, due
        return replace(view, managed=await self._asked(seen, pool, facts)), None, due

    async def _asked(self, seen: ManagedView, pool: ProviderPool, facts: PoolFacts) -> ManagedView:
        """With what the pods say: the loader's progress, or a replica's figures."""
        server = server_of(pool, facts)
        ready = next((pod for pod in seen.alive if pod.ready and pod.ip), None)
        loading = next((p for p in seen.alive if p.loading is Loading.RUNNING and p.ip), None)
        if ready is not None:
            port = server.http_port if server.ready else PROBE_PORT
            told = await self.probe.figures(ready.ip, port)
            return replace(seen, figures=_figures(told) or _former(pool))
        if loading is not None:
            progress = await self.probe.progress(loading.ip, LOADER_PORT)
            if progress is not None:
                return replace(seen, progress=ProgressView(progress.done, progress.total))
        return replace(seen, figures=_former(pool))

    async def _probe(self, pool: ProviderPool, found: Credentials) -> ProbeView | None:
        """Nobody is asked without the key that they want to see, or the CA that verifies them."""
        if pool.spec.hosting is not Hosting.EXTERNAL:
            return None
        if found.secret is not None and found.key is None:
            return None
        if found.ca is not None and found.authority is None:
            return None
        outcome = await self.probe.probe(pool, found.key, found.authority)
        return ProbeView(ok=outcome.ok, message=outcome.message)

    async def _hold(self, ref: Ref, manifest: Manifest) -> Manifest:
        """With our finalizer: a pool in use is not deleted by accident."""
        metadata = manifest["metadata"]
        finalizers = list(metadata.get("finalizers") or ())
        if FINALIZER in finalizers or metadata.get("deletionTimestamp"):
            return manifest
        patch = {
            "resourceVersion": metadata["resourceVersion"],
            "finalizers": [*finalizers, FINALIZER],
        }
        return await self.applied.patch(ref, {"metadata": patch})

    async def _let_go(self, ref: Ref, manifest: Manifest) -> None:
        """Nobody names it any more; what it owns goes with it."""
        metadata = manifest["metadata"]
        finalizers = list(metadata.get("finalizers") or ())
        if FINALIZER in finalizers:
            left = [name for name in finalizers if name != FINALIZER]
            version = metadata["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version, "finalizers": left}}
            with suppress(NotFoundError):
                await self.applied.patch(ref, patch)
        self._forget(ref)

    def _forget(self, ref: Ref) -> None:
        self.keys.put(ref.namespace, ref.name, {})
        self.status.forget(ref)
        self.scaler.forget(ref)


def ref_of(ref: Ref) -> tuple[str, str]:
    return ref.namespace, ref.name


def sharers(store: KubeStore, namespace: str, pools: Iterable[str]) -> dict[str, int]:
    """How many pods of all agents use each pool."""
    wanted = set(pools)
    counts = dict.fromkeys(wanted, 0)
    for agent in store.list(VOICE_AGENT, namespace):
        replicas = int((agent.get("spec") or {}).get("replicas") or 0)
        for name in names_of_pools(agent) & wanted:
            counts[name] += replicas
    return counts


def _look_again(view: PoolView) -> float | None:
    """What changes without an event: an external engine, a Secret, a loader's progress."""
    if view.spec.hosting is Hosting.EMBEDDED:
        return None
    if view.spec.hosting is Hosting.EXTERNAL or view.managed.ready:
        return CHECK_AGAIN_S
    loading = any(pod.loading is Loading.RUNNING for pod in view.managed.alive)
    return LOADING_S if loading else CHECK_AGAIN_S


def _figures(told: Figures | None) -> FiguresView | None:
    if told is None:
        return None
    return FiguresView(told.engine_version, told.first_result_ms, told.real_time_factor)


def _former(pool: ProviderPool) -> FiguresView | None:
    """What was measured before stays, until it is measured again."""
    status = pool.status
    if status is None:
        return None
    return FiguresView(
        status.engine_version, status.first_token_milliseconds, status.real_time_factor
    )


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
