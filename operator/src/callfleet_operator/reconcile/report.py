"""The status of a VoiceAgent: what was observed, never what was wanted."""

from dataclasses import dataclass

from callfleet_operator.model import OperatorSettings
from callfleet_operator.policies.agent_status import agent_status
from callfleet_operator.policies.agent_view import AgentView, DispatcherView
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.proxy import AgentProblem, AgentRows
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.bank_secrets import MISSING_AGAIN_S, BankSecrets
from callfleet_operator.reconcile.conditions import StatusWriter
from callfleet_operator.reconcile.dispatcher import ProxyMemory, RowMemory
from callfleet_operator.reconcile.errors import ChildrenError
from callfleet_operator.reconcile.facts import AgentFacts
from callfleet_operator.reconcile.pools import pool_links, pools_of
from callfleet_operator.reconcile.views import rfc3339, seen_views, soonest
from callfleet_operator.resources.names import selector_text

_PROBLEMS = {
    AgentProblem.SET_IDS_EXHAUSTED: "every dispatcher set of the operator's settings is taken",
    AgentProblem.FOREIGN_ROW: "a row that is not ours holds a pod's address in the agent's set",
    AgentProblem.FOREIGN_ROW_BESIDE: (
        "a row that is not ours is in the agent's dispatcher set, and takes calls to its numbers "
        "once the SIP proxy has loaded it; remove it from the proxy's dispatcher table"
    ),
}


@dataclass
class AgentReport:
    applied: Applied
    settings: OperatorSettings
    status: StatusWriter
    clock: Clock
    bank: BankSecrets

    async def write(
        self, facts: AgentFacts, wanted: AgentRows | None, refused: ChildrenError | None
    ) -> float | None:
        """Seconds after which to look again: the calls column may be written then, or a Secret that
        the bank asks for may be there. None when nothing waits.
        """
        old = facts.agent.status
        stays = not facts.deleting and not facts.refused
        missing = await self.bank.missing(facts.agent) if stays else ""
        view = self._view(facts, wanted, refused, missing)
        new = agent_status(view, old, rfc3339(facts.now))
        later = await self.status.write(facts.ref, facts.manifest, old, new)
        return soonest(later, MISSING_AGAIN_S if missing else None)

    def _view(
        self,
        facts: AgentFacts,
        wanted: AgentRows | None,
        refused: ChildrenError | None,
        bank_secret: str,
    ) -> AgentView:
        agent = facts.agent
        return AgentView(
            generation=agent.metadata.generation,
            wanted=facts.wanted,
            revision=facts.revision,
            selector=selector_text(agent),
            pods=facts.pods,
            reports=facts.reports,
            confirmed=seen_views(facts.memory.confirmed),
            dispatcher=dispatcher_view(facts, wanted),
            numbers=agent.spec.sip.numbers,
            transports=agent.spec.sip.transports,
            pools=pool_links(agent, pools_of(agent, self.applied.store)),
            deleting=facts.deleting,
            proxy_known=facts.proxy is not None,
            own_bank=agent.spec.banking.url is not None,
            own_bank_refused=facts.refused,
            bank_service=self._has_bank,
            bank_secret=bank_secret,
            guard_message=facts.memory.guard,
            apply_error=str(refused)[:900] if refused is not None else "",
        )

    @property
    def _has_bank(self) -> bool:
        platform = self.settings.platform
        return platform is not None and bool(platform.banking)


def dispatcher_view(facts: AgentFacts, wanted: AgentRows | None) -> DispatcherView:
    """What the proxy is known to hold of an agent; `wanted` is None when its rows are held back."""
    outcome = facts.memory.outcome
    refusals = outcome.refused if outcome is not None else {}
    synced, reason, message = _synced(facts, wanted)
    return DispatcherView(
        synced=synced,
        reason=reason,
        message=message,
        set_id=outcome.set_id if outcome is not None else None,
        accepted=outcome.accepted if outcome is not None else (),
        refused={number: refusal.reason.value for number, refusal in refusals.items()},
        owners={number: refusal.owner for number, refusal in refusals.items() if refusal.owner},
    )


_Answer = tuple[bool | None, str, str]


def _synced(facts: AgentFacts, wanted: AgentRows | None) -> _Answer:
    """The first check that has something to say wins."""
    proxy = facts.proxy
    if proxy is None:
        return None, "", ""
    answers = (check(proxy, facts.memory, wanted) for check in _SYNC_CHECKS)
    good = (True, "Synced", "database and every instance of the proxy hold the agent's rows")
    return next((answer for answer in answers if answer is not None), good)


def _faulty(proxy: ProxyMemory, _memory: RowMemory, _wanted: AgentRows | None) -> _Answer | None:
    return (False, *proxy.fault) if proxy.fault is not None else None


def _not_asked(_proxy: ProxyMemory, memory: RowMemory, wanted: AgentRows | None) -> _Answer | None:
    if memory.outcome is None:
        return None, "Pending", "the SIP proxy was not asked yet"
    if _asks_for_more(wanted, memory.synced):
        return None, "Pending", "the SIP proxy was not asked for the latest change yet"
    return None


def _refused(_proxy: ProxyMemory, memory: RowMemory, _wanted: AgentRows | None) -> _Answer | None:
    problem = memory.outcome.problem if memory.outcome is not None else None
    return (False, problem.value, _PROBLEMS[problem]) if problem is not None else None


def _away(proxy: ProxyMemory, _memory: RowMemory, _wanted: AgentRows | None) -> _Answer | None:
    away = sum(1 for error in proxy.instances.values() if error)
    if not away:
        return None
    message = f"{away} of {len(proxy.instances)} instances of the SIP proxy do not answer"
    return False, "InstanceUnreachable", message


def _differs(proxy: ProxyMemory, _memory: RowMemory, _wanted: AgentRows | None) -> _Answer | None:
    if proxy.in_sync:
        return None
    return False, "NotInSync", "the SIP proxy does not hold what it was told; it is told again"


_SYNC_CHECKS = (_faulty, _not_asked, _refused, _away, _differs)


def _asks_for_more(wanted: AgentRows | None, synced: AgentRows | None) -> bool:
    """Another spec than the proxy was told of. Rows that wait for their round are told apart."""
    if wanted is None or synced is None:
        return False
    asked = (synced.numbers, synced.media, synced.gone)
    return (wanted.numbers, wanted.media, wanted.gone) != asked
