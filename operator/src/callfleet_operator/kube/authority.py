"""The CA's Secret: made once, however many operators start, and changed before it ends."""

import logging
from typing import Protocol

from callfleet_operator.kube.certificates import Authority, make_ca, read_authority
from callfleet_operator.kube.errors import ConfigurationError
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.errors import AlreadyExistsError, ConflictError
from callfleet_operator.ports.kinds import SECRET, Kind, Manifest
from callfleet_operator.ports.kube import Ref

_log = logging.getLogger(__name__)

CA_SECRET = "callfleet-ca"  # noqa: S105 - the name of an object


class SecretClient(Protocol):
    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None: ...
    async def create(self, manifest: Manifest) -> Manifest: ...
    async def patch(self, ref: Ref, patch: Manifest) -> Manifest: ...


async def open_authority(
    client: SecretClient, installation: str, namespace: str, clock: Clock
) -> Authority:
    """The installation's CA, made or renewed if need be.

    Two operators never make two: a CA is created, never overwritten, and both then use what is
    there. A damaged Secret is a person's business (ConfigurationError): a new CA would cut off
    every pod. Raises KubeError.
    """
    while True:
        found = await client.get(SECRET, namespace, CA_SECRET)
        if found is None:
            await _make(client, installation, namespace, clock)
            continue
        try:
            authority = read_authority(found)
        except ValueError as error:
            raise ConfigurationError(
                f"Secret {namespace}/{CA_SECRET}: {error}; restore it, or delete it for a new CA"
            ) from error
        if not authority.ends_soon(clock.wall()):
            return authority
        await _renew(client, found, authority.renewed(installation, clock.wall()))


async def _make(client: SecretClient, installation: str, namespace: str, clock: Clock) -> None:
    ca = make_ca(installation, clock.wall())
    try:
        await client.create(Authority(ca, ca.certificate).secret(namespace, CA_SECRET))
        _log.info("the internal CA was made", extra={"fingerprint": ca.fingerprint})
    except AlreadyExistsError:
        _log.info("another operator made the internal CA")


async def _renew(client: SecretClient, found: Manifest, renewed: Authority) -> None:
    namespace = found["metadata"]["namespace"]
    wanted = renewed.secret(namespace, CA_SECRET)
    wanted["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
    try:
        await client.patch(Ref(SECRET, namespace, CA_SECRET), wanted)
        _log.info("the internal CA was renewed", extra={"fingerprint": renewed.ca.fingerprint})
    except ConflictError:
        _log.info("another operator renewed the internal CA")
