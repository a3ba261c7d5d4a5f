"""Certificates from cert-manager, in the internal CA's place: Certificate objects instead of
Secrets. cert-manager makes the Secrets, renews them, and puts its issuer's CA beside them.
"""

import base64
from dataclasses import dataclass, field
from typing import Final, Protocol

from callfleet_operator.identity.certificates import KeyPair
from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.names import Subject
from callfleet_operator.kube.certificates import MANAGED_BY
from callfleet_operator.kube.errors import ConfigurationError
from callfleet_operator.model import CertManagerIssuer
from callfleet_operator.ports.kinds import (
    CERTIFICATE,
    CUSTOM_RESOURCE_DEFINITION,
    SECRET,
    Kind,
    Manifest,
)
from callfleet_operator.reconcile.platform import OPERATOR_TLS

_CRD: Final = f"{CERTIFICATE.plural}.{CERTIFICATE.group}"


class Reader(Protocol):
    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None: ...


async def need_cert_manager(reader: Reader) -> None:
    """Raises ConfigurationError where cert-manager is not installed, and KubeErrors."""
    if await reader.get(CUSTOM_RESOURCE_DEFINITION, "", _CRD) is None:
        raise ConfigurationError(
            "identities.certManager: cert-manager is not installed in this cluster; install it, "
            "or leave the field out for certificates of the internal CA"
        )


@dataclass
class CertificateIssuer:
    """The LeafIssuer: what is wanted is always the same, and cert-manager does the rest."""

    reference: CertManagerIssuer
    lifetimes: Lifetimes = field(default_factory=Lifetimes)

    @property
    def kind(self) -> Kind:
        return CERTIFICATE

    def issue(
        self,
        namespace: str,
        name: str,
        subject: Subject,
        live: Manifest | None,  # noqa: ARG002 - the same whatever is there
    ) -> Manifest | None:
        labels = {MANAGED_BY: "callfleet-operator"}
        return {
            "apiVersion": CERTIFICATE.api_version,
            "kind": CERTIFICATE.kind,
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": {
                "secretName": name,
                "secretTemplate": {"labels": labels},
                "dnsNames": list(subject.hosts),
                "uris": [subject.identity],
                "usages": ["digital signature", "server auth", "client auth"],
                # The services refuse other keys than these.
                "privateKey": {
                    "algorithm": "ECDSA",
                    "size": 256,
                    "encoding": "PKCS8",
                    "rotationPolicy": "Always",
                },
                "duration": f"{int(self.lifetimes.leaf_s)}s",
                "renewBefore": f"{int(self.lifetimes.leaf_s / 3)}s",
                "revisionHistoryLimit": 1,
                "issuerRef": {
                    "name": self.reference.name,
                    "kind": self.reference.kind,
                    "group": self.reference.group,
                },
            },
        }


@dataclass
class MountedLeaf:
    """The operator's own certificate as cert-manager's Secret holds it."""

    reader: Reader
    namespace: str
    _pair: KeyPair | None = None
    _trusted: bytes = b""

    async def refresh(self) -> None:
        """Reads the Secret; what was there stays when it is not. Raises KubeErrors."""
        found = await self.reader.get(SECRET, self.namespace, OPERATOR_TLS)
        data = (found or {}).get("data") or {}
        if all(data.get(name) for name in ("tls.crt", "tls.key", "ca.crt")):
            values = {name: base64.b64decode(value) for name, value in data.items()}
            self._pair = KeyPair(values["tls.crt"], values["tls.key"])
            self._trusted = values["ca.crt"]

    @property
    def trusted(self) -> bytes:
        return self._trusted

    def current(self) -> KeyPair | None:
        return self._pair
