"""Events for people (events.k8s.io/v1), written in the background, equal ones counted as a
series.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import AlreadyExistsError, PortError
from callfleet_operator.ports.events import EventType
from callfleet_operator.ports.kinds import EVENT, Manifest
from callfleet_operator.ports.kube import Ref

_log = logging.getLogger(__name__)

COMPONENT = "callfleet.io/operator"
_QUEUE_LIMIT = 1000
_SERIES_S = 360.0
_KNOWN_LIMIT = 4096
_NOTE_LIMIT = 1000
# A note that repeats is written again at these counts only: a fault of hours costs a few requests.
_WRITTEN_COUNTS = frozenset({2, 5, 10, 50, 100, 500, 1000, 5000, 10000})


class EventClient(Protocol):
    async def create(self, manifest: Manifest) -> Manifest: ...
    async def patch(self, ref: Ref, patch: Manifest) -> Manifest: ...


@dataclass
class _Series:
    ref: Ref
    count: int
    last_at: float


@dataclass
class EventRecorder:
    """`emit` from anywhere in the loop; `run` writes until cancelled."""

    client: EventClient
    clock: Clock
    instance: str
    dropped: int = 0
    _known: OrderedDict[str, _Series] = field(default_factory=OrderedDict)
    _queue: asyncio.Queue[tuple[Ref, Manifest, bool]] = field(
        default_factory=lambda: asyncio.Queue(_QUEUE_LIMIT)
    )

    def emit(
        self, regarding: Manifest, kind: EventType, reason: str, action: str, note: str
    ) -> None:
        reference = _reference(regarding)
        key = _digest(reference["uid"], str(kind), reason, action, note)
        now = self.clock.monotonic()
        series = self._known.get(key)
        if series is not None and now - series.last_at < _SERIES_S:
            series.count += 1
            series.last_at = now
            self._known.move_to_end(key)
            if series.count in _WRITTEN_COUNTS:
                patch = {"series": {"count": series.count, "lastObservedTime": self._now()}}
                self._put(series.ref, patch, is_patch=True)
            return
        name = f"{reference['name'][:200]}.{key[:12]}{int(self.clock.wall() * 1000):x}"
        namespace = reference.get("namespace") or "default"
        ref = Ref(EVENT, namespace, name)
        self._known[key] = _Series(ref, 1, now)
        if len(self._known) > _KNOWN_LIMIT:
            self._known.popitem(last=False)
        self._put(
            ref,
            {
                "apiVersion": EVENT.api_version,
                "kind": EVENT.kind,
                "metadata": {"namespace": namespace, "name": name},
                "eventTime": self._now(),
                "type": str(kind),
                "reason": reason,
                "action": action,
                "note": note[:_NOTE_LIMIT],
                "regarding": reference,
                "reportingController": COMPONENT,
                "reportingInstance": self.instance[:128],
            },
            is_patch=False,
        )

    async def run(self) -> None:
        while True:
            ref, body, is_patch = await self._queue.get()
            try:
                if is_patch:
                    await self.client.patch(ref, body)
                else:
                    await self.client.create(body)
            except AlreadyExistsError:
                pass
            except PortError as error:
                self.dropped += 1
                _log.info(
                    "an event could not be written",
                    extra={"reason": getattr(error, "reason", type(error).__name__)},
                )

    def _put(self, ref: Ref, body: Manifest, *, is_patch: bool) -> None:
        try:
            self._queue.put_nowait((ref, body, is_patch))
        except asyncio.QueueFull:
            self.dropped += 1

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _reference(regarding: Manifest) -> Manifest:
    metadata = regarding["metadata"]
    return {
        "apiVersion": regarding["apiVersion"],
        "kind": regarding["kind"],
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "resourceVersion": metadata.get("resourceVersion", ""),
    }


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
