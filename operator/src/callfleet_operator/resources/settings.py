"""ConfigMaps and Secrets that agents read: settings of a revision, and what changes under them."""

import base64
from collections.abc import Mapping
from typing import Any

import yaml

from callfleet_operator.model import Hosting, ProviderPool, VoiceAgent
from callfleet_operator.model.voiceagent import Chain

from . import Manifest
from .names import keys_secret_name, live_name, metadata, settings_name
from .pod_template import KEYS_DIR, LIVE_FILE, SETTINGS_FILE
from .revision import RenderedRevision


def settings_config_map(agent: VoiceAgent, revision: str, content: RenderedRevision) -> Manifest:
    """The settings of a revision; they never change, so kubelets need not watch them."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(agent, settings_name(agent, revision), revision),
        "immutable": True,
        "data": {SETTINGS_FILE: content.settings},
    }


def live_config_map(agent: VoiceAgent, pools: Mapping[str, ProviderPool]) -> Manifest:
    """The chains of providers, resolved. Pods see a change without a restart."""
    providers = agent.spec.providers
    chains = {"asr": providers.asr, "llm": providers.llm, "tts": providers.tts}
    resolved = {stage: chain_entries(stage, chain, pools) for stage, chain in chains.items()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(agent, live_name(agent)),
        "data": {LIVE_FILE: yaml.safe_dump(resolved, sort_keys=True, allow_unicode=True)},
    }


def chain_entries(
    stage: str, chain: Chain, pools: Mapping[str, ProviderPool]
) -> list[dict[str, Any]]:
    """The links of a chain that can be used: others are told by the condition ProvidersReady."""
    found = ((link.pool, pools.get(link.pool)) for link in chain)
    return [
        _entry(name, pool)
        for name, pool in found
        if pool is not None
        and pool.spec.capability == stage
        and pool.spec.hosting is not Hosting.MANAGED
    ]


def _entry(name: str, pool: ProviderPool) -> dict[str, Any]:
    spec = pool.spec
    entry: dict[str, Any] = {"pool": name, "engine": str(spec.engine), "hosting": str(spec.hosting)}
    if spec.voice is not None:
        entry["voice"] = spec.voice
    if spec.model is not None and spec.model.name is not None:
        entry["model"] = spec.model.name
    if spec.external is not None:
        entry["baseUrl"] = spec.external.base_url
        entry["timeoutSeconds"] = spec.external.timeout_seconds
        if spec.external.secret_ref is not None:
            entry["keyFile"] = f"{KEYS_DIR}/{name}"
    return entry


def keys_secret(agent: VoiceAgent, keys: Mapping[str, str]) -> Manifest:
    """The API keys of the pools that the agent names, a file for each pool."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata(agent, keys_secret_name(agent)),
        "data": {
            name: base64.b64encode(key.encode()).decode() for name, key in sorted(keys.items())
        },
    }
