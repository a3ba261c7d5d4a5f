"""The end of a VoiceAgent: rows out, calls to their end, children, then the finalizer.

    draining --no pod left, or overdue--> forgetting --proxy confirms, or overdue--> children
    children --none left--> finalizer taken off

It cannot hang for ever: when the drain's time and `deletion_give_up_seconds` have passed, it goes
on without the proxy, says so in an event, and the proxy's next round finishes (an agent that is not
listed there is treated as gone).
"""

from dataclasses import dataclass

from callfleet_operator.ports.errors import NotFoundError
from callfleet_operator.ports.events import Events, EventType
from callfleet_operator.ports.kinds import DEPLOYMENT, POD, VOICE_AGENT, Manifest, name_of
from callfleet_operator.ports.proxy import SeenState
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.children import OWNED, Children
from callfleet_operator.reconcile.facts import FINALIZER, AgentFacts

_LOOK_AGAIN_S = 2.0


@dataclass
class Deletion:
    applied: Applied
    children: Children
    events: Events

    async def step(self, facts: AgentFacts) -> float | None:
        """One step; None when the agent is gone."""
        if FINALIZER not in facts.agent.metadata.finalizers:
            return None
        if not facts.gone:
            await self._shrink(facts)
            return _LOOK_AGAIN_S
        if not self._forgotten(facts):
            if not facts.overdue:
                return _LOOK_AGAIN_S
            self.events.emit(
                facts.manifest,
                EventType.WARNING,
                "ProxyUnreachable",
                "Delete",
                "The proxy could not be told in time; its rows are removed when it is back.",
            )
        if await self._delete_children(facts):
            return _LOOK_AGAIN_S
        await self._let_go(facts)
        return None

    def holds(self, facts: AgentFacts) -> bool:
        """Whether our finalizer is still there: without it there may be nothing to report on."""
        live = self.applied.get(VOICE_AGENT, facts.ref.namespace, facts.ref.name)
        return live is not None and FINALIZER in (live["metadata"].get("finalizers") or ())

    async def _shrink(self, facts: AgentFacts) -> None:
        """Deployments fall as their pods are drained. What is not there any more is not made
        again.
        """
        there = {name_of(item) for item in self.children.existing(facts, DEPLOYMENT)}
        for manifest in self.children.desired(facts):
            if manifest["kind"] == DEPLOYMENT.kind and name_of(manifest) in there:
                await self.applied.apply(manifest)

    def _forgotten(self, facts: AgentFacts) -> bool:
        """The proxy has confirmed that no row is left, or was never told of one."""
        if facts.proxy is None:
            return True
        synced = facts.memory.synced
        if synced is None or not synced.gone:
            return False
        return facts.proxy.in_sync and all(
            state is SeenState.ABSENT for state in facts.memory.seen.values()
        )

    async def _delete_children(self, facts: AgentFacts) -> bool:
        """Whether any are left: the next kind goes when the pods of the first are gone."""
        left = False
        for kind in OWNED:
            existing = self.children.existing(facts, kind)
            for child in existing:
                await self.applied.delete(child)
            if existing:
                left = True
            if kind == DEPLOYMENT and self._pods_left(facts):
                return True
        return await self.children.remove_secrets(facts) or left

    def _pods_left(self, facts: AgentFacts) -> bool:
        pods = self.applied.store.of_agent(POD, facts.ref.namespace, facts.ref.name)
        return any(True for _ in pods)

    async def _let_go(self, facts: AgentFacts) -> None:
        metadata: Manifest = {
            "resourceVersion": facts.manifest["metadata"]["resourceVersion"],
            "finalizers": [name for name in facts.agent.metadata.finalizers if name != FINALIZER],
        }
        try:
            await self.applied.patch(facts.ref, {"metadata": metadata})
        except NotFoundError:
            return
