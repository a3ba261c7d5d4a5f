"""Kubeconfig files, written as JSON, which is YAML."""

import base64
import json
from pathlib import Path

from callfleet_hack.cache import write_atomically


def write_kubeconfig(path: Path, *, url: str, authority: Path, user: str, token: str) -> Path:
    """One cluster, one user, one context, all called `callfleet`."""
    certificate = base64.b64encode(authority.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "callfleet",
        "clusters": [
            {
                "name": "callfleet",
                "cluster": {"server": url, "certificate-authority-data": certificate},
            }
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "callfleet", "context": {"cluster": "callfleet", "user": user}}],
    }
    write_atomically(path, json.dumps(config, indent=1) + "\n")
    return path
