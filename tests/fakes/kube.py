"""FakeKube: an API server in memory, as far as the operator uses one.

It keeps objects, counts resource versions, remembers who applied what, honours finalizers and
preconditions, streams watches from its history, and can be told to fail. The contract test
(tests/integration/test_operator_kube.py) runs the same cases here and on a real kube-apiserver.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from callfleet_operator.kube.client import Page, Selection, WatchEvent
from callfleet_operator.ports.errors import (
    AlreadyExistsError,
    ConflictError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from callfleet_operator.ports.kinds import (
    DEPLOYMENT,
    POD,
    POD_DISRUPTION_BUDGET,
    PROVIDER_POOL,
    VOICE_AGENT,
    Kind,
    Manifest,
    kind_of,
    name_of,
    namespace_of,
)
from callfleet_operator.ports.kube import Ref

_WITH_STATUS = {DEPLOYMENT, POD, POD_DISRUPTION_BUDGET, PROVIDER_POOL, VOICE_AGENT}
_MERGE_KEYS = {"conditions": "type", "containers": "name", "volumes": "name", "env": "name"}
_SERVER_OWNED = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")


@dataclass
class FakeKube:
    """Implements the client that reflectors, lease, events and the writer use.

    `before` is called with (verb, ref) before each request: it may raise a KubeError, or answer a
    number of seconds for which the request takes no effect. `after` likewise once it took effect:
    raising there is an answer that was lost. `requests` counts by verb, `log` keeps all.
    """

    before: Callable[[str, Ref], float | None] | None = None
    after: Callable[[str, Ref], None] | None = None
    requests: dict[str, int] = field(default_factory=dict)
    log: list[tuple[str, Ref]] = field(default_factory=list)
    version: int = 100
    page_limit: int = 500
    _objects: dict[Ref, Manifest] = field(default_factory=dict)
    _applied: dict[Ref, Manifest] = field(default_factory=dict)
    _history: list[tuple[int, str, Ref, Manifest]] = field(default_factory=list)
    _compacted: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _watch_faults: list[KubeError] = field(default_factory=list)
    _uids: int = 0

    # --- looks and faults for tests -----------------------------------------------------------
    def peek(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        return copy.deepcopy(self._objects.get(Ref(kind, namespace, name)))

    def all(self, kind: Kind, namespace: str = "") -> list[Manifest]:
        return [
            copy.deepcopy(item)
            for ref, item in sorted(self._objects.items())
            if ref.kind == kind and namespace in ("", ref.namespace)
        ]

    def view(self, kind: Kind, namespace: str = "") -> list[Manifest]:
        """The objects themselves, for reading only."""
        return [
            item
            for ref, item in list(self._objects.items())
            if ref.kind == kind and namespace in ("", ref.namespace)
        ]

    @property
    def writes(self) -> list[tuple[str, Ref]]:
        return [entry for entry in self.log if entry[0] not in ("GET", "LIST", "WATCH")]

    def break_watches(self, error: KubeError | None = None) -> None:
        """Every open watch ends: with this error, or as a connection that was closed."""
        self._watch_faults.append(error or UnavailableError(0, "Unreachable", "broken"))
        news, self._news = self._news, asyncio.Event()
        news.set()

    def compact(self) -> None:
        """History is forgotten: a watch from an older version gets 410."""
        self._history.clear()
        self._compacted = self.version

    def put(self, manifest: Manifest) -> Manifest:
        """Whatever anybody else writes: status and all, at once."""
        ref = _ref(manifest)
        return self._store(ref, copy.deepcopy(manifest), server=False)

    def update(self, kind: Kind, namespace: str, name: str, **sections: Any) -> Manifest:
        """Merges into an object as a controller or a person would."""
        ref = Ref(kind, namespace, name)
        return self._store(ref, _merged(self._objects[ref], sections), server=False)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Gone at once, whatever finalizers say."""
        self._remove(Ref(kind, namespace, name))

    # --- the client ---------------------------------------------------------------------------
    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        ref = Ref(kind, namespace, name)
        await self._begin("GET", ref)
        found = copy.deepcopy(self._objects.get(ref))
        self._end("GET", ref)
        return found

    async def create(self, manifest: Manifest) -> Manifest:
        ref = _ref(manifest)
        await self._begin("POST", ref)
        if ref in self._objects:
            raise AlreadyExistsError(409, "AlreadyExists", f"{ref.name} already exists")
        answer = self._store(ref, _without_status(copy.deepcopy(manifest)))
        self._end("POST", ref)
        return answer

    async def replace(self, manifest: Manifest) -> Manifest:
        ref = _ref(manifest)
        await self._begin("PUT", ref)
        live = self._live(ref)
        self._check(live, manifest["metadata"])
        answer = self._store(ref, _keep_status(live, copy.deepcopy(manifest)))
        self._end("PUT", ref)
        return answer

    async def apply(self, manifest: Manifest) -> Manifest:
        ref = _ref(manifest)
        await self._begin("APPLY", ref)
        live = self._objects.get(ref)
        if live is None:
            # As the real one: a version of what is not there is passed over.
            merged = _without_status(copy.deepcopy(manifest))
        else:
            self._check(live, manifest["metadata"])
            pruned = _pruned(live, self._applied.get(ref, {}), manifest)
            merged = _keep_status(live, _merged(pruned, _without_status(manifest)))
        self._applied[ref] = copy.deepcopy(manifest)
        answer = self._store(ref, merged)
        self._end("APPLY", ref)
        return answer

    async def patch(
        self, ref: Ref, patch: Manifest, *, subresource: str = "", strategic: bool = False
    ) -> Manifest:
        await self._begin("PATCH", ref)
        live = self._live(ref)
        self._check(live, patch.get("metadata") or {})
        merged = _merged(live, patch, strategic=strategic)
        if subresource == "status":
            merged = live | {"status": merged.get("status")}
        elif subresource == "scale":
            replicas = patch["spec"]["replicas"]
            merged = live | {"spec": live["spec"] | {"replicas": replicas}}
        elif ref.kind in _WITH_STATUS:
            merged = _keep_status(live, merged)
        answer = self._store(ref, copy.deepcopy(merged))
        self._end("PATCH", ref)
        return answer

    async def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "") -> None:
        await self._begin("DELETE", ref)
        live = self._objects.get(ref)
        if live is None:
            return
        wanted = {"uid": uid, "resourceVersion": resource_version}
        self._check(live, {name: value for name, value in wanted.items() if value})
        if live["metadata"].get("finalizers"):
            if not live["metadata"].get("deletionTimestamp"):
                metadata = live["metadata"] | {
                    "deletionTimestamp": self._now(),
                    "deletionGracePeriodSeconds": 0,
                }
                self._store(ref, live | {"metadata": metadata}, server=False)
        else:
            self._remove(ref)
        self._end("DELETE", ref)

    async def list_page(
        self, selection: Selection, *, limit: int = 500, continue_token: str = ""
    ) -> Page:
        ref = Ref(selection.kind, selection.namespace, "")
        await self._begin("LIST", ref)
        found = [
            copy.deepcopy(item)
            for known, item in sorted(self._objects.items())
            if _selected(known, item, selection)
        ]
        start = int(continue_token or 0)
        end = start + min(limit, self.page_limit)
        token = str(end) if end < len(found) else ""
        self._end("LIST", ref)
        return Page(found[start:end], str(self.version), token)

    async def watch(
        self, selection: Selection, resource_version: str, *, timeout_s: float
    ) -> AsyncIterator[WatchEvent]:
        ref = Ref(selection.kind, selection.namespace, "")
        await self._begin("WATCH", ref)
        seen = int(resource_version)
        if seen < self._compacted:
            raise GoneError(410, "Expired", "too old resource version")
        deadline = asyncio.get_running_loop().time() + timeout_s
        faults = len(self._watch_faults)
        while True:
            news, now = self._news, self.version
            for version, event, known, item in list(self._history):
                if version > seen and _selected(known, item, selection):
                    yield WatchEvent(event, copy.deepcopy(item))
            seen = now  # a slow reader finds what came meanwhile in the next turn
            if len(self._watch_faults) > faults:
                raise self._watch_faults[-1]
            if news is self._news:
                try:
                    async with asyncio.timeout_at(deadline):
                        await news.wait()
                except TimeoutError:
                    return

    # --- inside -------------------------------------------------------------------------------
    async def _begin(self, verb: str, ref: Ref) -> None:
        self.requests[verb] = self.requests.get(verb, 0) + 1
        self.log.append((verb, ref))
        wait = self.before(verb, ref) if self.before is not None else None
        await asyncio.sleep(wait or 0)

    def _end(self, verb: str, ref: Ref) -> None:
        if self.after is not None:
            self.after(verb, ref)

    def _live(self, ref: Ref) -> Manifest:
        live = self._objects.get(ref)
        if live is None:
            raise NotFoundError(404, "NotFound", f"{ref.name} not found")
        return live

    def _check(self, live: Manifest, wanted: Manifest) -> None:
        for name in ("resourceVersion", "uid"):
            if wanted.get(name) and wanted[name] != live["metadata"].get(name):
                raise ConflictError(409, "Conflict", "the object has been modified")

    def _store(self, ref: Ref, manifest: Manifest, *, server: bool = True) -> Manifest:
        live = self._objects.get(ref)
        manifest = copy.deepcopy(manifest)
        metadata = manifest["metadata"]
        if live is None:
            self._uids += 1
            metadata.setdefault("uid", f"uid-{self._uids}")
            metadata["creationTimestamp"] = metadata.get("creationTimestamp") or self._now()
            metadata["generation"] = 1
        else:
            for name in _SERVER_OWNED:
                if name in live["metadata"]:
                    metadata[name] = live["metadata"][name]
            if live["metadata"].get("deletionTimestamp") and server:
                metadata["deletionTimestamp"] = live["metadata"]["deletionTimestamp"]
            if manifest.get("spec") != live.get("spec"):
                metadata["generation"] = live["metadata"].get("generation", 1) + 1
            if manifest == live:
                return copy.deepcopy(live)
        if not metadata.get("name"):
            raise InvalidError(422, "Invalid", "metadata.name: Required value")
        held = live is not None and live["metadata"].get("finalizers")
        if held and metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._remove(ref)
            return manifest
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        self._objects[ref] = manifest
        self._tell("ADDED" if live is None else "MODIFIED", ref, manifest)
        return copy.deepcopy(manifest)

    def _remove(self, ref: Ref) -> None:
        gone = self._objects.pop(ref, None)
        self._applied.pop(ref, None)
        if gone is not None:
            self.version += 1
            last = copy.deepcopy(gone)
            last["metadata"]["resourceVersion"] = str(self.version)
            self._tell("DELETED", ref, last)

    def _tell(self, kind_of_event: str, ref: Ref, manifest: Manifest) -> None:
        self._history.append((self.version, kind_of_event, ref, copy.deepcopy(manifest)))
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _now(self) -> str:
        # The wall clock of fakes.virtual_time.FakeClock.
        now = 1_800_000_000.0 + asyncio.get_running_loop().time()
        return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ref(manifest: Manifest) -> Ref:
    return Ref(kind_of(manifest), namespace_of(manifest), name_of(manifest))


