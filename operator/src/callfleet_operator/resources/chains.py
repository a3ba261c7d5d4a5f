"""The chains of an agent, resolved: what its pods read as live settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from callfleet_operator.model import ChainMember, Hosting, LiveProviders, ProviderPool, VoiceAgent
from callfleet_operator.model.engines import ACCOUNTS, OURS, Stage
from callfleet_operator.model.live import KEYS_DIR, Budget, TimeLimits
from callfleet_operator.model.voiceagent import Chain

from .engines import PLAIN_WIRE, WIRES
from .pools.names import host, served_name

CONNECT_MS, FIRST_BYTE_MS, GAP_MS, TOTAL_S = 500, 1500, 1500, 10
FIRST_TOKEN_MS = 2000
CA_ENDING = ".ca.crt"
WHEN_SILENT = 99  # asks another pool too only where an answer takes far longer than any before


@dataclass(frozen=True)
class LiveFacts:
    """What chains depend on besides agent and pools: what pods read now, and how many pods there
    are of all agents that use a pool, by its name. `plaintext`: some pods of this agent are of a
    version that knows no TLS to pools.
    """

    previous: LiveProviders | None = None
    sharers: Mapping[str, int] = field(default_factory=dict)
    plaintext: bool = False


def live_providers(
    agent: VoiceAgent, pools: Mapping[str, ProviderPool], facts: LiveFacts
) -> LiveProviders:
    """The chains with a generation that is one more than before when anything in them changed.

    Pools that are missing or of another stage are left out: ProvidersReady tells of them.
    """
    providers = agent.spec.providers
    former = facts.previous.generation if facts.previous is not None else 0
    found = LiveProviders(
        generation=former,
        asr=_members(Stage.ASR, providers.asr, pools, facts),
        llm=_members(Stage.LLM, providers.llm, pools, facts),
        tts=_members(Stage.TTS, providers.tts, pools, facts),
    )
    if facts.previous is not None and found == facts.previous:
        return found
    return found.model_copy(update={"generation": former + 1})


def _members(
    stage: Stage, chain: Chain, pools: Mapping[str, ProviderPool], facts: LiveFacts
) -> tuple[ChainMember, ...]:
    named = (pools.get(link.pool) for link in chain)
    found = [pool for pool in named if pool is not None and pool.spec.capability == stage]
    costly = {pool.metadata.name for pool in found if _costs(pool)}
    return tuple(
        member(
            pool,
            facts.sharers.get(pool.metadata.name, 1),
            usual_hedge=0 if costly - {pool.metadata.name} else WHEN_SILENT,
            plaintext=facts.plaintext,
        )
        for pool in found
    )


def _costs(pool: ProviderPool) -> bool:
    """Whether an answer that nobody needed in the end is on somebody's bill."""
    return pool.spec.engine in ACCOUNTS or pool.spec.budget is not None


def member(
    pool: ProviderPool, sharers: int = 1, *, usual_hedge: int = 0, plaintext: bool = False
) -> ChainMember:
    """One pool as an adapter needs it. `usual_hedge`: the percentile where it names none."""
    spec, name = pool.spec, pool.metadata.name
    external, hedge = spec.external, spec.calling.hedge_percentile
    return ChainMember(
        pool=name,
        engine=spec.engine,
        hosting=spec.hosting,
        model=_model(pool),
        endpoints=_endpoints(pool, plaintext=plaintext),
        voice=spec.voice,
        language=spec.language,
        speed=spec.speed,
        limits=_limits(pool),
        concurrency=spec.calling.concurrency,
        hedge_percentile=usual_hedge if hedge is None else hedge,
        budget=_share(pool, max(1, sharers)),
        key_file=f"{KEYS_DIR}/{name}" if external and external.secret_ref else None,
        ca_file=f"{KEYS_DIR}/{name}{CA_ENDING}" if external and external.ca_secret_name else None,
        available=_available(pool),
    )


def _model(pool: ProviderPool) -> str | None:
    if pool.spec.hosting is Hosting.MANAGED:
        return served_name(pool)
    return pool.spec.model.name if pool.spec.model is not None else None


def _endpoints(pool: ProviderPool, *, plaintext: bool) -> tuple[str, ...]:
    """Our own servers speak gRPC wherever they are.

    Pods of former versions ask the first endpoint and know no TLS to pools; pods of this one
    prefer one with TLS. A pool whose pods are all of a former version says so in its status.
    """
    spec = pool.spec
    if spec.external is not None:
        url = spec.external.base_url
        if spec.engine in OURS:
            url = f"grpc{url.removeprefix('http')}"
        return (url,)
    if spec.hosting is Hosting.MANAGED:
        usual, plain = WIRES[spec.engine].url(host(pool)), PLAIN_WIRE.url(host(pool))
        if spec.engine not in OURS:
            return (usual,)
        if pool.status is not None and pool.status.endpoint == plain:
            return (plain,)
        return (plain, usual) if plaintext else (usual,)
    return ()


def _limits(pool: ProviderPool) -> TimeLimits:
    given, external = pool.spec.calling, pool.spec.external
    first = FIRST_TOKEN_MS if pool.spec.capability is Stage.LLM else FIRST_BYTE_MS
    return TimeLimits(
        connect_ms=given.connect_milliseconds or CONNECT_MS,
        first_byte_ms=given.first_byte_milliseconds or first,
        gap_ms=given.gap_milliseconds or GAP_MS,
        total_ms=(external.timeout_seconds if external is not None else TOTAL_S) * 1000,
    )


def _share(pool: ProviderPool, sharers: int) -> Budget | None:
    """An even part, at least one of each: fewer than there are pods is a small overdraft."""
    budget = pool.spec.budget
    if budget is None:
        return None
    limits = budget.model_dump()
    return Budget(
        **{name: max(1, limit // sharers) for name, limit in limits.items() if limit is not None}
    )


def _available(pool: ProviderPool) -> bool:
    """What was last seen; a pool that nobody looked at yet counts as there."""
    conditions = pool.status.conditions if pool.status is not None else ()
    ready = next((item for item in conditions if item.type == "Ready"), None)
    return ready is None or ready.status != "False"
