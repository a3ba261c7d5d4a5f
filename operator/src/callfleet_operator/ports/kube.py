"""The cluster as the core sees it: caches that it reads, and a writer.

The reader never does I/O: what it answers is what the reflectors have seen, and `synced` says
whether they have seen everything once. The writer carries the leader's epoch (see `leadership`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from callfleet_operator.ports.kinds import Kind, Manifest


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """The address of one object. `namespace` is empty for kinds without one."""

    kind: Kind
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a reflector saw of one object: `old` is None when it is new, `new` when it is gone."""

    kind: Kind
    old: Manifest | None
    new: Manifest | None


class KubeStore(Protocol):
    """What was seen of the cluster. Objects are shared: readers must not change them."""

    @property
    def synced(self) -> bool:
        """Every kind that is watched has been listed to its end at least once."""
        ...

    async def wait_synced(self) -> None: ...

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None: ...

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Manifest]:
        """All objects of the kind, or those of one namespace."""
        ...

    def of_agent(self, kind: Kind, namespace: str, agent: str) -> Iterable[Manifest]:
        """The objects that carry the label callfleet.io/agent=<agent>, in O(their number)."""
        ...

    def of_pool(self, kind: Kind, namespace: str, pool: str) -> Iterable[Manifest]:
        """The objects that carry the label callfleet.io/pool=<pool>, in O(their number)."""
        ...


class KubeWriter(Protocol):
    """Writes to the cluster. Raises NotLeaderError, or one of the KubeErrors.

    Where `metadata.resourceVersion` is given, the server refuses with ConflictError when the object
    has changed since.
    """

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply with the operator's one field manager, forced."""
        ...

    async def create(self, manifest: Manifest) -> Manifest:
        """AlreadyExistsError when the name is taken."""
        ...

    async def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "") -> None:
        """Deletes in the background; what is not there any more is deleted."""
        ...

    async def patch(
        self, ref: Ref, patch: Manifest, *, subresource: str = "", strategic: bool = False
    ) -> Manifest:
        """A JSON merge patch (RFC 7386), or a strategic one; `metadata.uid` in it is a
        precondition.
        """
        ...


class KubeReader(Protocol):
    """Reads from the server itself, for what no cache holds (Secrets of other people)."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None: ...
