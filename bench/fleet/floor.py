"""The floor: the same objects and status writes, by a plain client that does nothing else."""

import time

import psutil
from bench.fleet.agents import at_once
from bench.fleet.operator_process import cost, settings
from bench.fleet.row import Row

from callfleet_operator.identity.authority import make_authority
from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.names import agent_subject
from callfleet_operator.kube.certificates import Issuer
from callfleet_operator.kube.client import KubeClient
from callfleet_operator.main.clock import SystemClock
from callfleet_operator.model import VoiceAgent
from callfleet_operator.policies.scaling import FleetPlan, RevisionPlan
from callfleet_operator.ports.kinds import VOICE_AGENT, Manifest
from callfleet_operator.ports.kube import Ref
from callfleet_operator.resources.desired import desired
from callfleet_operator.resources.facts import Facts, operator_facts
from callfleet_operator.resources.names import tls_secret_name
from callfleet_operator.resources.revision import revision_of


async def floor(client: KubeClient, agents: list[Manifest]) -> Row:
    """The same objects and status writes, by a client that decides nothing."""
    ready = [VoiceAgent.model_validate(agent, extra="ignore") for agent in agents]
    issuer = Issuer(make_authority("bench", Lifetimes(), time.time()), SystemClock())
    requests = sum(client.requests.values())
    cpu = time.process_time()
    began = time.monotonic()
    await at_once([_floor_one(client, issuer, agent) for agent in ready])
    seconds = time.monotonic() - began
    spent = sum(client.requests.values()) - requests
    _, peak = cost(psutil.Process())
    return Row(
        "floor: plain client", seconds, spent / len(agents), time.process_time() - cpu, peak, spent
    )


async def _floor_one(client: KubeClient, issuer: Issuer, agent: VoiceAgent) -> None:
    plan = FleetPlan({revision_of(agent): RevisionPlan("", "", wanted=1, replicas=1)})
    facts = Facts(operator_facts(settings(1), "default"), plan)
    ref = Ref(VOICE_AGENT, agent.metadata.namespace, agent.metadata.name)
    await client.patch(ref, {"metadata": {"finalizers": ["example.com/floor"]}})
    subject = agent_subject(ref.namespace, ref.name)
    leaf = issuer.issue(ref.namespace, tls_secret_name(agent), subject, None)
    for manifest in [*([leaf] if leaf else []), *desired(agent, {}, facts)]:
        await client.apply(manifest)
    for replicas in (0, 1):
        await client.patch(ref, {"status": {"replicas": replicas}}, subresource="status")
