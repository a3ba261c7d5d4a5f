"""Everything that shall exist for an agent."""

from collections.abc import Mapping

from callfleet_operator.model import ProviderPool, VoiceAgent

from . import Manifest
from .apply import with_hash
from .chains import live_providers
from .deployment import deployment
from .disruption import disruption_budget
from .facts import Facts
from .network_policy import network_policy
from .revision import controller_revision, rendered
from .service import headless_service, service_account
from .settings import keys_secret, live_config_map, settings_config_map


def desired(agent: VoiceAgent, pools: Mapping[str, ProviderPool], facts: Facts) -> list[Manifest]:
    """All objects of an agent in the order in which they are applied, each with its hash.

    What belongs to the agent and is not in here shall not exist, but for Deployments and settings
    of revisions that are in the plan and cannot be rendered any more: they are left alone.
    """
    manifests = [
        service_account(agent),
        network_policy(agent, facts.operator),
        headless_service(agent),
        disruption_budget(agent),
        live_config_map(agent, live_providers(agent, pools, facts.live)),
    ]
    if facts.provider_keys:
        manifests.append(keys_secret(agent, facts.provider_keys))
    for revision in facts.plan.revisions:
        manifests += of_revision(agent, revision, facts)
    return [with_hash(manifest) for manifest in manifests]


def of_revision(agent: VoiceAgent, revision: str, facts: Facts) -> list[Manifest]:
    """A revision as it is kept, its settings, and its Deployment, which needs both."""
    content = rendered(agent, revision, facts.revisions, facts.operator)
    if content is None:
        return []
    replicas = facts.plan.revisions[revision].replicas
    return [
        controller_revision(agent, revision, content),
        settings_config_map(agent, revision, content),
        deployment(agent, revision, content, replicas),
    ]
