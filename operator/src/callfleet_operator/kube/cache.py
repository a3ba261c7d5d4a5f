"""What the reflectors have seen, by kind, namespace and name, and by agent or pool."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from callfleet_operator.ports.kinds import Kind, Manifest, name_of, namespace_of
from callfleet_operator.ports.kube import Change

AGENT_LABEL = "callfleet.io/agent"
POOL_LABEL = "callfleet.io/pool"
_OWNERS = (AGENT_LABEL, POOL_LABEL)

_Address = tuple[str, str]
_Owner = tuple[str, str, str]


class ObjectCache:
    """The objects of one kind. Every change is told to `on_change`, after it was made."""

    def __init__(
        self, kind: Kind, on_change: Callable[[Change], None], scopes: Iterable[str] = ("",)
    ) -> None:
        self.kind = kind
        self._unlisted = set(scopes)
        self._complete = asyncio.Event()
        self._on_change = on_change
        self._objects: dict[_Address, Manifest] = {}
        self._by_owner: dict[_Owner, dict[_Address, Manifest]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def synced(self) -> bool:
        """Every namespace that is watched (or all as one, the empty name) was listed once."""
        return not self._unlisted

    async def wait_synced(self) -> None:
        await self._complete.wait()

    def get(self, namespace: str, name: str) -> Manifest | None:
        return self._objects.get((namespace, name))

    def list(self, namespace: str = "") -> Iterable[Manifest]:
        if not namespace:
            return list(self._objects.values())
        return [item for (where, _), item in self._objects.items() if where == namespace]

    def of_agent(self, namespace: str, agent: str) -> Iterable[Manifest]:
        return list(self._by_owner.get((namespace, AGENT_LABEL, agent), {}).values())

    def of_pool(self, namespace: str, pool: str) -> Iterable[Manifest]:
        return list(self._by_owner.get((namespace, POOL_LABEL, pool), {}).values())

    def put(self, manifest: Manifest) -> None:
        address = (namespace_of(manifest), name_of(manifest))
        old = self._objects.get(address)
        if old is not None and _version(old) == _version(manifest):
            return
        if old is not None:
            self._unindex(address, old)
        self._objects[address] = manifest
        for owner in _owners(manifest):
            self._by_owner.setdefault(owner, {})[address] = manifest
        self._on_change(Change(self.kind, old, manifest))

    def remove(self, namespace: str, name: str) -> None:
        old = self._objects.pop((namespace, name), None)
        if old is None:
            return
        self._unindex((namespace, name), old)
        self._on_change(Change(self.kind, old, None))

    def replace(self, manifests: Iterable[Manifest], scope: str = "") -> None:
        """Takes a whole list of one namespace, or of all: what is not in it is gone."""
        listed = {(namespace_of(item), name_of(item)): item for item in manifests}
        for namespace, name in self._objects.keys() - listed.keys():
            if scope in ("", namespace):
                self.remove(namespace, name)
        for manifest in listed.values():
            self.put(manifest)
        self._unlisted.discard(scope)
        if not self._unlisted:
            self._complete.set()

    def _unindex(self, address: _Address, manifest: Manifest) -> None:
        for owner in _owners(manifest):
            peers = self._by_owner[owner]
            del peers[address]
            if not peers:
                del self._by_owner[owner]


class CacheSet:
    """The caches of all kinds, as the core's KubeStore."""

    def __init__(
        self,
        kinds: Iterable[Kind],
        on_change: Callable[[Change], None],
        scopes: Iterable[str] = ("",),
    ) -> None:
        scopes = tuple(scopes)
        self._caches = {
            kind: ObjectCache(kind, on_change, scopes if kind.namespaced else ("",))
            for kind in kinds
        }

    @property
    def synced(self) -> bool:
        return all(cache.synced for cache in self._caches.values())

    async def wait_synced(self) -> None:
        for cache in self._caches.values():
            await cache.wait_synced()

    @property
    def sizes(self) -> Mapping[str, int]:
        return {kind.kind: len(cache) for kind, cache in self._caches.items()}

    def unsynced(self) -> list[str]:
        return [kind.kind for kind, cache in self._caches.items() if not cache.synced]

    def of(self, kind: Kind) -> ObjectCache:
        return self._caches[kind]

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        return self._caches[kind].get(namespace, name)

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Manifest]:
        return self._caches[kind].list(namespace)

    def of_agent(self, kind: Kind, namespace: str, agent: str) -> Iterable[Manifest]:
        return self._caches[kind].of_agent(namespace, agent)

    def of_pool(self, kind: Kind, namespace: str, pool: str) -> Iterable[Manifest]:
        return self._caches[kind].of_pool(namespace, pool)


def _version(manifest: Manifest) -> str | None:
    version: str | None = manifest["metadata"].get("resourceVersion")
    return version


def _owners(manifest: Manifest) -> list[_Owner]:
    """Whom an object belongs to, by its labels: namespace, label, name."""
    labels = manifest["metadata"].get("labels") or {}
    namespace = namespace_of(manifest)
    return [(namespace, label, str(labels[label])) for label in _OWNERS if labels.get(label)]