def _selected(ref: Ref, item: Manifest, selection: Selection) -> bool:
    if ref.kind != selection.kind or selection.namespace not in ("", ref.namespace):
        return False
    labels = item["metadata"].get("labels") or {}
    wanted = [part.partition("=") for part in selection.labels.split(",") if part]
    return all(
        labels.get(name) == value if sign else name in labels for name, sign, value in wanted
    )


def _without_status(manifest: Manifest) -> Manifest:
    if kind_of(manifest) not in _WITH_STATUS:
        return manifest
    return {name: value for name, value in manifest.items() if name != "status"}


def _keep_status(live: Manifest, wanted: Manifest) -> Manifest:
    if kind_of(live) not in _WITH_STATUS:
        return wanted
    kept = _without_status(wanted)
    return kept | {"status": live["status"]} if "status" in live else kept


def _merged(live: Any, patch: Any, *, strategic: bool = True, key: str = "") -> Any:
    """RFC 7386, and lists of named items by their name where `strategic`."""
    if isinstance(live, dict) and isinstance(patch, dict):
        merged = dict(live)
        for name, value in patch.items():
            if value is None:
                merged.pop(name, None)
            else:
                merged[name] = _merged(live.get(name), value, strategic=strategic, key=name)
        return merged
    if isinstance(live, list) and isinstance(patch, list) and strategic and key in _MERGE_KEYS:
        name = _MERGE_KEYS[key]
        items = {item[name]: item for item in live}
        for item in patch:
            items[item[name]] = _merged(items.get(item[name], {}), item, strategic=True)
        return list(items.values())
    if isinstance(patch, dict):
        return {name: value for name, value in patch.items() if value is not None}
    return copy.deepcopy(patch)


def _pruned(live: Any, before: Any, now: Any) -> Any:
    """What was applied before and is not any more is taken away."""
    if not (isinstance(live, dict) and isinstance(before, dict) and isinstance(now, dict)):
        return live
    kept = {}
    for name, value in live.items():
        if name in before and name not in now and name not in ("metadata", "apiVersion", "kind"):
            continue
        kept[name] = _pruned(value, before.get(name), now.get(name))
    return kept
