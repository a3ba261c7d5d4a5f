"""Secrets, and what becomes one, without a right to list or watch any: looked at by name,
remembered by metadata.

What is inside never stays in this process: annotations tell the hash of what was applied, the CA
and the end of a certificate.
"""

from dataclasses import dataclass, field

from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import ConflictError, NotFoundError
from callfleet_operator.ports.kinds import SECRET, Kind, Manifest, kind_of, name_of, namespace_of
from callfleet_operator.ports.kube import KubeReader, KubeWriter, Ref
from callfleet_operator.resources.apply import HASH_ANNOTATION

LOOK_AGAIN_S = 600.0


@dataclass
class SecretShelf:
    reader: KubeReader
    writer: KubeWriter
    clock: Clock
    _known: dict[Ref, tuple[float, Manifest | None]] = field(default_factory=dict)

    async def look(self, namespace: str, name: str, kind: Kind = SECRET) -> Manifest | None:
        """The object's metadata, at most LOOK_AGAIN_S old. Raises KubeErrors."""
        ref = Ref(kind, namespace, name)
        now = self.clock.monotonic()
        known = self._known.get(ref)
        if known is not None and now - known[0] < LOOK_AGAIN_S:
            return known[1]
        found = await self.reader.get(kind, namespace, name)
        return self._remember(ref, found)

    async def apply(self, manifest: Manifest) -> bool:
        """Whether it was written: not when the hash of what is desired is on it."""
        ref = Ref(kind_of(manifest), namespace_of(manifest), name_of(manifest))
        live = await self.look(ref.namespace, ref.name, ref.kind)
        if live is not None and _hash(live) == _hash(manifest):
            return False
        wanted = manifest
        if live is not None:
            version = {"resourceVersion": live["metadata"]["resourceVersion"]}
            wanted = manifest | {"metadata": manifest["metadata"] | version}
        try:
            self._remember(ref, await self.writer.apply(wanted))
        except (ConflictError, NotFoundError):
            self._known.pop(ref, None)
            raise
        return True

    async def remove(self, namespace: str, name: str, owner_uid: str, kind: Kind = SECRET) -> bool:
        """Whether there was one of this owner; another's is left alone."""
        ref = Ref(kind, namespace, name)
        self._known.pop(ref, None)
        live = await self.look(namespace, name, kind)
        if live is None or not owned_by(live, owner_uid):
            return False
        await self.writer.delete(ref, uid=str(live["metadata"]["uid"]))
        self._known[ref] = (self.clock.monotonic(), None)
        return True

    def forget(self, namespace: str, name: str, kind: Kind = SECRET) -> None:
        self._known.pop(Ref(kind, namespace, name), None)

    def _remember(self, ref: Ref, found: Manifest | None) -> Manifest | None:
        kept = None
        if found is not None:
            metadata = {
                key: found["metadata"][key]
                for key in ("uid", "resourceVersion", "annotations", "ownerReferences")
                if key in found["metadata"]
            }
            kept = {"metadata": {"namespace": ref.namespace, "name": ref.name, **metadata}}
        self._known[ref] = (self.clock.monotonic(), kept)
        return kept


def owned_by(manifest: Manifest, uid: str) -> bool:
    owners = manifest["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == uid for owner in owners)


def _hash(manifest: Manifest) -> str:
    return str((manifest["metadata"].get("annotations") or {}).get(HASH_ANNOTATION, ""))
