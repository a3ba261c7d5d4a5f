"""Status written only when it says something new, and events for what changed in it."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from callfleet_operator.policies.status_diff import should_write
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.events import Events, EventType
from callfleet_operator.ports.kinds import VOICE_AGENT, Manifest
from callfleet_operator.ports.kube import Ref
from callfleet_operator.reconcile.applied import Applied

# What goes on, not what is wrong: these change all the time.
_QUIET = frozenset({"Progressing"})
_ORDINARY = frozenset({"RowsPending", "PodsNotReady", "Pending", "Deleting", "OwnBankLeaving"})
# False here is somebody's mistake, from the first look on; elsewhere it may be a beginning.
_FAULTS = frozenset({"ProvidersReady", "NumbersAccepted", "DispatcherSynced", "Audited"})


def status_manifest(status: BaseModel) -> Manifest:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def replacing(old: Manifest, new: Manifest) -> dict[str, Any]:
    """A JSON merge patch that makes `old` equal to `new`: what is gone becomes null."""
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            patch[name] = replacing(before, value)
        else:
            patch[name] = value
    return patch


@dataclass
class StatusWriter:
    applied: Applied
    events: Events
    clock: Clock
    _calls_written_at: dict[Ref, float] = field(default_factory=dict)

    async def write(
        self, ref: Ref, live: Manifest, old: BaseModel | None, new: BaseModel
    ) -> float | None:
        """Writes when something differs; answers the seconds until the calls column may be."""
        now = self.clock.monotonic()
        # Only VoiceAgents have a column that is written late.
        written_at = self._calls_written_at.get(ref) if ref.kind == VOICE_AGENT else None
        verdict = should_write(old, new, calls_written_at=written_at, now=now)
        if not verdict.write:
            return verdict.again_after_s
        patch = {
            "metadata": {"resourceVersion": live["metadata"]["resourceVersion"]},
            "status": replacing(live.get("status") or {}, status_manifest(new)),
        }
        await self.applied.patch(ref, patch, subresource="status")
        self._calls_written_at[ref] = now
        self._tell(live, new)
        return verdict.again_after_s

    def forget(self, ref: Ref) -> None:
        self._calls_written_at.pop(ref, None)

    def _tell(self, live: Manifest, new: BaseModel) -> None:
        """An event for each condition whose status or reason changed, but the same thing once."""
        before = _conditions(live.get("status") or {})
        told: set[tuple[EventType, str]] = set()
        for name, condition in _conditions(status_manifest(new)).items():
            kind = _event_type(name, condition, before.get(name))
            if kind is not None and (kind, condition["reason"]) not in told:
                told.add((kind, condition["reason"]))
                note = condition.get("message") or condition["reason"]
                self.events.emit(live, kind, condition["reason"], name, note)


def _event_type(name: str, new: Manifest, old: Manifest | None) -> EventType | None:
    """What is worth an event: faults at once, the rest when it was otherwise before."""
    if name in _QUIET or new["reason"] in _ORDINARY or new["status"] == "Unknown":
        return None
    if old is not None and (old["status"], old["reason"]) == (new["status"], new["reason"]):
        return None
    if new["status"] == "True":
        return EventType.NORMAL if old is not None and old["status"] != "True" else None
    if name in _FAULTS or (old is not None and old["status"] == "True"):
        return EventType.WARNING
    return None


def _conditions(status: Manifest) -> dict[str, Manifest]:
    return {item["type"]: item for item in status.get("conditions") or ()}
