"""Identities of the platform: certificates of its services, identities of programs that talk with
them, and the key set by which services know tokens.

A service's certificate belongs to its Service object: it is made when that is there, and goes with
it.
"""

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final

from callfleet_operator.identity.names import (
    CLIENT_SCOPES,
    OPERATOR,
    Subject,
    client_subject,
    service_subject,
)
from callfleet_operator.model import OperatorSettings
from callfleet_operator.model.platform import PlatformClient, PlatformService
from callfleet_operator.ports.certificates import LeafIssuer, TokenIssuer
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import KubeError, NotLeaderError
from callfleet_operator.ports.kinds import CONFIG_MAP, SECRET, SERVICE, Manifest
from callfleet_operator.reconcile.secrets import SecretShelf
from callfleet_operator.resources.apply import with_hash

OPERATOR_TLS: Final = "callfleet-operator-tls"
KEY_SET: Final = "callfleet-token-keys"
KEY_SET_FILE: Final = "jwks.json"
LABELS: Final = {"app.kubernetes.io/managed-by": "callfleet-operator"}
_log = logging.getLogger(__name__)


@dataclass
class PlatformIdentities:
    """What is kept for the services that the settings name."""

    secrets: SecretShelf
    issuer: LeafIssuer
    tokens: TokenIssuer
    settings: OperatorSettings
    clock: Clock

    async def run(self) -> None:
        """Until cancelled. Raises NotLeaderError."""
        while True:
            await self.keep()
            await self.clock.sleep(self.settings.identities.lifetimes.look_s)

    async def keep(self) -> None:
        """One look at everything; what is refused is told and tried again at the next look."""
        if self.issuer.kind != SECRET:
            # The internal CA makes the operator's own in memory.
            namespace = self.settings.namespace
            await self._tried(OPERATOR_TLS, self._certify(namespace, OPERATOR_TLS, OPERATOR, []))
        platform = self.settings.platform
        if platform is None:
            return
        await self._tried("key set", self._key_set())
        for service in platform.services:
            await self._tried(service.service, self._service(service))
        for client in platform.clients:
            await self._tried(client.name, self._client(client))

    async def _tried(self, name: str, work: Awaitable[None]) -> None:
        try:
            await work
        except NotLeaderError:
            raise
        except KubeError as error:
            _log.warning(
                "an identity could not be kept", extra={"object": name, "reason": error.reason}
            )

    async def _key_set(self) -> None:
        manifest = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {"namespace": self.settings.namespace, "name": KEY_SET, "labels": LABELS},
            "data": {KEY_SET_FILE: self.tokens.key_set()},
        }
        await self.secrets.apply(with_hash(manifest))

    async def _service(self, service: PlatformService) -> None:
        namespace = self.settings.namespace
        owner = await self.secrets.look(namespace, service.service, SERVICE)
        if owner is None:
            self.secrets.forget(namespace, service.service, SERVICE)
            return
        subject = service_subject(namespace, service.role, service.service)
        reference = {
            "apiVersion": SERVICE.api_version,
            "kind": SERVICE.kind,
            "name": service.service,
            "uid": owner["metadata"]["uid"],
        }
        await self._certify(namespace, f"{service.service}-tls", subject, [reference])

    async def _client(self, client: PlatformClient) -> None:
        subject = client_subject(client.namespace, client.name)
        await self._certify(client.namespace, f"{client.name}-client-tls", subject, [])
        scopes = {str(audience): CLIENT_SCOPES[audience] for audience in client.audiences}
        await self._authorise(client.namespace, f"{client.name}-client-tokens", subject, scopes)

    async def _certify(
        self, namespace: str, name: str, subject: Subject, owners: list[Manifest]
    ) -> None:
        live = await self.secrets.look(namespace, name, self.issuer.kind)
        made = self.issuer.issue(namespace, name, subject, live)
        if made is not None:
            metadata = made["metadata"] | ({"ownerReferences": owners} if owners else {})
            await self.secrets.apply(with_hash(made | {"metadata": metadata}))

    async def _authorise(
        self, namespace: str, name: str, subject: Subject, scopes: Mapping[str, tuple[str, ...]]
    ) -> None:
        live = await self.secrets.look(namespace, name)
        made = self.tokens.tokens(namespace, name, subject, scopes, live)
        if made is not None:
            await self.secrets.apply(with_hash(made))
