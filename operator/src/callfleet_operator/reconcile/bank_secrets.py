"""Whether the Secrets that prove an agent to its bank are there: without them pods do not start,
and nobody but the kubelet says so."""

from dataclasses import dataclass, field
from typing import Final

from callfleet_operator.model import VoiceAgent
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import KubeError
from callfleet_operator.ports.kinds import SECRET
from callfleet_operator.ports.kube import KubeReader, Ref
from callfleet_operator.resources.pod_template import banking_sources

LOOK_AGAIN_S: Final = 600.0
MISSING_AGAIN_S: Final = 5.0
_FIELDS: Final = {
    "token": "credentialsSecretName",
    "clientId": "credentialsSecretName",
    "clientSecret": "credentialsSecretName",
    "ca.crt": "caSecretName",
    "tls.crt": "certificateSecretName",
    "tls.key": "certificateSecretName",
}


@dataclass
class BankSecrets:
    """Looked at by name; only the names of keys are remembered."""

    reader: KubeReader
    clock: Clock
    _known: dict[Ref, tuple[float, frozenset[str] | None]] = field(default_factory=dict)

    async def missing(self, agent: VoiceAgent) -> str:
        """What has to be made, and which field asks for it; empty when all is there, or when the
        API server does not tell."""
        for source in banking_sources(agent):
            secret = source["secret"]
            if secret.get("optional"):
                continue
            keys = [str(item["key"]) for item in secret["items"]]
            try:
                there = await self._keys(agent.metadata.namespace, secret["name"], keys)
            except KubeError:
                return ""
            lost = next((key for key in keys if there is None or key not in there), None)
            if lost is not None:
                place = f"spec.banking.{_FIELDS[lost]} names {secret['name']}"
                if there is None:
                    return f"{place}, and there is no such Secret in this namespace; create it"
                return f"{place}, which has no key {lost}; add it"
        return ""

    async def _keys(self, namespace: str, name: str, wanted: list[str]) -> frozenset[str] | None:
        ref, now = Ref(SECRET, namespace, name), self.clock.monotonic()
        if (known := self._known.get(ref)) is not None:
            at, there = known
            whole = there is not None and there.issuperset(wanted)
            if now - at < (LOOK_AGAIN_S if whole else MISSING_AGAIN_S):
                return there
        found = await self.reader.get(SECRET, namespace, name)
        keys = None if found is None else frozenset(found.get("data") or ())
        self._known[ref] = (now, keys)
        return keys
