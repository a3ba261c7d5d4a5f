"""Logins for registries as a Secret of type kubernetes.io/dockerconfigjson has them.

kubernetes.io, "Images", interpretation of config.json: a key is a registry's host, with a scheme
and a path or without; the longest path that fits wins. Patterns with * are not read.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from callfleet_agent.services.models.errors import ModelError

FILE: Final = ".dockerconfigjson"
_API_VERSIONS: Final = ("/v1", "/v2")


def login(text: str, host: str, repository: str) -> tuple[str, str] | None:
    """User and password for a repository; None where the Secret has none.

    Raises:
        ModelError: the Secret is in no such form. It quotes nothing of it.
    """
    try:
        entries = dict(json.loads(text).get("auths") or {})
        paths = {key: path for key in entries if (path := _path(key, host, repository)) is not None}
        if not paths:
            return None
        return _of_entry(entries[max(paths, key=lambda key: len(paths[key]))])
    except (AttributeError, TypeError, ValueError, binascii.Error):
        raise ModelError("NoAccess", f"the Secret's {FILE} cannot be read") from None


def _path(key: str, host: str, repository: str) -> str | None:
    """Below which path of the registry it holds; None where the repository is not below it."""
    named, slash, path = key.rpartition("://")[2].rstrip("/").partition("/")
    if slash + path in _API_VERSIONS:
        path = ""
    below = not path or f"{repository}/".startswith(f"{path}/")
    return path if named == host and below else None


def _of_entry(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    if entry.get("auth"):
        user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    else:
        user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    return (user, password) if user else None
