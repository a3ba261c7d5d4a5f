"""Everything that shall exist for an agent."""

from collections.abc import Collection, Mapping

from callfleet_operator.model import LiveProviders, ProviderPool, VoiceAgent

from . import Manifest
from .apply import with_hash
from .chains import live_providers
from .deployment import deployment
from .disruption import disruption_budget
from .egress import Rule, egress
from .facts import Facts, OperatorFacts
from .network_policy import network_policy
from .revision import RenderedRevision, controller_revision, rendered
from .service import headless_service, service_account
from .settings import keys_secret, live_config_map, settings_config_map


def desired(agent: VoiceAgent, pools: Mapping[str, ProviderPool], facts: Facts) -> list[Manifest]:
    """All objects of an agent in the order in which they are applied, each with its hash.

    What belongs to the agent and is not in here shall not exist, but for Deployments and settings
    of revisions that are in the plan and cannot be rendered any more: they are left alone.
    """
    live = live_providers(agent, pools, facts.live)
    revisions = {
        revision: rendered(agent, revision, facts.revisions, facts.operator)
        for revision in facts.plan.revisions
    }
    manifests = [
        service_account(agent),
        network_policy(agent, facts.operator, _egress(revisions.values(), live, facts.operator)),
        headless_service(agent),
        disruption_budget(agent, 0 if facts.refused else agent.spec.replicas),
        live_config_map(agent, live),
    ]
    if facts.provider_keys:
        manifests.append(keys_secret(agent, facts.provider_keys))
    for revision, content in revisions.items():
        if content is not None:
            manifests += _of_revision(agent, revision, content, facts)
    return [with_hash(manifest) for manifest in manifests]


def _of_revision(
    agent: VoiceAgent, revision: str, content: RenderedRevision, facts: Facts
) -> list[Manifest]:
    """A revision as it is kept, its settings, and its Deployment, which needs both."""
    replicas = facts.plan.revisions[revision].replicas
    return [
        controller_revision(agent, revision, content),
        settings_config_map(agent, revision, content),
        deployment(agent, revision, content, replicas),
    ]


def _egress(
    revisions: Collection[RenderedRevision | None], live: LiveProviders, operator: OperatorFacts
) -> list[Rule] | None:
    """None where it is not wanted, and while pods run of which nobody knows what they were told."""
    known = [content for content in revisions if content is not None]
    if not operator.restrict_egress or len(known) < len(revisions):
        return None
    return egress(known, live, operator)
