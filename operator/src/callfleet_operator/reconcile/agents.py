"""One VoiceAgent: gather, decide, apply, report."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from callfleet_operator.ports.events import Events, EventType
from callfleet_operator.ports.kinds import VOICE_AGENT, Manifest
from callfleet_operator.ports.kube import Ref
from callfleet_operator.ports.pods import PodLink
from callfleet_operator.ports.proxy import AgentRows
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.children import Children
from callfleet_operator.reconcile.deletion import Deletion
from callfleet_operator.reconcile.errors import ChildrenError, RowsHeldError, UnreadableError
from callfleet_operator.reconcile.facts import FINALIZER, AgentFacts, Gatherer
from callfleet_operator.reconcile.fleet_rows import FleetRows
from callfleet_operator.reconcile.pods import PodSteps
from callfleet_operator.reconcile.report import AgentReport
from callfleet_operator.reconcile.scaler import Scaler
from callfleet_operator.reconcile.views import soonest

_LOOK_AGAIN_S = 0.5


@dataclass
class AgentReconciler:
    """`sync(proxy)` asks for a round of a proxy; until `sure_after` (Unix time) a term is young."""

    applied: Applied
    gatherer: Gatherer
    children: Children
    steps: PodSteps
    rows: FleetRows
    scaler: Scaler
    report: AgentReport
    deletion: Deletion
    links: PodLink
    events: Events
    sync: Callable[[str], None]
    sure_after: float = 0.0

    async def reconcile(self, ref: Ref) -> float | None:
        """The seconds after which to look again. Raises PortErrors, after what could be done."""
        manifest = self.applied.get(VOICE_AGENT, ref.namespace, ref.name)
        if manifest is None:
            self._forget(ref)
            return None
        facts = self._gather(manifest)
        if not facts.deleting:
            facts = await self._hold(facts)

        again = await self.steps.take(facts)
        wanted = self._dispatch(facts)
        refused, due = await self._apply(facts)
        later = await self._tell(facts, wanted, refused)
        if refused is not None:
            raise refused
        return soonest(again, due, later)

    def _gather(self, manifest: Manifest) -> AgentFacts:
        """Raises UnreadableError, told by an event: the status of such an agent is not ours."""
        try:
            return self.gatherer.facts(manifest)
        except UnreadableError as error:
            self.events.emit(manifest, EventType.WARNING, "Unreadable", "Reconcile", str(error))
            raise

    async def _hold(self, facts: AgentFacts) -> AgentFacts:
        """With our finalizer, before anything is made that would have to be taken away again."""
        metadata = facts.manifest["metadata"]
        finalizers = list(metadata.get("finalizers") or ())
        if FINALIZER in finalizers:
            return facts
        patch = {
            "resourceVersion": metadata["resourceVersion"],
            "finalizers": [*finalizers, FINALIZER],
        }
        held = await self.applied.patch(facts.ref, {"metadata": patch})
        return replace(facts, manifest=held)

    async def _apply(self, facts: AgentFacts) -> tuple[ChildrenError | None, float | None]:
        """What was refused, and the seconds after which scaling or deletion goes on."""
        try:
            if facts.deleting:
                return None, await self.deletion.step(facts)
            await self.children.apply(facts)
        except ChildrenError as error:
            return error, None
        return None, await self.scaler.scale(facts)

    def _dispatch(self, facts: AgentFacts) -> AgentRows | None:
        """Asks for a round when the proxy does not have what is wanted; None when rows are held."""
        if facts.proxy is None:
            return None
        try:
            wanted = self.rows.of(facts)
        except RowsHeldError:
            return None
        moved = facts.plan.drain or facts.plan.take_back  # just written on pods: rows follow
        if (moved or wanted != facts.memory.synced) and facts.proxy.fault is None:
            # A proxy that is away is tried again at its own pace, with what is wanted then.
            self.sync(facts.agent.spec.sip.proxy)
        return wanted

    async def _tell(
        self, facts: AgentFacts, wanted: AgentRows | None, refused: ChildrenError | None
    ) -> float | None:
        if facts.deleting and not self.deletion.holds(facts):
            return None
        if facts.now < self.sure_after and _unheard(facts):
            # A new leader has not asked everybody yet: what the former one wrote is better known.
            return _LOOK_AGAIN_S
        return await self.report.write(facts, wanted, refused)

    def _forget(self, ref: Ref) -> None:
        self.links.want(ref.namespace, ref.name, {})
        self.report.status.forget(ref)
        self.scaler.forget(ref)


def _unheard(facts: AgentFacts) -> bool:
    """Whether somebody who was asked for the status before has not been heard in this term."""
    if facts.agent.status is None:
        return False
    asked = facts.proxy is None or facts.proxy.fault is not None or facts.memory.outcome is not None
    silent = any(pod.gate and pod.exists and pod.uid not in facts.reports for pod in facts.pods)
    return not asked or silent
