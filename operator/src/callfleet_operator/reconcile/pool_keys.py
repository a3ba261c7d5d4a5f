"""Credentials of external engines: read by name, kept in memory, handed on as files."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from callfleet_operator.model import ProviderPool
from callfleet_operator.policies.pool_view import SecretView
from callfleet_operator.ports.kinds import SECRET, Manifest
from callfleet_operator.ports.kube import KubeReader
from callfleet_operator.resources.chains import CA_ENDING

CA_KEY = "ca.crt"


@dataclass
class PoolKeys:
    """Keys and CAs of external engines, by pool. Their text never leaves for a log or a status."""

    _files: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict, repr=False)

    def put(self, namespace: str, pool: str, files: Mapping[str, str]) -> bool:
        """Whether they differ from what was known."""
        address = (namespace, pool)
        if self._files.get(address, {}) == files:
            return False
        if files:
            self._files[address] = dict(files)
        else:
            del self._files[address]
        return True

    def of(self, namespace: str, pools: Iterable[str]) -> dict[str, str]:
        """The files of some pools, by name."""
        found = (self._files.get((namespace, pool), {}) for pool in pools)
        return {name: text for files in found for name, text in files.items()}


@dataclass(frozen=True)
class Credentials:
    """What was found of the Secrets that a pool names; None for one that it does not name."""

    secret: SecretView | None = None
    ca: SecretView | None = None
    model: SecretView | None = None
    key: str | None = field(default=None, repr=False)
    authority: str | None = field(default=None, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)


async def look(reader: KubeReader, pool: ProviderPool) -> Credentials:
    """Each Secret that the pool names. Raises KubeErrors."""
    spec, name = pool.spec, pool.metadata.name
    namespace = pool.metadata.namespace
    files: dict[str, str] = {}
    secret = ca = model = key = authority = None
    if spec.external is not None and spec.external.secret_ref is not None:
        reference = spec.external.secret_ref
        secret, key = await _read(reader, namespace, reference.name, reference.key)
        if key is not None:
            files[name] = key
    if spec.external is not None and spec.external.ca_secret_name is not None:
        ca, authority = await _read(reader, namespace, spec.external.ca_secret_name, CA_KEY)
        if authority is not None:
            files[f"{name}{CA_ENDING}"] = authority
    if spec.model is not None and spec.model.credentials_secret_name is not None:
        model, _ = await _read(reader, namespace, spec.model.credentials_secret_name, "")
    return Credentials(secret, ca, model, key, authority, files)


async def _read(
    reader: KubeReader, namespace: str, name: str, key: str
) -> tuple[SecretView, str | None]:
    found = await reader.get(SECRET, namespace, name)
    data = (found or {}).get("data") or {}
    text = _text(data, key)
    named = frozenset(name for name in data if _text(data, name) is not None)
    return SecretView(found is not None, key_found=text is not None, keys=named), text


def _text(data: Manifest, name: str) -> str | None:
    try:
        return base64.b64decode(data[name], validate=True).decode().strip() or None
    except (KeyError, binascii.Error, UnicodeDecodeError):
        return None
