"""ConfigMaps and Secrets that agents read: settings of a revision, and what changes under them."""

import base64
from collections.abc import Mapping

from callfleet_operator.model import (
    LiveProviders,
    ManifestError,
    VoiceAgent,
    load_live_providers,
)

from . import Manifest
from .names import keys_secret_name, live_name, metadata, settings_name
from .pod_template import LIVE_FILE, SETTINGS_FILE
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


def live_config_map(agent: VoiceAgent, live: LiveProviders) -> Manifest:
    """The chains of providers, resolved. Pods see a change without a restart."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(agent, live_name(agent)),
        "data": {LIVE_FILE: live.to_yaml()},
    }


def live_of(manifest: Manifest | None) -> LiveProviders | None:
    """What such a ConfigMap says; None for none, and for one that cannot be read any more."""
    text = ((manifest or {}).get("data") or {}).get(LIVE_FILE)
    try:
        return load_live_providers(str(text)) if text is not None else None
    except ManifestError:
        return None


def keys_secret(agent: VoiceAgent, keys: Mapping[str, str]) -> Manifest:
    """API keys and CAs of the pools that the agent names, as files: POOL and POOL.ca.crt."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata(agent, keys_secret_name(agent)),
        "data": {
            name: base64.b64encode(key.encode()).decode() for name, key in sorted(keys.items())
        },
    }
