"""Revisions: what pods are made of, kept so that it can be made again.

A ControllerRevision stores the rendered pod template and the settings. As long as the hash of the
spec is the same, pods come from what is stored: an upgrade of the operator changes no running
fleet, and a rollback finds what it needs.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from callfleet_operator.model import API_VERSION, VoiceAgent

from . import Manifest
from .facts import OperatorFacts
from .names import deployment_name, metadata
from .pod_template import pod_template

# What pods are made of. Replicas, numbers, the proxy, chains of pools, scaling and the strategy
# reach running pods, the proxy or the operator in other ways, and make no new revision.
_OF_PODS: dict[str, Any] = {
    "sip": {"media", "codecs", "transports"},
    "capacity": True,
    "dialog": True,
    "providers": {"vad"},
    "banking": True,
    "rollout": {"drain_timeout_seconds"},
    "pod": True,
}


@dataclass(frozen=True)
class RenderedRevision:
    """A revision as it is stored."""

    number: int
    template: dict[str, Any]
    settings: str


def revision_of(agent: VoiceAgent) -> str:
    """10 hex digits that change with anything that pods are made of.

    Only what differs from the defaults counts, so that a field that a later version adds starts no
    rollout. A later version must therefore not change a default.
    """
    data = agent.spec.model_dump(
        mode="json", by_alias=True, include=_OF_PODS, exclude_defaults=True
    )
    text = json.dumps(_pruned(data), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _pruned(data: dict[str, Any]) -> dict[str, Any]:
    """Without the objects that are empty because what differs in them is not of pods."""
    pruned = {
        name: _pruned(value) if isinstance(value, dict) else value for name, value in data.items()
    }
    return {name: value for name, value in pruned.items() if value != {}}


def settings_text(agent: VoiceAgent) -> str:
    """The manifest that pods read, as YAML, with every default written out."""
    spec = agent.spec.model_dump(mode="json", by_alias=True, include=_OF_PODS, exclude_none=True)
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "VoiceAgent",
        "metadata": {"name": agent.metadata.name, "namespace": agent.metadata.namespace},
        "spec": spec,
    }
    return yaml.safe_dump(manifest, sort_keys=True, allow_unicode=True)


def asks_own_bank(stored: Manifest | None) -> bool:
    """Whether pods of a stored revision ask a bank by themselves; not, where nothing says so."""
    content = _stored(stored)
    try:
        settings = yaml.safe_load(content.settings) if content is not None else {}
        return bool(settings["spec"]["banking"].get("url"))
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return False


def rendered(
    agent: VoiceAgent, revision: str, stored: Mapping[str, Manifest], operator: OperatorFacts
) -> RenderedRevision | None:
    """The revision as it is stored, or made now when it is the one that the spec asks for.

    None for a former revision of which nothing is stored: its Deployment is left as it is.
    """
    found = _stored(stored.get(revision))
    if found is not None:
        return found
    if revision != revision_of(agent):
        return None
    numbers = [int(item.get("revision", 0)) for item in stored.values()]
    return RenderedRevision(
        number=max(numbers, default=0) + 1,
        template=pod_template(agent, revision, operator),
        settings=settings_text(agent),
    )


def _stored(manifest: Manifest | None) -> RenderedRevision | None:
    data = (manifest or {}).get("data")
    if manifest is None or not isinstance(data, dict) or not {"template", "settings"} <= set(data):
        return None
    return RenderedRevision(int(manifest["revision"]), data["template"], data["settings"])


def controller_revision(agent: VoiceAgent, revision: str, content: RenderedRevision) -> Manifest:
    """The object that keeps a revision."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata(agent, deployment_name(agent, revision), revision),
        "revision": content.number,
        "data": {"template": content.template, "settings": content.settings},
    }
