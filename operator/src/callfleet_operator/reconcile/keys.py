"""Which keys a change concerns. A change that nobody acts on wakes nobody."""

from collections.abc import Iterator
from typing import Any

from callfleet_operator.ports.kinds import (
    CUSTOM_RESOURCE_DEFINITION,
    NODE,
    POD,
    PROVIDER_POOL,
    VOICE_AGENT,
    Manifest,
    name_of,
    namespace_of,
)
from callfleet_operator.ports.kube import Change, KubeStore, Ref

AGENT_LABEL = "callfleet.io/agent"
POOL_LABEL = "callfleet.io/pool"
_STAGES = ("asr", "llm", "tts")
# What our own status writes change; a change of nothing else is our own echo.
_OWN = ("status",)
_OWN_METADATA = ("resourceVersion", "managedFields")


def keys_of(change: Change, store: KubeStore) -> Iterator[Ref]:
    """The agents and pools that a change concerns."""
    subject = change.new or change.old
    assert subject is not None  # noqa: S101 - a change has at least one side
    if change.kind == VOICE_AGENT:
        yield from _of_voice_agent(change, subject)
    elif change.kind == PROVIDER_POOL:
        yield from _of_provider_pool(change, subject, store)
    elif change.kind == NODE:
        yield from _of_node(change, subject, store)
    elif change.kind == CUSTOM_RESOURCE_DEFINITION:
        yield from _of_definition(change, store)
    elif owner := _label(subject, AGENT_LABEL):
        yield Ref(VOICE_AGENT, namespace_of(subject), owner)
    elif pool := _label(subject, POOL_LABEL):
        yield Ref(PROVIDER_POOL, namespace_of(subject), pool)


def pools_of(agent: Manifest) -> set[str]:
    """The names of the pools in an agent's chains."""
    providers = (agent.get("spec") or {}).get("providers") or {}
    return {
        str(link["pool"])
        for stage in _STAGES
        for link in providers.get(stage) or ()
        if isinstance(link, dict) and link.get("pool")
    }


def proxy_of(agent: Manifest) -> str:
    return str(((agent.get("spec") or {}).get("sip") or {}).get("proxy") or "default")


def means_something(old: Manifest | None, new: Manifest | None) -> bool:
    """Whether anything but the status differs: what we write ourselves must not wake us."""
    if old is None or new is None:
        return True
    return _wanted(old) != _wanted(new)


def _wanted(manifest: Manifest) -> dict[str, Any]:
    kept = {name: value for name, value in manifest.items() if name not in _OWN}
    metadata = manifest["metadata"]
    kept["metadata"] = {name: metadata[name] for name in metadata if name not in _OWN_METADATA}
    return kept


def _of_voice_agent(change: Change, subject: Manifest) -> Iterator[Ref]:
    if not means_something(change.old, change.new):
        return
    yield Ref(VOICE_AGENT, namespace_of(subject), name_of(subject))
    before = pools_of(change.old) if change.old else set()
    after = pools_of(change.new) if change.new else set()
    for pool in sorted(before ^ after):
        yield Ref(PROVIDER_POOL, namespace_of(subject), pool)


def _of_provider_pool(change: Change, subject: Manifest, store: KubeStore) -> Iterator[Ref]:
    if means_something(change.old, change.new):
        yield Ref(PROVIDER_POOL, namespace_of(subject), name_of(subject))
    elif _told(change.old) == _told(change.new):
        return
    yield from users_of(store, namespace_of(subject), name_of(subject))


def _of_definition(change: Change, store: KubeStore) -> Iterator[Ref]:
    """Monitors and scalers of others become possible, or impossible."""
    if change.old is not None and change.new is not None:
        return
    for pool in store.list(PROVIDER_POOL):
        yield Ref(PROVIDER_POOL, namespace_of(pool), name_of(pool))


def users_of(store: KubeStore, namespace: str, pool: str) -> Iterator[Ref]:
    """The agents that name a pool of their namespace."""
    for agent in store.list(VOICE_AGENT, namespace):
        if pool in pools_of(agent):
            yield Ref(VOICE_AGENT, namespace, name_of(agent))


def _of_node(change: Change, subject: Manifest, store: KubeStore) -> Iterator[Ref]:
    if change.old is not None and cordoned(change.old) == (
        change.new is not None and cordoned(change.new)
    ):
        return
    seen = set()
    for pod in store.list(POD):
        owner = _label(pod, AGENT_LABEL)
        if owner and (pod.get("spec") or {}).get("nodeName") == name_of(subject):
            seen.add(Ref(VOICE_AGENT, namespace_of(pod), owner))
    yield from sorted(seen)


def cordoned(node: Manifest) -> bool:
    return bool((node.get("spec") or {}).get("unschedulable"))


def _label(manifest: Manifest, name: str) -> str:
    return str((manifest["metadata"].get("labels") or {}).get(name, ""))


def _told(manifest: Manifest | None) -> tuple[Any, Any]:
    """What agents are told of a pool's status."""
    status = (manifest or {}).get("status") or {}
    return status.get("conditions") or (), status.get("endpoint")
