"""What all agents of a proxy want of it, the oldest agent first; refused where it would be a
disaster.
"""

from dataclasses import dataclass

from callfleet_operator.policies.rows import GuardVerdict, Row, guard
from callfleet_operator.ports.events import Events, EventType
from callfleet_operator.ports.kinds import VOICE_AGENT, Manifest, name_of, namespace_of
from callfleet_operator.ports.proxy import AgentRows, RowState, WantedRow
from callfleet_operator.reconcile.errors import RowsHeldError
from callfleet_operator.reconcile.facts import FINALIZER, AgentFacts, Gatherer
from callfleet_operator.reconcile.keys import proxy_of
from callfleet_operator.reconcile.views import seen_views

_UNLISTED = "unlisted"


@dataclass
class FleetRows:
    gatherer: Gatherer
    events: Events

    def __call__(self, proxy: str) -> list[AgentRows]:
        """Raises RowsHeldError, UnreadableError: an agent that is left out would lose its rows."""
        agents = [
            agent
            for agent in self.gatherer.applied.store.list(VOICE_AGENT)
            if proxy_of(agent) == proxy and _concerned(agent)
        ]
        agents.sort(key=_age)
        return [self._rows(agent) for agent in agents]

    def _rows(self, manifest: Manifest) -> AgentRows:
        namespace, name = namespace_of(manifest), name_of(manifest)
        live = self.gatherer.applied.get(VOICE_AGENT, namespace, name) or manifest
        return self.of(self.gatherer.facts(live))

    def of(self, facts: AgentFacts) -> AgentRows:
        """The rows of one agent. Raises RowsHeldError."""
        namespace, name = facts.ref.namespace, facts.ref.name
        sip = facts.agent.spec.sip
        if facts.gone:
            return AgentRows(facts.uid, namespace, name, gone=True, media=sip.media.value)
        return AgentRows(
            uid=facts.uid,
            namespace=namespace,
            name=name,
            numbers=sip.numbers,
            rows=self._guarded(facts),
            media=sip.media.value,
        )

    def _guarded(self, facts: AgentFacts) -> tuple[WantedRow, ...]:
        verdict = self._guard(facts)
        if verdict.allowed:
            facts.memory.guard = ""
            facts.memory.explained &= set(facts.memory.uids().values())
            return tuple(_wanted(row) for row in facts.rows)
        if not facts.memory.guard:
            self.events.emit(
                facts.manifest, EventType.WARNING, verdict.reason, "Dispatch", verdict.message
            )
        facts.memory.guard = verdict.message
        if not facts.memory.rows:
            raise RowsHeldError(verdict.message)
        return facts.memory.rows

    def _guard(self, facts: AgentFacts) -> GuardVerdict:
        owners = facts.memory.uids()
        explained = set(facts.memory.explained)
        if self.gatherer.pods_confirmed(facts):
            owners = {uri: owners.get(uri, _UNLISTED) for uri in facts.memory.confirmed}
            explained |= {_UNLISTED, *owners.values()}
        return guard(
            seen_views(facts.memory.confirmed),
            owners,
            facts.rows,
            pods=facts.pods,
            explained=explained,
            deleting=facts.deleting,
        )


def _concerned(agent: Manifest) -> bool:
    """An agent without our finalizer has no rows yet, and could vanish without taking them
    along.
    """
    return FINALIZER in (agent["metadata"].get("finalizers") or ())


def _age(agent: Manifest) -> tuple[str, str, str]:
    created = str(agent["metadata"].get("creationTimestamp") or "")
    return created, namespace_of(agent), name_of(agent)


def _wanted(row: Row) -> WantedRow:
    return WantedRow(row.uri, row.pod_uid, RowState(row.state.value), row.weight)
