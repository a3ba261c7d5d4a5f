"""Who makes certificates and tokens in this installation, and the operator's own identity."""

from callfleet_operator.identity.tokens import KeyRing
from callfleet_operator.kube.cert_manager import CertificateIssuer, MountedLeaf
from callfleet_operator.kube.certificates import Issuer, OperatorLeaf
from callfleet_operator.kube.stored_identity import (
    SecretClient,
    authority_form,
    kept,
    ring_form,
)
from callfleet_operator.kube.tokens import Minter
from callfleet_operator.model import OperatorSettings
from callfleet_operator.pods.dial import DialError, Identity
from callfleet_operator.ports.certificates import LeafIssuer
from callfleet_operator.ports.clock import Clock


class Identities:
    """The internal CA, or cert-manager where the settings name an issuer of its; and tokens."""

    def __init__(self, settings: OperatorSettings, client: SecretClient, clock: Clock) -> None:
        self._settings, self._client, self._clock = settings, client, clock
        self._lifetimes = settings.identities.lifetimes
        self.minter = Minter(KeyRing(), settings.identities.token_issuer, clock, self._lifetimes)
        self._internal: Issuer | None = None
        self._leaf: OperatorLeaf | MountedLeaf = MountedLeaf(client, settings.namespace)

    @property
    def issuer(self) -> LeafIssuer:
        """Who makes certificates; after the first `refresh`."""
        named = self._settings.identities.cert_manager
        if named is not None:
            return CertificateIssuer(named, self._lifetimes)
        assert self._internal is not None  # noqa: S101 - refresh made it
        return self._internal

    def own(self) -> Identity:
        """Raises DialError while there is none."""
        pair = self._leaf.current()
        if pair is None:
            raise DialError("NO_CERTIFICATE")
        return Identity(pair.certificate, pair.key, self._leaf.trusted)

    async def refresh(self) -> bool:
        """Makes or changes what is stored, if need be; whether every certificate is to be looked
        at again. Raises KubeError, and ConfigurationError for what is damaged.
        """
        namespace = self._settings.namespace
        known, form = self.minter.ring, ring_form(self._lifetimes)
        self.minter.ring = ring = await kept(form, self._client, namespace, self._clock)
        lost = not all(ring.knows(key.name) for key in known.keys)
        if isinstance(self._leaf, MountedLeaf) and self._settings.identities.cert_manager:
            await self._leaf.refresh()
            return lost
        ca_form = authority_form(self._settings.installation, self._lifetimes)
        authority = await kept(ca_form, self._client, namespace, self._clock)
        if self._internal is None:
            self._internal = Issuer(authority, self._clock, self._lifetimes)
            self._leaf = OperatorLeaf(self._internal)
            return False
        before, self._internal.authority = self._internal.authority, authority
        return lost or before.ca != authority.ca or before.trust != authority.trust
