"""The status of a VoiceAgent: what was observed, and what it means."""

from collections import Counter

from callfleet_operator.model import SipStatus, VoiceAgentStatus

from .agent_conditions import agent_findings
from .agent_view import AgentView
from .conditions import conditions
from .views import calls_of


def agent_status(view: AgentView, previous: VoiceAgentStatus | None, now: str) -> VoiceAgentStatus:
    """The whole status, computed anew. `now` is RFC 3339.

    Calls count in every pod that may still have some, the capacity only of pods that take new ones.
    """
    before = previous.conditions if previous is not None else ()
    alive = [pod for pod in view.pods if not pod.finished]
    accepted = tuple(number for number in view.numbers if number in view.dispatcher.accepted)
    return VoiceAgentStatus(
        observed_generation=view.generation,
        replicas=len(view.existing),
        ready_replicas=len(view.ready),
        draining_replicas=len(view.leaving),
        calls=sum(calls_of(pod, view.reports) for pod in alive),
        capacity=sum(
            view.reports[pod.uid].capacity for pod in view.ready if pod.uid in view.reports
        ),
        revision=_revision(view),
        selector=view.selector,
        sip=SipStatus(set_id=view.dispatcher.set_id, numbers=accepted),
        conditions=conditions(agent_findings(view), before, generation=view.generation, now=now),
    )


def _revision(view: AgentView) -> str:
    """The revision that most pods run which take calls; the wanted one when none does."""
    counts = Counter(pod.revision for pod in view.ready)
    if not counts:
        return view.revision
    return max(counts, key=lambda revision: (counts[revision], revision == view.revision, revision))
