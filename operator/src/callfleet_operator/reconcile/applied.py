"""Writes that are made only when they change something, and reads that know what was just written.

An apply that changes nothing costs the API server as much as a write: it is skipped when the hash
of what is desired is on the object and everything desired is in it. Between a write and its echo in
the cache, the server's answer stands in for the cache, so that a round that follows at once neither
writes twice nor runs into its own conflict.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from callfleet_operator.ports.errors import ConflictError, InvalidError, KubeError, NotFoundError
from callfleet_operator.ports.kinds import Kind, Manifest, kind_of, name_of, namespace_of
from callfleet_operator.ports.kube import Change, KubeStore, KubeWriter, Ref
from callfleet_operator.reconcile.errors import ChildrenError
from callfleet_operator.resources.apply import HASH_ANNOTATION, is_subset

_log = logging.getLogger(__name__)


@dataclass
class AppliedCounters:
    written: int = 0
    skipped: int = 0
    deleted: int = 0


@dataclass
class Applied:
    """The store and the writer of a term, seen together."""

    store: KubeStore
    writer: KubeWriter
    counters: AppliedCounters = field(default_factory=AppliedCounters)
    _answers: dict[Ref, Manifest] = field(default_factory=dict)
    _in_flight: set[Ref] = field(default_factory=set)

    def heard(self, change: Change) -> None:
        """The cache heard of an object: from now on it is right again, and not our answer."""
        subject = change.new or change.old
        assert subject is not None  # noqa: S101 - a change has at least one side
        ref = Ref(change.kind, namespace_of(subject), name_of(subject))
        self._answers.pop(ref, None)
        self._in_flight.discard(ref)

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """The object as the cache has it, or as we wrote it when the cache has not heard of
        that.
        """
        answer = self._answers.get(Ref(kind, namespace, name))
        return answer if answer is not None else self.store.get(kind, namespace, name)

    def of_agent(self, kind: Kind, namespace: str, agent: str) -> list[Manifest]:
        found = (
            self.get(kind, namespace, name_of(item))
            for item in self.store.of_agent(kind, namespace, agent)
        )
        return [item for item in found if item is not None]

    def of_pool(self, kind: Kind, namespace: str, pool: str) -> list[Manifest]:
        found = (
            self.get(kind, namespace, name_of(item))
            for item in self.store.of_pool(kind, namespace, pool)
        )
        return [item for item in found if item is not None]

    async def apply_all(self, manifests: Iterable[Manifest]) -> None:
        """Applies what differs, in order. One that is refused does not keep the others back.

        Raises ChildrenError at the end for those refused, and at once what says that the server is
        away.
        """
        failures: dict[str, KubeError] = {}
        for manifest in manifests:
            try:
                await self.apply(manifest)
            except (InvalidError, NotFoundError) as error:
                failures[f"{manifest['kind']} {name_of(manifest)}"] = error
        if failures:
            raise ChildrenError(failures)

    async def apply(self, manifest: Manifest) -> bool:
        """Whether it was written. ConflictError when the live object is newer than what we decided
        on.
        """
        kind, namespace, name = kind_of(manifest), namespace_of(manifest), name_of(manifest)
        live = self.get(kind, namespace, name)
        if live is not None and unchanged(manifest, live):
            self.counters.skipped += 1
            return False
        wanted = manifest
        if live is not None:
            wanted = manifest | {
                "metadata": manifest["metadata"] | {"resourceVersion": _version(live)}
            }
        await self._write(Ref(kind, namespace, name), lambda: self.writer.apply(wanted))
        return True

    async def patch(
        self, ref: Ref, patch: Manifest, *, subresource: str = "", strategic: bool = False
    ) -> Manifest:
        return await self._write(
            ref,
            lambda: self.writer.patch(ref, patch, subresource=subresource, strategic=strategic),
        )

    async def delete(self, live: Manifest) -> None:
        """Deletes exactly what was seen: not another object of the same name."""
        metadata = live["metadata"]
        if metadata.get("deletionTimestamp"):
            return
        ref = Ref(kind_of(live), namespace_of(live), name_of(live))
        try:
            await self.writer.delete(ref, uid=str(metadata.get("uid") or ""))
        except ConflictError:
            return
        self.counters.deleted += 1

    async def _write(self, ref: Ref, request: Callable[[], Awaitable[Manifest]]) -> Manifest:
        self._in_flight.add(ref)
        try:
            answer = await request()
            if ref in self._in_flight:
                self._answers[ref] = answer
        finally:
            self._in_flight.discard(ref)
        self.counters.written += 1
        return answer


def unchanged(wanted: Manifest, live: Manifest) -> bool:
    """The hash of what is desired is on the object, and nothing desired was changed by others."""
    return _hash(wanted) == _hash(live) and is_subset(wanted, live)


def _hash(manifest: Manifest) -> str:
    return str((manifest["metadata"].get("annotations") or {}).get(HASH_ANNOTATION, ""))


def _version(manifest: Manifest | None) -> str:
    return str(manifest["metadata"].get("resourceVersion", "")) if manifest else ""
