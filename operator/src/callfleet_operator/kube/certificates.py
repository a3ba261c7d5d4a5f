"""What the internal CA signs for pods: Secrets with a certificate, its key, and the CAs to trust.

What time it is comes in. Annotations tell what is inside, so that nobody has to read it.
"""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from callfleet_operator.identity.authority import Authority
from callfleet_operator.identity.certificates import KeyPair, make_leaf
from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.names import OPERATOR, Subject
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.kinds import SECRET, Kind, Manifest

FINGERPRINT: Final = "callfleet.io/ca-fingerprint"
TRUST: Final = "callfleet.io/trust"
NOT_AFTER: Final = "callfleet.io/not-after"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"


@dataclass
class Issuer:
    """The LeafIssuer: signs, and renews when a third of a leaf's life is left."""

    authority: Authority
    clock: Clock
    lifetimes: Lifetimes = field(default_factory=Lifetimes)

    @property
    def kind(self) -> Kind:
        return SECRET

    def issue(
        self, namespace: str, name: str, subject: Subject, live: Manifest | None
    ) -> Manifest | None:
        if live is not None and self._good(live):
            return None
        authority = self.authority
        leaf = make_leaf(authority.ca, subject, self.clock.wall(), self.lifetimes.leaf_s)
        data = {
            "tls.crt": leaf.certificate,
            "tls.key": leaf.key,
            "ca.crt": authority.bundle,
        }
        notes = {
            FINGERPRINT: authority.ca.fingerprint,
            TRUST: authority.trust,
            NOT_AFTER: rfc3339(leaf.not_after),
        }
        return secret(namespace, name, data, notes)

    def _good(self, live: Manifest) -> bool:
        annotations = live["metadata"].get("annotations") or {}
        if annotations.get(FINGERPRINT) != self.authority.ca.fingerprint:
            return False
        return annotations.get(TRUST) == self.authority.trust and not self.due(ends_at(annotations))

    def due(self, ends: float | None) -> bool:
        """Whether a leaf has a third of its life left at most, and a new one would live longer."""
        if ends is None:
            return True
        now = self.clock.wall()
        longest = min(now + self.lifetimes.leaf_s, self.authority.ca.not_after)
        return ends - now <= self.lifetimes.leaf_s / 3 and longest > ends + 1


@dataclass
class OperatorLeaf:
    """The operator's own certificate, in memory only; renewed like those of agents."""

    issuer: Issuer
    _pair: KeyPair | None = None
    _signer: str = ""

    @property
    def trusted(self) -> bytes:
        return self.issuer.authority.bundle

    def current(self) -> KeyPair:
        issuer = self.issuer
        ca, ends = issuer.authority.ca, self._pair.not_after if self._pair else None
        if self._pair is None or self._signer != ca.fingerprint or issuer.due(ends):
            self._pair = make_leaf(ca, OPERATOR, issuer.clock.wall(), issuer.lifetimes.leaf_s)
            self._signer = ca.fingerprint
        return self._pair


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def ends_at(annotations: Manifest) -> float | None:
    """The Unix time that an annotation tells; None when it tells none."""
    try:
        return datetime.fromisoformat(annotations[NOT_AFTER]).timestamp()
    except (KeyError, ValueError):
        return None


def secret(
    namespace: str, name: str, data: dict[str, bytes], annotations: dict[str, str]
) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {MANAGED_BY: "callfleet-operator"},
            "annotations": annotations,
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
